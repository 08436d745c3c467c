"""`skunk` in a process that has everything loaded: one that is forked from a process kept for that.

Python and what the harness imports take a second and a half of a processor for each process, and
the tests start more than a hundred. So one process for each worker of pytest loads it all once, and
each run is a fork of it, with the arguments, environment, folder and streams of its own:

    done = forked.run("status", "--json")
    with forked.start("run", "--lab", "simulated", stdout=file) as running: ...

What a fork shares with the others is only modules. A test about the start itself, about what is
imported, or about the installed program starts a process of its own.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import gc
import importlib
import json
import os
import select
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

from harness.config import paths

_LOADED = (
    "harness.cli.main",
    "harness.doctor.checks",
    "harness.lab.simulated.lab",
    "harness.nightly.run",
    "harness.operate.bring_up",
    "harness.pytest_plugin.running",
    "harness.report.render",
    "harness.run.session",
    "pytest",
)
"""What commands import when they need it."""

_LARGEST = 1 << 20
"""Bytes of a request."""


def start(
    *words: str | Path,
    program: str = "skunk",
    project: Path = paths.PROJECT,
    env: Mapping[str, str] | None = None,
    cwd: Path = paths.PROJECT,
    stdin: int | IO[Any] = subprocess.DEVNULL,
    stdout: int | IO[Any] | None = None,
    stderr: int | IO[Any] | None = None,
    terminal: int | None = None,
    new_session: bool = False,
) -> Forked:
    """Start `skunk` with these words; `env` is the whole environment, this process's if None.

    `program` may be `pytest` or a module that has a `main`, and `project` a copy of this one.
    Streams are files of this process, `DEVNULL`, `subprocess.STDOUT` for stderr, or None: this
    process's own. `terminal` is the slave's side of one, to be all three streams and that of a new
    session; it is closed here.
    """
    with contextlib.ExitStack() as stack:
        if terminal is not None:
            stack.callback(os.close, terminal)
            stdin = stdout = stderr = terminal
        null = os.open(os.devnull, os.O_RDWR)
        stack.callback(os.close, null)
        files: list[int] = []
        for number, stream in enumerate((stdin, stdout, stderr)):
            if stream is None:
                files.append(number)
            elif stream == subprocess.STDOUT:
                files.append(files[1])
            elif stream == subprocess.DEVNULL:
                files.append(null)
            else:
                files.append(stream if isinstance(stream, int) else stream.fileno())
        asked = {
            "words": (line := [program, *map(str, words)]),
            "env": dict(os.environ if env is None else env),
            "cwd": str(cwd),
            "session": new_session or terminal is not None,
            "terminal": terminal is not None,
        }
        request = json.dumps(asked).encode()
        try:
            return _asked(project, request, files, line)
        except ConnectionError:  # the server was killed just now: another one is started
            return _asked(project, request, files, line)


def _asked(project: Path, request: bytes, files: list[int], words: list[str]) -> Forked:
    """Ask for one process. Raises `ConnectionError` when the one that forks has ended."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs, _asking:
        socket.send_fds(_server(project), [request], [*files, theirs.fileno()])
    return Forked(ours, words)


def run(*words: str | Path, timeout: float = 120, **how: Any) -> subprocess.CompletedProcess[str]:
    """Run `skunk` to its end, and return what it printed. `stderr` may be `subprocess.STDOUT`.

    Raises `subprocess.TimeoutExpired`, with the process killed.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        how.setdefault("stderr", err)
        with start(*words, stdout=out, **how) as running:
            status = running.wait(timeout)
        said = []
        for file in (out, err):
            file.seek(0)
            said.append(file.read().decode())
    return subprocess.CompletedProcess(running.words, status, *said)


class Forked:
    """A process that was forked, as `subprocess.Popen` has one. Killed at the end of its block."""

    def __init__(self, connection: socket.socket, words: Sequence[str]) -> None:
        self._connection = connection
        self.words = words
        pid = connection.recv(100)
        if not pid:
            raise ConnectionError("the process that forks has ended; what it said is above")
        self.pid = int(pid)
        self.returncode: int | None = None

    def wait(self, timeout: float) -> int:
        """Return its exit status, or minus the signal that ended it."""
        if self.returncode is None:
            self._connection.settimeout(timeout)
            try:
                self.returncode = int(self._connection.recv(100))
            except TimeoutError:
                raise subprocess.TimeoutExpired(self.words, timeout) from None
            self._connection.close()
        return self.returncode

    def poll(self) -> int | None:
        """Return its exit status, or None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(1e-6)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()
        self.wait(30)


