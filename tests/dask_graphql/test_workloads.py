"""The example workloads, each run as a worker runs it; the notebook's test runs them on a system."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from dask_graphql import BadInput, File, TaskFailed
from dask_graphql.testing import run_task
from tests import outside


def written(path: Path, data: bytes) -> File:
    path.write_bytes(data)
    return File.from_path(path)


def pixels_of(png: bytes) -> np.ndarray:
    """The pixels of a grey PNG as `image_tiles.png` makes it."""
    width, height = struct.unpack(">II", png[16:24])
    length = struct.unpack(">I", png[33:37])[0]
    rows = zlib.decompress(png[41 : 41 + length])
    return np.frombuffer(rows, "uint8").reshape(height, width + 1)[:, 1:]


def test_fares_by_the_hour_are_those_of_all_trips_together(tmp_path: Path) -> None:
    pandas = outside.module("pandas")
    from examples.taxi_fares import fares_by_hour, taxi_trips

    days = [run_task(taxi_trips, day=day, trips=500) for day in (1, 2)]
    files = [written(tmp_path / f"{number}.parquet", day.read(next(iter(day.blobs.values()))))
             for number, day in enumerate(days)]  # fmt: skip
    outcome = run_task(fares_by_hour, days=files)
    found = pandas.read_parquet(written(tmp_path / "fares.parquet", outcome.read(next(iter(outcome.blobs.values())))))
    trips = pandas.concat([pandas.read_parquet(file) for file in files])
    expected = trips.groupby("picked_up").fare.mean()
    assert found.hour.tolist() == expected.index.tolist()
    assert found.trips.sum() == 1000
    np.testing.assert_allclose(found.mean_fare, expected)


def test_the_sea_is_warm_at_the_equator_and_in_each_halfs_own_summer() -> None:
    xarray = outside.module("xarray")
    outside.module("zarr")
    from examples.sea_temperature import daily_field, monthly_means

    outcome = run_task(monthly_means, years=1, degrees=30.0)
    assert (outcome.value.shape, outcome.value.dims) == ([12, 6, 12], ["month", "latitude", "longitude"])
    assert outcome.value.attrs == {"units": "degC", "years": 1}
    field = daily_field(1, 30.0).compute()
    assert isinstance(field, xarray.DataArray)
    means = field.groupby("time.month").mean(("time", "longitude"))
    assert float(means.sel(latitude=15).mean()) > float(means.sel(latitude=75).mean()) + 10
    assert float(means.sel(month=8, latitude=45)) > float(means.sel(month=2, latitude=45))
    assert float(means.sel(month=8, latitude=-45)) < float(means.sel(month=2, latitude=-45))


def houses(rows: int) -> bytes:
    """A CSV file of prices that depend on two features, with some noise."""
    source = np.random.default_rng(1)
    area, rooms = source.uniform(40, 200, rows), source.integers(1, 8, rows)
    price = 50 + 3 * area + 10 * rooms + source.normal(0, 5, rows)
    lines = [f"{a:.1f},{r},{p:.1f}" for a, r, p in zip(area, rooms, price, strict=True)]
    return ("area,rooms,price\n" + "\n".join(lines) + "\n").encode()


def test_a_model_file_predicts_what_it_was_trained_on(tmp_path: Path) -> None:
    from examples.house_prices import predict_prices, train_prices

    trained = run_task(train_prices, houses=written(tmp_path / "houses.csv", houses(200)), penalty=0.1)
    assert (trained.value.features, trained.value.rows) == (["area", "rooms"], 200)
    assert 0.98 < trained.value.r2 <= 1
    model = written(tmp_path / "prices.npz", trained.read(trained.value.weights))
    prices = run_task(predict_prices, model=model, houses=[[100.0, 4.0], [50.0, 1.0]]).value
    assert prices == pytest.approx([390, 210], abs=5)
    with pytest.raises(TaskFailed, match="needs the 2 features"):
        run_task(predict_prices, model=model, houses=[[100.0]]).value  # noqa: B018


def test_a_table_that_is_too_short_trains_nothing(tmp_path: Path) -> None:
    from examples.house_prices import train_prices

    outcome = run_task(train_prices, houses=written(tmp_path / "houses.csv", houses(9)))
    assert (outcome.error or {})["code"] == "BAD_TABLE"


def test_the_tiles_of_the_last_level_are_the_image(tmp_path: Path) -> None:
    from examples.image_tiles import cut_tiles

    pixels = np.random.default_rng(1).integers(0, 256, (50, 70), "uint8")
    image = written(tmp_path / "noise.pgm", b"P5\n# a comment\n70 50\n255\n" + pixels.tobytes())
    outcome = run_task(cut_tiles, image=image, size=32)
    tiles = outcome.value
    assert [(tile.level, tile.row, tile.column) for tile in tiles][:5] == [
        (0, 0, 0), (1, 0, 0), (1, 0, 1), (2, 0, 0), (2, 0, 1)
    ]  # fmt: skip
    assert (len(tiles), outcome.progress[-1]) == (9, 1.0)
    drawn = np.zeros_like(pixels)
    for tile in tiles[3:]:
        part = pixels_of(outcome.read(tile.image))
        top, left = tile.row * 32, tile.column * 32
        drawn[top : top + part.shape[0], left : left + part.shape[1]] = part
    np.testing.assert_array_equal(drawn, pixels)


@pytest.mark.parametrize("data", [b"GIF89a", b"P5 70 50 65535 ", b"P5 70 50 255 too short"])
def test_what_is_no_whole_pgm_image_is_refused(tmp_path: Path, data: bytes) -> None:
    from examples.image_tiles import cut_tiles

    outcome = run_task(cut_tiles, image=written(tmp_path / "x.pgm", data))
    assert (outcome.error or {})["code"] == "BAD_IMAGE"


def test_an_epidemic_spreads_only_above_its_threshold() -> None:
    from examples.epidemic import outbreak

    spread = run_task(outbreak, contacts=0.5, days_ill=4.0).value
    # The final size solves log(1 - infected) = -reproduction * infected.
    assert spread.reproduction == pytest.approx(2, abs=0.01)
    assert spread.infected == pytest.approx(0.7968, abs=0.002)
    stopped = run_task(outbreak, contacts=0.5, days_ill=4.0, vaccinated=0.6).value
    assert stopped.infected < 0.01
    assert stopped.days < spread.days


def test_the_rows_of_a_convection_stay_on_the_butterfly() -> None:
    from examples.lorenz import lorenz

    rows = run_task(lorenz, rows=300, steps_per_row=20).value
    assert [row.time for row in rows[:3]] == pytest.approx([0, 0.04, 0.08])
    assert {row.x > 0 for row in rows} == {True, False}
    assert max(abs(row.z - 25) for row in rows[25:]) < 25
    still = run_task(lorenz, rows=400, steps_per_row=20, rho=0.5).value[-1]
    assert max(abs(still.x), abs(still.y), abs(still.z)) < 0.1


def test_a_batch_tells_languages_apart() -> None:
    from examples.languages import guess_language

    texts = [
        "guten morgen, wie geht es ihnen",
        "good morning and how are you",
        "buongiorno, come stai e tutti gli altri",
        "bonjour tous et merci",
        "los niños y las madres",
    ]
    assert [guess.language for guess in guess_language(texts)] == ["German", "English", "Italian", "French", "Spanish"]
    assert run_task(guess_language, text=texts[0]).value.probability > 0.9
    with pytest.raises(BadInput, match="3 to 10,000 letters"):
        run_task(guess_language, text=" ")
