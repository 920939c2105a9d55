"""The fleets: where workers come from."""
