"""One command on one node over SSH, and nothing that can hang.

One authenticated connection to each node is kept: a command costs a channel, not a login.
Each call has a deadline, and a node that dies, freezes or is cut off in the middle of a command is
noticed in seconds, because a silent connection is probed: the server has to confirm a new channel.
(TCP alone would not tell: under QEMU's user networking the host's own TCP stack answers for a guest
that is frozen.)
"""

from __future__ import annotations

import contextlib
import logging
import shlex
import socket
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import paramiko

from harness.errors import CommandFailed, CommandTimedOut, NodeUnreachable
from harness.lab.base import Endpoint
from harness.waiting import clock as clocks
from harness.waiting import interrupt
from harness.waiting.wait import Deadline, scaled

# What paramiko would log with a traceback, each refused login among them, is an exception
# here, and says the same in one line.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)

_CHUNK = 1 << 16
_LOOK_AGAIN = 0.1
_SILENCE = 2.0
"""Seconds without output after which a running command's connection is probed, and how often."""


@dataclass(frozen=True)
class Result:
    """What a command did on a node: `duration` in seconds, `started` in the harness's UTC.

    `status` is the exit status, or -1 when a signal killed the command.
    """

    node: str
    argv: tuple[str, ...]
    status: int
    raw: bytes = field(repr=False)
    stderr: str
    duration: float
    started: datetime

    @property
    def stdout(self) -> str:
        """What it printed, as text; `raw` has the bytes."""
        return self.raw.decode("utf-8", "replace")

    @property
    def ok(self) -> bool:
        """Whether the exit status is 0."""
        return self.status == 0

    @property
    def command(self) -> str:
        """The command as a person would type it into sh(1)."""
        return shlex.join(self.argv)

    def check(self) -> Result:
        """Return the result itself. Raises `CommandFailed` with all of it unless it is `ok`."""
        if self.ok:
            return self
        raise CommandFailed(
            f"`{self.command}` ended with status {self.status} after {self.duration:.2f} s"
            f" (started {self.started:%Y-%m-%d %H:%M:%S.%f} UTC)\n"
            f"--- stdout ---\n{self.stdout}--- stderr ---\n{self.stderr}---",
            self,
            node=self.node,
        )


class Remote(Protocol):
    """A way to run commands on one node: `Connection`, or what a test puts in its place."""

    @property
    def host_key(self) -> str:
        """The server's public key, as in known_hosts."""

    @property
    def alive(self) -> bool:
        """Whether commands can still be run."""

    def run(self, argv: Sequence[str], *, within: float, stdin: bytes = b"") -> Result:
        """Run a command and wait for its end; raises as `Connection.run` does."""

    def close(self) -> None:
        """Drop the connection at once."""


class Wrapped:
    """In front of another `Remote`, to which it passes all on: for whoever adds to `run`."""

    def __init__(self, remote: Remote, node: str) -> None:
        self._remote = remote
        self._node = node

    @property
    def host_key(self) -> str:
        """The server's public key."""
        return self._remote.host_key

    @property
    def alive(self) -> bool:
        """Whether commands can still be run."""
        return self._remote.alive

    def run(self, argv: Sequence[str], *, within: float, stdin: bytes = b"") -> Result:
        """Run a command and wait for its end."""
        return self._remote.run(argv, within=within, stdin=stdin)

    def close(self) -> None:
        """Drop the connection."""
        self._remote.close()


class Connect(Protocol):
    """What makes a `Remote`; takes what `Connection` takes."""

    def __call__(self, node: str, endpoint: Endpoint, *, alive: float, within: float) -> Remote:
        """Log in. Raises `NodeUnreachable`."""


