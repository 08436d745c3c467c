"""One pair of small Linux guests for each lab, shared by all tests, as new before each of them."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from harness.cluster.node import Node
from harness.config import paths, settings
from harness.config.settings import Settings
from harness.errors import LabError, MissingTool
from harness.lab.base import Lab
from harness.lab.qemu.lab import QemuLab
from harness.lab.vagrant.commands import QUIET, Vagrant
from harness.lab.vagrant.lab import VagrantLab
from harness.lab.vagrant.libvirt import Libvirt
from harness.lab.vagrant.make_box import make_box
from harness.record.sinks import Sinks
from tests.plumbing import guest

PAIR = "plumbing"
FRESH = "fresh"
ALIVE = 5.0
"""Seconds within which a guest that is alive says so, on two cores that have other work too."""


@dataclasses.dataclass(frozen=True)
class Bench:
    """A running lab and its two nodes, with a snapshot called `FRESH` of the first moment."""

    lab: Lab
    nodes: Mapping[str, Node]


@pytest.fixture(scope="session")
def own_state() -> Iterator[None]:
    """Keep out of the user's pairs, at a place where the next run finds what a killed one left."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SKUNK_STATE_DIR", str(paths.state_dir() / "plumbing"))
        yield


@pytest.fixture(scope="session")
def small() -> Settings:
    """The project's settings with as little hardware as the guest needs, and little patience."""
    loaded = settings.load()
    return loaded.model_copy(
        update={
            "machine": loaded.machine.model_copy(update={"memory_mib": 512, "data_disk_mib": 128}),
            "deadlines": loaded.deadlines.model_copy(update={"alive": ALIVE, "ssh_ready": 90.0}),
        }
    )


@pytest.fixture(scope="session", params=["qemu", "vagrant"])
def bench(request: pytest.FixtureRequest, own_state: None, small: Settings) -> Iterator[Bench]:
    """The pair of one lab, booted once for all tests."""
    made = qemu_lab(small) if request.param == "qemu" else vagrant_lab(small)
    with made as lab:
        nodes = nodes_of(lab, small)
        for node in nodes.values():
            node.wait_for_ssh()
            node.disconnect()
        lab.save(FRESH)
        yield Bench(lab, nodes)


@pytest.fixture
def lab(bench: Bench) -> Lab:
    """The lab, with both machines as they were right after their first boot, and logged in."""
    for node in bench.nodes.values():
        node.disconnect()
    bench.lab.restore(FRESH)
    for node in bench.nodes.values():
        node.mark_console()
        node.wait_for_ssh()
    return bench.lab


@pytest.fixture
def skunk1(bench: Bench, lab: Lab) -> Node:
    return bench.nodes["skunk1"]


@pytest.fixture
def skunk2(bench: Bench, lab: Lab) -> Node:
    return bench.nodes["skunk2"]


def nodes_of(lab: Lab, small: Settings) -> dict[str, Node]:
    return {name: Node(machine, small, Sinks()) for name, machine in lab.machines.items()}


def qemu_lab(small: Settings, pair: str = PAIR) -> QemuLab:
    """A lab that is not started yet."""
    return QemuLab(small, guest.cached(), pair=pair)


@contextlib.contextmanager
def vagrant_lab(small: Settings, pair: str = PAIR) -> Iterator[Lab]:
    """A running lab, of a box of its own that is added to Vagrant before and removed after.

    Skips the test where Vagrant, its plugin or a libvirtd that answers is missing.
    """
    image = guest.cached(vagrant=True)
    name = f"skunk-{pair}/{image.stem}"
    box = small.box.model_copy(update={"name": name, "version": None, "provider": "libvirt"})
    lab = VagrantLab(small.model_copy(update={"box": box}), pair=pair)
    libvirt = VagrantLab(small, pair, "qemu").hypervisor
    assert isinstance(libvirt, Libvirt)
    try:
        libvirt.check()
        make_box(image, name, say=lambda _: None)
        lab.check()
    except (MissingTool, LabError) as error:
        pytest.skip(f"the vagrant lab cannot run here: {error.what}")
    try:
        with lab:
            yield lab
    finally:
        Vagrant(Path("/"), QUIET).box_remove(name, "libvirt")
        libvirt.remove_broken_box_images(name, sizes=[])  # none is whole now: all copies
