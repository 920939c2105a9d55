"""What `@task` may be put on: functions, and what is called like one."""

from __future__ import annotations

import functools
import inspect
import reprlib
from typing import Any

from cluster.errors import RegistryError


def underlying(function: Any) -> Any:
    """The function behind a functools.partial, or what a callable object does; else itself."""
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.isroutine(function) or hasattr(function, "__wrapped__"):
        return function
    return type(function).__call__


def origin_of(function: Any) -> str:
    """Where a function stands, for messages."""
    found = underlying(function)
    return f"{found.__module__}.{found.__qualname__}"


def refuse_callable(function: Any, name: str | None) -> None:
    """Refuses what is called, and is no function that a task can be.

    Raises:
        RegistryError: it says what to put @task on.
    """
    if type(function).__module__.startswith("dask."):
        raise RegistryError(
            f"a {type(function).__name__} of Dask's was given to @task; put it on a plain function that returns "
            "delayed(...)(...), and declare what that computes: -> Graph[int]"
        )
    if isinstance(function, type):
        raise RegistryError(f"{function.__module__}.{function.__qualname__} is a class; put @task on a function")
    if not callable(function):
        raise RegistryError(f"{reprlib.repr(function)} is no function; put @task on a function")
    if inspect.isasyncgenfunction(underlying(function)):
        raise RegistryError(
            f"{origin_of(function)} is an async generator; return a list, and show it as it grows by report_partial"
        )
    if name is None and not hasattr(underlying(function), "__name__"):
        raise RegistryError(f"{origin_of(function)} has no name; give it one: @task(name=...)")
