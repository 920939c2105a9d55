"""Values that a process makes once."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from cluster.errors import RegistryError
from cluster.task_types import worker_state as module
from cluster.task_types.worker_state import make_worker_states, worker_state
from dask_graphql import task
from dask_graphql.testing import run_task

made: list[str] = []


@worker_state
def model() -> dict[str, int]:
    """The model."""
    made.append("model")
    return {"weight": 2}


@task(name="state_predict")
def predict(x: int) -> int:
    return x * model()["weight"]


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Only the state of this module, not made yet."""
    monkeypatch.setattr(module, "_states", {model.origin: model})
    made.clear()
    model.reset()
    yield
    model.reset()


def test_a_task_gets_the_value_that_its_process_made_once() -> None:
    make_worker_states()
    assert made == ["model"]
    assert [run_task(predict, x=x).value for x in range(3)] == [0, 2, 4]
    assert made == ["model"]
    assert model.__doc__ == "The model."


def test_outside_a_worker_the_first_call_makes_it_and_reset_drops_it() -> None:
    assert model() is model()
    assert made == ["model"]
    model.reset()
    assert run_task(predict, x=3).value == 6
    assert made == ["model", "model"]


def test_threads_that_come_at_once_share_one_value() -> None:
    @worker_state
    def slow() -> object:
        time.sleep(0.05)
        return object()

    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(slow())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(map(id, found))) == 1


def test_a_state_may_use_another_one_but_not_itself() -> None:
    @worker_state
    def other() -> int:
        return model()["weight"] + 1

    @worker_state
    def endless() -> int:
        return int(endless()) + 1

    assert other() == 3
    with pytest.raises(RuntimeError, match="endless needs itself"):
        endless()


def test_a_state_that_raises_is_named_and_tried_again_at_the_next_call() -> None:
    failures = [OSError("no such file: model.bin")]

    @worker_state
    def fragile() -> int:
        if failures:
            raise failures.pop()
        return 1

    with pytest.raises(RegistryError, match=r"fragile cannot be made: OSError: no such file: model\.bin"):
        make_worker_states()
    assert fragile() == 1


def test_a_graphs_part_finds_the_state_in_its_module() -> None:
    assert pickle.loads(pickle.dumps(model)) is model


async def async_state() -> int:
    return 1


def generator_state() -> Any:
    yield 1


def with_arguments(path: str) -> int:
    return len(path)


@pytest.mark.parametrize(
    ("function", "message"),
    [(async_state, "a plain function"), (generator_state, "a plain function"), (with_arguments, "takes no arguments")],
)
def test_a_function_that_cannot_be_a_state_is_refused(function: Any, message: str) -> None:
    with pytest.raises(RegistryError, match=message):
        worker_state(function)
