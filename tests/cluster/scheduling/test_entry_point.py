"""Rolling updates: nodes of two releases send each other the same function under the same name."""

from __future__ import annotations

import pickle
import subprocess
import sys

from distributed.protocol.pickle import dumps

from cluster.scheduling.entry_point import run_attempts
from tests.places import ROOT


def test_an_attempt_is_sent_under_the_name_that_the_previous_release_knows() -> None:
    assert b"cluster.execute" in dumps(run_attempts)
    assert pickle.loads(dumps(run_attempts)) is run_attempts


def test_an_attempt_that_the_previous_release_sent_is_found() -> None:
    sent = b"ccluster.execute\nrun_attempts\n."
    code = f"import pickle; print(pickle.loads({sent!r}).__name__)"
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "run_attempts"
