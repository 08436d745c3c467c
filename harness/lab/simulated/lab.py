"""The simulated lab: two modelled nodes on virtual hardware, in the harness's own process."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import ClassVar

from harness.config.settings import Settings
from harness.errors import LabError
from harness.lab.base import (
    Endpoint,
    Gap,
    Lab,
    LabDescription,
    Machine,
    Network,
    Power,
    check_network,
)
from harness.lab.keys import KeyPair
from harness.lab.pairs import PairFolder
from harness.lab.ports import check_ports
from harness.lab.simulated import features
from harness.lab.simulated.base.system import System
from harness.lab.simulated.clock import VirtualClock
from harness.lab.simulated.hardware.segment import Nic, Segment
from harness.lab.simulated.kernel import release
from harness.lab.simulated.kernel.guest import PRIVATE, PUBLIC, Console, Guest, SshdSwitch, World
from harness.lab.simulated.server import Sshd

SAVE_PATIENCE = 30.0
"""Virtual seconds that `save` waits for commands and hooks that still run."""

RELEASE = f"{release.load().title} amd64"
"""What the model was made after and is compared with."""


_NICS = {Network.PRIVATE: PRIVATE, Network.PUBLIC: PUBLIC}


class SimulatedMachine(Machine):
    """The hardware of a modelled node. Each verb takes no virtual time."""

    def __init__(self, lab: SimulatedLab, name: str, folder: Path, endpoint: Endpoint) -> None:
        self.name = name
        self._lab = lab
        self._console = folder / "console.log"
        self._endpoint = endpoint

    @property
    def console(self) -> Path:
        """The file that receives every line of the console."""
        return self._console

    def endpoint(self) -> Endpoint:
        """Return the port on the host's loopback."""
        return self._endpoint

    def power(self) -> Power:
        """The power state."""
        return self._lab.world.guests[self.name].power

    def power_on(self) -> None:
        """Give it power."""
        self._do(Guest.power_on)

    def power_cut(self) -> None:
        """Pull the power cord: memory and the disks' unflushed cache are gone."""
        self._do(Guest.power_cut)

    def reset(self) -> None:
        """Press the reset button. Raises `LabError` when it is off."""
        self._do(Guest.reset, needs_power=True)

    def press_power_button(self) -> None:
        """Press the ACPI power button. Raises `LabError` when it is off."""
        self._do(lambda guest: guest.part(System).power_button(), needs_power=True)

    def pause(self) -> None:
        """Freeze it. Raises `LabError` when it is off."""
        self._do(Guest.pause, needs_power=True)

    def resume(self) -> None:
        """Let it go on. Raises `LabError` when it is off."""
        self._do(Guest.resume, needs_power=True)

    def unplug_link(self, network: Network = Network.PRIVATE) -> None:
        """Pull the cable out of the NIC on a network."""
        self._lab.plug(self.name, self._nic(network), plugged=False)

    def plug_link(self, network: Network = Network.PRIVATE) -> None:
        """Put the cable back."""
        self._lab.plug(self.name, self._nic(network), plugged=True)

    def _nic(self, network: Network) -> str:
        check_network(self, network)
        return _NICS[network]

    @property
    def networks(self) -> Collection[Network]:
        """Those that the guest has a NIC on."""
        nics = self._lab.world.guests[self.name].nics
        return [network for network, nic in _NICS.items() if nic in nics]

    def limit_data_disk(self, bytes_per_s: float | None) -> None:
        """Limit what is read and written together."""
        self._do(lambda guest: guest.limit_data_disk(bytes_per_s))

    def _do(self, verb: Callable[[Guest], None], *, needs_power: bool = False) -> None:
        with self._lab.clock.condition:
            guest = self._lab.world.guests[self.name]
            if needs_power and not guest.running:
                raise LabError("the machine is off", node=self.name, advice="power it on first")
            verb(guest)
            self._lab.clock.condition.notify_all()


