"""Random command lines for the SSH servers of a simulated pair, and a watch over the host.

While they run, every file that this process opens, and every program, network address or folder
that it touches, is reported by Python itself (audit events, PEP 578). Only the lab's own folder is
allowed.
"""

from __future__ import annotations

import contextlib
import random
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import paramiko

from harness.cluster.node import Node
from harness.config.settings import Settings
from harness.errors import ClaimFailed, HarnessError
from harness.lab.simulated.hast import hastd  # noqa: F401 - loaded before the watch begins
from harness.lab.simulated.lab import SimulatedLab
from harness.lab.simulated.shell.regex import compile_regex
from harness.record.sinks import Sinks
from harness.trials.fuzz import random_line
from harness.waiting import clock as clocks
from harness.waiting.parallel import on_each

_HOST_SECONDS = 60.0
"""Seconds of the host's time that one line may take."""

_TOUCHING = (
    *("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.spawn"),
    *("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.chmod", "os.chown", "os.link"),
    *("os.symlink", "os.truncate", "os.utime", "os.listdir", "os.scandir", "os.kill"),
    *("socket.connect", "socket.bind", "socket.getaddrinfo", "ctypes.dlopen", "shutil.rmtree"),
)
"""Audit events of something that a guest's command must never do to the host."""

_LOOK_EVERY = 1000
_SHOWN = 20


@dataclass(frozen=True)
class Fuzzed:
    """What a run came to: lines sent, times a node went down, faults of the model, touches."""

    lines: int
    seconds: float
    down: int
    faults: tuple[str, ...]
    touched: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether the host was left alone and the model never failed."""
        return not self.faults and not self.touched


class _Watch:
    """Notes what this process does to the host. Python cannot take an audit hook back."""

    def __init__(self, allowed: Path) -> None:
        self.on = False
        self.allowed = f"{allowed}/"
        self.touched: list[str] = []
        sys.addaudithook(self._hook)

    @contextlib.contextmanager
    def watching(self, *, on: bool = True) -> Iterator[None]:
        """Watch, or look away for what the client itself has to do."""
        before, self.on = self.on, on
        try:
            yield
        finally:
            self.on = before

    def _hook(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self.on or len(self.touched) >= _SHOWN:
            return
        if event == "open":
            if not str(arguments[0]).startswith(self.allowed):
                self.touched.append(f"open {arguments[0]!r} {arguments[1]!r}")
        elif event in _TOUCHING:
            self.touched.append(f"{event} {arguments!r}")


def fuzz(settings: Settings, lines: int, seed: int, say: Callable[[str], None] = print) -> Fuzzed:
    """Send `lines` random command lines to both nodes of a fresh pair, over SSH."""
    rng = random.Random(seed)  # noqa: S311 - chance, not secrets
    compile_regex("re2", extended=True)  # re2 is loaded before the watch begins
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="skunk-fuzz-") as folder:
        watch = _Watch(Path(folder))
        lab = _Lab(settings.with_seed(seed), "fuzz", state_dir=Path(folder))
        before = clocks.current()
        with lab:
            clocks.use(lab.clock)
            try:
                run = _Run(lab, settings, rng, watch, say)
                run.wait_until_up()
                with watch.watching():
                    run.send(lines)
            finally:
                clocks.use(before)
    return Fuzzed(
        lines, time.monotonic() - start, run.down, tuple(run.faults), tuple(watch.touched)
    )


class _Lab(SimulatedLab):
    """The simulated lab, which counts how often a node ceased to answer over SSH or began to."""

    turns = 0

    def _turn_sshd(self, name: str, up: bool) -> None:
        self.turns += 1
        super()._turn_sshd(name, up)


class _Run:
    def __init__(
        self,
        lab: _Lab,
        settings: Settings,
        rng: random.Random,
        watch: _Watch,
        say: Callable[[str], None],
    ) -> None:
        self._watch = watch
        self.down = 0
        self.faults: list[str] = []
        self._lab = lab
        self._rng = rng
        self._say = say
        self._nodes = [Node(lab.machines[name], settings, Sinks()) for name in lab.machines]
        self._keys = {
            node.name: paramiko.PKey.from_path(node.machine.endpoint().key) for node in self._nodes
        }

    def wait_until_up(self) -> None:
        """Give power to what is off, wake what is frozen, and wait until both answer."""

        def bring(node: Node) -> None:
            node.disconnect()
            node.mark_console()  # a line may well have made the kernel panic
            node.machine.power_on()
            try:
                node.wait_for_ssh()
            except HarnessError:  # it hangs, went off, or its sshd was stopped
                node.machine.power_cut()
                node.mark_console()
                node.machine.power_on()
                node.wait_for_ssh()

        with self._watch.watching(on=False):
            on_each(self._nodes, bring)

    def send(self, lines: int) -> None:
        """Send the lines, each to one of the nodes, and look now and then whether both live."""
        transports: dict[str, paramiko.Transport] = {}
        for number in range(lines):
            node = self._rng.choice(self._nodes)
            line = random_line(self._rng)
            turns = self._lab.turns
            try:
                transport = transports.get(node.name)
                if transport is None or not transport.is_active():
                    transports[node.name] = transport = self._log_in(node)
                with self._lab.clock.parked():
                    said = self._exec(transport, line)
            except (paramiko.SSHException, OSError, EOFError) as error:
                said = ""
                if not self._went_down(turns):
                    self._note(line, f"not answered by a node that is up: {error!r}")
            if "simulated: the model failed" in said:
                self._note(line, said.strip())
            if self._went_down(turns):
                # A line took a node down (reboot, shutdown, kill of sshd), as it may.
                self.down += 1
                self.wait_until_up()
            if number % _LOOK_EVERY == _LOOK_EVERY - 1:
                self.wait_until_up()
                self._say(f"[simulated] {number + 1} lines, {self.down} times a node went down")
        for transport in transports.values():
            transport.close()

    def _went_down(self, turns: int) -> bool:
        """Whether a node is down, or ceased to answer since the lab had counted so many turns."""
        guests = self._lab.world.guests.values()
        return self._lab.turns != turns or not all(guest.sshd_up for guest in guests)

    def _note(self, line: bytes, fault: str) -> None:
        if len(self.faults) < _SHOWN:
            self.faults.append(f"{line!r}: {fault}")

    def _log_in(self, node: Node) -> paramiko.Transport:
        endpoint = node.machine.endpoint()
        with self._watch.watching(on=False):
            sock = socket.create_connection((endpoint.host, endpoint.port), timeout=_HOST_SECONDS)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            transport = paramiko.Transport(sock)
            transport.connect(username=endpoint.user, pkey=self._keys[node.name])
        return transport

    def _exec(self, transport: paramiko.Transport, line: bytes) -> str:
        channel = transport.open_session(timeout=_HOST_SECONDS)
        with contextlib.closing(channel):
            channel.settimeout(_HOST_SECONDS)
            channel.exec_command(line)
            channel.shutdown_write()
            channel.makefile("rb").read()
            said = channel.makefile_stderr("rb").read()
            if not channel.status_event.wait(_HOST_SECONDS):
                raise ClaimFailed(f"the line {line!r} was not answered in {_HOST_SECONDS:.0f} s")
        return said.decode("utf-8", "replace")
