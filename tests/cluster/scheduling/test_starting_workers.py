"""Workers that have not registered with Dask yet."""

from __future__ import annotations

from cluster.scheduling.starting_workers import MAX_SILENCE_SECONDS, MAX_STARTING, SHOW_ERROR_SECONDS, StartingWorkers


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_a_worker_starts_while_its_nanny_reports_it_and_until_it_registers() -> None:
    clock = Clock()
    workers = StartingWorkers(clock)
    await workers.on_report("w1")
    await workers.on_report("w2")
    clock.now = MAX_SILENCE_SECONDS - 1
    await workers.on_report("w1")
    assert workers.describe() == [
        {"name": "w1", "seconds": clock.now, "error": ""},
        {"name": "w2", "seconds": clock.now, "error": ""},
    ]
    clock.now += 2
    assert [worker["name"] for worker in workers.describe()] == ["w1"]
    assert workers.describe({"w1"}) == []
    workers.on_registered("w1")
    workers.on_registered("unknown")
    assert workers.describe() == []


async def test_the_error_of_a_worker_that_could_not_start_is_shown_for_a_while() -> None:
    clock = Clock()
    workers = StartingWorkers(clock)
    await workers.on_report("w1")
    await workers.on_report("w1", "no model")
    clock.now = SHOW_ERROR_SECONDS - 1
    assert [worker["error"] for worker in workers.describe()] == ["no model"]
    clock.now += 2
    assert workers.describe() == []


async def test_the_number_of_remembered_workers_is_bounded() -> None:
    workers = StartingWorkers(Clock())
    for number in range(MAX_STARTING + 5):
        await workers.on_report(str(number))
    names = [worker["name"] for worker in workers.describe()]
    assert (len(names), names[0]) == (MAX_STARTING, "5")