class Connection:
    """An authenticated SSH connection to one node. Threads may run commands side by side."""

    def __init__(self, node: str, endpoint: Endpoint, *, alive: float, within: float) -> None:
        """Log in. `alive` is how many seconds of silence the server is allowed when probed.

        Raises `NodeUnreachable` when the server is not there, does not answer within `within`
        seconds, shows another host key than the pinned one, or refuses the key.
        """
        self.node = node
        self._endpoint = endpoint
        self._alive = alive
        self._transport: paramiko.Transport | None = None
        deadline = Deadline.after(within)
        sock = None
        try:
            sock = socket.create_connection(
                (endpoint.host, endpoint.port), timeout=deadline.remaining or 0.001
            )
            _notice_dead_peer(sock, scaled(alive))
            transport = paramiko.Transport(sock)
            self._transport = transport
            for bound in ("banner_timeout", "handshake_timeout", "auth_timeout"):
                setattr(transport, bound, max(deadline.remaining, 0.001))
            if endpoint.host_key is not None:
                kind, _ = endpoint.host_key.split()[:2]
                transport.get_security_options().key_types = (kind,)
            _negotiate(transport, max(deadline.remaining, 0.001))
            self._check_host_key(transport.get_remote_server_key())
            transport.auth_publickey(endpoint.user, paramiko.PKey.from_path(endpoint.key))
        except (OSError, EOFError, paramiko.SSHException) as error:
            self.close()
            if sock is not None:
                sock.close()
            raise NodeUnreachable(
                f"no SSH login at {endpoint.host}:{endpoint.port} as {endpoint.user}: "
                f"{error or type(error).__name__}",
                node=node,
            ) from error
        except KeyboardInterrupt:
            self.close()
            raise

    @property
    def host_key(self) -> str:
        """The server's public key, as in known_hosts."""
        key = self._live().get_remote_server_key()
        return f"{key.get_name()} {key.get_base64()}"

    @property
    def alive(self) -> bool:
        """Whether the connection is still up as far as TCP and SSH have noticed."""
        return self._transport is not None and self._transport.is_active()

    def run(
        self,
        argv: Sequence[str],
        *,
        within: float,
        stdin: bytes = b"",
    ) -> Result:
        """Run `argv` under /bin/sh whatever the login shell, and wait for its end.

        Raises `CommandTimedOut` when the node is alive but the command did not end within `within`
        seconds (it is left running there: a command on a dead vdev cannot be killed anyway), and
        `NodeUnreachable` when the node itself stopped answering.
        """
        clock = clocks.current()
        started, start = clock.utc(), clock.monotonic()
        deadline = Deadline.after(within)
        channel = self._open_channel(min(deadline.remaining, scaled(self._alive)))
        with contextlib.closing(channel):
            try:
                channel.settimeout(max(deadline.remaining, 0.001))
                clock.claim(channel)
                channel.exec_command(remote_command(argv, self._endpoint.user))
                if stdin:
                    channel.sendall(stdin)
                channel.shutdown_write()
                stdout, stderr = self._drain(channel, deadline, argv)
            except (OSError, EOFError, paramiko.SSHException) as error:
                raise self._lost(error) from error
        if channel.exit_status == -1:
            # No exit status came: a signal killed the command, or the connection went down.
            self._probe_now()
        return Result(
            self.node,
            tuple(argv),
            channel.exit_status,
            stdout,
            stderr.decode("utf-8", "replace"),
            clock.monotonic() - start,
            started,
        )

    def close(self) -> None:
        """Drop the connection at once, without a word to a server that may be dead."""
        if self._transport is not None:
            with contextlib.suppress(Exception):
                self._transport.sock.shutdown(socket.SHUT_RDWR)
            with contextlib.suppress(Exception):
                self._transport.close()
            self._transport = None

    def _drain(
        self, channel: paramiko.Channel, deadline: Deadline, argv: Sequence[str]
    ) -> tuple[bytes, bytes]:
        """Read both streams as they come, until both have ended and the exit status is known."""
        stdout, stderr = bytearray(), bytearray()
        clock = clocks.current()
        heard = clock.monotonic()
        while True:
            clock.wait_for_output(channel, min(deadline.remaining, _SILENCE))
            # An exit status seen before the last read means that nothing can come after it.
            ended = channel.exit_status_ready()
            before = len(stdout) + len(stderr)
            while channel.recv_ready():
                stdout += channel.recv(_CHUNK)
            while channel.recv_stderr_ready():
                stderr += channel.recv_stderr(_CHUNK)
            now = clock.monotonic()
            if len(stdout) + len(stderr) > before:
                heard = now
            # A child left in the background may hold the streams open after the command's end.
            if ended and (channel.eof_received or now - heard >= _SILENCE / 2):
                return bytes(stdout), bytes(stderr)
            if not self.alive or channel.closed:
                return bytes(stdout), bytes(stderr)
            if deadline.expired:
                self._probe_now()
                raise CommandTimedOut(
                    f"`{shlex.join(argv)}` did not end within {deadline.within:.1f} s; so far it "
                    f"printed {bytes(stdout)!r} and on stderr {bytes(stderr)!r}",
                    node=self.node,
                )
            if now - heard >= _SILENCE and not ended:
                self._probe_now()
                heard = clock.monotonic()

    def _probe_now(self) -> None:
        """Raise `NodeUnreachable` unless the server confirms a new channel soon."""
        self._open_channel(scaled(self._alive)).close()

    def _open_channel(self, within: float) -> paramiko.Channel:
        try:
            return self._live().open_session(timeout=max(within, 0.001))
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise self._lost(error) from error

    def _live(self) -> paramiko.Transport:
        if self._transport is None:
            raise self._lost("the connection was dropped")
        return self._transport

    def _lost(self, why: object) -> NodeUnreachable:
        self.close()
        return NodeUnreachable(
            f"stopped answering over SSH at {self._endpoint.host}:{self._endpoint.port}: {why}",
            node=self.node,
            advice="look at the end of its console",
        )

    def _check_host_key(self, key: paramiko.PKey) -> None:
        shown = f"{key.get_name()} {key.get_base64()}"
        pinned = self._endpoint.host_key
        if pinned is not None and pinned.split()[:2] != shown.split():
            raise paramiko.SSHException(
                f"the server shows the host key {shown}, and {pinned} is pinned"
            )


