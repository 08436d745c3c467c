"""File systems as programs see them: a tree of files, and what survives when the power goes."""

from __future__ import annotations

import functools
import posixpath
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, Self

from harness.lab.simulated.engine.signal import NotModelled, Signal
from harness.lab.simulated.engine.timeline import Owner


class Node(Owner, Protocol):
    """What file systems ask of the machine that they are on."""

    def device_names(self) -> set[str]:
        """Everything in /dev, without the /dev/."""

    def may_have_device(self, name: str) -> bool:
        """Whether /dev may have this on a real node, where the model cannot tell."""

    def syncer_held_up(self) -> bool:
        """Whether something keeps changes from being written."""


class FileError(Exception):
    """What a system call on a file returns: `errno` is its name, `path` the file."""

    def __init__(self, errno: str, path: str) -> None:
        self.errno = errno
        self.path = path
        super().__init__(f"{path}: {STRERROR[errno]}")

    @property
    def reason(self) -> str:
        """As strerror(3) puts it."""
        return STRERROR[self.errno]


STRERROR = {
    "EPERM": "Operation not permitted",
    "ENOENT": "No such file or directory",
    "EIO": "Input/output error",
    "ENXIO": "Device not configured",
    "EBUSY": "Device busy",
    "EEXIST": "File exists",
    "ENOTDIR": "Not a directory",
    "EISDIR": "Is a directory",
    "EINVAL": "Invalid argument",
    "ENOSPC": "No space left on device",
    "EROFS": "Read-only file system",
    "ENOTEMPTY": "Directory not empty",
    "ELOOP": "Too many levels of symbolic links",
    "EPIPE": "Broken pipe",
    "EAGAIN": "Resource temporarily unavailable",
    "ENOTSUP": "Operation not supported",
    "ENOTSOCK": "Socket operation on non-socket",
    "ENAMETOOLONG": "File name too long",
    "EAFNOSUPPORT": "Address family not supported by protocol family",
    "EADDRINUSE": "Address already in use",
    "EADDRNOTAVAIL": "Can't assign requested address",
    "ENETDOWN": "Network is down",
    "ENETUNREACH": "Network is unreachable",
    "ECONNABORTED": "Software caused connection abort",
    "ECONNRESET": "Connection reset by peer",
    "ENOTCONN": "Socket is not connected",
    "ETIMEDOUT": "Operation timed out",
    "ECONNREFUSED": "Connection refused",
    "EHOSTDOWN": "Host is down",
    "EHOSTUNREACH": "No route to host",
}
"""strerror(3) of FreeBSD 13.2 (lib/libc/gen/errlst.c) for the errors that occur here."""


@functools.lru_cache(maxsize=1024)
def normal(path: str) -> str:
    """An absolute path without `.`, `..` and double slashes; POSIX would keep two at the start."""
    return posixpath.normpath("/" + path.lstrip("/"))


@dataclass(frozen=True)
class Entry:
    """A file, directory, link, device node or socket. `mode` are the permission bits."""

    kind: str
    """file, dir, link, chr or sock"""
    data: bytes = b""
    mode: int = 0o644
    mtime: float = 0.0
    """Seconds since 1970, by the guest's own clock."""
    target: str = ""
    """Where a symbolic link points; of a socket, who has bound it."""

    def __deepcopy__(self, memo: object) -> Entry:
        """Entries never change, so a snapshot shares them."""
        return self

    def plus(self, data: bytes, mtime: float) -> Entry:
        """The file with something at its end."""
        return replace(self, data=self.data + data, mtime=mtime)


class Unseen(Entry):
    """A file of the base system that the model knows by name only, or a folder of such files.

    That it is there is known, and its mode; whoever asks for more meets a gap: `data` and `mtime`
    raise `NotModelled`. `origin` is where FreeBSD installs it. What dataclasses.replace(3) makes of
    one with new content is an ordinary entry.
    """

    origin: str
    more: bytes
    """What somebody has added at its end."""

    def __new__(cls, *_: object, **fields: Any) -> Any:
        """An ordinary entry when there is content."""
        return Entry(**fields) if "data" in fields else super().__new__(cls)

    def __init__(
        self, origin: str, kind: str = "file", *, mode: int = 0o644, more: bytes = b""
    ) -> None:
        """A name."""
        known = {"kind": kind, "mode": mode, "target": "", "origin": origin, "more": more}
        for name, value in known.items():
            object.__setattr__(self, name, value)

    def plus(self, data: bytes, mtime: float) -> Entry:  # noqa: ARG002 - of it no time is known
        """Only what was added is known of it."""
        return Unseen(self.origin, self.kind, mode=self.mode, more=self.more + data)

    @property
    def data(self) -> bytes:
        """Nobody has seen it. Raises `NotModelled`."""
        raise NotModelled(f"what is in {self.origin}")

    @property
    def mtime(self) -> float:
        """Nobody has seen it. Raises `NotModelled`."""
        raise NotModelled(f"the time of {self.origin}")

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"Unseen({self.origin!r})"


