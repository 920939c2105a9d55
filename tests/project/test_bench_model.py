"""What larger machines should do is arithmetic on the profile, and the page shows what the profile says now."""

from __future__ import annotations

import pytest

from benchmarks import model
from benchmarks.model import Cost, check, needed, per_process, predict

COST = Cost({"api": 0.8, "scheduler": 0.2, "redis": 0.4, "worker": 0.5, "rest": 0.1}, client=0.5, tasks_per_second=640)


def test_a_process_carries_what_eighty_percent_of_a_core_carry() -> None:
    assert per_process(COST) == {"api": 1000, "scheduler": 4000, "redis": 2000, "worker": 1600}
    assert needed(COST, 4000) == {"api": 4, "scheduler": 1, "redis": 2, "worker": 3}


def test_a_machine_does_what_its_cores_carry_in_all_parts_together() -> None:
    made = predict(COST, 10)
    assert made.tasks_per_second == pytest.approx(4000)
    assert made.processes == {"api": 4, "scheduler": 1, "redis": 2, "worker": 3}
    assert made.limit == "its cores"


def test_beyond_the_number_of_shards_more_cores_do_not_help() -> None:
    made = predict(COST, 1000)
    assert made.tasks_per_second == pytest.approx(32_000)
    assert made.limit == "16 shards of Redis"


def test_the_check_counts_the_load_generator_on_the_machine_of_the_profile() -> None:
    assert check(COST, 2) == pytest.approx(640 / (2 * 800 / 2.5))


def test_the_page_shows_the_tables_of_the_profile() -> None:
    page = model.PAGE.read_text()
    assert page == model.filled_page(model.read()), "run: python -m benchmarks.model --write"