def remote_command(argv: Sequence[str], user: str = "root") -> str:
    r"""Return `argv` quoted as the one string that SSH hands to the user's login shell.

    The login shell may be csh(1), which reads a quoted word as sh(1) does unless there is a `!` or
    a newline in it; such a command travels in octal and sh decodes it. Either way the login shell
    is replaced at once by what it is told to run. A user other than root goes through sudo(8).
    """
    words = [*([] if user == "root" else ["sudo", "-n"]), *argv]
    plain = f"exec {shlex.join(words)}"
    if "!" not in plain and "\n" not in plain:
        return plain
    octal = "".join(f"\\0{byte:03o}" for byte in plain.encode())
    return f'exec /bin/sh -c \'eval "$(printf %b "{octal}")"\''


def _negotiate(transport: paramiko.Transport, seconds: float) -> None:
    """Begin an SSH session on the host's time. Ctrl-C ends it, unlike paramiko's own wait."""
    until = time.monotonic() + seconds
    done = threading.Event()
    transport.start_client(done)
    while not done.wait(_LOOK_AGAIN) and transport.is_active():
        interrupt.checkpoint()
        if time.monotonic() >= until:
            raise paramiko.SSHException(f"no SSH session within {seconds:.1f} s")
    if not transport.is_active():
        raise transport.get_exception() or paramiko.SSHException("no SSH session")


def _notice_dead_peer(sock: socket.socket, seconds: float) -> None:
    """Let the kernel give up on unacknowledged data after `seconds`, and keep idle lines warm."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if sys.platform == "linux":
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, max(1, int(seconds / 2)))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
