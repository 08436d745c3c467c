"""What hastd's two kinds of workers have in common: a process that can be stopped and killed."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from harness.lab.simulated.engine.signal import NotModelled
from harness.lab.simulated.engine.timeline import Event
from harness.lab.simulated.hast.address import TcpAddress
from harness.lab.simulated.hast.conf import ResourceConfig
from harness.lab.simulated.hast.replication import metadata as hast_metadata
from harness.lab.simulated.hast.replication.metadata import Metadata
from harness.lab.simulated.kernel.files import STRERROR
from harness.lab.simulated.kernel.guest import Guest
from harness.lab.simulated.kernel.task import Daemon
from harness.lab.simulated.network.tcp import Socket

EX_NOINPUT = 66
EX_OSERR = 71
EX_TEMPFAIL = 75
EX_CONFIG = 78

KEEPALIVE = 10.0
"""Seconds between keepalives, and between attempts to connect again (HAST_KEEPALIVE)."""

SIGINT, SIGKILL, SIGTERM, SIGSTOP, SIGCONT, SIGHUP = 2, 9, 15, 17, 19, 1
_IGNORED = frozenset({16, 20, 23, 28, 29})

IDLE = 255
"""Free requests of an idle worker: 256, and one that waits for the next request."""


def strerror(error: str | None) -> str:
    """What a closed connection is called: without an error recv(2) returned 0."""
    return STRERROR[error or "ENOTCONN"]


class Parent(Daemon):
    """The hastd that has forked workers, as they know it."""

    guest: Guest
    foreground: bool
    """Whether it runs under daemon(8), which hands on all that is written to stderr."""
    alive: bool

    @abstractmethod
    def post(self, job: Callable[..., None], *arguments: Any) -> None:
        """Have something done when the parent has time."""

    @abstractmethod
    def run_hook(self, resource: Resource, event: str) -> None:
        """Run the program of `exec` for a worker's event."""

    @abstractmethod
    def write_log(self, pid: int, level: str, text: str) -> None:
        """Write a line: on stderr with its level, for daemon(8), or to syslogd by itself."""

    @abstractmethod
    def resource_log(self, resource: Resource, level: str, text: str) -> None:
        """Log a line about a resource."""

    @abstractmethod
    def worker_ended(self, worker: Worker, status: int) -> None:
        """A worker has ended; `status` is as a shell's, negative for a signal."""

    @abstractmethod
    def is_bound_to(self, where: TcpAddress) -> bool:
        """Whether a connection to this address of its own node comes to it."""


