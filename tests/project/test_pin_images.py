"""`make pin-images` writes the digests of the images that others publish, again at each call, or changes nothing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from tests.places import ROOT

FILES = ("Dockerfile", "docker-compose.yaml")
DOCKER = """#!/bin/sh
[ "$1 $2 $3" = "buildx imagetools inspect" ] || exit 2
printf 'sha256:%s\\n' "$(printf '%s %s' "$SALT" "$4" | sha256sum | cut -d ' ' -f 1)"
"""


def pin(folder: Path, docker: str, salt: str = "") -> tuple[int, dict[str, str]]:
    """Runs the script with a `docker` of ours, on copies of the files; returns its exit code and the files after it."""
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "bin" / "docker").write_text(docker)
    (folder / "bin" / "docker").chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "SALT": salt}
    done = subprocess.run(
        [ROOT / "scripts" / "pin-images.sh", folder], env=environment, capture_output=True, check=False
    )
    return done.returncode, {name: (folder / name).read_text() for name in FILES}


def test_every_base_image_is_pinned_and_nothing_else_changes(tmp_path: Path) -> None:
    for name in FILES:
        shutil.copy(ROOT / name, tmp_path)
    before = {name: (tmp_path / name).read_text() for name in FILES}
    code, after = pin(tmp_path, "#!/bin/sh\nexit 1\n")
    assert (code, after) == (1, before)
    digests = []
    for salt in ("one", "two"):
        code, after = pin(tmp_path, DOCKER, salt)
        assert code == 0
        pinned = re.findall(r"(python|node|redis):([\w.-]+)@(sha256:[0-9a-f]{64})", "".join(after.values()))
        assert [name for name, _, _ in pinned] == ["python", "node", "redis"]
        digests.append({digest for _, _, digest in pinned})
        unpinned = {name: re.sub(r"@sha256:[0-9a-f]{64}", "", text) for name, text in after.items()}
        assert unpinned == {name: re.sub(r"@sha256:[0-9a-f]{64}", "", text) for name, text in before.items()}
    assert len(digests[0] | digests[1]) == 6
