"""A model in batches: loaded once by each worker, and asked about many texts in one call.

Start the whole system with it, from the top of the clone:

    dask-graphql dev examples/languages.py

Clients submit single texts. Those that wait at the same time reach the function together, as they would a model on a
GPU; each keeps its own task, result and error:

    with Client() as client:
        client.submit(guess_language, "guten Morgen").result()
        [guess.language for guess in client.map(guess_language, [{"text": text} for text in texts])]
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from dask_graphql import BadInput, Batch, task, worker_state

BUCKETS: Final = 4096
"""Groups of letters are counted in so many columns, by a hash."""

UNSEEN: Final = 1e-3
"""Added to the frequencies, so that a group that a sample lacks does not rule its language out."""

SAMPLES: Final = {
    "English": "all human beings are born free and equal in dignity and rights they are endowed with reason and "
    "conscience and should act towards one another in a spirit of brotherhood",
    "French": "tous les êtres humains naissent libres et égaux en dignité et en droits ils sont doués de raison et de "
    "conscience et doivent agir les uns envers les autres dans un esprit de fraternité",
    "German": "alle menschen sind frei und gleich an würde und rechten geboren sie sind mit vernunft und gewissen "
    "begabt und sollen einander im geist der brüderlichkeit begegnen",
    "Italian": "tutti gli esseri umani nascono liberi ed eguali in dignità e diritti essi sono dotati di ragione e di "
    "coscienza e devono agire gli uni verso gli altri in spirito di fratellanza",
    "Spanish": "todos los seres humanos nacen libres e iguales en dignidad y derechos y dotados como están de razón y "
    "conciencia deben comportarse fraternalmente los unos con los otros",
}
"""Article 1 of the Universal Declaration of Human Rights, from which the model learns."""


@dataclass
class Guess:
    """The most likely language of a text."""

    language: str
    probability: float


@worker_state
def model() -> Any:
    """The logarithm of each column's frequency, for each language: made when a worker starts, before it takes tasks."""
    counts = np.array([counted(text) for text in SAMPLES.values()])
    return np.log(counts / counts.sum(1, keepdims=True) + UNSEEN)


def check_text(text: str, **_: object) -> None:
    if not 3 <= len(text.strip()) <= 10_000:
        raise BadInput("guess_language: a text has 3 to 10,000 letters", argument="text")


@task(version="1", batch=Batch(max_size=64, wait_ms=20), checks=check_text)
def guess_language(text: list[str]) -> list[Guess]:
    """Guesses the language of texts by their groups of letters (naive Bayes): one matrix product for all."""
    scores = np.array([counted(one) for one in text]) @ model().T
    odds = np.exp(scores - scores.max(1, keepdims=True))
    names = list(SAMPLES)
    return [Guess(names[best], row[best] / row.sum()) for row, best in zip(odds, odds.argmax(1), strict=True)]


def counted(text: str) -> Any:
    """How often each column's groups of two and of three letters are in a text."""
    padded = f" {' '.join(text.lower().split())} "
    groups = [padded[at : at + size] for size in (2, 3) for at in range(len(padded) - size + 1)]
    return np.bincount([zlib.crc32(group.encode()) % BUCKETS for group in groups], minlength=BUCKETS)
