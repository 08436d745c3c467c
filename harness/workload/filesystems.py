"""File systems of several kinds and sizes beside each other, each on a partition of HAST's device.

So one power cut shows what each of them needs to come back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from harness.cluster.node import Node
from harness.cluster.pair import Pair
from harness.errors import ClaimFailed
from harness.freebsd import fsck
from harness.lab.ssh import Result
from harness.waiting.wait import wait_until
from harness.words import Word

_SPARE_SECONDS = 60.0
"""What a command may take beyond HAST's timeout, for which the first I/O of a new primary waits."""


class Kind(Word):
    """What is made on a partition."""

    SOFT_UPDATES = "UFS with soft updates"
    JOURNAL = "UFS with soft updates and their journal"
    ZFS = "ZFS"


@dataclass(frozen=True)
class FileSystem:
    """One file system with `files` empty files on it, on a partition of `mib` MiB.

    An empty file is an inode and a name, and they are what a full fsck has to look at.
    """

    kind: Kind
    files: int
    mib: int
    device: str = ""
    """Its partition, from `partition` on."""

    def __str__(self) -> str:
        return f"{self.kind}, {self.files} files"

    @property
    def name(self) -> str:
        """The name of its pool: fs3 on the third partition. ZFS keeps `mirror...` for itself."""
        return "fs" + self.device.rpartition("p")[2]

    @property
    def mountpoint(self) -> str:
        """Where it is mounted."""
        return f"/{self.name}"

    def make(self, node: Node) -> None:
        """Make it, and mount it. Every 4 KiB of a UFS have an inode, twice newfs(8)'s default."""
        match self.kind:
            case Kind.ZFS:
                node.run("zpool", "create", self.name, self.device)
                return
            case Kind.SOFT_UPDATES:
                node.run("newfs", "-U", "-i", "4096", self.device)
            case Kind.JOURNAL:
                node.run("newfs", "-j", "-i", "4096", self.device)
        self.mount(node)

    def fill(self, node: Node) -> None:
        """Make the files and an empty folder `old`, and have them all on the disk.

        It is unmounted and mounted again, so that nothing of them waits for the syncer.
        """
        script = 'cd "$1" && mkdir data old && cd data && jot -w file- "$2" | xargs touch'
        node.sh(script, self.mountpoint, str(self.files), within=300)
        self.unmount(node)
        self.mount(node)

    def mount(self, node: Node, *options: str, check: bool = True) -> Result:
        """`mount` or `zpool import` with these options: they have one in common, -f."""
        if self.kind is Kind.ZFS:
            command = ("zpool", "import", *options, self.name)
        else:
            node.run("mkdir", "-p", self.mountpoint)
            command = ("mount", *options, self.device, self.mountpoint)
        return node.run(*command, within=_SPARE_SECONDS, check=check)

    def unmount(self, node: Node) -> None:
        """`umount` or `zpool export`: everything is written, and it is marked as clean."""
        if self.kind is Kind.ZFS:
            node.run("zpool", "export", self.name)
        else:
            node.run("umount", self.mountpoint)

    def check(self, node: Node) -> tuple[fsck.Check, float]:
        """`fsck_ffs -p` of a UFS: what it found, and the seconds it took."""
        said = node.run(*fsck.COMMAND, self.device, within=_SPARE_SECONDS)
        return fsck.parse(said.stdout), said.duration

    def check_files(self, node: Node) -> None:
        """Raise `ClaimFailed` unless all of the files are there."""
        script = 'find "$1/data" -name "file-*" | wc -l'
        found = int(node.sh(script, self.mountpoint).stdout)
        if found != self.files:
            raise ClaimFailed(f"{self} has {found} files", node=node.name)


def partition(pair: Pair, node: Node, wanted: Iterable[FileSystem]) -> tuple[FileSystem, ...]:
    """Divide the primary's HAST device with gpart(8), and make the file systems in that order."""
    provider = pair.device.removeprefix("/dev/")
    node.run("gpart", "create", "-s", "gpt", provider)
    made = []
    for number, each in enumerate(wanted, start=1):
        kind = "freebsd-zfs" if each.kind is Kind.ZFS else "freebsd-ufs"
        node.run("gpart", "add", "-t", kind, "-a", "1m", "-s", f"{each.mib}m", provider)
        made.append(FileSystem(each.kind, each.files, each.mib, f"{pair.device}p{number}"))
        made[-1].make(node)
    return tuple(made)


def wait_for_partitions(pair: Pair, node: Node, made: Iterable[FileSystem]) -> None:
    """Wait until a new primary has the partitions: it reads their table when it can do I/O."""
    script = 'for each; do test -c "$each" || exit 0; done; echo all'
    wait_until(
        f"the partitions of {pair.device} on {node}",
        lambda: node.sh(script, *(each.device for each in made)).stdout,
        pair.settings.hast.timeout + _SPARE_SECONDS,
    )
