"""Counts of several processes, each with its own view of one file."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.system import counts
from cluster.system.counts import Counts, CountTable


def tables(folder: Path, processes: int) -> list[CountTable]:
    CountTable.create(folder / "counts", processes)
    return [CountTable(folder / "counts", number) for number in range(processes)]


def test_each_process_sees_the_sum_over_all(tmp_path: Path) -> None:
    first, second, third = [table.counts("sockets") for table in tables(tmp_path, 3)]
    first.add("a", 2)
    second.add("a")
    third.add("b")
    assert [each["a"] for each in (first, second, third)] == [3, 3, 3]
    assert [each["b"] for each in (first, second, third)] == [1, 1, 1]
    first.add("a", -2)
    assert [each["a"] for each in (first, second, third)] == [1, 1, 1]


def test_kinds_are_counted_apart(tmp_path: Path) -> None:
    first, second = tables(tmp_path, 2)
    first.counts("sockets").add("a")
    assert second.counts("waiters")["a"] == 0


def test_what_an_ended_process_has_counted_is_cleared(tmp_path: Path) -> None:
    first, second = tables(tmp_path, 2)
    first.counts("sockets").add("a", 5)
    second.counts("sockets").add("a", 1)
    CountTable(tmp_path / "counts", 1).clear(0)
    assert second.counts("sockets")["a"] == 0
    assert CountTable(tmp_path / "counts", 0).counts("sockets")["a"] == 1


def test_a_client_that_shares_one_cell_with_another_is_counted_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tables(tmp_path, 2)
    cells = {"sockets a": (1, 2), "sockets b": (1, 3)}
    for table in (first, second):
        monkeypatch.setattr(table, "_cells_of", cells.__getitem__)
    first.counts("sockets").add("a", 7)
    first.counts("sockets").add("b", 2)
    assert (second.counts("sockets")["a"], second.counts("sockets")["b"]) == (7, 2)


def test_the_cells_of_a_client_cannot_be_foreseen(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "ab"]
    found = set()
    for folder in folders:
        folder.mkdir()
        [table] = tables(folder, 1)
        found.add(table._find_cells("sockets a"))
    assert len(found) == 2


def test_a_bucket_of_tokens_belongs_to_all_processes(tmp_path: Path) -> None:
    first, second = tables(tmp_path, 2)
    taken = [table.take_token("a", 60, 1_000.0) for table in (first, second) * 30]
    assert taken == [0.0] * 60
    assert first.take_token("a", 60, 1_000.0) == pytest.approx(1.0)
    assert second.take_token("a", 60, 1_000.5) == pytest.approx(0.5)
    assert second.take_token("b", 60, 1_000.5) == 0
    assert [table.take_token("a", 60, 1_001.0) for table in (first, second)] == [0, pytest.approx(1.0)]
    # After a minute without any it is full again.
    assert [first.take_token("a", 60, 2_000.0) for _ in range(60)] == [0.0] * 60
    assert first.take_token("a", 60, 2_000.0) > 0


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(-3, 3))))
def test_a_process_alone_counts_as_a_dictionary_does(steps: list[tuple[str, int]]) -> None:
    counted, expected = Counts(), {"a": 0, "b": 0}
    for client, number in steps:
        counted.add(client, number)
        expected[client] += number
    assert {client: counted[client] for client in "ab"} == expected
    assert len(counted) == sum(number != 0 for number in expected.values())


def test_a_file_is_as_large_as_its_cells(tmp_path: Path) -> None:
    tables(tmp_path, 4)
    assert (tmp_path / "counts").stat().st_size == counts.KEY_BYTES + 6 * 8 * counts.CELLS


def test_a_client_counts_once_where_its_cells_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "CELLS", 1)
    CountTable.create(tmp_path / "counts", 2)
    first, second = (CountTable(tmp_path / "counts", number).counts("sockets") for number in range(2))
    first.add("acme", 3)
    assert second["acme"] == 3
