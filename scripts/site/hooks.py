"""Hooks for MkDocs: pages outside docs/, and diagrams that are drawn without another origin.

A link leads to the same file on the site as in the repository. Files outside docs/ are added to the site: the pages in
PAGES under their own names, pictures unchanged, and any other file that a page links to as a page with its text, below
source/.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = (
    "CHANGELOG.md",
    "CODE_OF_CONDUCT.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "benchmarks/AUTOSCALING.md",
    "benchmarks/RESULTS.md",
    "cluster/store/PROTOCOL.md",
    "examples/README.md",
    "ops/README.md",
    "terraform/README.md",
)
"""Pages of the repository that lie outside docs/."""

LINK: Final = re.compile(r"(?<=\]\()([^)\s#]+)(?=[#)])")
PICTURES: Final = (".png", ".svg")
LANGUAGES: Final = {".example": "terraform", ".py": "python", ".yaml": "yaml", ".json": "json", ".graphql": "graphql"}

MERMAID: Final = "mermaid@11.12.3"
"""The newest version that the theme supports: it colours the parts for light and dark."""
MERMAID_SHA256: Final = "71dc54e481779b526de5e615c2eb00c99fa5acb75da9c5524d02e333d2fda89a"
MERMAID_FILE: Final = Path(__file__).parent / "mermaid.min.js"


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Adds the files outside docs/."""
    for page in PAGES:
        files.append(File.generated(config, page, abs_src_path=str(ROOT / page)))
    favicon = ROOT / "graphql_api" / "console" / "public" / "favicon.svg"
    files.append(File.generated(config, "assets/favicon.svg", abs_src_path=str(favicon)))
    files.append(File.generated(config, "assets/mermaid.min.js", abs_src_path=str(mermaid())))
    linked = {path for file in files.documentation_pages() for path in links_of(repository_path(file.src_uri))}
    for path in sorted(linked):
        uri = site_uri(path)
        if uri in files.src_uris or not (ROOT / path).is_file():
            continue
        if path.endswith(PICTURES):
            files.append(File.generated(config, uri, abs_src_path=str(ROOT / path)))
        else:
            files.append(File.generated(config, uri, content=source_page(path)))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrites links to the places of their targets on the site."""
    here = page.file.src_uri
    if here.startswith("source/"):
        return markdown
    folder = posixpath.dirname(repository_path(here))

    def rewritten(match: re.Match[str]) -> str:
        target = match[1]
        if "://" in target:
            return target
        path = posixpath.normpath(posixpath.join(folder, target))
        return posixpath.relpath(site_uri(path), posixpath.dirname(here) or ".")

    return LINK.sub(rewritten, markdown)


def on_page_content(html: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Puts each diagram into its own frame, in which it can be scrolled on a narrow window."""
    return re.sub(r'<pre class="mermaid">.*?</pre>', r'<div class="diagram">\g<0></div>', html, flags=re.DOTALL)


def repository_path(uri: str) -> str:
    """The path in the repository of a page of the site."""
    return uri if uri in PAGES else f"docs/{uri}"


def site_uri(path: str) -> str:
    """The path on the site of a file of the repository."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if path in PAGES or path.endswith(PICTURES):
        return path
    return f"source/{path}.md"


def links_of(page: str) -> Iterator[str]:
    """The files of the repository that a page links to, as paths in the repository."""
    source = ROOT / page
    if source.is_file():
        for target in LINK.findall(source.read_text()):
            if "://" not in target:
                yield posixpath.normpath(posixpath.join(posixpath.dirname(page), target))


def source_page(path: str) -> str:
    """A page with the text of a file; excluded from the search."""
    language = LANGUAGES.get(Path(path).suffix, "")
    fence = "~" * 8
    text = (ROOT / path).read_text()
    return f"---\nsearch: {{exclude: true}}\n---\n\n# {path}\n\n{fence}{language}\n{text}\n{fence}\n"


def mermaid() -> Path:
    """The script that draws the diagrams; downloaded from the npm registry if it is not there yet.

    The theme would load it from another origin while a page is read.

    Raises:
        PluginError: it cannot be downloaded, or has another hash than expected.
    """
    if not MERMAID_FILE.exists() or hashlib.sha256(MERMAID_FILE.read_bytes()).hexdigest() != MERMAID_SHA256:
        path = os.pathsep.join([os.environ.get("PATH", ""), str(Path(sys.executable).parent)])
        npm = shutil.which("npm", path=path)
        if npm is None:
            raise PluginError("no npm on PATH to download the script for the diagrams; `make docs` installs one")
        with tempfile.TemporaryDirectory() as folder:
            command = [npm, "pack", "--silent", "--pack-destination", folder, MERMAID]
            answer = subprocess.run(
                command, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True
            )
            archives = list(Path(folder).glob("*.tgz"))
            if answer.returncode or not archives:
                raise PluginError(f"npm cannot download {MERMAID}: {answer.stderr.strip()}")
            with tarfile.open(archives[0]) as archive:
                script = archive.extractfile("package/dist/mermaid.min.js")
                content = script.read() if script else b""
        if hashlib.sha256(content).hexdigest() != MERMAID_SHA256:
            raise PluginError(f"{MERMAID} does not have the expected hash (MERMAID_SHA256)")
        part = MERMAID_FILE.with_suffix(f".{os.getpid()}")
        part.write_bytes(content)
        part.replace(MERMAID_FILE)
    return MERMAID_FILE
