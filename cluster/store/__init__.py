"""Redis and blobs: the records, the scripts that change them, and their clients. PROTOCOL.md documents the wire
format."""
