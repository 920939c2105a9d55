"""Pages of a table: only the row groups that they need are decoded, and what is too long is refused."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any
from unittest.mock import patch

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cluster.data.parquet_writer
from cluster.data.arrow_conversion import arrow_tables
from cluster.data.parquet_writer import write_parquet
from cluster.errors import AnswerTooLarge
from cluster.store.folder_blob_store import FolderBlobStore
from cluster.task_types.result_checks import InvalidOutput
from cluster.task_types.table_types import Table
from tests.cluster.data.tables import reader, stored


class Kind(Enum):
    A = "a"


@dataclass
class Inner:
    kind: Kind
    numbers: list[int]


@dataclass(frozen=True, slots=True)
class Row:
    n: int
    inner: Inner | None


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> FolderBlobStore:
    return FolderBlobStore(tmp_path_factory.mktemp("blobs"))


@pytest.fixture(scope="module")
def tables(blobs: FolderBlobStore) -> list[Table[Any]]:
    """The numbers from 0 to 999 in one file of ten row groups, and in seven files."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(cluster.data.parquet_writer, "ROW_GROUP_ROWS", 100)
        frame = pd.DataFrame({"n": np.arange(1000)})
        return [stored(blobs, frame), stored(blobs, dd.from_pandas(frame, npartitions=7))]


@given(first=st.integers(0, 1100), rows=st.integers(0, 400), which=st.integers(0, 1))
def test_a_page_has_the_rows_that_were_asked_for(
    blobs: FolderBlobStore, tables: list[Table[Any]], first: int, rows: int, which: int
) -> None:
    page = reader(blobs).page(tables[which], first, rows)
    assert page.column("n").to_pylist() == list(range(min(first, 1000), min(first + rows, 1000)))


def test_only_the_row_groups_of_a_page_are_decoded(blobs: FolderBlobStore, tables: list[Table[Any]]) -> None:
    decoded = [rows for _, _, _, rows in reader(blobs)._groups(tables[0], 150, 350)]
    assert decoded == [50, 100, 50]
    assert [number for number, *_ in reader(blobs)._groups(tables[1], 150, 350)] == [1, 1, 2]


def test_rows_longer_than_a_page_are_refused(blobs: FolderBlobStore, tables: list[Table[Any]]) -> None:
    with pytest.raises(AnswerTooLarge, match="ask for fewer rows or columns, or download the table"):
        reader(blobs, page_bytes=1_000).page(tables[0], 0, 200)
    assert reader(blobs, page_bytes=1_000).page(tables[0], 0, 100).num_rows == 100


async def test_typed_records_are_instances_of_the_row(blobs: FolderBlobStore) -> None:
    rows = [Row(1, Inner(Kind.A, [1, 2])), Row(2, None)]
    assert await reader(blobs).records(stored(blobs, rows, Table[Row]), 0, 10) == rows


def test_long_rows_end_a_row_group_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster.data.parquet_writer, "ROW_GROUP_BYTES", 10_000)
    write_parquet([pa.table({"text": ["x" * 1_000] * 95})], tmp_path / "file")
    metadata = pq.read_metadata(tmp_path / "file")
    assert {metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)} == {5, 6}


def test_pieces_must_have_the_same_columns_and_types(tmp_path: Path) -> None:
    with pytest.raises(InvalidOutput, match="has other columns from row 1 on: b, and before a"):
        write_parquet([pa.table({"a": [1]}), pa.table({"b": [1]})], tmp_path / "file")
    with pytest.raises(InvalidOutput, match="has the column 'a' as string from row 1 on, and as int64 before"):
        write_parquet([pa.table({"a": [1]}), pa.table({"a": ["x"]})], tmp_path / "file")


def test_columns_of_partitions_that_say_less_get_the_types_of_the_others(blobs: FolderBlobStore) -> None:
    parts = [pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [None]}, dtype="float64"), pd.DataFrame({"a": [2.5]})]
    table = stored(blobs, dd.from_map(lambda i: parts[i], range(3), meta=pd.DataFrame({"a": [1.0]})))
    assert table.columns[0].type == "double"
    assert reader(blobs).page(table, 0, 9).column("a").to_pylist() == [1.0, None, 2.5]
    unlike = [parts[0], pd.DataFrame({"a": ["x"]})]
    mixed = dd.from_map(lambda i: unlike[i], range(2), meta=parts[0])
    with pytest.raises(InvalidOutput, match="has a column whose type differs between partitions"):
        stored(blobs, mixed)


