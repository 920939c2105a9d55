"""The settings of the node that this process is, for task types: they get no settings passed."""

from __future__ import annotations

from cluster.settings import Settings

_settings: Settings | None = None


def use_settings(settings: Settings) -> None:
    """Makes the node's settings known to task types; called once, at start."""
    global _settings
    _settings = settings


def current_settings() -> Settings:
    """The settings of this node, or the defaults where no node runs (in a unit test of a task function)."""
    return _settings or Settings()
