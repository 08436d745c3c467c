"""What a lab is: two machines, their power, their private link, their snapshots and consoles.

A scenario never sees which lab it runs on. Everything here is about hardware; what FreeBSD does
with it is seen over SSH (`harness.cluster.node`).
"""

from __future__ import annotations

import atexit
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Self

from harness.errors import LabError
from harness.waiting import interrupt
from harness.waiting.clock import Clock
from harness.words import Word

if TYPE_CHECKING:
    from harness.lab.replaced import Replacement


class Power(Word):
    """The power state of a machine as its hypervisor reports it."""

    OFF = "off"
    RUNNING = "running"
    PAUSED = "paused"


class Network(Word):
    """A network that the nodes have a NIC on, besides that for SSH."""

    PRIVATE = "private"
    """The crossover cable between the two: HAST's."""
    PUBLIC = "public"
    """An Ethernet segment of both and their clients."""


@dataclass(frozen=True)
class Endpoint:
    """Where and how a machine's SSH server is reached from the host.

    `host_key` is the server's public key as in known_hosts (`ssh-ed25519 AAAA...`) where the lab
    made the key itself; None where the machine made it, and then the first key seen is pinned for
    the lab's lifetime. A `user` who is not root has passwordless `sudo`.
    """

    host: str
    port: int
    user: str
    key: Path
    host_key: str | None


@dataclass(frozen=True)
class LabDescription:
    """What a reader of a report must know of where its figures come from."""

    lab: str
    hypervisor: str
    acceleration: str
    image: str
    seed: int | None = None
    """What chance the simulated lab was given."""

    def __str__(self) -> str:
        last = f"image {self.image}" if self.seed is None else f"seed {self.seed}"
        return f"{self.lab} lab, {self.hypervisor}, {self.acceleration}, {last}"


@dataclass(frozen=True)
class Gap:
    """Something FreeBSD has and the model of it lacks: a program, an option, a file, a service.

    `node` met it in `command` (a command line, a line of rc.conf, a file that was read); `what`
    names it in words.
    """

    node: str
    command: str
    what: str

    def __str__(self) -> str:
        command = f" in `{self.command}`" if self.command != self.what else ""
        return f"{self.node}: {self.what}{command}"


class Machine(ABC):
    """One node's hardware, under the control of a hypervisor. Every verb has a deadline."""

    name: str

    @property
    @abstractmethod
    def console(self) -> Path:
        """The file that receives every byte of the serial console, from the first."""

    @abstractmethod
    def endpoint(self) -> Endpoint:
        """Where its SSH server is reached. Raises `LabError` when the machine has no address."""

    @abstractmethod
    def power(self) -> Power:
        """The power state, asked of the hypervisor now."""

    @abstractmethod
    def power_on(self) -> None:
        """Give it power: it starts to boot. Returns before it is up."""

    @abstractmethod
    def power_cut(self) -> None:
        """Pull the power cord: it is off when this returns, and no guest code ran meanwhile."""

    @abstractmethod
    def reset(self) -> None:
        """Press the reset button: the CPU starts over, what is on the disks stays."""

    @abstractmethod
    def press_power_button(self) -> None:
        """Press the ACPI power button: FreeBSD shuts down by itself, later. Returns at once."""

    @abstractmethod
    def pause(self) -> None:
        """Freeze it between two instructions: it keeps role and memory, and says nothing."""

    @abstractmethod
    def resume(self) -> None:
        """Let a frozen machine go on as if no time had passed."""

    @property
    def networks(self) -> Collection[Network]:
        """The networks that it has a NIC on, besides that for SSH."""
        return (Network.PRIVATE,)

    @abstractmethod
    def unplug_link(self, network: Network = Network.PRIVATE) -> None:
        """Pull the cable out of the NIC on a network: no carrier, also after a power cut.

        SSH goes another way and stays. Raises `LabError` where there is no such NIC.
        """

    @abstractmethod
    def plug_link(self, network: Network = Network.PRIVATE) -> None:
        """Put the cable of that NIC back."""

    def limit_data_disk(self, bytes_per_s: float | None) -> None:
        """Let the data disk carry at most so many bytes a second, or as many as it can (None).

        A power cut ends it. Raises `LabError` in a lab that cannot do it.
        """
        raise LabError(
            f"this lab cannot limit a disk to {bytes_per_s} bytes/s",
            node=self.name,
            advice="take the qemu lab for that (disk_rate_mb)",
        )


def check_network(machine: Machine, network: Network) -> None:
    """Raise `LabError` where the machine has no NIC on a network."""
    if network not in machine.networks:
        raise LabError(
            f"it has no NIC on the {network} network",
            node=machine.name,
            advice="take the qemu lab, with the section `public` in lab.yaml",
        )


class Lab(ABC):
    """The hardware of one pair. A context manager: whatever it started is stopped on leaving."""

    name: ClassVar[str]
    machines: Mapping[str, Machine]
    mark: ClassVar[str | None] = None
    """What every line of output and every report has to say of this lab; None for real machines."""
    clock: Clock = Clock()
    """The time that its machines live in."""
    replacements: tuple[Replacement, ...] = ()
    """The programs of the user's own that provisioning puts in the place of the image's."""

    @abstractmethod
    def check(self) -> None:
        """Raise the `HarnessError` that tells what is missing or wrong, before anything starts."""

    @abstractmethod
    def start(self) -> None:
        """Remove what a dead run left, then power on both machines, at the same time.

        Calls `check` first. Returns before FreeBSD is up.
        """

    @abstractmethod
    def stop(self) -> None:
        """Cut the power of both machines and remove everything the lab made. Safe to repeat."""

    @abstractmethod
    def save(self, tag: str) -> None:
        """Snapshot both running machines, memory, CPU and disks, as one moment called `tag`.

        A snapshot that has this tag already is replaced. Raises `LabError` when one is off.
        """

    @abstractmethod
    def restore(self, tag: str) -> None:
        """Bring both machines back to the moment `tag`, whatever their power state is now.

        Links come back plugged in. Connections over SSH from before are dead. Raises `LabError`
        when there is no such snapshot.
        """

    @abstractmethod
    def describe(self) -> LabDescription:
        """Hypervisor, acceleration and image, for the first line of every report."""

    def service(self) -> tuple[str, int]:
        """Where this host reaches the service address: a host and a TCP port.

        Whichever node has the address then answers, and a connection may be taken before one does.
        Raises `LabError` in a lab without the public network.
        """
        raise LabError(
            "this lab has no public network",
            advice="take the qemu lab, with the section `public` in lab.yaml",
        )

    def gaps(self) -> tuple[Gap, ...]:
        """What FreeBSD has and this lab lacks, of all that was asked of the machines so far.

        So far: since their start up to the state that they are in now. After `restore` that is
        what had been met when the state was saved. Real machines lack nothing.
        """
        return ()

    def leave_notes(self, folder: Path) -> None:  # noqa: B027 - most labs have none to leave
        """Write into a run's folder what its readers have to know of this lab: nothing here."""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            with contextlib.suppress(Exception), interrupt.shielded():
                self.stop()
            raise
        # For an owner that something keeps from leaving it, as an error of pytest's own whose
        # output went to a full disk. It comes before what gives back the lock of the pair at exit.
        atexit.register(self.stop)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with interrupt.shielded():
            self.stop()
            atexit.unregister(self.stop)
