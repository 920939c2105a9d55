"""The place of an attempt in the scheduler's queue, as a rule over what workers have and what waits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cluster.scheduling.demand import Demand
from cluster.scheduling.queue_places import Piece, Place, rank

PIECES = st.builds(Piece, st.just(""), st.integers(0, 3), st.none() | st.floats(0, 100))
WORKERS = st.lists(st.tuples(st.integers(1, 3), st.lists(PIECES, max_size=6)), max_size=4)


def named(
    workers: list[tuple[int, list[Piece]]], queue: list[Piece]
) -> tuple[list[tuple[int, list[Piece]]], list[Piece]]:
    """The same with a key of its own for each Dask task."""
    keys = iter(range(1_000))
    fresh = [(threads, [piece._replace(key=str(next(keys))) for piece in pieces]) for threads, pieces in workers]
    return fresh, [piece._replace(key=str(next(keys))) for piece in queue]


def test_what_runs_counts_half_and_what_a_worker_was_given_beyond_its_threads_comes_before_the_queue() -> None:
    workers = [(2, [Piece("a", 1, 4.0), Piece("b", 1, 2.0), Piece("c", 1, 3.0), Piece("d", 2, 1.0)])]
    assert rank(workers, [Piece("e", 1, 5.0), Piece("f", 1, 5.0)]) == {
        "a": Place(0, 0.0),
        "b": Place(0, 0.0),
        "c": Place(0, 1.5),
        "d": Place(1, 3.0),
        "e": Place(3, 3.5),
        "f": Place(4, 6.0),
    }


def test_without_a_measured_duration_before_it_there_is_a_place_and_no_time() -> None:
    places = rank([(1, [Piece("a", 1, None)])], [Piece("b", 1, 1.0), Piece("c", 1, 1.0)])
    assert [places["b"], places["c"]] == [Place(0, None), Place(1, None)]


def test_without_workers_there_is_a_place_and_no_time() -> None:
    assert rank([], [Piece("a", 1, 1.0), Piece("b", 1, 1.0)]) == {"a": Place(0, None), "b": Place(1, None)}


@given(WORKERS, st.lists(PIECES, max_size=8))
def test_along_the_queue_places_count_every_attempt_and_times_never_shrink(
    workers: list[tuple[int, list[Piece]]], queue: list[Piece]
) -> None:
    workers, queue = named(workers, queue)
    places = rank(workers, queue)
    ordered = [places[piece.key] for piece in queue]
    for before, piece, after in zip(ordered, queue, ordered[1:], strict=False):
        assert before.ahead is not None
        assert after.ahead == before.ahead + piece.attempts
        assert after.seconds is None or (before.seconds is not None and after.seconds >= before.seconds)
    if ordered and all(piece.seconds is not None for _, pieces in workers for piece in pieces):
        assert (ordered[0].seconds is not None) == bool(workers)


def test_attempts_that_share_a_dask_task_wait_for_those_before_them_that_are_not_cancelled() -> None:
    demand = Demand()
    ids = [(f"{i:032x}", 1) for i in range(3)]
    key = "etl" + "".join(f"-{task_id}-{attempt}" for task_id, attempt in ids)
    demand.add(key)
    assert (demand.batch(key), demand.position(key, ids[2])) == (("etl", 3), 2)
    demand.cancel([(ids[0][0], 1, False)])
    assert (demand.batch(key), demand.position(key, ids[2])) == (("etl", 2), 1)
    assert demand.batch("sum-1f") is None
