"""Schedules: when a task is submitted by itself, and what became of that."""
