"""Webhooks: what is sent when a task ends, how it is signed, when it is tried again, and what may be reached."""
