"""The qemu lab: a pair of QEMU processes with overlays over one read-only image."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

from harness.config.settings import Settings
from harness.errors import LabError
from harness.lab.base import Lab, LabDescription, Machine, Network, Power
from harness.lab.images import image
from harness.lab.keys import KeyPair
from harness.lab.pairs import PairFolder
from harness.lab.ports import check_ports
from harness.lab.qemu.machine import Hardware, QemuMachine, cable, kill_leftovers
from harness.lab.qemu.public import PublicSegment
from harness.lab.qemu_host import Accelerator, Qemu, check_room, choose_accelerator
from harness.lab.seed import Seed
from harness.waiting.parallel import on_each


class QemuLab(Lab):
    """Two QEMU machines from images that read the seed (`harness.lab.qemu.prepare`)."""

    name: ClassVar[str] = "qemu"
    # Two cores, emulation, FreeBSD 13.2: docs/evidence/benchmarks.md.

    def __init__(
        self, settings: Settings, base_image: Path | Mapping[str, Path], pair: str = "default"
    ) -> None:
        """Describe the lab; nothing is started or written yet. An image may be each node's own."""
        self._settings = settings
        one = dict.fromkeys(settings.nodes, base_image) if isinstance(base_image, Path) else {}
        images = base_image if isinstance(base_image, Mapping) else one
        self._images = {name: path.resolve() for name, path in sorted(images.items())}
        self._folder = PairFolder(self.name, pair)
        self._qemu: Qemu | None = None
        self._formats: dict[Path, str] = {}
        self._accelerator = ""
        self._machines: dict[str, QemuMachine] = {}
        self._saved: set[str] = set()
        self._cable_ends: list[socket.socket] = []
        self._segment: PublicSegment | None = None

    @property
    def machines(self) -> Mapping[str, Machine]:  # type: ignore[override]
        """The machines by name; empty before `start`."""
        return self._machines

    def check(self) -> None:
        """Look for QEMU, the image, free ports and room on the host."""
        self._folder.check()
        self._qemu = Qemu.find()
        self._formats = {path: image.inspect(path).format for path in set(self._images.values())}
        check_ports(self._settings)

    def start(self) -> None:
        """Take the pair, remove what a dead run left of it, and power on both machines."""
        self.check()
        assert self._qemu is not None
        self._folder.acquire()
        kill_leftovers(self._folder.path)
        self._folder.remove()
        self._folder.path.mkdir(mode=0o700)
        check_room(self._folder.path, self._settings.machine.memory_mib)
        accelerator = self._choose_accelerator(self._qemu)
        self._accelerator = accelerator
        client = KeyPair.generate(f"skunk-{self._folder.pair}")
        client_key = self._folder.path / "client_key"
        client.write_private(client_key)
        links = self._lay_cables(self._qemu)
        for number, name in enumerate(sorted(self._settings.nodes), start=1):
            folder = self._folder.path / name
            folder.mkdir(mode=0o700)
            hardware = Hardware(
                name=name,
                number=number,
                folder=folder,
                qemu=self._qemu,
                accelerator=accelerator,
                cpus=self._settings.machine.cpus,
                memory_mib=self._settings.machine.memory_mib,
                private_mac=self._settings.private_mac(name),
                public_mac=self._settings.public_mac(name),
                data_disk_serial=self._settings.data_disk_serial(name),
                ssh_port=self._settings.nodes[name].ssh_port,
            )
            base = self._images[name]
            self._qemu.create_overlay(hardware.os_disk, base, self._formats[base])
            self._qemu.create_disk(hardware.data_disk, self._settings.machine.data_disk_mib)
            host_key = KeyPair.generate(name)
            Seed(f"{self._folder.pair}-{name}", name, client.public, host_key).write(hardware.seed)
            self._machines[name] = QemuMachine(
                hardware,
                links[name],
                client_key,
                host_key,
                within=self._settings.deadlines.hypervisor,
            )
        on_each(self._machines.values(), QemuMachine.power_on)

    def stop(self) -> None:
        """Kill both QEMU processes, remove the pair's folder and give the pair back."""
        errors = []
        for machine in self._machines.values():
            try:
                machine.power_cut()
            except LabError as error:
                errors.append(error)
        self._machines = {}
        self._saved = set()
        if self._segment is not None:
            self._segment.stop()
            self._segment = None
        for end in self._cable_ends:
            end.close()
        self._cable_ends = []
        if not errors and self._folder.held:
            self._folder.remove()
        self._folder.release()
        if errors:
            raise errors[0]

    def save(self, tag: str) -> None:
        """Stop both, save both at the same time, let both go on."""
        off = [name for name, machine in self._machines.items() if machine.power() is Power.OFF]
        if off:
            raise LabError(f"cannot save {tag!r}: {' and '.join(off)} has no power")
        with self._both_stopped():
            if tag in self._saved:
                on_each(self._machines.values(), lambda machine: machine.delete_state(tag))
            on_each(self._machines.values(), lambda machine: machine.save_state(tag))
        self._saved.add(tag)

    def restore(self, tag: str) -> None:
        """Load both at the same time, then let both go on."""
        if tag not in self._saved:
            known = ", ".join(sorted(self._saved)) or "none"
            raise LabError(f"there is no snapshot {tag!r} of this pair; there are: {known}")
        on_each(self._machines.values(), lambda machine: machine.load_state(tag))
        on_each(self._machines.values(), QemuMachine.resume)

    def describe(self) -> LabDescription:
        """Name QEMU's version, the accelerator and the image file."""
        acceleration = "KVM" if self._accelerator == "kvm" else "plain emulation (TCG)"
        names = {path.name for path in self._images.values()}
        each = (f"{path.name} on {name}" for name, path in self._images.items())
        images = ", ".join(names if len(names) == 1 else each)
        return LabDescription(self.name, str(self._qemu), acceleration, images)

    def service(self) -> tuple[str, int]:
        """A port of the host's loopback, which the hub forwards."""
        return super().service() if self._segment is None else self._segment.client

    def _lay_cables(self, qemu: Qemu) -> dict[str, dict[Network, socket.socket]]:
        """Each node's ends of the private link and, where there is one, of the public network."""
        nodes = sorted(self._settings.nodes)
        ends = dict(zip(nodes, self._new_cable(), strict=True))
        links = {name: {Network.PRIVATE: end} for name, end in ends.items()}
        if self._settings.public is not None:
            folder = self._folder.path / "public"
            within = self._settings.deadlines.hypervisor
            self._segment = PublicSegment(qemu, folder, self._settings.public, within)
            ports = []
            for name in nodes:
                links[name][Network.PUBLIC], port = self._new_cable()
                ports.append(port)
            self._segment.start(ports)
        return links

    def _new_cable(self) -> tuple[socket.socket, socket.socket]:
        ends = cable()
        self._cable_ends += ends
        return ends

    def _choose_accelerator(self, qemu: Qemu) -> Accelerator:
        """KVM only where every image runs under it: the nodes' times are to be comparable."""
        wanted = self._settings.machine.accelerator
        found: set[Accelerator] = {
            choose_accelerator(wanted, qemu, path, format_)
            for path, format_ in self._formats.items()
        }
        return "tcg" if "tcg" in found else "kvm"

    @contextlib.contextmanager
    def _both_stopped(self) -> Iterator[None]:
        for machine in self._machines.values():
            machine.pause()
        try:
            yield
        finally:
            for machine in self._machines.values():
                machine.resume()
