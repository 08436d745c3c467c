"""Commands on a simulated node without SSH between: for thousands of runs of a scenario.

Everything above the wire is the same. That the wire itself is right is what the runs over SSH show.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from harness.config.settings import Settings
from harness.errors import CommandTimedOut, NodeUnreachable
from harness.lab.base import Endpoint
from harness.lab.simulated.kernel.guest import Guest
from harness.lab.simulated.kernel.process import Process
from harness.lab.simulated.lab import SimulatedLab
from harness.lab.simulated.shell import interpreter as shell
from harness.lab.ssh import Result, remote_command


class DirectConnection:
    """What `harness.lab.ssh.Connection` is, without the wire. It goes down with its node."""

    host_key = "none"

    def __init__(self, lab: SimulatedLab, node: str, alive: float) -> None:
        """Raises `NodeUnreachable` when the node's sshd does not answer."""
        self.node = node
        self._lab = lab
        self._alive = alive
        self._boot = self._guest.boot
        self._world = lab.world
        if not self.alive:
            raise NodeUnreachable("no login: the simulated node does not answer", node=node)

    @property
    def _guest(self) -> Guest:
        return self._lab.world.guests[self.node]

    @property
    def alive(self) -> bool:
        """Whether the node answers and is still the one that was logged in to."""
        guest = self._guest
        return (
            self._lab.world is self._world
            and guest.boot == self._boot
            and guest.sshd_up
            and guest.running
            and not guest.frozen
        )

    def close(self) -> None:
        """Forget the node."""

    def run(self, argv: Sequence[str], *, within: float, stdin: bytes = b"") -> Result:
        """Run a command to its end. Raises as `harness.lab.ssh.Connection.run` does."""
        clock = self._lab.clock
        with clock.condition:
            if not self.alive:
                raise self._lost()
            process = Process(self._guest, remote_command(argv))
            process.feed(stdin)
            process.start(shell.run_line(process, process.command))
            started, start = clock.utc(), clock.monotonic()
            # A node that goes down kills its processes; one that is frozen runs into the deadline.
            clock.wait(lambda: process.status is not None, within)
            if not self.alive:
                raise self._lost()
            if process.status is None:
                raise CommandTimedOut(
                    f"`{shlex.join(argv)}` did not end within {within:.1f} s", node=self.node
                )
        return Result(
            self.node,
            tuple(argv),
            max(process.status, -1),
            bytes(process.stdout),
            process.stderr.decode("utf-8", "replace"),
            clock.monotonic() - start,
            started,
        )

    def _lost(self) -> NodeUnreachable:
        return NodeUnreachable("the simulated node stopped answering", node=self.node)


class DirectConnect:
    """Makes such connections for one lab: what a `Session` takes for `connect`."""

    def __init__(self, lab: SimulatedLab) -> None:
        self._lab = lab

    def __call__(
        self,
        node: str,
        endpoint: Endpoint,  # noqa: ARG002 - there is nothing to reach
        *,
        alive: float,
        within: float,  # noqa: ARG002 - it takes no time
    ) -> DirectConnection:
        """Log in to a node of the lab."""
        return DirectConnection(self._lab, node, alive)


def open_direct(settings: Settings, pair: str) -> tuple[SimulatedLab, DirectConnect]:
    """The simulated lab without SSH servers, and what logs in to its nodes."""
    lab = SimulatedLab(settings, pair, over_ssh=False)
    return lab, DirectConnect(lab)
