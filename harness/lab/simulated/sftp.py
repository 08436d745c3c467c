"""The SFTP subsystem of a simulated node, for scp(1): the files of the model, not the host's.

The protocol is paramiko's. What changes a file is a process on the node, so that it waits where a
program would: on a suspended pool for ever, and then the transfer fails.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import signal
import stat
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, TypeVar

import paramiko
from paramiko.sftp import (
    SFTP_CONNECTION_LOST,
    SFTP_FAILURE,
    SFTP_NO_SUCH_FILE,
    SFTP_OK,
    SFTP_OP_UNSUPPORTED,
    SFTP_PERMISSION_DENIED,
)

from harness.lab.simulated.clock import VirtualClock
from harness.lab.simulated.engine.signal import NotModelled, Signal
from harness.lab.simulated.kernel.files import Entry, FileError, FileSystem, Unseen, normal
from harness.lab.simulated.kernel.guest import Guest
from harness.lab.simulated.kernel.process import Process
from harness.lab.simulated.shell.streams import when_ready

if TYPE_CHECKING:
    from typing_extensions import Buffer


T = TypeVar("T")
Changing = Generator["float | Signal", None, None]

MOST_BYTES = 64 << 20
"""Of one file that is sent; a longer one fails."""

_PATIENCE = 600.0
"""Virtual seconds after which a change that does not come about fails."""

_KINDS = {"file": stat.S_IFREG, "dir": stat.S_IFDIR, "link": stat.S_IFLNK, "chr": stat.S_IFCHR}

_STATUS = {
    "ENOENT": SFTP_NO_SUCH_FILE,
    "ENOTDIR": SFTP_NO_SUCH_FILE,
    "EPERM": SFTP_PERMISSION_DENIED,
    "EROFS": SFTP_PERMISSION_DENIED,
}
"""As OpenSSH's sftp-server(8) maps errors (errno_to_portable); all others are a failure."""

_HOME = "/root"


class Node(Protocol):
    """What SFTP asks of a node's SSH server."""

    @property
    def clock(self) -> VirtualClock:
        """The time that the node lives in."""

    @property
    def guest(self) -> Guest:
        """The node itself."""

    def answers(self) -> bool:
        """Whether it can be reached now."""