class SimulatedLab(Lab):
    """A model of two FreeBSD nodes behind real SSH servers, in virtual time. Never evidence."""

    name: ClassVar[str] = "simulated"
    mark: ClassVar[str | None] = "simulated"
    clock: VirtualClock

    def __init__(
        self,
        settings: Settings,
        pair: str = "default",
        *,
        state_dir: Path | None = None,
        over_ssh: bool = True,
    ) -> None:
        """Describe the lab; nothing is started or written yet.

        Its files go under `state_dir`, by default where all pairs are. Without `over_ssh` no server
        listens, and its nodes are reached with `direct.DirectConnect` only.
        """
        self._over_ssh = over_ssh
        features.load_all()
        self._settings = settings
        self.seed = settings.simulated.seed
        self._folder = PairFolder(self.name, pair, state_dir)
        self._machines: dict[str, SimulatedMachine] = {}
        self._servers: dict[str, Sshd] = {}
        self._saved: dict[str, World] = {}
        self._gaps: dict[Gap, None] = {}
        """Those of the whole run, also in states that were left."""
        self.world = World(self.seed)
        self.clock = VirtualClock(self.world)

    @property
    def machines(self) -> Mapping[str, Machine]:  # type: ignore[override]
        """The machines by name; empty before `start`."""
        return self._machines

    def check(self) -> None:
        """Look for free ports."""
        check_ports(self._settings)

    def start(self) -> None:
        """Take the pair, make the model's two nodes and power both on."""
        self.check()
        self._folder.acquire()
        self._folder.remove()
        self._folder.path.mkdir(mode=0o700)
        client = KeyPair.generate(f"skunk-{self._folder.pair}")
        client_key = self._folder.path / "client_key"
        client.write_private(client_key)
        with self.clock.condition:
            self._gaps |= self.world.gaps
            self.world.gaps.clear()
            self._make_world()
            for name in sorted(self._settings.nodes):
                endpoint = Endpoint("127.0.0.1", 0, "root", client_key, None)
                if self._over_ssh:
                    host = KeyPair.generate(name)
                    port = self._settings.nodes[name].ssh_port
                    server = self._servers[name] = Sshd(name, self.clock, client, host, port)
                    server.world = self.world
                    endpoint = Endpoint("127.0.0.1", server.port, "root", client_key, host.public)
                self._machines[name] = SimulatedMachine(
                    self, name, self._folder.path / name, endpoint
                )
        for machine in self._machines.values():
            machine.power_on()

    def stop(self) -> None:
        """Stop both servers, remove the pair's folder and give the pair back."""
        for server in self._servers.values():
            server.close()
        self._servers = {}
        self._machines = {}
        self._saved = {}
        if self._folder.held:
            self._folder.remove()
        self._folder.release()

    def save(self, tag: str) -> None:
        """Copy the whole world. Raises `LabError` when a command still runs in it."""
        off = [name for name, guest in self.world.guests.items() if not guest.running]
        if off:
            raise LabError(f"cannot save {tag!r}: {' and '.join(off)} has no power")
        if not self.clock.wait(lambda: not self._running(), SAVE_PATIENCE):
            raise LabError(
                f"cannot save {tag!r}: {', '.join(self._running())} is still running",
                advice="the model can only save nodes on which no command runs; end it first",
            )
        with self.clock.condition:
            self._saved[tag] = copy.deepcopy(self.world)

    def restore(self, tag: str) -> None:
        """Go on with a copy of the saved world."""
        if tag not in self._saved:
            known = ", ".join(sorted(self._saved)) or "none"
            raise LabError(f"there is no snapshot {tag!r} of this pair; there are: {known}")
        with self.clock.condition:
            world = copy.deepcopy(self._saved[tag])
            self._gaps |= self.world.gaps
            self.world = world
            self.clock.replace_world(world)
            for name, server in self._servers.items():
                server.world = world
                server.set_up(up=world.guests[name].sshd_up)
            for name, guest in world.guests.items():
                for nic in guest.nics:
                    self.plug(name, nic, plugged=True)

    def describe(self) -> LabDescription:
        """Say that it is a model, of what, and which chance it has."""
        return LabDescription(
            self.name,
            "no machines but a model, no evidence about FreeBSD",
            "virtual time",
            "none",
            self.seed,
        )

    def plug(self, name: str, nic: str = PRIVATE, *, plugged: bool) -> None:
        """Put the cable into a NIC of a node, or pull it out."""
        with self.clock.condition:
            self.world.plug(name, nic, plugged=plugged)
            self.clock.condition.notify_all()

    def gaps(self) -> tuple[Gap, ...]:
        """What the model lacks, of all that its nodes were asked on the way to this state."""
        with self.clock.condition:
            return tuple(self.world.gaps)

    def leave_notes(self, folder: Path) -> None:
        """Write gaps.json: what the model lacks, of all that it was asked in the whole run."""
        gaps = [dataclasses.asdict(gap) for gap in self._gaps | self.world.gaps]
        (folder / "gaps.json").write_text(json.dumps(gaps, indent=2) + "\n")

    def _make_world(self) -> None:
        chosen = self._settings.simulated
        link = self.world.link = Segment(self.world)
        link.delay = chosen.link_delay_ms / 1e3
        link.rate = chosen.link_mbit * 1e6 / 8
        link.loss = chosen.link_loss
        public = Segment(self.world)
        for number, name in enumerate(sorted(self._settings.nodes), start=1):
            folder = self._folder.path / name
            folder.mkdir(mode=0o700)
            guest = Guest(
                self.world,
                name,
                number=number,
                parts=features.parts(),
                data_disk_bytes=self._settings.machine.data_disk_mib << 20,
                data_disk_serial=self._settings.data_disk_serial(name),
                nics=self._nics(number, name, public),
                disk_latency=chosen.disk_latency_ms / 1e3,
                disk_rate=chosen.disk_mb * 1e6,
                console=Console(_Log(folder / "console.log").write),
            )
            guest.on_sshd = SshdSwitch(partial(self._turn_sshd, name))

    def _nics(self, number: int, name: str, public: Segment) -> list[Nic]:
        """The NICs of each node: vtnet0 to the host, vtnet1 on the private link, and so on."""
        nics = [
            Nic(f"52:54:00:a0:00:{number:02x}"),
            Nic(self._settings.private_mac(name), self.world.link),
        ]
        if self._settings.public is not None:
            nics.append(Nic(self._settings.public_mac(name), public))
        return nics

    def _turn_sshd(self, name: str, up: bool) -> None:
        """Open or close a node's SSH server, as its sshd(8) begins or ends."""
        server = self._servers.get(name)
        if server is not None:
            server.set_up(up=up)

    def _running(self) -> list[str]:
        return [
            f"`{process.title}` on {name}"
            for name, guest in sorted(self.world.guests.items())
            for process in guest.processes.values()
        ]


class _Log:
    """A file that lines are added to."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, text: str) -> None:
        # A guest may write any bytes to its console, as a host name that is not UTF-8.
        with self._path.open("a", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
