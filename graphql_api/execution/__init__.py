"""A document on its way from its text to its result: cache, limits, persisted operations, compiled selections."""
