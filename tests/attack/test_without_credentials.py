"""A caller without credentials costs a node little memory and short pauses, and what it leaves open ends by itself.

`make attack` prints what each attack costs with the node's real times.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

import pytest

from tests.attack.node import Cost, Node, attacked_node
from tests.attack.without_credentials import ATTACKS, Attacker
from tests.system import RedisServer

SECONDS = float(os.environ.get("ATTACK_SECONDS", "0"))
"""How long to attack; 0: once, with times that are SPEED times shorter."""
SPEED = 30.0
LONGEST_SECONDS = 110.0
"""The longest that a connection may stay open: it is idle for 75 s after a request, then closes in 10 s."""
SPARE_SECONDS = 10.0
"""For a busy machine, where times are short."""
MOST_BYTES = 150_000_000
"""Memory that one attack may cost while it lasts."""
LEFT_BYTES = 200_000_000
"""Memory that is still taken after any number of rounds: what Python keeps for the next one."""
LONGEST_PAUSE_SECONDS = 2.0
"""On a machine that runs other tests; without the bounds these attacks cost 4 to 20 s."""


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 300)
@pytest.mark.skipif(sys.platform != "linux", reason="connections are counted in Linux's /proc/net/tcp")
async def test_what_a_caller_without_credentials_costs(redis_server: RedisServer, tmp_path: Path) -> None:
    speed, scale = (1.0, 5) if SECONDS else (SPEED, 1)
    deadline = time.monotonic() + SECONDS
    async with attacked_node(redis_server, tmp_path, speed) as node:
        print(f"\n{'attack':24} {'sent':>10} {'cpu':>7} {'memory':>8} {'pause':>8}")
        before = node.memory
        await attack(node, scale)
        while time.monotonic() < deadline:
            await attack(node, scale)
        print(f"memory after all: {(node.memory - before) / 1e6:.0f} MB more than before")
        assert node.memory - before < LEFT_BYTES


async def attack(node: Node, scale: int) -> None:
    """One round of all attacks. Each is measured while it sends; then all wait for their ends together."""
    attackers: list[Attacker] = []
    costs: list[Cost] = []
    endings: list[asyncio.Task[float | None]] = []
    try:
        for start in ATTACKS:
            attackers.append(attacker := Attacker(node))
            async with node.measure() as cost:
                await start(attacker, scale)
            costs.append(cost)
            print(
                f"{start.__name__:24} {attacker.sent / 1e6:7.2f} MB {cost.cpu_seconds:5.1f} s "
                f"{cost.growth / 1e6:5.0f} MB {cost.pause_seconds:6.2f} s",
                flush=True,
            )
            endings.append(asyncio.create_task(attacker.until_ended(LONGEST_SECONDS / node.speed + SPARE_SECONDS)))
        ended = await asyncio.gather(*endings)
        left = [attacker.open for attacker in attackers]
    finally:
        for attacker in attackers:
            attacker.close()
    wrong = []
    for start, attacker, cost, seconds, open_ in zip(ATTACKS, attackers, costs, ended, left, strict=True):
        shown = (
            f"never: {open_} of {len(attacker.sockets)} open" if seconds is None else f"{seconds * node.speed:.0f} s"
        )
        print(f"{start.__name__:24} all ended after {shown}")
        if seconds is None or cost.growth > MOST_BYTES or cost.pause_seconds > LONGEST_PAUSE_SECONDS:
            wrong.append(start.__name__)
    assert not wrong, "these cost more than they may; see the table"
