"""The JavaScript packages of clients/js against a real api."""

from __future__ import annotations

import asyncio

import pytest

from tests.node import node_tests
from tests.system import System


@pytest.mark.slow
async def test_the_client_submits_runs_follows_uploads_and_is_refused(system: System) -> None:
    await asyncio.to_thread(node_tests, "clients/js/client/test/api.test.mjs", environment={"API_URL": system.url})
