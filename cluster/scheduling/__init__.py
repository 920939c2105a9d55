"""Everything that touches Dask's scheduler: its node, its plugin, the clients of it."""
