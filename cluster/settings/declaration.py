"""How a setting is declared: a dataclass field with its default, its parser, and the text for docs/settings.md."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

PREFIX: Final = "DASK_GRAPHQL_"


@dataclass(frozen=True)
class SettingsGroup:
    """Settings of one role or concern."""

    TITLE: ClassVar[str]
    """The heading of its table in docs/settings.md."""


def variable_of(name: str) -> str:
    """Returns the environment variable of a setting."""
    return PREFIX + name.upper()


def setting(default: Any, parse: Callable[[str], Any], meaning: str, *, secret: bool = False) -> Any:
    """Declares one setting.

    Args:
        parse: converts the text of the variable; raises InvalidValue if it is wrong.
        meaning: for docs/settings.md, with unit and special values.
        secret: whether its value is kept out of errors, logs and `repr`.
    """
    return field(default=default, repr=not secret, metadata={"parse": parse, "meaning": meaning, "secret": secret})
