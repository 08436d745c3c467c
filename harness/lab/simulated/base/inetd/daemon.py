"""inetd(8): it listens, and starts a program for each connection (usr.sbin/inetd/inetd.c, 13.2).

Streams of TCP for root alone. /etc/hosts.allow is not asked: as it comes it allows everybody.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field

from harness.lab.simulated.base.inetd import conf
from harness.lab.simulated.base.inetd.streams import SocketReader, SocketWriter
from harness.lab.simulated.base.rc.services import PlainDaemon, Service, Start, register
from harness.lab.simulated.base.rc.start import write_pid
from harness.lab.simulated.engine.signal import NotModelled
from harness.lab.simulated.kernel.files import STRERROR, FileError
from harness.lab.simulated.kernel.guest import Guest
from harness.lab.simulated.kernel.process import Process
from harness.lab.simulated.network.interfaces import Network
from harness.lab.simulated.network.names import address_of
from harness.lab.simulated.network.tcp import Listener, Socket, Tcp
from harness.lab.simulated.shell import interpreter as shell
from harness.lab.simulated.shell.options import BadOption, getopt
from harness.lab.simulated.shell.streams import Reader, Writer

_CONF, _SERVICES = "/etc/inetd.conf", "/etc/services"

_PATH = "/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin:/root/bin"
"""What login.conf(5) has for root's class."""

_LOOPING, _INTERVAL, _RETRY = 256, 60.0, 600.0
"""Programs (-R) that a service may start in so many seconds; else it is closed for so many."""

_WINDOW = 10.0
"""Seconds to which counts a minute are exact (CHTGRAN)."""


@dataclass
class Limits:
    """What the command line says of all services; 0 or None is without a limit."""

    address: str | None = None
    looping: int = _LOOPING
    most: int = 0
    most_a_minute: int = 0
    most_of_one: int = 0


@dataclass
class _Child:
    process: Process
    socket: Socket
    peer: str


@dataclass
class Served:
    """A service that inetd has."""

    line: conf.Line
    port: int
    listener: Listener | None = None
    begun: int = 0
    since: float = 0.0
    """Programs that it has started since that time."""
    times: list[tuple[str, float]] = field(default_factory=list)
    """Who has connected, and when, in the last minute."""
    waiting: list[Socket] = field(default_factory=list)
    children: dict[int, _Child] = field(default_factory=dict)


