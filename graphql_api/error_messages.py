"""What errors repeat: a little of what the client sent, and nothing of a schema that is kept from it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from graphql import DocumentNode, GraphQLError

QUOTED_LENGTH: Final = 200
"""Characters of a word that a message repeats."""
MESSAGE_LENGTH: Final = 2_000
"""Characters of a message."""

_LONG_WORD: Final = re.compile(rf"(\S{{{QUOTED_LENGTH}}})\S+")
_SUGGESTION: Final = re.compile(r" ?Did you mean .*", re.DOTALL)
_QUOTED: Final = re.compile(r"'([^']*)'")
_WORD: Final = re.compile(r"\w+")


def shorten(message: str) -> str:
    """Cuts long words, such as a name of 60,000 letters, and long messages."""
    message = _LONG_WORD.sub(r"\1…", message[: 2 * MESSAGE_LENGTH])
    return message if len(message) <= MESSAGE_LENGTH else f"{message[:MESSAGE_LENGTH]}…"


def hide_schema(errors: Iterable[GraphQLError], document: DocumentNode, variables: Mapping[str, Any] | None) -> None:
    """Removes from the errors of a document, or of its variables, the names that the client has not sent.

    Suggestions, required fields and expected types would reveal the schema name by name.
    """
    sent: set[str] | None = None
    for error in errors:
        if error.original_error is not None and not isinstance(error.original_error, GraphQLError):
            continue  # a resolver's error, which quotes values
        if sent is None:
            text = document.loc.source.body if document.loc else ""
            sent = {word for part in (text, *_texts(variables)) for word in _WORD.findall(part)}
        error.message = _without_unknown_names(_SUGGESTION.sub("", error.message), sent)


def _without_unknown_names(message: str, sent: set[str]) -> str:
    return _QUOTED.sub(lambda quoted: quoted[0] if sent.issuperset(_WORD.findall(quoted[1])) else "'…'", message)


def _texts(value: Any) -> Iterator[str]:
    """The strings in the variables of an operation, names of fields included."""
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            todo += item.keys()
            todo += item.values()
        elif isinstance(item, list):
            todo += item
        elif item is not None:
            yield str(item)[:QUOTED_LENGTH]
