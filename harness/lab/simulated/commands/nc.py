"""nc(1) over the private link: send standard input to a listening nc, or listen for one."""

from __future__ import annotations

from harness.lab.simulated.commands import Context, command
from harness.lab.simulated.link import Listener, Socket, connect
from harness.lab.simulated.options import BadOption, Options
from harness.lab.simulated.process import NotModelled, Program, Signal
from harness.lab.simulated.shell import ShellContext
from harness.lab.simulated.shell_streams import Changing, FlowReader, Reading

_WINDOW = 256 << 10
"""Bytes that are on their way at once, about: TCP's windows grow, and this one stays as it is."""

_CONNECTS = 75.0
"""Seconds that connect(2) tries (net.inet.tcp.keepinit)."""


@command("nc")
def nc(context: Context, arguments: list[str]) -> Program:
    """`nc -l ADDRESS PORT` and `nc [-N] ADDRESS PORT`, without a word (contrib/netcat, 13.2)."""
    try:
        options = Options(arguments, "lNn", "")
    except BadOption as bad:
        raise NotModelled(f"nc -{bad.letter}") from bad
    words = options.rest
    if len(words) != 2 or not words[1].isdecimal() or not 0 < int(words[1][:6]) < 65536:
        raise NotModelled(f"nc {' '.join(arguments)}")
    network = context.guest.system.network
    if not words[0].replace(".", "").isdecimal() or words[0].startswith("127."):
        raise NotModelled(f"nc with {words[0]}")
    address, port = words[0], int(words[1])
    if "l" in options:
        return (yield from _listen(context, address, port))
    if network.owns(address):
        raise NotModelled("nc to the node itself")
    return (yield from _Client(context).run(address, port, shuts="N" in options))


# --- listening ----------------------------------------------------------------------------------


def _listen(context: Context, address: str, port: int) -> Program:
    guest = context.guest
    if not guest.system.network.owns(address):
        context.complain("nc: Can't assign requested address")
        return 1
    if port in guest.listeners:
        context.complain("nc: Address already in use")
        return 1
    server = _Server(context)
    guest.listeners[port] = listener = Listener(guest, port, server.accept)
    try:
        yield server.accepted
        del guest.listeners[port]
        yield from context.read_stdin()
        if context.stdin:
            raise NotModelled("nc -l that sends")
        yield from server.write_out()
    finally:
        if guest.listeners.get(port) is listener:
            del guest.listeners[port]
        if server.socket is not None:
            server.socket.close()
    return 0


class _Server:
    """The one connection that it takes, and what has come over it."""

    def __init__(self, context: Context) -> None:
        self.accepted = Signal()
        self.socket: Socket | None = None
        self._context = context
        self._came: list[bytes] = []
        self._ended = False
        self._more = Signal()

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
    def __init__(self, context: Context) -> None:
        self._context = context
        self._socket: Socket | None = None
        self._closed = Signal()
        self._changed = Signal()
        self._gone = False
        self._pending = bytearray()
        self._in_flight = False

    def run(self, address: str, port: int, *, shuts: bool) -> Program:
        guest = self._context.guest
        try:
            connect(guest, address, port, _CONNECTS, self._made, wanted=self._is_wanted)
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
            if not shuts:
                yield self._closed  # both sides would wait for each other
            world = guest.world
            there = world.link.latency(guest)
            yield there + world.link.latency(world.peer(guest), after=there)
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

    def _on_close(self, error: str | None) -> None:  # noqa: ARG002 - either way it is the end
        self._closed.fire()
        self._changed.fire()
