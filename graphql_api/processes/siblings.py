"""What one process of an api node says of the others, in `/readyz`."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cluster.api_node.readiness import Problem
from cluster.system.process_table import Phase, ProcessState
from graphql_api.processes.decisions import STALE_SECONDS
from graphql_api.processes.member import Member


@dataclass(frozen=True, slots=True)
class Sibling:
    """One process of the node, as it was within the last second.

    Attributes:
        own: whether it is the process that says so.
        seconds: since its phase began, or since it wrote its row if it is late.
    """

    state: ProcessState
    own: bool
    late: bool
    seconds: float

    @property
    def serves(self) -> bool:
        """Whether it accepts tasks and delivers results, so far as the others know."""
        return not self.own and self.state.phase == Phase.SERVING and self.state.ready and not self.late

    @property
    def condition(self) -> str:
        """For people: `serving`, `starting`, `ended` or `frozen`."""
        return "frozen" if self.late else self.state.phase.name.lower()

    def shown(self, *, own_ready: bool) -> dict[str, Any]:
        """As an item of `processes`."""
        return {
            "process": self.state.number,
            "processId": self.state.process_id,
            "state": self.condition,
            "ready": own_ready if self.own else self.serves,
            "connections": self.state.connections,
            "restarts": self.state.restarts,
        }


def siblings_of(member: Member | None) -> list[Sibling]:
    """All processes of the node, this one too; none if it has only one."""
    if member is None:
        return []
    now = time.monotonic()
    found = []
    for state in member.states():
        late = state.phase == Phase.SERVING and now - state.beat_at > STALE_SECONDS
        seconds = now - (state.beat_at if late else state.phase_since)
        found.append(Sibling(state, state.number == member.number, late, seconds))
    return found


def problems_of(siblings: Iterable[Sibling]) -> list[Problem]:
    """The processes that do not serve now; the node does without them."""
    reasons = {
        "starting": "it is starting",
        "ended": "it has ended, and is about to be started again",
        "frozen": "its event loop does not run",
    }
    return [
        Problem(f"process {item.state.number}", False, time.time() - item.seconds, reasons[item.condition])
        for item in siblings
        if item.condition in reasons
    ]
