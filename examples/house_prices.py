"""Train and predict: the model is a file, which one task returns and the next ones take.

Start the whole system with it, from the top of the clone:

    dask-graphql dev examples/house_prices.py

`train_prices` takes a CSV file and returns the model as a `Blob`; its `file_id` is an argument of `predict_prices`, so
the model goes from worker to worker without the client. Equal training data and penalty are trained once:

    with Client() as client:
        model = client.submit(train_prices, Path("houses.csv"), penalty=0.1).result()
        client.submit(predict_prices, model.weights.file_id, [[120.0, 4.0, 2.5]]).result()
"""

from __future__ import annotations

import functools
import io
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from dask_graphql import Blob, File, TaskError, report_progress, save_blob, task

Rows = Annotated[list[list[float]], Field(min_length=1, max_length=10_000)]


@dataclass
class PriceModel:
    """A trained model."""

    weights: Blob
    """The model as .npz: its `file_id` is the argument of `predict_prices`."""
    features: list[str]
    rows: int
    r2: float
    """How much of the variance of the held-out fifth of the rows it explains, at most 1."""


@task(retries=0, timeout_seconds=600)
def train_prices(houses: File, penalty: Annotated[float, Field(ge=0)] = 1.0) -> PriceModel:
    """Fits a ridge regression to a CSV file with a line of names, whose last column is the price."""
    with houses.open() as file:
        names = file.readline().decode().strip().split(",")
        table = np.loadtxt(file, delimiter=",", ndmin=2)
    if table.shape[0] < 10 or table.shape[1] != len(names) or len(names) < 2:
        raise TaskError("BAD_TABLE", f"expected 10 rows of {len(names)} numbers at least, not {table.shape}")
    report_progress(0.5)
    order = np.random.default_rng(0).permutation(len(table))
    held_out, rest = table[order[: len(table) // 5]], table[order[len(table) // 5 :]]
    model = fit(rest[:, :-1], rest[:, -1], penalty)
    error = apply(model, held_out[:, :-1]) - held_out[:, -1]
    written = io.BytesIO()
    np.savez(written, **model)
    weights = save_blob("prices.npz", written.getvalue())
    return PriceModel(weights, names[:-1], len(table), r2=float(1 - error.var() / held_out[:, -1].var()))


@task
def predict_prices(model: File, houses: Rows) -> list[float]:
    """The price of each house, from its features in the order of the model's."""
    loaded = load(model.id, model)
    if {len(house) for house in houses} != {len(loaded["mean"])}:
        raise TaskError("BAD_HOUSES", f"each house needs the {len(loaded['mean'])} features of the model")
    return apply(loaded, np.array(houses))  # type: ignore[no-any-return]


@functools.lru_cache(maxsize=4)
def load(identity: str, model: File) -> Any:
    """The arrays of a model; a worker process keeps the newest few, so that only the first task reads the file."""
    with np.load(model.path(), allow_pickle=False) as arrays:
        return dict(arrays)


def fit(features: Any, prices: Any, penalty: float) -> Any:
    """The arrays of a ridge regression on standardised features."""
    mean, scale = features.mean(0), features.std(0)
    scale[scale == 0] = 1
    x, y = (features - mean) / scale, prices - prices.mean()
    slopes = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ y)
    return {"mean": mean, "scale": scale, "slopes": slopes, "intercept": prices.mean()}


def apply(model: Any, features: Any) -> Any:
    """The predicted prices of rows of features."""
    return (features - model["mean"]) / model["scale"] @ model["slopes"] + model["intercept"]
