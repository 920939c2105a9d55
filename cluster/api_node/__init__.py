"""A task's way through an api node: admission, submission, dispatch, delivery, recovery, pruning."""
