"""Real parts for the tests: a private Redis, and whole systems of real processes on private ports.

Nothing here is shared with another run: every port is free when it is taken, every folder is temporary. What a test and
the processes that it starts put into the machine's folder for temporary files goes into one that is removed at the end.
"""

from __future__ import annotations

import functools
import gc
import os
import shutil
import tempfile
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import httpx
import pytest
from xdist.scheduler import LoadScopeScheduling

# pytest keeps the folders of the last runs, so that the files of a failed test can be read.
os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
SCRATCH = Path(tempfile.mkdtemp(prefix="dask-graphql-tests-"))
os.environ["TMPDIR"] = tempfile.tempdir = str(SCRATCH)
# Dask writes its configuration into this folder at import, and not into the user's home.
os.environ["DASK_CONFIG"] = str(SCRATCH / "dask")
for _name in [name for name in os.environ if name.startswith("DASK_GRAPHQL_")]:
    del os.environ[_name]

from cluster.settings import Settings, load_settings  # noqa: E402
from cluster.store.async_store import Store  # noqa: E402
from tests.engines import ENGINES, NEWEST, OLDEST, cluster_mode, default_binary, engine_binary  # noqa: E402
from tests.outside import STRICT  # noqa: E402
from tests.redis_cluster import ClusterClient, RedisCluster  # noqa: E402
from tests.shared_systems import LAST_OF_ITS_SCOPE, SharedSystems, scope_of  # noqa: E402
from tests.system import TASKS, RedisServer, System  # noqa: E402
from tests.thoroughness import load_profile  # noqa: E402

load_profile()
# Each client of httpx reads the machine's certificates, which takes 20 ms. Here all share what the first has read.
pytest.MonkeyPatch().setattr(
    "httpx._transports.default.create_ssl_context", functools.cache(httpx.create_ssl_context), raising=False
)


SLOW_SECONDS = 5.0
"""A test that takes longer on a quiet machine is marked `slow`, which `make test` skips."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Lets the test processes begin with what takes longest, so that at the end none waits for another's long test. On
    a cluster leaves out what is marked as a test of a single server."""
    if cluster_mode() and (left_out := [item for item in items if item.get_closest_marker("one_server")]):
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    if not hasattr(config, "workerinput"):
        return
    seconds: defaultdict[str, float] = defaultdict(float)
    for item in items:
        seconds[scope_of(item.nodeid)] += expected_seconds(item)
    # A scope of several tests begins with a fixture that takes long to make.
    items.sort(key=lambda item: -seconds[scope_of(item.nodeid)] - 10 * (scope_of(item.nodeid) != item.nodeid))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    if hasattr(item.config, "workerinput"):
        item.stash[LAST_OF_ITS_SCOPE] = nextitem is None or scope_of(nextitem.nodeid) != scope_of(item.nodeid)


def expected_seconds(item: pytest.Item) -> float:
    """A guess: a tenth of the time limit of a long test."""
    if not any(item.get_closest_marker(name) for name in ("slow", "aws", "browser")):
        return 0.1
    limit = item.get_closest_marker("timeout")
    return float(limit.args[0] if limit and limit.args else item.config.getini("timeout")) / 10


class SharedFixturesScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Decides which test process runs which tests: those of one scope run together, in the order of collection."""

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> SharedFixturesScheduling:
    # xdist would begin with the scopes that have most tests.
    config.option.loadscopereorder = False
    return SharedFixturesScheduling(config, log)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Under TESTS_STRICT every skip is a failure. A failure shows the last lines of its nodes' logs."""
    # To show a failure, pytest parses source. If the collector ran in the middle, a finalizer that logs an exception
    # would parse too, which CPython 3.11 does not survive: the whole run would end.
    gc.disable()
    try:
        report = yield
    finally:
        gc.enable()
    if STRICT and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which TESTS_STRICT forbids: {report.longrepr}"
    if report.failed and report.when == "call" and isinstance(item, pytest.Function):
        for system in [value for value in item.funcargs.values() if isinstance(value, System)]:
            report.sections += [(f"end of {name}", text) for name, text in system.ends_of_logs()]
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Names slow tests that are not marked. This is no failure, because on a loaded machine every test is slow."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    unmarked = [r for r in reports if r.when == "call" and r.duration > SLOW_SECONDS and "slow" not in r.keywords]
    if unmarked:
        terminalreporter.section(f"over {SLOW_SECONDS:g} s and not marked slow")
        for report in sorted(unmarked, key=lambda report: -report.duration):
            terminalreporter.line(f"{report.duration:6.1f} s {report.nodeid}")


