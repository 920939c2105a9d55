"""The worker node: the nanny, its worker process, and an attempt's way through it."""
