"""Settings: read once, validated, told by name where they are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import SettingError
from cluster.settings import Settings, load_settings


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("PORT", "http", "a whole number from 1 to 65535"),
        ("PORT", "70000", "a whole number from 1 to 65535"),
        ("SCHEDULER", "scheduler:8786", "tcp://host:8786"),
        ("BLOB_URL", "ftp://x/y", "file:// or s3://"),
        ("TASK_MODULES", "my-module", "importable module names"),
        ("RESULT_TTL_SECONDS", "-1", "a whole number from 0"),
        ("ALLOW_PUBLIC", "perhaps", "true or false"),
        ("SHUTDOWN_SECONDS", "nan", "a number of seconds"),
        ("LOG_LEVEL", "LOUD", "DEBUG, INFO, WARNING or ERROR"),
        ("KEY_PREFIX", "a b", "letters, digits"),
    ],
)
def test_a_wrong_value_names_the_variable_the_value_and_what_was_expected(
    variable: str, value: str, expected: str
) -> None:
    with pytest.raises(SettingError) as caught:
        load_settings({f"DASK_GRAPHQL_{variable}": value})
    assert f"DASK_GRAPHQL_{variable} is {value!r}" in str(caught.value)
    assert expected in str(caught.value)


def test_a_secret_is_not_shown() -> None:
    with pytest.raises(SettingError) as caught:
        load_settings({"DASK_GRAPHQL_REDIS_URL": "http://:hunter2@redis"})
    assert "hunter2" not in str(caught.value)


def test_a_misspelt_variable_is_refused() -> None:
    with pytest.raises(SettingError, match="DASK_GRAPHQL_PROT"):
        load_settings({"DASK_GRAPHQL_PROT": "8000"})


def test_an_option_wins_over_the_environment() -> None:
    assert load_settings({"DASK_GRAPHQL_PORT": "9000"}, port=9001, host=None).port == 9001


def test_an_empty_variable_counts_as_not_set() -> None:
    assert load_settings({"DASK_GRAPHQL_PORT": " "}).port == 8000


def test_more_workers_at_least_than_at_most_is_refused() -> None:
    with pytest.raises(SettingError, match="MIN_WORKERS"):
        load_settings({"DASK_GRAPHQL_MIN_WORKERS": "5", "DASK_GRAPHQL_MAX_WORKERS": "4"})


def test_a_public_address_needs_a_word_for_it() -> None:
    with pytest.raises(SettingError, match="ALLOW_PUBLIC"):
        load_settings({"DASK_GRAPHQL_HOST": "0.0.0.0"})
    assert load_settings({"DASK_GRAPHQL_HOST": "0.0.0.0", "DASK_GRAPHQL_ALLOW_PUBLIC": "yes"}).host == "0.0.0.0"


@given(
    port=st.integers(1, 65535),
    ttl=st.integers(0, 10**9),
    modules=st.lists(st.from_regex(r"[a-z]{1,8}(\.[a-z]{1,8})?", fullmatch=True), max_size=3),
    drain=st.floats(0, 1e6, allow_nan=False),
    public=st.booleans(),
)
def test_a_child_process_reads_the_same_settings(
    port: int, ttl: int, modules: list[str], drain: float, public: bool
) -> None:
    import keyword

    modules = [name for name in modules if not any(keyword.iskeyword(part) for part in name.split("."))]
    settings = Settings(
        port=port, result_ttl_seconds=ttl, task_modules=tuple(modules), drain_seconds=drain, allow_public=public,
        data_dir=Path("/x/y"),
    )  # fmt: skip
    assert load_settings(settings.environment()) == settings