class Worker(Daemon):
    """A process of hastd for one resource. Every callback goes through `call`.

    While it is stopped by SIGSTOP what would happen to it waits; when it has ended nothing happens.
    """

    user = "hast"
    """It drops its privileges (drop_privs() in sbin/hastd/subr.c)."""

    def __init__(self, hastd: Parent, resource: Resource, role: str) -> None:
        """Fork it."""
        self.hastd = hastd
        self.resource = resource
        self.config = resource.config
        self.role = role
        self.guest = hastd.guest
        self.world = hastd.guest.world
        self.pid = self.guest.next_pid()
        self.guest.daemons[self.pid] = self
        self.title = f"hastd: {self.config.name} ({role}) (hastd)"
        self.alive = True
        self.stopped = False
        self.dropped = False
        """Whether it has dropped its privileges: as a daemon it cannot log any more."""
        self.statistics = Statistics()
        self.metadata: Metadata | None = None
        self._kept: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self.pending: list[int] = []
        """Signals that it has not taken yet."""

    @property
    def parent(self) -> int:
        """The hastd that forked it."""
        return self.hastd.pid

    @property
    def group(self) -> int:
        """Its parent's."""
        return self.hastd.pid

    # --- to be filled in ------------------------------------------------------------------------

    def begin(self) -> None:
        """What it does after the fork."""
        raise NotImplementedError

    def sockets(self) -> list[Socket]:
        """The connections that the kernel closes when it ends."""
        raise NotImplementedError

    def terminated(self, number: int, /) -> None:
        """SIGTERM or SIGINT has arrived."""
        raise NotImplementedError

    @property
    def ready(self) -> bool:
        """Whether it can answer hastctl: it has set itself up."""
        return self.dropped

    @property
    def status(self) -> str:
        """As hastctl(8) shows it: complete or degraded."""
        raise NotImplementedError

    @property
    def dirty(self) -> int:
        """Bytes."""
        return 0

    @property
    def keepdirty(self) -> int:
        """Extents."""
        return 0

    @property
    def queues(self) -> tuple[int, int, int, int, int]:
        """Local, send, recv, done, idle."""
        raise NotImplementedError

    # --- running --------------------------------------------------------------------------------

    def call(self, action: Callable[..., None], *arguments: Any) -> None:
        """Let it do something now, or when it is no longer stopped."""
        if not self.alive:
            return
        if self.stopped:
            self._kept.append((action, arguments))
        else:
            action(*arguments)

    def later(self, delay: float, action: Callable[..., None], *arguments: Any) -> Event:
        """Let it do something in some seconds."""
        return self.world.schedule(self.guest, delay, self.call, action, *arguments)

    def log(self, level: str, text: str) -> None:
        """Log a line with the worker's prefix; level is info, warning or error."""
        if self.dropped and not self.hastd.foreground:
            return
        self.hastd.write_log(self.pid, level, f"[{self.config.name}] ({self.role}) {text}")

    def event(self, name: str) -> None:
        """Tell the parent what happened, which runs the hook.

        The real worker waits for the parent's answer; here it goes on.
        """
        if self.hastd.alive:
            self.hastd.post(self.hastd.run_hook, self.resource, name)

    def signal(self, number: int) -> None:
        """Receive a signal."""
        if not self.alive or number in _IGNORED:
            return
        if number == SIGKILL:
            self._end(-SIGKILL)
        elif number in {SIGSTOP, 18, 21, 22}:
            self.stopped = True
        elif number == SIGCONT:
            self._continue()
        else:
            self.pending.append(number)
            delay = self.guest.rng.uniform(0.0005, 0.004)
            self.world.schedule(self.guest, delay, self._take_signal, number)

    def exit(self, status: int) -> None:
        """End by itself."""
        self._end(status)

    # --- inside ---------------------------------------------------------------------------------

    def _take_signal(self, number: int) -> None:
        if not self.alive or self.stopped or number not in self.pending:
            return
        self.pending.remove(number)
        if number in {SIGTERM, SIGINT}:
            self.terminated(number)
        else:
            self._end(-number)

    def _continue(self) -> None:
        self.stopped = False
        for number in list(self.pending):
            self._take_signal(number)
        kept, self._kept = self._kept, []
        for action, arguments in kept:
            self.call(action, *arguments)

    def _end(self, status: int) -> None:
        self.alive = False
        self._kept = []
        self.guest.daemons.pop(self.pid, None)
        for socket in self.sockets():
            socket.close()
        if self.hastd.alive:
            self.hastd.worker_ended(self, status)

    def _read_metadata(self) -> bool:
        """Read the metadata, or log why not and exit."""
        try:
            device = hast_metadata.open_component(self.guest, self.config.localpath)
            found = hast_metadata.read(device, self.config.name, self.config.localpath)
        except hast_metadata.MetadataError as error:
            self.log("error", str(error))
            self.exit(EX_NOINPUT)
            return False
        except NotModelled as gap:
            self.world.note_gap(self.guest.name, "hastd", str(gap))
            self.exit(EX_NOINPUT)
            return False
        self.metadata = found.metadata
        return True


class Statistics:
    """The counters of `hastctl list`."""

    def __init__(self) -> None:
        self.reads = self.writes = self.deletes = self.flushes = 0
        self.activemap_updates = 0
        self.errors = {"read": 0, "write": 0, "delete": 0, "flush": 0}

    def count(self, op: str, number: int = 1) -> None:
        """Count requests by their operation's name."""
        if op == "read":
            self.reads += number
        elif op == "write":
            self.writes += number
        elif op == "delete":
            self.deletes += number
        else:
            self.flushes += number


class Resource:
    """A resource as the parent keeps it: its role, its worker, a connection that is half there."""

    def __init__(self, config: ResourceConfig) -> None:
        self.config = config
        self.role = "init"
        self.worker: Worker | None = None
        self.half_open: Socket | None = None
        self.token = 0

    @property
    def prefix(self) -> str:
        """Before each line about it."""
        return f"[{self.config.name}] ({self.role}) "
