"""`make bench-autoscaling`: the scaling policy in virtual time, compared with Dask's Adaptive and a lower bound.

The workers are Fargate's: ready 20 to 60 s after their start, billed from the start by the second, and for at least a
minute. The scheduler is Dask's: a worker has one task at a time, and the work is estimated from the mean durations of
the task types (the latest run has half the weight).

- **ours** runs the real `cluster.controller.scaling_policy.plan`, every 0.5 s, with the policy of an ECS fleet.
- **Adaptive** runs the real `distributed.deploy.adaptive_core.AdaptiveCore` with its defaults (every 1 s, target 5 s,
  three recommendations before a worker is closed) on the formula of `Scheduler.adaptive_target`. In its favour, a
  worker that is closed while it works finishes its task first.

A bill of 1.00 is the work alone: even with all tasks known in advance, no policy could pay less.

Pools: where some tasks need a large worker, one pool has large workers only; two pools have small ones beside, each
planned for by itself as the controller does.
"""

from __future__ import annotations

import heapq
import math
import random
import statistics
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from distributed.deploy.adaptive_core import AdaptiveCore

from cluster.controller.fargate_prices import fargate_prices
from cluster.controller.fleets.ecs import EcsFleet
from cluster.controller.scaling_policy import DemandHistory, Observation, Policy, plan
from cluster.scheduling.demand import ASSUMED_SECONDS
from cluster.settings import load_settings
from cluster.settings.pools import DEFAULT_POOL

STEP_SECONDS: Final = 0.5
MAX_WORKERS: Final = 100
MINIMUM_BILLING_SECONDS: Final = 60.0
LAUNCH_SECONDS: Final = (20.0, 60.0)
UNKNOWN_SECONDS: Final = 0.5
"""Dask's assumption about the duration of a task type that has not run yet."""
SPOT_LIFE_SECONDS: Final = 3_600.0
"""Mean time until a Spot worker is reclaimed, in the traces with Spot."""


@dataclass(frozen=True)
class Task:
    at: float
    kind: str
    seconds: float


@dataclass
class Worker:
    """One worker. It is billed from `started` on."""

    name: str
    started: float
    ready: float
    task: Task | None = None
    task_started: float = 0.0
    leaving: bool = False
    reclaimed_at: float = math.inf


