"""Checks, inside a node's image, what must and must not be there: contents.py NODE."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path

SITE = Path(f"/opt/dask-graphql/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages")
STDLIB = Path(os.__file__).parent


def faults(node: str) -> list[str]:
    found = []
    if os.getuid() == 0:
        found.append("it runs as root")
    if os.environ.get("PYTHONUNBUFFERED") != "1":
        found.append("its output is buffered")
    if left := [name for name in ("gcc", "cc", "node", "npm") if shutil.which(name)]:
        found.append(f"build tools are left: {left}")
    if left := [name for name in os.environ if name.startswith("PIP_")]:
        found.append(f"the build's configuration is left: {left}")
    unwanted = (
        *("/src", "/dist", "/requirements.txt", "/requirements.lock"),
        *(SITE / "pip", SITE / "graphql_api/console/src"),
    )
    found.extend(f"{place} is left" for place in unwanted if Path(place).exists())
    pages = SITE / "graphql_api/console/dist/index.html"
    if pages.exists() != (node == "api"):
        found.append(f"the web pages are {'there' if pages.exists() else 'missing'}")
    if (importlib.util.find_spec("strawberry") is not None) != (node == "api"):
        found.append("Strawberry belongs to the api and to no other node")
    for folder in (SITE, STDLIB / "asyncio", STDLIB / "email"):
        sources = list(folder.rglob("*.py"))
        compiled = {path.parent.parent / f"{path.name.partition('.')[0]}.py" for path in folder.rglob("*.pyc")}
        # A few sources are templates, or for other versions of Python, and do not compile.
        bare = [source for source in sources if source not in compiled]
        if not sources or len(bare) > len(sources) // 100:
            found.append(f"{len(bare)} of {len(sources)} modules in {folder} have no bytecode")
    data = Path(os.environ["DASK_GRAPHQL_DATA_DIR"])
    if not (os.access(data, os.W_OK) and os.access(data / "blobs", os.W_OK)):
        found.append(f"{data} cannot be written")
    if os.access(SITE, os.W_OK):
        found.append(f"{SITE} can be written")
    return found


if __name__ == "__main__":
    faulty = faults(sys.argv[1])
    print(f"{sys.argv[1]}: {'; '.join(faulty) or 'as it should be'}")
    sys.exit(1 if faulty else 0)