class Files(paramiko.SFTPServerInterface):
    """One client's view of the files of a node; each method answers as paramiko wants it."""

    def __init__(self, server: paramiko.ServerInterface, sshd: Node) -> None:
        super().__init__(server)
        self._sshd = sshd

    # --- looking --------------------------------------------------------------------------------

    def canonicalize(self, path: str) -> str:
        """An absolute path; a relative one begins in root's home."""
        return normal(posixpath.join(_HOME, path))

    def stat(self, path: str) -> paramiko.SFTPAttributes | int:
        """What a path stands for."""
        return self._answer(lambda guest: _attributes(_entry(guest, self.canonicalize(path))))

    def lstat(self, path: str) -> paramiko.SFTPAttributes | int:
        """The same of a symbolic link itself."""
        return self._answer(
            lambda guest: _attributes(_entry(guest, self.canonicalize(path), follow=False))
        )

    def readlink(self, path: str) -> str | int:
        """Where a symbolic link points."""
        return self._answer(
            lambda guest: _entry(guest, self.canonicalize(path), follow=False).target
        )

    def list_folder(self, path: str) -> list[paramiko.SFTPAttributes] | int:
        """What is in a directory."""

        def look(guest: Guest) -> list[paramiko.SFTPAttributes]:
            folder = self.canonicalize(path)
            return [
                _attributes(_entry(guest, posixpath.join(folder, name), follow=False), name)
                for name in guest.tree.names(folder)
            ]

        return self._answer(look)

    # --- changing -------------------------------------------------------------------------------

    def open(
        self, path: str, flags: int, attr: paramiko.SFTPAttributes
    ) -> paramiko.SFTPHandle | int:
        """Open a file; one that is opened for writing is there from now on."""
        path = self.canonicalize(path)

        def look(guest: Guest) -> bytes:
            entry = guest.tree.entry(path)
            if entry is None and not flags & os.O_CREAT:
                raise FileError("ENOENT", path)
            if entry is not None and flags & os.O_EXCL:
                raise FileError("EEXIST", path)
            return b"" if entry is None or flags & os.O_TRUNC else guest.tree.read(path)

        data = self._answer(look)
        if isinstance(data, int):
            return data
        handle = _OpenFile(self, path, data, flags)
        if flags & (os.O_WRONLY | os.O_RDWR):
            mode = 0o644 if attr.st_mode is None else stat.S_IMODE(attr.st_mode)
            if (status := self.write(path, data, mode)) != SFTP_OK:
                return status
        return handle

    def write(self, path: str, data: bytes, mode: int = 0o644) -> int:
        """Make or replace a file, which keeps its mode if it is there."""

        def write(guest: Guest, filesystem: FileSystem, inner: str) -> None:
            before = filesystem.get(inner)
            if before is not None and before.kind == "dir":
                raise FileError("EISDIR", path)
            made = before or Entry("file", mode=mode)
            filesystem.put(inner, replace(made, data=data, mtime=guest.wall_clock()))

        return self._change(path, write)

    def mkdir(self, path: str, attr: paramiko.SFTPAttributes) -> int:
        """Make a directory."""
        path = self.canonicalize(path)
        mode = 0o755 if attr.st_mode is None else stat.S_IMODE(attr.st_mode)

        def make(guest: Guest, filesystem: FileSystem, inner: str) -> None:
            if filesystem.get(inner) is not None:
                raise FileError("EEXIST", path)
            filesystem.put(inner, Entry("dir", mode=mode, mtime=guest.wall_clock()))

        return self._change(path, make)

    def remove(self, path: str) -> int:
        """Remove a file."""
        return self._remove(self.canonicalize(path), folder=False)

    def rmdir(self, path: str) -> int:
        """Remove a directory that is empty."""
        return self._remove(self.canonicalize(path), folder=True)

    def _remove(self, path: str, *, folder: bool) -> int:
        def remove(_: Guest, filesystem: FileSystem, inner: str) -> None:
            entry = filesystem.get(inner)
            if entry is not None and (entry.kind == "dir") is not folder:
                raise FileError("ENOTDIR" if folder else "EISDIR", path)
            filesystem.remove(inner)

        return self._change(path, remove, follow=False)

    def rename(self, oldpath: str, newpath: str) -> int:
        """Rename a file; one that is there is not replaced."""
        if isinstance(self.lstat(newpath), paramiko.SFTPAttributes):
            return SFTP_FAILURE
        return self.posix_rename(oldpath, newpath)

    def posix_rename(self, oldpath: str, newpath: str) -> int:
        """rename(2)."""
        old, new = self.canonicalize(oldpath), self.canonicalize(newpath)

        def rename(guest: Guest, filesystem: FileSystem, inner: str) -> None:
            other, target = guest.tree.locate(new, follow=False)
            if other is not filesystem:
                raise FileError("EINVAL", new)
            filesystem.rename(inner, target)

        return self._change(old, rename, follow=False)

    def chattr(self, path: str, attr: paramiko.SFTPAttributes) -> int:
        """Change mode and time of modification; there is one owner of everything."""

        def change(guest: Guest, filesystem: FileSystem, inner: str) -> None:
            entry = _entry(guest, self.canonicalize(path))
            if attr.st_mode is not None:
                entry = replace(entry, mode=stat.S_IMODE(attr.st_mode))
            if attr.st_mtime is not None:
                entry = replace(entry, mtime=float(attr.st_mtime))
            filesystem.put(inner, entry)

        return self._change(self.canonicalize(path), change)

    # --- on the node ----------------------------------------------------------------------------

    def _answer(self, look: Callable[[Guest], T]) -> T | int:
        """What a look at the files says, or the status of its error."""
        with self._sshd.clock.condition:
            if not self._sshd.answers():
                return SFTP_CONNECTION_LOST
            try:
                return look(self._sshd.guest)
            except FileError as error:
                return int(_STATUS.get(error.errno, SFTP_FAILURE))
            except NotModelled as gap:
                return _note(self._sshd.guest, gap)

    def _change(
        self,
        path: str,
        change: Callable[[Guest, FileSystem, str], None],
        *,
        follow: bool = True,
    ) -> int:
        """Let a process of the node change files, and wait for it in virtual time."""
        if path == "/dev" or path.startswith("/dev/"):
            return SFTP_OP_UNSUPPORTED
        clock = self._sshd.clock
        status: list[int] = []

        def program(guest: Guest) -> Generator[float | Signal, None, int]:
            try:
                filesystem, inner = guest.tree.locate(path, follow=follow)
                yield from when_ready(filesystem)
                change(guest, filesystem, inner)
                if (settled := filesystem.settled(inner)) is not None:
                    yield settled
                status.append(SFTP_OK)
            except FileError as error:
                status.append(int(_STATUS.get(error.errno, SFTP_FAILURE)))
            except NotModelled as gap:
                status.append(_note(guest, gap))
            return 0

        with clock.condition:
            if not self._sshd.answers():
                return SFTP_CONNECTION_LOST
            process = Process(self._sshd.guest, "sftp-server")
            process.start(program(self._sshd.guest))
            clock.condition.notify_all()
            clock.wait(lambda: process.status is not None, _PATIENCE, counted=False)
            process.signal(signal.SIGKILL)  # does nothing to one that has ended
        return status[0] if status else SFTP_FAILURE


