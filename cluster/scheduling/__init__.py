"""Dask's scheduler: its node, its plugin, the client and the keys of attempts."""
