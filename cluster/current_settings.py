"""The settings of this node, for the functions of task types: nothing passes settings to them."""

from __future__ import annotations

from cluster.settings import Settings

_settings: Settings | None = None


def use_settings(settings: Settings) -> None:
    """Sets the settings that `current_settings` returns; called once, when the node starts."""
    global _settings
    _settings = settings


def current_settings() -> Settings:
    """Returns the settings of this node, or the defaults outside a node (in a unit test of a task function)."""
    return _settings or Settings()
