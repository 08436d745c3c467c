"""nc(1) to another machine: send standard input to a listening nc, or listen for one."""

from __future__ import annotations

from collections.abc import Generator

from harness.lab.simulated.engine.signal import NotModelled, Program, Signal
from harness.lab.simulated.hast.address import AddressError, TcpAddress, resolve
from harness.lab.simulated.kernel.files import STRERROR
from harness.lab.simulated.kernel.guest import Guest
from harness.lab.simulated.network.interfaces import Network
from harness.lab.simulated.network.tcp import LOOPBACK, Listener, Socket, Tcp, Way, connect
from harness.lab.simulated.shell.options import BadOption, Options
from harness.lab.simulated.shell.programs import Context, command
from harness.lab.simulated.shell.state import ShellContext
from harness.lab.simulated.shell.streams import Changing, FlowReader, Reading

_WINDOW = 256 << 10
"""Bytes that are on their way at once, about: TCP's windows grow, and this one stays as it is."""

_LOOKS = 0.05
"""Seconds between two looks whether it is over, with -w."""

_CONNECTS = 75.0
"""Seconds that connect(2) tries (net.inet.tcp.keepinit)."""


_SSH = 22
_SERVICES = {22: "ssh", 9: "discard", 80: "http", 111: "sunrpc", 2049: "nfsd"}
"""Names of /etc/services, as nc shows them."""

_KNOWN = frozenset("46DdEFhklNnrStUuvzeIiOPpsTVwXxM")
_USAGE = """\
usage: nc [-46DdEFhklNnrStUuvz] [-e policy] [-I length] [-i interval] [-O length]
\t  [--no-tcpopt] [--sctp]
\t  [-P proxy_username] [-p source_port] [-s source] [-T ToS]
\t  [-V rtable] [-w timeout] [-X proxy_protocol]
\t  [-x proxy_address[:port]] [destination] [port]"""


@command("nc", reads_as_it_comes=True)
def nc(context: Context, arguments: list[str]) -> Program:
    """`nc -l ADDRESS PORT`, `nc [-N] ADDRESS PORT`, `nc -z HOST PORT` (contrib/netcat, 13.2)."""
    try:
        options = Options(arguments, "lNnzv4", "w")
    except BadOption as bad:
        if bad.letter not in _KNOWN:
            context.guest.release.check_illegal("nc", bad.letter)
            context.complain(f"nc: illegal option -- {bad.letter}\n{_USAGE}")
            return 1
        raise NotModelled(f"nc -{bad.letter}") from bad
    if "z" in options:
        return (yield from _scan(context, options))
    if "v" in options or ("w" in options and "l" in options):
        raise NotModelled(f"nc {' '.join(arguments)}")
    words = options.rest
    if len(words) != 2 or not words[1].isdecimal() or not 0 < int(words[1][:6]) < 65536:
        raise NotModelled(f"nc {' '.join(arguments)}")
    if not words[0].replace(".", "").isdecimal():
        raise NotModelled(f"nc with {words[0]}")
    address, port = words[0], int(words[1])
    if "l" in options:
        return (yield from _listen(context, address, port))
    if port == _SSH:
        raise NotModelled("nc to sshd")
    limit = options.value("w", "0")
    if not limit.isdecimal() or len(limit) > 6:
        raise NotModelled(f"nc -w {limit}")
    client = _Client(context, float(limit))
    return (yield from client.run(address, port, shuts="N" in options))


# --- looking who listens ------------------------------------------------------------------------


def _scan(context: Context, options: Options) -> Program:
    """Whether somebody listens; it says so even without -v."""
    words = options.rest
    if not words or "l" in options:
        context.complain(_USAGE)
        return 1
    if len(words) != 2:
        raise NotModelled(f"nc -z {' '.join(words)}")
    host, port = words
    if not port.isdecimal() or not 0 < int(port[:6]) < 65536:
        raise NotModelled(f"nc -z to the port {port}")
    timeout = options.value("w", str(int(_CONNECTS)))
    if not timeout.isdecimal() or len(timeout) > 6:
        raise NotModelled(f"nc -w {timeout}")
    try:
        address = resolve(context.guest, host, int(port))
    except AddressError:
        context.complain("nc: getaddrinfo: Name does not resolve")
        return 1
    if not isinstance(address, TcpAddress):
        raise NotModelled(f"nc -z {host}")
    error = yield from _connect_to(context, address.host, int(port), float(timeout))
    if error is not None:
        if "v" in options:
            why = STRERROR[error]
            context.complain(f"nc: connect to {host} port {port} (tcp) failed: {why}")
        return 1
    service = "*" if "n" in options else _SERVICES.get(int(port), "*")
    context.complain(f"Connection to {host} {port} port [tcp/{service}] succeeded!")
    return 0


def _connect_to(
    context: Context, address: str, port: int, timeout: float
) -> Generator[float | Signal, None, str | None]:
    """Connect and hang up; the errno's name when that fails."""
    guest = context.guest
    if guest.part(Tcp).owns(address):
        if port == _SSH and guest.sshd_up:  # which listens everywhere, and says nothing of it
            yield LOOPBACK
            return None
    else:
        way = guest.part(Tcp).way_to(address)
        if way == "ENETUNREACH":
            raise NotModelled(f"nc -z to {address}")
        owner = way.station.owner if isinstance(way, Way) and way.station is not None else None
        if port == _SSH and isinstance(owner, Guest) and owner.sshd_up:
            raise NotModelled("nc -z to the other node's sshd")
    attempt = _Attempt()
    connect(guest.part(Tcp), address, port, timeout, attempt.made, wanted=attempt.is_wanted)
    try:
        yield attempt.ended
    finally:
        attempt.close()
    return attempt.error