def pytest_unconfigure() -> None:
    shutil.rmtree(SCRATCH, ignore_errors=True)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs each test marked `every_engine` once on each supported engine: on the newest in `make test`, on the oldest
    in `make test-all`, and on those between in `make test-thorough`.

    For a test of a whole system one engine is enough until then: `every_engine("newest")`, `every_engine("oldest")`.
    """
    marker = metafunc.definition.get_closest_marker("every_engine")
    if marker and "engine" in metafunc.fixturenames and not cluster_mode():
        marks = {name: [pytest.mark.other_engine] for name in ENGINES}
        if marker.args != ("oldest",):
            marks[NEWEST] = []
        if marker.args != ("newest",):
            marks[OLDEST] = [pytest.mark.oldest_engine]
        engines = [pytest.param(name, marks=marks[name]) for name in ENGINES]
        metafunc.parametrize("engine", engines, indirect=True, scope="session")


@pytest.fixture(scope="session")
def engine(request: pytest.FixtureRequest) -> Path:
    """The server program: the default one, or each engine's in turn for tests marked `every_engine`."""
    name: str | None = getattr(request, "param", None)
    return engine_binary(name) if name else default_binary()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory, engine: Path) -> Iterator[RedisServer | RedisCluster]:
    """One Redis for the tests of the store; each test has its own key prefix. No test kills it, so it never syncs to
    disk, which on a loaded machine can take longer than a node waits for Redis."""
    server = (RedisCluster if cluster_mode() else RedisServer)(tmp_path_factory.mktemp("redis"), binary=engine)
    server.start(sync="no")
    yield server
    server.stop()


@pytest.fixture
def settings(redis_server: RedisServer | RedisCluster, tmp_path: Path) -> Settings:
    """Settings with a private key prefix and data folder."""
    return load_settings(
        {},
        redis_url=redis_server.url,
        key_prefix=f"t{uuid.uuid4().hex[:8]}",
        data_dir=tmp_path,
        min_workers=1,
        max_workers=2,
    )


@pytest.fixture(autouse=True)
def plain_client_of_a_cluster(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a cluster, the plain client that tests look into Redis with finds all of it."""
    if "redis_server" in request.fixturenames and isinstance(
        cluster := request.getfixturevalue("redis_server"), RedisCluster
    ):
        client = ClusterClient(cluster.url)
        monkeypatch.setattr(Store, "redis", property(lambda _: client))


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[Store]:
    store = Store(settings)
    yield store
    await store.close()


@pytest.fixture(scope="session")
async def shared_systems() -> AsyncIterator[SharedSystems]:
    systems = SharedSystems()
    yield systems
    await systems.stop_all()


@pytest.fixture
async def system(
    shared_systems: SharedSystems, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    """A whole system that tests share and must not break: Redis, scheduler, two workers, two api nodes, all task types
    of the tests. Pages of https://app.example may use it."""

    def make() -> System:
        return System(
            tmp_path_factory.mktemp("system"),
            api_nodes=2,
            min_workers=2,
            max_workers=2,
            task_modules=(TASKS, "tests.task_modules.odd", "tests.task_modules.frames", "tests.task_modules.files"),
            allowed_origins=("https://app.example",),
            legacy_websocket=True,
            webhook_networks="127.0.0.0/8",
        )

    yield await shared_systems.started("system", None, make)
    if request.node.stash.get(LAST_OF_ITS_SCOPE, False):
        await shared_systems.stop("system")


@pytest.fixture
async def broken(
    shared_systems: SharedSystems,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    engine: Path,
) -> AsyncIterator[System]:
    """A whole system that tests break and leave healed: two api nodes, two workers."""

    def make() -> System:
        folder = tmp_path_factory.mktemp("broken")
        return System(
            folder, redis_binary=engine, api_nodes=2, min_workers=2, max_workers=2, file_ttl_seconds=2,
            task_modules=(TASKS, "tests.task_modules.frames"),
        )  # fmt: skip

    system = await shared_systems.started("broken", engine, make)
    yield system
    # A test that failed in the middle has left it broken: the next one gets another.
    healed = system.redis.alive and all(child.process.returncode is None for child in system.children.values())
    if not healed or request.node.stash.get(LAST_OF_ITS_SCOPE, False):
        await shared_systems.stop("broken")