class Inetd(PlainDaemon):
    """The daemon. It ends by itself where a line of its file has too few words."""

    def __init__(self, guest: Guest, service: Service, title: str, limits: Limits) -> None:
        super().__init__(guest, service, title)
        self._limits = limits
        self._services: dict[str, Served] = {}
        self._retries = False
        self.read()

    def signal(self, number: int) -> None:
        """SIGHUP makes it read its file again; what ends it leaves the programs alone."""
        if number == 1:
            self.read()
            return
        super().signal(number)
        if self.guest.daemons.get(self.pid) is not self:
            for each in self._services.values():
                self._close(each)

    def listening(self) -> list[tuple[str, int]]:
        """Where it listens: an address, or `*`, and a port."""
        served = (each for each in self._services.values() if each.listener is not None)
        return [(self._limits.address or "*", each.port) for each in served]

    def _log(self, level: str, text: str) -> None:
        self.guest.log("inetd", self.pid, f"daemon.{level}", text)

    # --- its services ---------------------------------------------------------------------------

    def read(self) -> None:
        """Read its file: listen for what is new, and no more for what is gone."""
        ports = conf.ports(_text(self.guest, _SERVICES))
        seen: set[str] = set()
        try:
            for each in conf.parse(_text(self.guest, _CONF)):
                if isinstance(each, str):
                    self._log("err", each)
                elif each.service not in ports:
                    self._log("err", f"{each.service}/tcp: unknown service")
                else:
                    seen.add(each.service)
                    self._enter(each, ports[each.service])
        except conf.BadLine:
            self._log("err", f"{_CONF}: syntax error")
            self.signal(15)
            return
        for name in [each for each in self._services if each not in seen]:
            self._close(self._services.pop(name))

    def _enter(self, line: conf.Line, port: int) -> None:
        served = self._services.setdefault(line.service, Served(line, port))
        served.line = line
        if served.port != port:
            self._close(served)
            served.port = port
        if served.listener is None:
            self._open(served)

    def _open(self, served: Served) -> None:
        listeners, address = self.guest.part(Tcp).listeners, self._limits.address
        error = "EADDRINUSE" if served.port in listeners else None
        if address is not None and not _is_there(self.guest, address):
            error = "EADDRNOTAVAIL"
        if error is not None:
            self._log("err", f"{served.line.service}/tcp: bind: {STRERROR[error]}")
            self._retry_later()
            return
        opened = _Accepting(served.line.service, self._accept)
        is_at: Callable[[str], bool] = _everywhere if address is None else address.__eq__
        served.listener = Listener(served.port, opened.accept, is_at)
        listeners[served.port] = served.listener

    def _close(self, served: Served) -> None:
        listeners = self.guest.part(Tcp).listeners
        if served.listener is not None and listeners.get(served.port) is served.listener:
            del listeners[served.port]
        served.listener = None
        served.begun = 0
        for socket in served.waiting:
            socket.close("ECONNRESET")
        served.waiting = []

    def _retry_later(self) -> None:
        if not self._retries:
            self._retries = True
            self.guest.world.schedule(self.guest, _RETRY, self._retry)

    def _retry(self) -> None:
        self._retries = False
        if self.guest.daemons.get(self.pid) is self:
            for each in self._services.values():
                if each.listener is None:
                    self._open(each)

    # --- connections ----------------------------------------------------------------------------

    def _accept(self, name: str, socket: Socket) -> None:
        served = self._services[name]
        most = served.line.most if served.line.most is not None else self._limits.most
        if most and len(served.children) >= most:
            served.waiting.append(socket)
        else:
            self._serve(served, socket)

    def _serve(self, served: Served, socket: Socket) -> None:
        line, now = served.line, self.guest.world.now
        peer = "" if socket.peer is None else socket.peer.address
        if self._is_too_much(served, peer):
            socket.close()
            return
        served.begun += 1
        if served.begun == 1:
            served.since = now
        elif self._limits.looping and served.begun >= self._limits.looping:
            if now - served.since <= _INTERVAL:
                self._log("err", f"{line.service}/tcp server failing (looping), service terminated")
                socket.close()
                self._close(served)
                self._retry_later()
                return
            served.since, served.begun = now, 1
        self._start(served, socket, peer)

    def _is_too_much(self, served: Served, peer: str) -> bool:
        """Whether one address has too many connections, now or in the last minute."""
        line, now = served.line, self.guest.world.now
        limit = self._limits.most_a_minute if line.most_a_minute is None else line.most_a_minute
        oldest = (now // _WINDOW - _INTERVAL / _WINDOW + 1) * _WINDOW
        served.times = [each for each in served.times if each[1] >= oldest] + [(peer, now)]
        if limit > 0 and sum(1 for each, _ in served.times if each == peer) > limit:
            self._log("err", f"{line.service} from {peer} exceeded counts/min (limit {limit}/min)")
            return True
        limit = self._limits.most_of_one if line.most_of_one is None else line.most_of_one
        if limit > 0 and sum(1 for each in served.children.values() if each.peer == peer) >= limit:
            self._log("err", f"{line.service} from {peer} exceeded counts (limit {limit})")
            return True
        return False

    def _start(self, served: Served, socket: Socket, peer: str) -> None:
        guest, line = self.guest, served.line
        if guest.tree.entry(line.server) is None:
            self._log("err", f"cannot execute {line.server}: {STRERROR['ENOENT']}")
            socket.close()
            return
        writer = SocketWriter(socket)
        streams: dict[int, Reader | Writer] = {0: SocketReader(socket), 1: writer, 2: writer}
        words = [line.server, *line.arguments[1:]]
        text = f"PATH={_PATH}\nexec {shlex.join(words)}"
        process = shell.spawn_without_login(
            guest, " ".join(words), "sh", text, streams, parent=self.pid
        )
        writer.process = process
        served.children[process.pid] = _Child(process, socket, peer)
        process.on_end = self._ended

    def _ended(self, process: Process) -> None:
        for served in self._services.values():
            child = served.children.pop(process.pid, None)
            if child is None:
                continue
            child.socket.close()
            status = process.status or 0
            if status:
                how = f"signal {-status}" if status < 0 else f"status {status}"
                server = served.line.server
                self._log("warning", f"{server}[{process.pid}]: exited, {how}")
            if served.waiting:
                self._serve(served, served.waiting.pop(0))


class _Accepting:
    """What a listener calls for one service. For snapshots it is no closure."""

    def __init__(self, name: str, take: Callable[[str, Socket], None]) -> None:
        self._name = name
        self._take = take

    def accept(self, socket: Socket) -> None:
        self._take(self._name, socket)


def _everywhere(_: str) -> bool:
    return True


def _is_there(guest: Guest, address: str) -> bool:
    """Whether an interface has an address, also one of carp(4) for which another node answers."""
    interfaces = guest.part(Network).interfaces.values()
    return any(str(each.ip) == address for one in interfaces for each in one.addresses)


def _text(guest: Guest, path: str) -> str:
    try:
        return guest.tree.read(path).decode(errors="replace")
    except FileError:
        return ""


# --- its start ----------------------------------------------------------------------------------


def _limits(guest: Guest, flags: str) -> Limits:
    """What the arguments say. Raises `NotModelled`."""
    words = shlex.split(flags)
    try:
        options = dict(getopt(words, "lwW", "RacCs"))
    except BadOption as bad:
        raise NotModelled(f"inetd -{bad.letter}") from None
    if words:
        raise NotModelled(f"inetd {' '.join(words)}")
    found = Limits(address_of(guest, options["a"]) if "a" in options else None)
    found.looping = int(options.get("R", found.looping))
    found.most, found.most_of_one = int(options.get("c", 0)), int(options.get("s", 0))
    found.most_a_minute = int(options.get("C", 0))
    return found


def _start(begin: Start) -> int:
    title = f"{begin.service.command} {begin.flags}".strip()
    limits = _limits(begin.guest, begin.flags)
    daemon = Inetd(begin.guest, begin.service, title, limits)
    write_pid(begin.guest, begin.service.pid_file, daemon.pid)
    return 0


register(
    Service(
        *("inetd", 'Internet "super-server"', "inetd_enable", "/usr/sbin/inetd", "inetd_flags"),
        extra=("reload",),
        pid_file="/var/run/inetd.pid",
        required_files=(_CONF,),
        honours=("inetd_flags",),
        start=_start,
        order=45,
        stop_seconds=0.1,
    )
)
