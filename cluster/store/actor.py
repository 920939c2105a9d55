"""Who does something: as records name their submitters, and the audit log its callers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

TITLE_LIMIT: Final = 128
"""Maximum characters of a title."""


@dataclass(frozen=True, slots=True)
class Actor:
    """The maker of a request.

    Attributes:
        name: identifies the actor: `key:<id>`, `jwt:<subject>` or `address:<ip>`. Without spaces.
        account: the tenant that the actor acts for; without authentication the same as `name`. Without spaces.
        title: for people: the name of an API key, the subject of a JWT, or the address.
        address: the client's address; not part of what records keep.
    """

    name: str = ""
    account: str = ""
    title: str = ""
    address: str = ""

    @property
    def text(self) -> str:
        """As a record keeps it: name, account and title, separated by spaces; empty if there is no name."""
        if not self.name:
            return ""
        return f"{_word(self.name)} {_word(self.account)} {self.title[:TITLE_LIMIT]}"

    @classmethod
    def parse(cls, text: str) -> Actor | None:
        """Reads `text` again; None if it is empty."""
        if not text:
            return None
        name, _, rest = text.partition(" ")
        account, _, title = rest.partition(" ")
        return cls(name, account, title)


NOBODY: Final = Actor()
"""Unknown: a request of our own, or of an earlier release."""


def _word(text: str) -> str:
    return text if text.isalnum() else "_".join(text.split())
