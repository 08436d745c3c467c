"""A TCP connection as the standard input and output of a script."""

from __future__ import annotations

from harness.lab.simulated.engine.signal import Program, Signal
from harness.lab.simulated.kernel.process import Process
from harness.lab.simulated.network.tcp import Socket
from harness.lab.simulated.shell.streams import Changing, Reader, Reading, Writer

_BROKEN = 13


class SocketReader(Reader):
    """What comes over it, as it comes."""

    def __init__(self, socket: Socket) -> None:
        super().__init__()
        self._ended = False
        self._changed = Signal()
        socket.on_end = self._end
        socket.listen_to(self._come, self._end)

    def _come(self, message: bytes) -> None:
        self.data += message
        self._change()

    def _end(self, _: str | None = None) -> None:
        self._ended = True
        self._change()

    def _change(self) -> None:
        changed, self._changed = self._changed, Signal()
        changed.fire()

    @property
    def waits(self) -> bool:
        """Whether the other side may send more."""
        return not self._ended

    def load(self) -> Program:
        """Wait until the other side has ended."""
        while not self._ended:
            yield self._changed
        return 0

    def take(self, count: int | None = None) -> Reading:
        """The next `count` bytes, or all that comes."""
        while not self._ended and (count is None or len(self.data) < self.at + count):
            yield self._changed
        return (yield from super().take(count))

    def line(self) -> Reading:
        """The next line, once its newline has come."""
        while not self._ended and self.data.find(b"\n", self.at) < 0:
            yield self._changed
        newline = self.data.find(b"\n", self.at)
        end = len(self.data) if newline < 0 else newline + 1
        taken = self.data[self.at : end]
        self.at = end
        return taken


class SocketWriter(Writer):
    """What is sent over it. Where nobody takes it any more, the script gets SIGPIPE."""

    kept = False

    def __init__(self, socket: Socket) -> None:
        super().__init__()
        self._socket = socket
        self.process: Process | None = None
        """Whose output it is."""

    def flush(self) -> Changing:
        """Send what is in the buffer."""
        data = bytes(self.buffer)
        self.buffer.clear()
        if data and self._socket.open:
            self._socket.send(data, len(data))
        elif data and self.process is not None:
            owner = self._socket.owner
            owner.world.schedule(owner, 0.0, self.process.signal, _BROKEN)
        yield from ()
