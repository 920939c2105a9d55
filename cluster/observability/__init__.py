"""Logs, metrics and traces of all nodes."""
