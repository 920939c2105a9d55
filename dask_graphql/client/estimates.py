"""What a submission would meet and take, before it is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

ESTIMATE: Final = """query($name: String!, $input: JSON, $runKey: String) {
  estimate(name: $name, input: $input, runKey: $runKey) {
    taskId outcome state runs runP50 runP95 waitP50 dollarsP50 dollarsP95 basis } }"""


@dataclass(frozen=True)
class SubmissionEstimate:
    """What a submission would be now, and what one attempt of it would take, by the runs of its type in the last 24
    hours, whatever their inputs. A duration or price without a basis is None; all are 0 if nothing would run.

    Attributes:
        outcome: what the submission would be: CACHED, JOINED, NEW or RECOMPUTED.
        state: of the task; None if there is none.
        runs: how many runs the durations are from.
        run_p50_seconds, run_p95_seconds: what 50 % and 95 % of the runs took at most.
        wait_p50_seconds: what half of the tasks waited at most.
        dollars_p50, dollars_p95: US dollars for these durations; None if no price is known.
        basis: what the numbers are from, in a sentence.
    """

    task_id: str
    outcome: str
    state: str | None
    runs: int
    run_p50_seconds: float | None
    run_p95_seconds: float | None
    wait_p50_seconds: float | None
    dollars_p50: float | None
    dollars_p95: float | None
    basis: str


def to_estimate(node: Mapping[str, Any]) -> SubmissionEstimate:
    """The response to ESTIMATE."""
    return SubmissionEstimate(
        node["taskId"], node["outcome"], node["state"], node["runs"], node["runP50"], node["runP95"], node["waitP50"],
        node["dollarsP50"], node["dollarsP95"], node["basis"],
    )  # fmt: skip
