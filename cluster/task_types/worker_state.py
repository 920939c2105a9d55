"""`@worker_state`: a value that each worker process makes once, before it takes tasks: a model, a connection, a table.

Elsewhere, as in a unit test or in an api node that imports the same module, it is made when it is first used.
"""

from __future__ import annotations

import functools
import inspect
import logging
import threading
import time
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from cluster.attempt_errors import message_of, type_of
from cluster.errors import RegistryError
from cluster.task_types.callables import origin_of

logger = logging.getLogger(__name__)

T = TypeVar("T")
_MISSING: Final = object()


class WorkerState(Generic[T]):
    """A function without arguments whose value is made once in a process. Call it to get the value."""

    def __init__(self, function: Callable[[], T]) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._value: T | object = _MISSING
        self._lock = threading.RLock()
        self._is_being_made = False

    def __call__(self) -> T:
        """Returns the value, and makes it if this process has none yet. Threads that come meanwhile wait for it.

        Raises:
            RuntimeError: the function needs its own value.
        """
        if self._value is _MISSING:
            with self._lock:
                if self._value is _MISSING:
                    self._make()
        return self._value  # type: ignore[return-value]

    def _make(self) -> None:
        if self._is_being_made:
            raise RuntimeError(f"the worker state {self.origin} needs itself to be made")
        self._is_being_made = True
        started = time.monotonic()
        try:
            self._value = self._function()
        finally:
            self._is_being_made = False
        logger.info("the worker state %s was made in %.1f s", self.origin, time.monotonic() - started)

    def reset(self) -> None:
        """Drops the value, so that the next call makes it anew; for tests."""
        with self._lock:
            self._value = _MISSING

    @property
    def origin(self) -> str:
        """The module and name of the function."""
        return origin_of(self._function)

    def __reduce__(self) -> str:
        # Parts of graphs that use it find it in its module; its value stays in this process.
        return self._function.__qualname__


_states: dict[str, WorkerState[object]] = {}
"""By the module and name of the function: a module that is imported again replaces its own."""


def worker_state(function: Callable[[], T]) -> WorkerState[T]:
    """Makes the value of a function once in each worker process, before the process takes tasks.

    While a worker makes its states it is STARTING: it is no idle worker, and gets no tasks. If a state raises, the
    worker ends and another one is started after a pause; tasks wait for workers that serve. Call the decorated function
    in a task, or in a part of its graph, to get the value. With several WORKER_THREADS the tasks of a process share it.

    Args:
        function: takes no arguments and returns the value.

    Raises:
        RegistryError: it takes arguments, or is async or a generator.
    """
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise RegistryError(f"{origin_of(function)}: @worker_state takes a plain function that returns the value")
    if any(parameter.default is parameter.empty for parameter in inspect.signature(function).parameters.values()):
        raise RegistryError(f"{origin_of(function)}: a function with @worker_state takes no arguments")
    made = WorkerState(function)
    _states[made.origin] = made  # type: ignore[assignment]
    return made


def make_worker_states() -> None:
    """Makes every worker state of the modules that this process has imported.

    Raises:
        RegistryError: one of them raised; the message says which, and what.
    """
    for state in list(_states.values()):
        try:
            state()
        except Exception as error:
            raise RegistryError(
                f"the worker state {state.origin} cannot be made: {type_of(error)}: {message_of(error)}"
            ) from error