DIRECTORY = Entry("dir", mode=0o755)


class Entries(dict[str, Entry]):
    """The entries of a file system by path.

    A snapshot of a guest copies the dictionary and shares the entries, which never change:
    copy.deepcopy would look at each of some thousand paths and entries. Once a directory was asked
    for, the names in each are kept, too: a shell that expands `*` would look at every path.
    """

    _below: dict[str, set[str]] | None = None

    def __deepcopy__(self, memo: object) -> Entries:
        """Another dictionary with the same entries."""
        return Entries(self)

    def names(self, directory: str) -> list[str]:
        """The names in a directory, sorted."""
        if self._below is None:
            self._below = {}
            for path in self:
                self._note(path, there=True)
        return sorted(self._below.get(directory, ()))

    def _note(self, path: str, *, there: bool) -> None:
        directory, name = posixpath.split(path)
        if self._below is None or not name:
            return
        if there:
            self._below.setdefault(directory, set()).add(name)
        else:
            self._below.get(directory, set()).discard(name)

    def __setitem__(self, path: str, entry: Entry) -> None:
        self._note(path, there=True)
        super().__setitem__(path, entry)

    def __delitem__(self, path: str) -> None:
        super().__delitem__(path)
        self._note(path, there=False)

    def pop(self, path: str, *default: Any) -> Any:
        """Remove an entry and return it, as a dictionary does."""
        self._note(path, there=False)
        return super().pop(path, *default)

    def setdefault(self, path: str, entry: Entry) -> Entry:
        """Return the entry that is there, or put this one there."""
        if path not in self:
            self[path] = entry
        return self[path]

    def update(self, *others: Any, **more: Entry) -> None:
        """Put all these there."""
        super().update(*others, **more)
        self._below = None

    def __ior__(self, other: Any) -> Self:  # type: ignore[override, misc]
        self.update(other)
        return self

    def clear(self) -> None:
        """Remove all."""
        super().clear()
        self._below = None

    def popitem(self) -> tuple[str, Entry]:
        """Remove the last one and return it."""
        path, entry = super().popitem()
        self._note(path, there=False)
        return path, entry


class FileSystem(ABC):
    """A mounted file system. Paths in it start with / and are normal (no `.`, `..`, or double /).

    `entries` is what programs see now. Entries never change, so a copy of the dictionary is a
    snapshot of the whole file system.
    """

    kind = "ufs"

    def __init__(self, device: str) -> None:
        """`device` is what df(1) shows: /dev/gpt/rootfs, or a dataset's name."""
        self.device = device
        self.read_only = False
        self.entries = Entries({"/": DIRECTORY})

    # --- what programs do; each raises FileError ------------------------------------------------

    def get(self, path: str) -> Entry | None:
        """The entry at a path, or None."""
        return self.entries.get(path)

    def put(self, path: str, entry: Entry) -> None:
        """Make or replace an entry; its directory has to be there."""
        self._check_writable(path)
        parent = self.entries.get(posixpath.dirname(path))
        if parent is None:
            raise FileError("ENOENT", path)
        if parent.kind != "dir":
            raise FileError("ENOTDIR", path)
        self.entries[path] = entry
        self.changed(path)

    def remove(self, path: str) -> None:
        """Remove one entry; a directory has to be empty."""
        self._check_writable(path)
        if path not in self.entries:
            raise FileError("ENOENT", path)
        if self.entries[path].kind == "dir" and self.names(path):
            raise FileError("ENOTEMPTY", path)
        del self.entries[path]
        self.changed(path)

    def rename(self, old: str, new: str) -> None:
        """Move an entry with all below it, replacing a file that is there."""
        self._check_writable(old)
        if old not in self.entries:
            raise FileError("ENOENT", old)
        for path in [p for p in self.entries if p == old or p.startswith(old + "/")]:
            moved = new + path[len(old) :]
            self.entries[moved] = self.entries.pop(path)
            self.changed(path)
            self.changed(moved)

    def names(self, path: str) -> list[str]:
        """The names in a directory, sorted."""
        return self.entries.names(path.rstrip("/") or "/")

    def read(self, path: str) -> bytes:
        """The content of a file that is there; EIO when it is damaged on the disk."""
        return self.entries[path].data

    # --- what a kind of file system does in its own way -----------------------------------------

    def ready(self) -> Signal | None:
        """None when files can be changed now, else a signal that is fired when they can.

        Programs wait for it before `put`, `remove` and `rename`; it may never come.
        """
        return None

    def settled(self, path: str) -> Signal | None:  # noqa: ARG002 - others look at it
        """None when a change to a file is complete, else the signal that ends the system call.

        Programs wait for it after `put`: on ZFS with `sync=always` it is fired when the change is
        durable, which may be never.
        """
        return None

    @abstractmethod
    def changed(self, path: str) -> None:
        """Note that an entry was made, replaced or removed."""

    @abstractmethod
    def fsync(self, path: str) -> Signal:
        """Start to make one file durable; the signal is fired when it is. It may never be."""

    @abstractmethod
    def sync(self) -> Signal:
        """Start to make everything durable, as sync(2) does at its best."""

    @abstractmethod
    def size_blocks(self) -> tuple[int, int, int]:
        """Total, used and available KiB, as `df -k` shows them."""

    def _check_writable(self, path: str) -> None:
        if self.read_only:
            raise FileError("EROFS", path)


