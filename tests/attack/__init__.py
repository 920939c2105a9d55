"""What hostile callers cost a node. `make attack SECONDS=600` attacks for that long; CI for some seconds."""
