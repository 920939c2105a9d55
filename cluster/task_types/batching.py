"""`@task(batch=...)`: one call of the function serves several tasks that wait."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, get_args, get_origin

from cluster.errors import RegistryError

MAX_SIZE: Final = 128
"""Most tasks in one call: the key of a Dask task names all its attempts."""
MAX_WAIT_MS: Final = 10_000.0


@dataclass(frozen=True, slots=True)
class Batch:
    """How tasks of a type are put together for one call of its function.

    Args:
        max_size: most tasks in one call, 1 to 128.
        wait_ms: how long the first task waits for others, in milliseconds, 0 to 10,000; a full batch does not wait.
    """

    max_size: int = 32
    wait_ms: float = 10.0


def check_batch(where: str, batch: Batch) -> None:
    """Checks what an author declared.

    Raises:
        RegistryError: a number is out of bounds.
    """
    if isinstance(batch.max_size, bool) or not isinstance(batch.max_size, int) or not 1 <= batch.max_size <= MAX_SIZE:
        raise RegistryError(f"{where}: max_size of Batch must be from 1 to {MAX_SIZE}, not {batch.max_size!r}")
    if not 0 <= batch.wait_ms <= MAX_WAIT_MS:
        raise RegistryError(f"{where}: wait_ms of Batch must be from 0 to {MAX_WAIT_MS:g}, not {batch.wait_ms!r}")


def single_types(where: str, hints: Mapping[str, Any]) -> dict[str, Any]:
    """The types of one task, from those of the function, which has a list for each argument and returns a list.

    Raises:
        RegistryError: one of them is no list.
    """
    single = {}
    for name, annotation in hints.items():
        if get_origin(annotation) is not list:
            does = "returns" if name == "return" else f"takes as {name!r}"
            raise RegistryError(
                f"{where}: a function with batch=... {does} an item for each task: declare list[...], "
                f"not {annotation!r}"
            )
        [single[name]] = get_args(annotation)
    return single
