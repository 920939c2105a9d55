"""Tables and arrays of several files as the arguments of other tasks: passed on by an api node, read on a worker."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from cluster.api_node.admission_control import Admission
from cluster.api_node.files import Announced, Files, Owner
from cluster.api_node.policy_cache import PolicyCache
from cluster.current_settings import use_settings
from cluster.data.data_sink import DataSink
from cluster.data.file_arrays import FileArray
from cluster.data.file_tables import FileTable
from cluster.data.manifest import MAGIC, NotAManifest, read_manifest
from cluster.data.outputs import store_data
from cluster.errors import BadInput, BlobError, FileNotFound
from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.blob_store import BlobStore
from cluster.store.blob_url import open_blob_store
from cluster.store.folder_blob_store import FolderBlobStore
from cluster.task_types.data_files import ArrayFile, TableFile, use_readers
from cluster.task_types.file import MANIFEST, File, FileContent, resolve, use_fetcher
from cluster.task_types.registry import load_registry
from cluster.task_types.result_checks import DeclaredType
from cluster.worker.file_cache import FileCache
from cluster.worker.graph_tasks import as_completed
from dask_graphql import Array, Table
from dask_graphql.testing import run_task
from tests.s3 import bucket
from tests.task_modules.frames import describe_table, frame, sum_array

OWNER = Owner("acme", "acme")


@pytest.fixture
def blobs(settings: Settings) -> Iterator[FolderBlobStore]:
    use_settings(settings)
    made = FolderBlobStore(settings.data_dir / "blobs")
    yield made
    use_settings(Settings())


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, blobs: FolderBlobStore) -> Iterator[FileCache]:
    """This process reads files as a worker does."""
    made = FileCache(tmp_path / "cache", 10_000_000, blobs)
    use_fetcher(made.fetch)
    use_readers(FileTable, FileArray)
    yield made
    use_fetcher(None)


def stored(blobs: BlobStore, value: Any, declared: Any, task_id: str = "b" * 32) -> tuple[Any, DataSink]:
    sink = DataSink(blobs, f"{task_id}/1", as_completed)
    return store_data(value, DeclaredType(declared), sink), sink


def argument(kind: type[File], data: Any, media_type: str = MANIFEST) -> Any:
    """The data as a task gets it that is given its fileId."""
    made = kind(f"sha256:{data.sha256}")
    key = data.key if media_type == MANIFEST else f"{data.key}.0.parquet"
    resolve(made, FileContent(key, data.size_bytes, media_type, "result"))
    return made


def partitions(rows: int = 100) -> Any:
    return dd.from_pandas(frame(rows), npartitions=12)


def test_a_table_of_several_files_is_read_whole_by_columns_by_partitions_or_as_a_folder(
    blobs: FolderBlobStore, tmp_path: Path
) -> None:
    table, _ = stored(blobs, partitions(), Table)
    given = argument(TableFile, table)
    whole = frame(100)
    assert (given.row_count, [it.name for it in given.columns]) == (100, ["station", "number", "value"])
    pd.testing.assert_frame_equal(given.to_pandas(), whole, check_dtype=False)
    assert given.to_arrow(["number", "station"]).column_names == ["number", "station"]
    lazy = given.to_dask()
    assert lazy.npartitions == 12
    pd.testing.assert_frame_equal(lazy.compute().reset_index(drop=True), whole, check_dtype=False)
    # In the order of the rows, which is not that of the names 0, 1, 10, 11, 2.
    pd.testing.assert_frame_equal(pd.read_parquet(given), whole, check_dtype=False)
    assert len(list(given.path().iterdir())) == 12
    folder = given.path()
    del given
    assert not folder.exists()
    with pytest.raises(BadInput, match="no column 'x'; it has station, number, value"):
        argument(TableFile, table).to_pandas(["x"])


def test_partitions_of_different_types_have_those_of_the_whole(blobs: FolderBlobStore) -> None:
    whole = pd.DataFrame({"a": [1.0, 2.0, None, 4.0], "b": ["x", None, "y", "z"]})
    parts = dd.from_map(lambda n: whole[n : n + 2].convert_dtypes() if n else whole[:2].astype({"a": int}), [0, 2])
    table, _ = stored(blobs, parts, Table)
    given = argument(TableFile, table)
    pd.testing.assert_frame_equal(given.to_pandas(), whole, check_dtype=False)
    pd.testing.assert_frame_equal(given.to_dask().compute().reset_index(drop=True), whole, check_dtype=False)


def test_one_parquet_file_is_read_in_the_same_ways(blobs: FolderBlobStore) -> None:
    table, _ = stored(blobs, frame(100), Table)
    given = argument(TableFile, table, "application/vnd.apache.parquet")
    assert (given.row_count, given.columns[1].type) == (100, "int64")
    pd.testing.assert_frame_equal(given.to_pandas(), frame(100))
    pd.testing.assert_frame_equal(given.to_dask().compute(), frame(100), check_dtype=False)


def test_an_array_in_chunks_is_read_whole_by_chunks_or_as_a_zarr_group(blobs: FolderBlobStore) -> None:
    values = np.arange(60.0).reshape(6, 10)
    field = xr.DataArray(
        da.from_array(values, chunks=(4, 3)), dims=("t", "x"), coords={"x": np.arange(10)}, attrs={"units": "K"}
    )
    array, _ = stored(blobs, field, Array)
    given = argument(ArrayFile, array)
    assert (given.dtype, given.shape) == ("float64", (6, 10))
    np.testing.assert_array_equal(given.to_numpy(), values)
    lazy = given.to_dask()
    assert lazy.chunks == ((4, 2), (3, 3, 3, 1))
    np.testing.assert_array_equal(lazy.compute(), values)
    xr.testing.assert_identical(given.to_xarray().compute(), field.compute())
    np.testing.assert_array_equal(xr.open_zarr(given.path())["data"].values, values)
    with pytest.raises(BadInput, match="is an array, not a table"):
        argument(TableFile, array).to_arrow()


def test_equal_data_has_an_equal_id_whatever_task_made_it(blobs: FolderBlobStore) -> None:
    ids = []
    for rows, task_id in ((20, "c"), (20, "d"), (21, "e")):
        for value, declared in (
            (dd.from_pandas(frame(rows), npartitions=2), Table),
            (da.arange(rows, chunks=9), Array),
        ):
            ids.append(stored(blobs, value, declared, task_id * 32)[0].sha256)
    assert ids[:2] == ids[2:4]
    assert len(set(ids)) == 4


@pytest.mark.slow
async def test_in_s3_what_is_passed_on_is_copied_by_s3(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with bucket(monkeypatch) as url:
        made = open_blob_store(url)
        use_settings(replace(settings, blob_url=url))
        array, _ = stored(made, da.arange(20, chunks=6), Array)
        await store.run(store.calls.submit("b" * 32, "t", "1", b"{}", tenant="acme"))
        await store.run(store.calls.borrow_file("acme", array.sha256, array.key, "b" * 32, 1, MANIFEST, "result"))
        files = Files(settings, store, made, Admission(settings, store, PolicyCache(store)))
        bound = load_registry(["tests.task_modules.frames"])["sum_array"].bind({"array": f"sha256:{array.sha256}"})
        await files.use([bound], OWNER)
        made.delete("b" * 32)
        found = await files.find(OWNER, array.sha256)
        assert found is not None
        use_fetcher(FileCache(settings.data_dir / "cache", 10_000_000, made).fetch)
        given = ArrayFile(f"sha256:{array.sha256}")
        resolve(given, FileContent(found.key, 1, MANIFEST))
        assert given.to_numpy().tolist() == list(range(20))
        assert made.delete_many([found.place], before=None).problem is None
        with pytest.raises(BlobError):
            given.path()


async def test_what_is_passed_on_has_files_of_its_own_which_are_deleted_together(
    blobs: FolderBlobStore, settings: Settings, store: Store
) -> None:
    table, sink = stored(blobs, partitions(), Table)
    task_id, total = "b" * 32, sum(it.size_bytes for it in sink.files.values())
    files = Files(settings, store, blobs, Admission(settings, store, PolicyCache(store)))
    calls = store.calls
    await store.run(calls.submit(task_id, "t", "1", b"{}", tenant="acme"))
    borrow = calls.borrow_file("acme", table.sha256, table.key, task_id, total, MANIFEST, "result")
    await store.run(borrow)
    bound = load_registry(["tests.task_modules.frames"])["describe_table"].bind({"table": f"sha256:{table.sha256}"})
    assert bound.files == (table.sha256,)
    await files.use([bound], OWNER)
    with pytest.raises(FileNotFound):
        await files.use([bound], Owner("other", "other"))
    blobs.delete(task_id)
    found = await files.find(OWNER, table.sha256)
    assert found is not None
    assert (found.size_bytes, found.media_type) == (total, MANIFEST)
    given = TableFile(f"sha256:{table.sha256}")
    resolve(given, FileContent(found.key, found.size_bytes, found.media_type))
    assert len(given.to_pandas()) == 100
    assert blobs.delete_many([found.place], before=None).problem is None
    assert not list((blobs.folder / "uploads").iterdir())


async def test_a_client_cannot_upload_a_list_of_files(blobs: FolderBlobStore, settings: Settings, store: Store) -> None:
    table, _ = stored(blobs, partitions(), Table)
    manifest = blobs.read_sync(table.key, 0, 1_000_000)
    assert manifest.startswith(MAGIC)

    async def pieces() -> AsyncIterator[bytes]:
        yield manifest

    files = Files(settings, store, blobs, Admission(settings, store, PolicyCache(store)))
    with pytest.raises(BadInput, match="pass on the fileId"):
        await files.upload(pieces(), OWNER, Announced())
    for damaged in (b"", b"{}", manifest[:-2], manifest.replace(b".0.parquet", b"./../../x")):
        with pytest.raises(NotAManifest):
            read_manifest(damaged)


def test_folders_of_a_process_that_died_are_deleted_by_the_next(blobs: FolderBlobStore, cache: FileCache) -> None:
    table, _ = stored(blobs, partitions(), Table)
    left = cache._folder / "folder-left"
    left.mkdir(parents=True)
    first, second = argument(TableFile, table), argument(File, table)
    assert first.path() != second.path()
    assert not left.exists()
    assert first.path().exists()
    shutil.rmtree(cache._folder)


def test_a_test_reads_a_file_of_the_machine_as_a_table_or_an_array(tmp_path: Path) -> None:
    use_fetcher(None)
    frame(10).to_parquet(tmp_path / "t.parquet")
    np.save(tmp_path / "a.npy", np.arange(5))
    facts = run_task(describe_table, table=File.from_path(tmp_path / "t.parquet")).value
    assert (facts.row_count, facts.numbers, facts.files) == (10, 45, 1)
    assert run_task(sum_array, array=File.from_path(tmp_path / "a.npy")).value == 10.0
    wrong = run_task(describe_table, table=File.from_path(tmp_path / "a.npy"))
    assert wrong.error is not None
    assert "is not a Parquet file" in wrong.error["message"]
