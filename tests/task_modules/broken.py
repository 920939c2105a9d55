"""A task module that cannot be imported."""

raise LookupError("no such thing")
