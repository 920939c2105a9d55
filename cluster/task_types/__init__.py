"""What a task author declares: the registry, annotations, ids, value types."""
