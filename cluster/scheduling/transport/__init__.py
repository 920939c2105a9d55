"""Dask's connections on asyncio's transports, in place of Tornado's streams. What is sent is the same: either end may
be Dask's own.

For a message, a Tornado stream reads twice from its socket, removes that from the event loop and adds it again, and
takes seven turns of the loop; and it gains nothing from uvloop. An asyncio transport reads once, in one turn.

Dask documents how to add a transport (`Comm`, `Connector`, `Listener`, `Backend`). What else is used of
`distributed.comm` and `distributed.protocol` is undocumented, as is the form of a message.
`tests/cluster/scheduling/transport/` connects either end to Dask's own; if it is renamed, imports fail there first.
"""
