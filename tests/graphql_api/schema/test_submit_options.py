"""The options of a submission: what they become, and what is refused."""

from __future__ import annotations

import datetime
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from cluster.api_node.webhooks import Webhooks
from cluster.errors import BadInput
from cluster.settings import load_settings
from cluster.store.async_store import Store
from graphql_api.auth.callers import Caller
from graphql_api.schema.submit_options import SubmitOptions, run_key_of, to_options

SETTINGS = load_settings({})
CALLER = Caller("address:127.0.0.1")
NODE: Any = SimpleNamespace(settings=SETTINGS, webhooks=Webhooks(SETTINGS, Store(SETTINGS)))
NOON = datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)


def test_options_that_are_left_out_or_null_leave_everything_to_the_task_type() -> None:
    for options in (SubmitOptions(), SubmitOptions(not_before=None, start_before=None, ttl_seconds=None)):
        made = to_options(options, CALLER, NODE)
        assert (made.not_before, made.start_before, made.ttl_seconds) == (None, None, None)


def test_times_become_milliseconds() -> None:
    made = to_options(SubmitOptions(start_before=NOON, ttl_seconds=1.5), CALLER, NODE)
    assert (made.start_before, made.ttl_seconds) == (1_769_860_800_000, 1.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start_before": NOON.replace(tzinfo=None)}, "options.startBefore needs a time zone"),
        ({"start_before": NOON, "not_before": NOON}, "options.startBefore must be later than options.notBefore"),
        ({"ttl_seconds": 0}, "options.ttlSeconds must be from 1 to 86400, not 0"),
        ({"ttl_seconds": 86_401}, "options.ttlSeconds must be from 1 to 86400, not 86401"),
        ({"ttl_seconds": float("nan")}, "options.ttlSeconds must be"),
    ],
)
def test_an_option_out_of_bounds_is_refused_with_its_name(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        to_options(SubmitOptions(**options), CALLER, NODE)


def test_where_results_stay_for_ever_any_time_is_allowed() -> None:
    forever: Any = SimpleNamespace(settings=replace(SETTINGS, result_ttl_seconds=0))
    assert to_options(SubmitOptions(ttl_seconds=10**8), CALLER, forever).ttl_seconds == 10**8


def test_a_run_key_is_a_line_of_printable_characters() -> None:
    assert run_key_of(None, CALLER) == run_key_of(SubmitOptions(run_key=None), CALLER) == ""
    assert run_key_of(SubmitOptions(run_key="report 2026-01 é"), CALLER) == "report 2026-01 é"
    for wrong in ("", "x" * 201, "two\nlines", "\ud800"):
        with pytest.raises(BadInput, match=r"options.runKey has 1 to 200 printable characters"):
            run_key_of(SubmitOptions(run_key=wrong), CALLER)