class _Attempt:
    """A connection that is made only to see whether it can be."""

    def __init__(self) -> None:
        self.ended = Signal()
        self.error: str | None = None
        self._socket: Socket | None = None
        self._gone = False

    def made(self, socket: Socket | None, error: str | None) -> None:
        self._socket, self.error = socket, error
        self.ended.fire()

    def is_wanted(self) -> bool:
        return not self._gone

    def close(self) -> None:
        self._gone = True
        if self._socket is not None:
            self._socket.close()


# --- listening ----------------------------------------------------------------------------------


def _listen(context: Context, address: str, port: int) -> Program:
    guest = context.guest
    if not guest.part(Network).owns(address):
        context.complain("nc: Can't assign requested address")
        return 1
    if port in guest.part(Tcp).listeners:
        context.complain("nc: Address already in use")
        return 1
    server = _Server(context, address)
    guest.part(Tcp).listeners[port] = listener = Listener(port, server.accept, server.is_at)
    try:
        yield server.accepted
        del guest.part(Tcp).listeners[port]
        yield from context.read_stdin()
        if context.stdin:
            raise NotModelled("nc -l that sends")
        yield from server.write_out()
    finally:
        if guest.part(Tcp).listeners.get(port) is listener:
            del guest.part(Tcp).listeners[port]
        if server.socket is not None:
            server.socket.close()
    return 0


class _Server:
    """The one connection that it takes, and what has come over it."""

    def __init__(self, context: Context, address: str) -> None:
        self.accepted = Signal()
        self._address = address
        self.socket: Socket | None = None
        self._context = context
        self._came: list[bytes] = []
        self._ended = False
        self._more = Signal()

    def is_at(self, address: str) -> bool:
        return address == self._address

    def accept(self, socket: Socket) -> None:
        if self.socket is not None:
            return  # it waits in the queue, and nobody ever takes it
        self.socket = socket
        socket.listen_to(self._on_message, self._on_close)
        self.accepted.fire()

    def write_out(self) -> Changing:
        """Write what comes to standard output until the other side has ended."""
        context = self._context
        while self._came or not self._ended:
            if not self._came:
                self._more = Signal()
                yield self._more
                continue
            context.stdout += self._came.pop(0)
            if isinstance(context, ShellContext) and context.flush is not None:
                yield from context.flush()

    def _on_message(self, message: bytes) -> None:
        self._came.append(message)
        self._more.fire()

    def _on_close(self, error: str | None) -> None:  # noqa: ARG002 - either way it is the end
        self._ended = True
        self._more.fire()


# --- connecting ---------------------------------------------------------------------------------


class _Client:
    def __init__(self, context: Context, limit: float) -> None:
        """`limit` is in seconds, to connect and then without anything to come or go; 0: none."""
        self._context = context
        self._limit = limit
        self._moved = 0.0
        self._socket: Socket | None = None
        self._closed = Signal()
        self._changed = Signal()
        self._gone = False
        self._pending = bytearray()
        self._in_flight = False

    def run(self, address: str, port: int, *, shuts: bool) -> Program:
        guest = self._context.guest
        try:
            timeout = self._limit or _CONNECTS
            connect(guest.part(Tcp), address, port, timeout, self._made, wanted=self._is_wanted)
            yield self._changed
            socket = self._socket
            if socket is None:
                return 1
            socket.listen_to(self._on_message, self._on_close)
            socket.on_sent = self._sent
            while not self._closed.fired and (data := (yield from self._take())):
                self._pending += data
                self._send()
                yield from self._wait_for_room(_WINDOW)
            yield from self._wait_for_room(1)
            if shuts:
                socket.shutdown()
            yield from self._wait_for_the_end()
        finally:
            self._gone = True
            if self._socket is not None:
                self._socket.close()
        return 0

    def _send(self) -> None:
        if self._socket is not None and self._pending and not self._in_flight:
            self._in_flight = True
            data = bytes(self._pending)
            self._pending.clear()
            self._socket.send(data, len(data))

    def _sent(self) -> None:
        self._in_flight = False
        self._send()
        self._changed.fire()

    def _wait_for_the_end(self) -> Changing:
        """Wait until the other side has closed, or nothing has come for too long."""
        world = self._context.guest.world
        self._moved = world.now
        while not self._closed.fired:
            if not self._limit:
                yield self._closed
            elif world.now >= self._moved + self._limit:
                return
            else:
                yield min(_LOOKS, self._moved + self._limit - world.now)

    def _wait_for_room(self, most: int) -> Changing:
        """Wait until less than so much waits; with 1, until all has arrived."""
        while not self._closed.fired and (
            len(self._pending) >= most or (most == 1 and self._in_flight)
        ):
            self._changed = Signal()
            yield self._changed

    def _take(self) -> Reading:
        context = self._context
        reader = context.reader if isinstance(context, ShellContext) else None
        if isinstance(reader, FlowReader):
            return (yield from reader.flow.take(_WINDOW))
        if reader is not None:
            return (yield from reader.take(_WINDOW))
        raise NotModelled("nc without a shell")

    def _is_wanted(self) -> bool:
        return not self._gone

    def _made(self, socket: Socket | None, error: str | None) -> None:  # noqa: ARG002 - it says not why
        self._socket = socket
        self._changed.fire()

    def _on_message(self, message: bytes) -> None:
        self._context.stdout += message
        self._moved = self._context.guest.world.now

    def _on_close(self, error: str | None) -> None:  # noqa: ARG002 - either way it is the end
        self._closed.fire()
        self._changed.fire()
