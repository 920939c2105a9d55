"""Since when a worker runs, and how much it has done."""

from __future__ import annotations

from cluster.scheduling.worker_tallies import WorkerTallies


def test_a_worker_counts_from_its_registration_to_its_end() -> None:
    now = [100.0]
    tallies = WorkerTallies(lambda: now[0])
    tallies.add_worker("tcp://a")
    tallies.add_ended("tcp://a", 3)
    tallies.add_ended("tcp://b", 3)
    tallies.add_ended(None, 1)
    assert tallies.describe("tcp://a") == {"since": 100.0, "finished": 3}
    now[0] = 200.0
    tallies.add_worker("tcp://a")
    assert tallies.describe("tcp://a") == {"since": 200.0, "finished": 0}
    tallies.remove_worker("tcp://a")
    tallies.add_ended("tcp://a", 1)
    assert tallies.describe("tcp://a") == {}