@dataclass
class World:
    """The fleet and the scheduler of one run."""

    seed: int
    spot: bool = False
    now: float = 0.0
    workers: dict[str, Worker] = field(default_factory=dict)
    queue: deque[Task] = field(default_factory=deque)
    waiting: Counter[str] = field(default_factory=Counter)
    durations: dict[str, float] = field(default_factory=dict)
    billed: float = 0.0
    started: int = 0
    waits: list[float] = field(default_factory=list)
    _ends: list[tuple[float, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def start(self, count: int) -> None:
        for _ in range(count):
            self.started += 1
            life = self._random.expovariate(1 / SPOT_LIFE_SECONDS) if self.spot else math.inf
            ready = self.now + self._random.uniform(*LAUNCH_SECONDS)
            name = f"w{self.started}"
            self.workers[name] = Worker(name, self.now, ready, reclaimed_at=self.now + life)

    def stop(self, names: Iterable[str]) -> None:
        for name in names:
            worker = self.workers[name]
            if worker.task is None:
                self._remove(worker)
            else:
                worker.leaving = True

    def _remove(self, worker: Worker) -> None:
        self.billed += max(MINIMUM_BILLING_SECONDS, self.now - worker.started)
        del self.workers[worker.name]

    def add(self, task: Task) -> None:
        self.queue.append(task)
        self.waiting[task.kind] += 1

    def step(self) -> None:
        """Advances to `now`: ends tasks, reclaims Spot workers, and gives waiting tasks to free workers."""
        while self._ends and self._ends[0][0] <= self.now:
            at, name = heapq.heappop(self._ends)
            worker = self.workers.get(name)
            if worker is None or worker.task is None or worker.task_started + worker.task.seconds != at:
                continue
            task, worker.task = worker.task, None
            mean = self.durations.get(task.kind, task.seconds)
            self.durations[task.kind] = 0.5 * mean + 0.5 * task.seconds
            if worker.leaving:
                self._remove(worker)
            elif self.queue:
                # It continues at once, not in the next step.
                self._give(worker, max(at, self.queue[0].at))
        for worker in [worker for worker in self.workers.values() if worker.reclaimed_at <= self.now]:
            if worker.task is not None:
                self.queue.appendleft(worker.task)  # it runs again on another worker
                self.waiting[worker.task.kind] += 1
            self._remove(worker)
        for worker in self.workers.values():
            if not self.queue:
                break
            if worker.task is None and worker.ready <= self.now and not worker.leaving:
                self._give(worker, max(worker.ready, self.queue[0].at))

    def _give(self, worker: Worker, at: float) -> None:
        task = self.queue.popleft()
        self.waiting[task.kind] -= 1
        worker.task, worker.task_started = task, at
        self.waits.append(at - task.at)
        heapq.heappush(self._ends, (at + task.seconds, worker.name))

    # What Dask's scheduler reports --------------------------------------------------------------------------------

    def estimate(self, kind: str) -> float:
        return self.durations.get(kind, UNKNOWN_SECONDS)

    def occupancy(self, worker: Worker) -> float:
        """As Dask: the mean of the task's type, or twice its run time once that is longer than twice the mean."""
        if worker.task is None:
            return 0.0
        mean, spent = self.estimate(worker.task.kind), self.now - worker.task_started
        return 2 * spent if spent > 2 * mean else mean

    def waiting_seconds(self, unknown: float = UNKNOWN_SECONDS) -> float:
        return sum(count * self.durations.get(kind, unknown) for kind, count in self.waiting.items())

    def registered(self) -> list[Worker]:
        return [worker for worker in self.workers.values() if worker.ready <= self.now and not worker.leaving]


class Ours:
    """The controller's scaling policy."""

    interval_seconds = STEP_SECONDS

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._history = DemandHistory()

    def scale(self, world: World) -> None:
        registered = world.registered()
        staying = [worker for worker in world.workers.values() if not worker.leaving]
        seen = Observation(
            waiting=len(world.queue),
            waiting_seconds=world.waiting_seconds(ASSUMED_SECONDS),
            busy=tuple(world.occupancy(worker) for worker in registered if worker.task),
            busy_names=tuple(worker.name for worker in registered if worker.task),
            tasks=sum(worker.task is not None for worker in registered),
            idle=tuple((worker.name, world.now - worker.started) for worker in registered if worker.task is None),
            launching=len(staying) - len(registered),
        )
        decision = plan(seen, self._policy, self._history, world.now)
        self._history = decision.history
        world.start(decision.start)
        world.stop([*decision.retire, *decision.drain])


class Adaptive(AdaptiveCore):  # type: ignore[misc]
    """Dask's Adaptive."""

    interval_seconds = 1.0

    def __init__(self, minimum: int, maximum: int) -> None:
        super().__init__(minimum=minimum, maximum=maximum, wait_count=3)
        self._world: World

    @property
    def plan(self) -> set[str]:
        return {worker.name for worker in self._world.workers.values() if not worker.leaving}

    requested = plan

    @property
    def observed(self) -> set[str]:
        return {worker.name for worker in self._world.registered()}

    async def target(self) -> int:
        """Scheduler.adaptive_target of distributed 2026.8, for workers of one thread whose memory is free."""
        world, here = self._world, self._world.registered()
        occupancy = sum(world.occupancy(worker) for worker in here)
        cpu = math.ceil((occupancy + world.waiting_seconds()) / 5.0)
        ready = len(world.queue)
        for worker in here:
            if ready > cpu:
                break
            ready += worker.task is not None
        else:
            cpu = min(ready, cpu)
        if world.queue and not here:
            cpu = max(1, cpu)
        return cpu if cpu >= len(here) else len(here) - sum(worker.task is None for worker in here)

    async def workers_to_close(self, target: int) -> list[str]:
        here = sorted(self._world.registered(), key=lambda worker: worker.task is not None)
        return [worker.name for worker in here[: max(0, len(here) - target)]]

    async def scale_up(self, n: int) -> None:
        self._world.start(n - len(self.plan))

    async def scale_down(self, workers: Iterable[str]) -> None:
        self._world.stop(workers)

    def scale(self, world: World) -> None:
        self._world = world
        # None of the methods above ever waits.
        step = self.adapt()
        try:
            while True:
                step.send(None)
        except StopIteration:
            return


# Traces: lists of tasks in the order of their times, and how long they last -------------------------------------------


def _steady(source: random.Random, per_second: float, seconds: float, length: Callable[[], float]) -> Iterator[Task]:
    at = 0.0
    while (at := at + source.expovariate(per_second)) < seconds:
        yield Task(at, "short", length())


def _day(source: random.Random) -> Iterator[Task]:
    """A day in four hours: quiet at both ends, busy in the middle."""
    at, day = 0.0, 4 * 3_600.0
    while (at := at + source.expovariate(8.0)) < day:
        if source.random() < math.sin(math.pi * at / day) ** 2:
            yield Task(at, "short", source.uniform(1, 4))


def _clumps(source: random.Random) -> Iterator[Task]:
    for clump in range(24):
        at = 150.0 * clump + source.uniform(0, 60)
        yield from (Task(at, "short", source.uniform(0.1, 0.5)) for _ in range(200))


def _few_long(source: random.Random) -> Iterator[Task]:
    long = [Task(source.uniform(0, 3_000), "long", source.uniform(300, 900)) for _ in range(12)]
    return iter(sorted([*long, *_steady(source, 1.0, 3_600, lambda: source.uniform(0.2, 1))], key=lambda task: task.at))


def _bursts(source: random.Random) -> Iterator[Task]:
    for burst in range(6):
        at = 600.0 * burst + source.uniform(0, 120)
        yield from (Task(at, "short", source.uniform(1, 5)) for _ in range(400))


def traces() -> dict[str, tuple[list[Task], float, bool]]:
    """Name -> tasks, seconds, whether workers are Spot and get reclaimed."""
    source = random.Random(7)
    steady = list(_steady(source, 5.0, 3_600, lambda: source.uniform(0.5, 3.5)))
    return {
        "one big burst": ([Task(10.0, "short", source.uniform(2, 8)) for _ in range(2_000)], 900, False),
        "bursts": (list(_bursts(source)), 3_600, False),
        "steady": (steady, 3_600, False),
        "steady, on Spot": (steady, 3_600, True),
        "a day's curve": (list(_day(source)), 4 * 3_600, False),
        "clumps of short ones": (list(_clumps(source)), 3_600, False),
        "few long among short": (list(_few_long(source)), 3_600, False),
        "idle night, one task": ([Task(1_800.0, "short", 2.0)], 3_600, False),
    }


@dataclass(frozen=True)
class Outcome:
    """The cost of one run in worker-seconds, and how long tasks waited."""

    bill: float
    work: float
    started: int
    waits: tuple[float, ...]

    @property
    def ratio(self) -> float:
        return self.bill / self.work

    def wait(self, share: float) -> float:
        return sorted(self.waits)[min(len(self.waits) - 1, int(share * len(self.waits)))]


def simulate(tasks: list[Task], seconds: float, spot: bool, scaler: Any, seed: int = 1) -> Outcome:
    """Runs one trace until all tasks are done."""
    world, todo, scale_at = World(seed, spot), deque(tasks), 0.0
    while world.now < seconds or todo or world.queue or any(worker.task for worker in world.workers.values()):
        while todo and todo[0].at <= world.now:
            world.add(todo.popleft())
        world.step()
        if world.now >= scale_at:
            scaler.scale(world)
            scale_at = world.now + scaler.interval_seconds
        world.now += STEP_SECONDS
    billed = world.billed + sum(
        max(MINIMUM_BILLING_SECONDS, world.now - worker.started) for worker in world.workers.values()
    )
    return Outcome(billed, sum(task.seconds for task in tasks), world.started, tuple(world.waits))


SEEDS: Final = range(5)
POOL_SEEDS: Final = range(2)


def policy() -> Policy:
    """The policy of an ECS fleet, from 0 to MAX_WORKERS workers."""
    prices = {"ecs_vcpu_hour_price": 1.0, "ecs_gb_hour_price": 1.0}  # no part of the policy
    settings = load_settings({}, min_workers=0, max_workers=MAX_WORKERS, **prices)
    return EcsFleet(settings).policy(settings.all_pools[DEFAULT_POOL])


def simulate_all(trace: tuple[list[Task], float, bool], make: Callable[[], Any], seeds: range = SEEDS) -> Outcome:
    """The combined outcome of one trace with several draws of launch times."""
    outcomes = [simulate(*trace, make(), seed=seed) for seed in seeds]
    return Outcome(
        sum(outcome.bill for outcome in outcomes), sum(outcome.work for outcome in outcomes),
        round(statistics.mean(outcome.started for outcome in outcomes)),
        tuple(wait for outcome in outcomes for wait in outcome.waits),
    )  # fmt: skip


SMALL: Final = (1.0, 2.0)
LARGE: Final = (4.0, 24.0)
"""vCPUs and GiB of the workers of two pools."""
LARGE_EVERY: Final = 20
"""One of so many short tasks needs a large worker, in the traces without long ones."""


def in_pools(trace: tuple[list[Task], float, bool]) -> list[str]:
    """The bills of one trace in one pool and in two, in US dollars, and the p95 of the waits."""
    tasks, seconds, spot = trace
    longs = any(task.kind == "long" for task in tasks)
    large = [task.kind == "long" if longs else number % LARGE_EVERY == 0 for number, task in enumerate(tasks)]
    # Each pool has estimates of its own, as its task types are others.
    named = [replace(task, kind=f"{task.kind}, large") if big else task for task, big in zip(tasks, large, strict=True)]
    prices = fargate_prices(load_settings({}), "us-east-1")
    assert prices is not None

    def run(chosen: list[Task], size: tuple[float, float]) -> tuple[float, Outcome]:
        outcome = simulate_all((chosen, seconds, spot), lambda: Ours(policy()), POOL_SEEDS)
        return outcome.bill / len(POOL_SEEDS) / 3_600 * prices.worker_hour(*size), outcome

    one, outcome = run(named, LARGE)
    large_bill, of_large = run([task for task, big in zip(named, large, strict=True) if big], LARGE)
    small_bill, of_small = run([task for task, big in zip(named, large, strict=True) if not big], SMALL)
    two = large_bill + small_bill
    shares = [f"{sum(large) / len(tasks):.1%}", f"{one:.2f}", f"{two:.2f}", f"**{two / one:.2f}**"]
    return [*shares, f"{outcome.wait(0.95):.1f}", f"{of_small.wait(0.95):.1f}", f"{of_large.wait(0.95):.1f}"]


POOL_TRACES: Final = ("few long among short", "steady", "bursts")


def pools_document() -> list[str]:
    """The part of benchmarks/AUTOSCALING.md about pools."""
    rows = {name: in_pools(trace) for name, trace in traces().items() if name in POOL_TRACES}
    return [
        "## Two pools against one",
        "",
        f"Some tasks need {LARGE[0]:g} vCPUs and {LARGE[1]:g} GiB: the long ones, or one in {LARGE_EVERY}. In one pool "
        f"every worker has that; in two, the others run on workers of {SMALL[0]:g} vCPU and {SMALL[1]:g} GiB. Bills in "
        f"US dollars, on demand in us-east-1 on x86; {len(POOL_SEEDS)} draws of launch times.",
        "",
        "| trace | large tasks | one pool | two pools | two/one | p95, one | p95, small of two | p95, large of two |",
        "|---|---|---|---|---|---|---|---|",
        *(f"| {name} | {' | '.join(cells)} |" for name, cells in rows.items()),
        "",
    ]


def document(rows: list[tuple[str, Outcome, Outcome]]) -> str:
    """benchmarks/AUTOSCALING.md, without the part about pools."""
    shares = [ours.bill / theirs.bill for _, ours, theirs in rows]
    lines = [
        "# Autoscaling, simulated",
        "",
        "`make bench-autoscaling`: the scaling policy and Dask's Adaptive (its defaults: every 1 s, target 5 s) in "
        f"virtual time, up to {MAX_WORKERS} Fargate workers, {len(SEEDS)} draws of launch times (20 to 60 s). The bill "
        f"is in multiples of the work done; a worker is billed for {MINIMUM_BILLING_SECONDS:.0f} s at least. Waits are "
        "from submission to start, in seconds. "
        "benchmarks/autoscaling.py describes the assumptions about Dask and Fargate.",
        "",
        "| trace | work, s | bill, ours | Adaptive | ours/Adaptive | p50, ours | Adaptive | p95, ours | Adaptive | "
        "workers started, ours | Adaptive |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for (name, ours, theirs), share in zip(rows, shares, strict=True):
        lines.append(
            f"| {name} | {ours.work / len(SEEDS):,.0f} | {ours.ratio:.2f} | {theirs.ratio:.2f} | **{share:.2f}** | "
            f"{ours.wait(0.5):.1f} | {theirs.wait(0.5):.1f} | {ours.wait(0.95):.1f} | {theirs.wait(0.95):.1f} | "
            f"{ours.started:,} | {theirs.started:,} |"
        )
    lines += ["", f"Geometric mean of ours/Adaptive: **{statistics.geometric_mean(shares):.2f}**.", ""]
    lines += ["![Bills of ours and Adaptive by trace](autoscaling.svg)", ""]
    return "\n".join(lines)


def picture(rows: list[tuple[str, Outcome, Outcome]]) -> str:
    """The bills as bars on a logarithmic scale from 1 (the work alone)."""

    def width(ratio: float) -> float:
        return 90 * math.log2(ratio) + 2

    height = 34 * len(rows) + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="760" height="{height}" font-family="sans-serif" '
        'font-size="12">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        '<text x="10" y="20">bill in multiples of the work (logarithmic): <tspan fill="#1f6feb">ours</tspan>, '
        '<tspan fill="#b08800">Dask Adaptive</tspan></text>',
    ]
    for i, (name, ours, theirs) in enumerate(rows):
        y = 34 * i + 34
        parts.append(f'<text x="10" y="{y + 16}">{name}</text>')
        for outcome, colour, down in ((ours, "#1f6feb", 0), (theirs, "#b08800", 13)):
            parts.append(
                f'<rect x="170" y="{y + down}" width="{width(outcome.ratio):.0f}" height="11" fill="{colour}"/>'
                f'<text x="{174 + width(outcome.ratio):.0f}" y="{y + down + 10}" font-size="10">'
                f"{outcome.ratio:.2f}</text>"
            )
    return "\n".join([*parts, "</svg>", ""])


def main() -> None:
    rows = []
    for name, trace in traces().items():
        rows.append(
            (name, simulate_all(trace, lambda: Ours(policy())), simulate_all(trace, lambda: Adaptive(0, MAX_WORKERS)))
        )
        print(f"{name}: done", flush=True)
    text, folder = "\n".join([document(rows), *pools_document()]), Path(__file__).parent
    (folder / "AUTOSCALING.md").write_text(text)
    (folder / "autoscaling.svg").write_text(picture(rows))
    print(text)


if __name__ == "__main__":
    main()
