"""Files with known content: written on one node, looked for on the other.

The harness makes the content, so it knows the SHA-256 of each file without asking the node that is
under test.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass

from harness.cluster.node import Node
from harness.errors import ClaimFailed

_SIZES = (0, 1, 4096, 131_072 + 17, 1 << 20)
"""Bytes: nothing, one, one sector, one ZFS record and a bit, eight records."""


@functools.lru_cache(maxsize=64)
def _content(name: str, size: int) -> tuple[bytes, str]:
    """Incompressible bytes for a name, the same each time, and their SHA-256."""
    content = hashlib.shake_128(name.encode()).digest(size)
    return content, hashlib.sha256(content).hexdigest()


@dataclass(frozen=True)
class Files:
    """Files in one folder on a node: the SHA-256 of each, by name, as 64 hexadecimal digits."""

    folder: str
    sha256: dict[str, str]

    @classmethod
    def write(cls, node: Node, folder: str, seed: int = 1) -> Files:
        """Write a handful of incompressible files of different sizes and have them on the disk.

        Another `seed` gives other names and other content. `fsync` returns when ZFS has each file
        in stable storage, on both nodes under HAST's memsync and fullsync.
        """
        sha256 = {}
        for size in _SIZES:
            name = f"file-{seed}-{size}"
            content, sha256[name] = _content(name, size)
            node.put(f"{folder}/{name}", content)
        node.run("fsync", *(f"{folder}/{name}" for name in sha256))
        return cls(folder, sha256)

    def __or__(self, other: Files) -> Files:
        """Return these files and those of `other`, in the same folder."""
        assert self.folder == other.folder
        return Files(self.folder, self.sha256 | other.sha256)

    def read_back(self, node: Node) -> dict[str, str]:
        """The SHA-256 that the node computes for every file in the folder, by name."""
        return sha256_of_files(node, self.folder)

    def missing(self, node: Node) -> list[str]:
        """The names of those that are not there as they were written, in order."""
        found = self.read_back(node)
        return sorted(name for name, digest in self.sha256.items() if found.get(name) != digest)

    def check(self, node: Node) -> None:
        """Raise `ClaimFailed` unless the folder has exactly these files, each with its content."""
        found = self.read_back(node)
        if found == self.sha256:
            return
        lines = [f"lost: {name}" for name in sorted(self.sha256.keys() - found.keys())]
        lines += [
            f"not written by the test: {name}" for name in sorted(found.keys() - self.sha256.keys())
        ]
        lines += [
            f"changed: {name}: SHA-256 was {digest}, is {found[name]}"
            for name, digest in sorted(self.sha256.items())
            if found.get(name, digest) != digest
        ]
        raise ClaimFailed(
            f"the files in {self.folder} are not those written:\n" + "\n".join(lines),
            node=node.name,
        )


def sha256_of_files(node: Node, folder: str) -> dict[str, str]:
    """The SHA-256 that the node computes for every file in a folder, by name.

    A folder that is not there has no files. sha256(1): `-r` prints the digest, then the name.
    """
    script = 'cd "$1" 2>/dev/null && find . -type f -maxdepth 1 -exec sha256 -r {} +'
    printed = node.sh(script, folder, check=False).stdout
    pairs = (line.split(maxsplit=1) for line in printed.splitlines())
    return {name.removeprefix("./"): digest for digest, name in pairs}