class RootFileSystem(FileSystem):
    """The guest's UFS on its own disk, which hastd has nothing to do with.

    The syncer writes a change within half a minute, unless a suspended pool holds it up; with the
    power everything later is lost. fsync(2) writes at once. (13.2: docs/findings.md)
    """

    SYNC_SECONDS = 30.0

    def __init__(self, guest: Node) -> None:
        """An empty root; `guest` is whose."""
        super().__init__("/dev/gpt/rootfs")
        self._guest = guest
        self._durable = Entries(self.entries)
        self._dirty: dict[str, float] = {}
        self.watchers: list[Callable[[str], None]] = []
        """Who is told of each path that was changed, during one boot."""

    def changed(self, path: str) -> None:
        """Leave it to the syncer, and tell who watches."""
        for watcher in self.watchers:
            watcher(path)
        if not self._dirty:
            self._guest.world.schedule(self._guest, self.SYNC_SECONDS, self._syncer)
        self._dirty.setdefault(path, self._guest.world.now)

    def fsync(self, path: str) -> Signal:
        """Write a file and the directories on its way."""
        self._write(path)
        while path != "/":
            path = posixpath.dirname(path)
            self._write(path)
        done = Signal()
        self._guest.world.schedule(self._guest, 0.005, done.fire)
        return done

    def sync(self) -> Signal:
        """Write all of it, or never end while a pool is suspended (recorded run, 13.2)."""
        done = Signal()
        if not self._guest.syncer_held_up():
            self.write_all()
            self._guest.world.schedule(self._guest, 0.02, done.fire)
        return done

    def size_blocks(self) -> tuple[int, int, int]:
        """As on the recorded guests."""
        seen = (entry for entry in self.entries.values() if not isinstance(entry, Unseen))
        used = 223100 + sum(len(entry.data) for entry in seen) // 1024
        return 3044988, used, 3044988 - used - 243600

    def write_all(self) -> None:
        """Make everything durable: an orderly shutdown does."""
        self._durable = Entries(self.entries)
        self._dirty.clear()

    def lose_power(self) -> None:
        """Go back to what was written."""
        self.entries = Entries(self._durable)
        self._dirty.clear()

    def _syncer(self) -> None:
        now = self._guest.world.now
        if not self._guest.syncer_held_up():
            for path in [p for p, since in self._dirty.items() if now - since >= self.SYNC_SECONDS]:
                self._write(path)
        if self._dirty:
            self._guest.world.schedule(self._guest, 1.0, self._syncer)

    def _write(self, path: str) -> None:
        self._dirty.pop(path, None)
        if path in self.entries:
            self._durable[path] = self.entries[path]
        else:
            self._durable.pop(path, None)