def test_a_page_of_rows_that_are_longer_than_they_are_stored_is_refused_before_it_is_made(
    blobs: FolderBlobStore,
) -> None:
    """A category is stored once, a boolean as a bit, and every row has the names of its columns."""
    text = pd.Categorical.from_codes(np.zeros(5_000, "i4"), ["x" * 10_000])
    flags = {f"a column with a long name {number}": np.zeros(5_000, bool) for number in range(100)}
    for frame in (pd.DataFrame({"text": text}), pd.DataFrame(flags)):
        table = stored(blobs, frame)
        assert table.size_bytes < 100_000
        with pytest.raises(AnswerTooLarge, match="ask for fewer rows or columns"):
            reader(blobs, 1_000_000).page(table, 0, 5_000)
        assert reader(blobs, 1_000_000).page(table, 4_990, 20).num_rows == 10


def test_a_page_of_many_long_rows_reads_no_more_row_groups_than_fit_it(
    blobs: FolderBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster.data.parquet_writer, "ROW_GROUP_BYTES", 100_000)
    table = stored(blobs, {"text": ["x" * 10_000] * 1_000})
    rows = reader(blobs, 500_000)
    with (
        patch.object(rows, "_group", wraps=rows._group) as group,
        pytest.raises(AnswerTooLarge, match=r"the first 5[0-9] of these rows"),
    ):
        rows.page(table, 0, 1_000)
    assert group.call_count < 12


def test_a_row_group_ends_early_where_rows_are_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster.data.parquet_writer, "ROW_GROUP_BYTES", 100_000)
    # Long ones first, and a category that Arrow stores once.
    for texts in (["x" * 10_000] * 100 + ["y"] * 10_000, pd.Categorical.from_codes([0] * 500, ["z" * 1_000])):
        path = tmp_path / "made.parquet"
        write_parquet(arrow_tables(pd.DataFrame({"text": texts})), path)
        footer = pq.ParquetFile(path).metadata
        assert footer.num_rows == len(texts)
        found = pq.ParquetFile(path)
        assert (
            max(
                sum(len(it) for it in found.read_row_group(number).column("text").to_pylist())
                for number in range(footer.num_row_groups)
            )
            <= 100_000
        )


def test_thousands_of_small_pieces_become_one_row_group(tmp_path: Path) -> None:
    pieces = (pa.table({"n": [number]}) for number in range(3_000))
    assert write_parquet(pieces, tmp_path / "made.parquet").row_count == 3_000
    assert pq.read_table(tmp_path / "made.parquet").column("n").to_pylist() == list(range(3_000))
    assert pq.ParquetFile(tmp_path / "made.parquet").num_row_groups == 1


def test_what_parquet_cannot_hold_is_the_output_s_fault_and_what_the_generator_raises_is_its_own(
    tmp_path: Path,
) -> None:
    with pytest.raises(InvalidOutput, match="a column that Parquet cannot hold: Integer overflow"):
        write_parquet([pa.table({"a": pa.array([2**62], pa.timestamp("s"))})], tmp_path / "made.parquet")

    def raising() -> Any:
        yield pa.table({"a": [1]})
        raise pa.ArrowInvalid("mine")

    with pytest.raises(pa.ArrowInvalid, match="mine"):
        write_parquet(raising(), tmp_path / "made.parquet")


def test_a_table_that_is_being_written_leaves_nothing_behind_if_its_process_is_killed(
    blobs: FolderBlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left: list[Path] = []

    def pieces() -> Any:
        for number in range(3):
            yield pd.DataFrame({"n": np.arange(70_000) + number})
            left.extend(tmp_path.iterdir())

    assert stored(blobs, pieces()).row_count == 210_000
    assert left == []