class Subsystem(paramiko.SFTPServer):
    """The subsystem as a program: at its end the client gets its exit status."""

    def finish_subsystem(self) -> None:
        """Say that it has ended well, which scp(1) wants to hear before the channel is closed."""
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):  # the client is gone
            if self.sock is not None:
                self.sock.send_exit_status(0)
        super().finish_subsystem()


class _OpenFile(paramiko.SFTPHandle):
    """A file as it was when it was opened, or as it is to be when it is closed."""

    def __init__(self, files: Files, path: str, data: bytes, flags: int) -> None:
        super().__init__(flags)
        self._files = files
        self._path = path
        self._data = bytearray(data)
        self._append = bool(flags & os.O_APPEND)
        self._changed = False

    def read(self, offset: int, length: int) -> bytes:
        """A part of it; nothing behind its end."""
        return bytes(self._data[offset : offset + length])

    def write(self, offset: int, data: Buffer) -> int:
        """Replace a part of it."""
        data = bytes(data)
        start = len(self._data) if self._append else offset
        if start + len(data) > MOST_BYTES:
            return SFTP_FAILURE
        self._data.extend(bytes(max(0, start - len(self._data))))
        self._data[start : start + len(data)] = data
        self._changed = True
        return SFTP_OK

    def stat(self) -> paramiko.SFTPAttributes | int:
        """Of the file as it is."""
        return self._files.stat(self._path)

    def chattr(self, attr: paramiko.SFTPAttributes) -> int:
        """Change mode and time, of all that has come until now."""
        self._flush()
        return self._files.chattr(self._path, attr)

    def close(self) -> None:
        """Let the node have it. Raises `OSError`, which the client is told of, when it cannot."""
        self._flush()

    def _flush(self) -> None:
        if self._changed:
            self._changed = False
            if (status := self._files.write(self._path, bytes(self._data))) != SFTP_OK:
                raise OSError(f"{self._path} was not written: SFTP status {status}")


def _note(guest: Guest, gap: NotModelled) -> int:
    """Note what the model lacks; the client is told of a failure, and not that it is not there."""
    guest.world.note_gap(guest.name, "sftp-server", str(gap))
    return int(SFTP_FAILURE)


def _entry(guest: Guest, path: str, *, follow: bool = True) -> Entry:
    entry = guest.tree.entry(path, follow=follow)
    if entry is None:
        raise FileError("ENOENT", path)
    return entry


def _attributes(entry: Entry, name: str | None = None) -> paramiko.SFTPAttributes:
    attributes = paramiko.SFTPAttributes()
    attributes.st_mode = _KINDS[entry.kind] | entry.mode
    attributes.st_uid = attributes.st_gid = 0
    if not isinstance(entry, Unseen):  # of which the model knows no more
        attributes.st_size = len(entry.target.encode() if entry.kind == "link" else entry.data)
        attributes.st_atime = attributes.st_mtime = int(entry.mtime)
    if name is not None:
        attributes.filename = name
    return attributes