@dataclass
class Tree:
    """All mounted file systems of a guest, found by path. /dev is made up from its devices."""

    guest: Node
    mounts: dict[str, FileSystem] = field(default_factory=dict)
    """By mount point; / is always there on a running guest."""

    def locate(self, path: str, *, follow: bool = True) -> tuple[FileSystem, str]:
        """The file system that a path is on and the path in it, symbolic links followed.

        The last component need not exist. Raises `FileError` ELOOP.
        """
        path = normal(path)
        for _ in range(32):
            filesystem, inner = self._split(path)
            resolved = self._follow_one(filesystem, inner, path, follow=follow)
            if resolved is None:
                return filesystem, inner
            path = resolved
        raise FileError("ELOOP", path)

    def entry(self, path: str, *, follow: bool = True) -> Entry | None:
        """What is at an absolute path, or None. Devices are of the kind chr.

        Raises `NotModelled` in a folder whose files nobody has listed.
        """
        path = normal(path)
        if path == "/dev" or path.startswith("/dev/"):
            return self._device_entry(path)
        filesystem, inner = self.locate(path, follow=follow)
        entry = filesystem.get(inner)
        if entry is None:
            self._check_listed(filesystem, inner, path)
        return entry

    def _check_listed(self, filesystem: FileSystem, inner: str, path: str) -> None:
        """Refuse to say that nothing is there, where FreeBSD has files that were not listed."""
        while inner != "/":
            inner = posixpath.dirname(inner)
            parent = filesystem.get(inner)
            if parent is not None:
                if isinstance(parent, Unseen) and parent.kind == "dir":
                    raise NotModelled(path)
                return

    def read(self, path: str) -> bytes:
        """The content of a file. Raises `FileError`."""
        entry = self.entry(path)
        if entry is None:
            raise FileError("ENOENT", path)
        if entry.kind == "dir":
            raise FileError("EISDIR", path)
        if entry.kind == "chr":
            return entry.data
        if entry.kind == "sock":
            raise FileError("ENOTSUP", path)
        filesystem, inner = self.locate(path)
        return filesystem.read(inner)

    def write(self, path: str, data: bytes, *, append: bool = False, mode: int = 0o644) -> None:
        """Write a file, which keeps its mode if it is there. Raises `FileError`."""
        if normal(path) == "/dev/null":
            return
        filesystem, inner = self.locate(path)
        before = filesystem.get(inner)
        if before is not None and before.kind == "dir":
            raise FileError("EISDIR", path)
        if before is not None and before.kind == "sock":
            raise FileError("ENOTSUP", path)
        if before is not None:
            now = self.guest.wall_clock()
            whole = replace(before, data=data, mtime=now) if not append else before.plus(data, now)
            filesystem.put(inner, whole)
        else:
            filesystem.put(inner, Entry("file", data, mode, self.guest.wall_clock()))

    def make_directory(self, path: str, mode: int = 0o755, *, parents: bool = False) -> None:
        """Make a directory. Raises `FileError`; with `parents` one that is there is fine."""
        filesystem, inner = self.locate(path)
        entry = filesystem.get(inner)
        if entry is not None:
            if parents and entry.kind == "dir":
                return
            raise FileError("EEXIST", path)
        if parents and posixpath.dirname(normal(path)) != "/":
            self.make_directory(posixpath.dirname(normal(path)), parents=True)
        filesystem.put(inner, Entry("dir", mode=mode, mtime=self.guest.wall_clock()))

    def names(self, path: str) -> list[str]:
        """The names in a directory, sorted. Raises `FileError`."""
        path = normal(path)
        entry = self.entry(path)
        if entry is None:
            raise FileError("ENOENT", path)
        if entry.kind != "dir":
            raise FileError("ENOTDIR", path)
        if isinstance(entry, Unseen):
            raise NotModelled(f"what is in {path}")
        if path == "/dev" or path.startswith("/dev/"):
            prefix = path + "/"
            below = {f"/dev/{name}" for name in self.guest.device_names()}
            return sorted({p[len(prefix) :].split("/")[0] for p in below if p.startswith(prefix)})
        filesystem, inner = self.locate(path)
        return filesystem.names(inner)

    def _device_entry(self, path: str) -> Entry | None:
        names = self.guest.device_names()
        if path == "/dev":
            return DIRECTORY
        name = path.removeprefix("/dev/")
        if name in names:
            return Entry("chr", mode=0o600)
        if any(each.startswith(name + "/") for each in names):
            return DIRECTORY
        if self.guest.may_have_device(name):
            raise NotModelled(path)
        return None

    def _split(self, path: str) -> tuple[FileSystem, str]:
        best = path
        while best not in self.mounts and best != "/":
            best = best[: best.rfind("/")] or "/"
        inner = path if best == "/" else path[len(best) :] or "/"
        return self.mounts[best], inner

    def _follow_one(
        self, filesystem: FileSystem, inner: str, path: str, *, follow: bool
    ) -> str | None:
        """The path with its first symbolic link replaced, or None when there is none."""
        root = path[: len(path) - len(inner)] if inner != "/" else path
        end = 0
        while end < len(inner):
            end = inner.find("/", end + 1)
            end = len(inner) if end < 0 else end
            at = inner[:end]
            entry = filesystem.get(at)
            if entry is not None and entry.kind == "link" and (follow or end < len(inner)):
                base = root + posixpath.dirname(at)
                rest = inner[end + 1 :].split("/") if end < len(inner) else []
                return normal(posixpath.join("/" + base, entry.target, *rest))
        return None