# --- the process that forks -----------------------------------------------------------------------

_asking = threading.Lock()
"""Two threads that want the first process at the same time start one server, not two."""

_servers: dict[tuple[int, Path], tuple[socket.socket, subprocess.Popen[bytes]]] = {}


def _server(project: Path) -> socket.socket:
    """The way to this process's own server for a project, started when it is first wanted.

    It ends with this process, whose end of the connection is closed then. One that has ended
    before, whatever killed it, is started anew: a test says nothing about it.
    """
    key = os.getpid(), project
    if key in _servers and _is_closed(_servers[key][0]):
        _servers.pop(key)[0].close()
    if key not in _servers:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for buffer in (ours, theirs):
            buffer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LARGEST)
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-P", __file__, str(theirs.fileno())],
                env={**os.environ, "PYTHONPATH": str(project)},
                cwd=project,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # what a test sends to its own group is not for it
            )
        _servers[key] = ours, process
    return _servers[key][0]


def _is_closed(connection: socket.socket) -> bool:
    """Whether nobody is at the other end any more; a server never says anything there."""
    readable, _, _ = select.select([connection], [], [], 0)
    return bool(readable)


@atexit.register
def _end_servers() -> None:
    for (owner, _), (connection, process) in _servers.items():
        if owner == os.getpid():
            connection.close()
            with contextlib.suppress(subprocess.TimeoutExpired):  # what it forked goes on
                process.wait(10)


@dataclass(frozen=True)
class _Request:
    """What a fork is to be."""

    words: Sequence[str]
    env: Mapping[str, str]
    cwd: str
    session: bool
    terminal: bool
    files: Sequence[int]

    def become(self) -> None:
        """Make this process what was asked for, as if it had been started so."""
        if self.session:
            os.setsid()
        for number, file in enumerate(self.files):
            os.dup2(file, number)
        for file in self.files:
            os.close(file)
        if self.terminal:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        for number in (signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.chdir(self.cwd)
        os.environ.clear()
        os.environ.update(self.env)
        time.tzset()
        for name, number, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
            stream = open(  # noqa: SIM115 - they stay open
                number,
                mode,
                errors="backslashreplace" if name == "stderr" else "strict",
                closefd=False,
                buffering=1 if name == "stderr" or os.isatty(number) else -1,
            )
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


def _serve(connection: socket.socket) -> _Request | None:
    """Fork for each request until there are no more; in a fork, return what it is to be."""
    waiting = selectors.DefaultSelector()
    waiting.register(connection, selectors.EVENT_READ)
    while True:
        for key, _ in waiting.select():
            if key.fileobj is not connection:
                pid, client = key.data
                _, status = os.waitpid(pid, 0)
                with contextlib.suppress(OSError):  # nobody waits for it
                    client.send(str(os.waitstatus_to_exitcode(status)).encode())
                client.close()
                waiting.unregister(key.fileobj)
                os.close(key.fd)
                continue
            asked, files, _, _ = socket.recv_fds(connection, _LARGEST, 4)
            if not asked:
                return None
            client = socket.socket(fileno=files.pop())
            pid = os.fork()
            if not pid:
                for other in list(waiting.get_map().values()):
                    if other.fileobj is not connection:
                        os.close(other.fd)
                        other.data[1].close()
                waiting.close()
                connection.close()
                client.close()
                return _Request(**json.loads(asked), files=files)
            for file in files:
                os.close(file)
            with contextlib.suppress(OSError):  # as above
                client.send(str(pid).encode())
            waiting.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, client))


def _load() -> None:
    for module in _LOADED:
        importlib.import_module(module)
    from harness.lab.simulated import features  # noqa: PLC0415 - one of them
    from harness.report import index, render  # noqa: PLC0415

    features.load_all()
    for environment, page in (
        (render._environment(), "report.html.j2"),
        (render._environment(), "macros.html.j2"),
        (index._environment(), "index.html.j2"),
    ):
        environment.get_template(page)
    gc.collect()
    gc.freeze()


def _main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it ends with who has started it
    connection = socket.socket(fileno=int(sys.argv[1]))
    connection.setblocking(True)
    _load()
    request = _serve(connection)
    if request is None:
        return
    request.become()
    sys.argv = list(request.words)
    program = request.words[0]
    module = importlib.import_module("harness.cli.main" if program == "skunk" else program)
    raise SystemExit(module.main(list(request.words[1:])) if program == "pytest" else module.main())


if __name__ == "__main__":
    _main()
