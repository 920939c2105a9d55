"""Prints a table of image sizes: uncompressed, and gzipped layer by layer as a registry keeps them.

    docker save IMAGE... | sizes.py BASE_IMAGE IMAGE...

`own` is what an image adds to the base image; a layer that several images share counts for each.
"""

from __future__ import annotations

import json
import sys
import tarfile
import zlib
from collections.abc import Iterable
from typing import IO

MEGABYTE = 1_000_000


class Layers:
    """The sizes in bytes, plain and gzipped, of the layers in a stream of `docker save`."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.sizes: dict[str, tuple[int, int]] = {}
        self.images: dict[str, list[str]] = {}
        links: dict[str, str] = {}
        manifest: list[dict[str, list[str]]] = []
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                if member.issym() or member.islnk():
                    links[member.name] = "/".join(part for part in member.linkname.split("/") if part != "..")
                elif member.isfile() and member.name == "manifest.json":
                    manifest = json.loads(self._read(archive, member))
                elif member.isfile() and (member.name.endswith("layer.tar") or member.name.startswith("blobs/")):
                    self.sizes[member.name] = member.size, self._gzipped(archive, member)
        for image in manifest:
            for tag in image["RepoTags"]:
                self.images[tag] = [links.get(layer, layer) for layer in image["Layers"]]

    @staticmethod
    def _read(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
        content = archive.extractfile(member)
        return content.read() if content else b""

    @staticmethod
    def _gzipped(archive: tarfile.TarFile, member: tarfile.TarInfo) -> int:
        packer = zlib.compressobj(6, zlib.DEFLATED, 31)
        content = archive.extractfile(member)
        total = 0
        while content and (part := content.read(1 << 20)):
            total += len(packer.compress(part))
        return total + len(packer.flush())

    def total(self, layers: Iterable[str]) -> tuple[int, int]:
        found = [self.sizes[layer] for layer in layers]
        return sum(plain for plain, _ in found), sum(packed for _, packed in found)


def main(base: str, names: list[str]) -> None:
    layers = Layers(sys.stdin.buffer)
    below = set(layers.images[base])
    print(f"{'MB':34} {'plain':>8} {'gzip':>8} {'own plain':>10} {'own gzip':>9}")
    for name in (base, *names):
        own = layers.total(layer for layer in layers.images[name] if layer not in below)
        figures = [size / MEGABYTE for size in (*layers.total(layers.images[name]), *own)]
        print(f"{name:34} {figures[0]:8.1f} {figures[1]:8.1f} {figures[2]:10.1f} {figures[3]:9.1f}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
