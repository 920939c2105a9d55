"""What larger machines should do: arithmetic on the processor time of a task, as a prediction to be checked.

    python -m benchmarks.model [--write]      prints the tables, or writes them into docs/performance.md

`make bench-profile` measures what one task costs in each process (profile.json). The model assumes that

- a task costs the same whatever the number of processes and cores: they share nothing but Redis and the scheduler;
- a process, and a machine, are used at most to BUSY, because beyond it waiting grows faster than throughput;
- the task's own function costs nothing, and the load comes from another machine;
- an api process, a scheduler and a shard of Redis use one core each, and a worker as many as it has threads;
- cores do not slow each other down. Hyperthreads do: count physical cores.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from scripts.generated_table import DOCS, filled_in

PROFILE: Final = Path(__file__).with_name("profile.json")
PAGE: Final = DOCS / "performance.md"
BUSY: Final = 0.8
PARTS: Final = {"api": "api process", "scheduler": "scheduler", "redis": "shard of Redis", "worker": "core of workers"}
"""The parts that grow by processes, each of which uses one core, and how the tables name one."""
PARTS_ALONE: Final = {"api": "api node", "worker": "workers", "redis": "Redis", "scheduler": "scheduler"}
MOST: Final = {"scheduler": 16, "redis": 16}
"""How many of a part can share the tasks of one system (docs/operations.md)."""
ALONE: Final = "one at a time"
"""The load that waits more than it works: what it costs says nothing of what a machine can do."""
CORES: Final = (2, 8, 64)
RATES: Final = (1_000, 10_000)
SUBSCRIPTIONS: Final = 100_000


@dataclass(frozen=True)
class Cost:
    """One kind of load.

    Attributes:
        milliseconds: the processor time of one task in each part; parts outside PARTS cost too, but do not limit.
        client: that of the load generator, in the same unit, which shared the machine of the profile.
        tasks_per_second: what that machine did.
    """

    milliseconds: Mapping[str, float]
    client: float
    tasks_per_second: float

    @property
    def total(self) -> float:
        return sum(self.milliseconds.values())


@dataclass(frozen=True)
class Profile:
    """What `make bench-profile` measured.

    Attributes:
        cores: of its machine.
        loads: the costs by kind of load.
        megabytes: resident memory of one process of each part.
        subscription_kilobytes: memory of an idle subscription on a socket of its own.
        subscriptions_per_process: most that one api process accepts (SUBSCRIPTION_LIMIT).
    """

    cores: int
    loads: Mapping[str, Cost]
    megabytes: Mapping[str, float]
    subscription_kilobytes: float
    subscriptions_per_process: int


@dataclass(frozen=True)
class Prediction:
    """What a machine should do.

    Attributes:
        tasks_per_second: in all.
        processes: how many of each part that takes.
        limit: what keeps it from doing more.
    """

    tasks_per_second: float
    processes: Mapping[str, int]
    limit: str


def per_process(cost: Cost) -> dict[str, float]:
    """The tasks per second that one process of each part carries, at BUSY."""
    return {part: 1000 * BUSY / cost.milliseconds[part] for part in PARTS}


def needed(cost: Cost, rate: float) -> dict[str, int]:
    """How many processes of each part, or cores of workers, carry `rate` tasks per second."""
    # What a rounding error makes of a whole number is that number.
    return {part: math.ceil(rate / carried - 1e-9) for part, carried in per_process(cost).items()}


def predict(cost: Cost, cores: int) -> Prediction:
    """What a machine of `cores` cores does, with as many processes as that takes."""
    rate, limit = cores * 1000 * BUSY / cost.total, "its cores"
    for part, most in MOST.items():
        if rate > (carried := most * per_process(cost)[part]):
            rate, limit = carried, f"{most} {_plural(PARTS[part])}"
    return Prediction(rate, needed(cost, rate), limit)


def check(cost: Cost, cores: int) -> float:
    """The rate measured by the profile over the one predicted for its machine, with the load generator on it."""
    return cost.tasks_per_second / (cores * 1000 * BUSY / (cost.total + cost.client))


def tables(profile: Profile) -> str:
    """The tables of docs/performance.md."""
    many = [_plural(name) for name in PARTS.values()]
    loads = [(load, cost) for load, cost in profile.loads.items() if load != ALONE]
    return "\n".join([
        "Tasks a second that one process of each part carries, with 80 % of a core:",
        "",
        _row("load", *PARTS.values(), "cores in all for 1,000 tasks/s"),
        "|---" * (len(PARTS) + 2) + "|",
        *(_row(load, *map(_round, per_process(cost).values()), f"{cost.total / BUSY:.1f}") for load, cost in loads),
        "",
        "What a machine of so many cores should do, and the processes for it:",
        "",
        _row("cores", "load", "tasks/s", *many, "limit"),
        "|---" * (len(PARTS) + 4) + "|",
        *(_predicted(cores, load, cost) for cores in CORES for load, cost in loads),
        "",
        "What so many tasks a second take, without the functions themselves:",
        "",
        _row("tasks/s", "load", *many, "memory of the processes"),
        "|---" * (len(PARTS) + 3) + "|",
        *(_needed(rate, load, cost, profile.megabytes) for rate in RATES for load, cost in loads),
        "",
        _subscriptions(profile),
        "",
        f"The check: the machine of the profile has {profile.cores} cores, and the load generator ran on them too. "
        "What it did, over what the model says for it: "
        + ", ".join(f"{check(cost, profile.cores):.2f} ({load})" for load, cost in loads)
        + ".",
    ])  # fmt: skip


def costs_table(profile: Profile) -> str:
    """The processor time of one task in each part, in milliseconds."""
    lines = [
        _row("", *PARTS_ALONE.values(), "rest", "all", "load generator beside"),
        "|---" * (len(PARTS_ALONE) + 4) + "|",
    ]
    for load, cost in profile.loads.items():
        shown = (*(cost.milliseconds[part] for part in (*PARTS_ALONE, "rest")), cost.total, cost.client)
        lines.append(_row(load, *(f"{figure:.2f}" for figure in shown)))
    return "\n".join(lines)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _predicted(cores: int, load: str, cost: Cost) -> str:
    made = predict(cost, cores)
    counts = (str(made.processes[part]) for part in PARTS)
    return _row(str(cores), load, _round(made.tasks_per_second), *counts, made.limit)


def _needed(rate: int, load: str, cost: Cost, megabytes: Mapping[str, float]) -> str:
    counts = needed(cost, rate)
    gigabytes = sum(counts[part] * megabytes[part] for part in PARTS) / 1000
    return _row(f"{rate:,}", load, *(str(counts[part]) for part in PARTS), f"{gigabytes:.1f} GB")


def _subscriptions(profile: Profile) -> str:
    processes = math.ceil(SUBSCRIPTIONS / profile.subscriptions_per_process)
    gigabytes = SUBSCRIPTIONS * profile.subscription_kilobytes / 1e6 + processes * profile.megabytes["api"] / 1000
    return (
        f"{SUBSCRIPTIONS:,} open subscriptions, each on a socket of its own, take {processes} api processes and "
        f"{gigabytes:.1f} GB of memory: {profile.subscription_kilobytes:.0f} KB each."
    )


def _plural(name: str) -> str:
    words = name.split()
    last = words[0] if " of " in name else words[-1]
    many = {"process": "processes"}.get(last, last + "s")
    return name.replace(last, many, 1)


def _round(figure: float) -> str:
    """Two digits that count: the model has no more."""
    return f"{float(f'{figure:.2g}'):,.0f}"


def read(path: Path = PROFILE) -> Profile:
    """The profile that `make bench-profile` wrote."""
    given = json.loads(path.read_text())
    return Profile(**{**given, "loads": {load: Cost(**cost) for load, cost in given["loads"].items()}})


def write(profile: Profile) -> None:
    """Writes profile.json, with three digits that count, and the tables of the page."""
    rounded = json.loads(json.dumps(asdict(profile)), parse_float=lambda text: float(f"{float(text):.3g}"))
    PROFILE.write_text(json.dumps(rounded, indent=1) + "\n")
    PAGE.write_text(filled_page(read()))


def filled_page(profile: Profile) -> str:
    """docs/performance.md with the tables of a profile."""
    page = PAGE.read_text()
    for name, table in (("growth", tables(profile)), ("costs", costs_table(profile))):
        page = filled_in(page, name, table, by="benchmarks/model.py")
    return page


def main() -> None:
    if "--write" in sys.argv[1:]:
        PAGE.write_text(filled_page(read()))
    else:
        print(costs_table(read()), tables(read()), sep="\n\n")


if __name__ == "__main__":
    main()
