"""Bad input to the qemu lab: one clear error, before anything is started or written."""

import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.config import settings
from harness.config.settings import Settings
from harness.errors import (
    HarnessError,
    ImageError,
    MissingTool,
    PairInUse,
    PortInUse,
    SettingsError,
)
from harness.lab.pairs import PairFolder
from harness.lab.qemu.lab import QemuLab
from harness.lab.qemu_host import Qemu
from tests import needs


@pytest.fixture(autouse=True)
def state(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    # Not pytest's own folder, whose path is too long for a socket in it.
    with tempfile.TemporaryDirectory(prefix="skunk-") as folder:
        monkeypatch.setenv("SKUNK_STATE_DIR", folder)
        yield Path(folder)


def with_port(port: int) -> Settings:
    loaded = settings.load()
    nodes = {**loaded.nodes, "skunk2": loaded.nodes["skunk2"].model_copy(update={"ssh_port": port})}
    return loaded.model_copy(update={"nodes": nodes})


def fake_qemu(folder: Path, version: str) -> None:
    for name in ("qemu-system-x86_64", "qemu-img"):
        program = folder / name
        program.write_text(f"#!/bin/sh\necho 'QEMU emulator version {version}'\n")
        program.chmod(0o755)


def test_no_qemu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingTool, match=r"no qemu-system-x86_64(.|\n)*apt-get install"):
        Qemu.find()


def test_a_qemu_that_is_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_qemu(tmp_path, "6.2.0")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(MissingTool, match=r"QEMU 6\.2 is too old"):
        Qemu.find()


needs_qemu = needs.programs("qemu-system-x86_64", "qemu-img")


@needs_qemu
def test_no_image(tmp_path: Path, state: Path) -> None:
    with pytest.raises(ImageError, match=r"missing\.qcow2"):
        QemuLab(settings.load(), tmp_path / "missing.qcow2").start()
    assert not list(state.glob("pairs/*"))


def bootable(folder: Path) -> Path:
    image = folder / "image.raw"
    image.write_bytes(bytes(510) + b"\x55\xaa" + bytes(1 << 16))
    return image


@needs_qemu
def test_a_pair_of_two_images_is_looked_at_and_described_as_that(
    tmp_path: Path, state: Path
) -> None:
    one = bootable(tmp_path)
    other = tmp_path / "other.raw"
    with pytest.raises(ImageError, match=r"other\.raw"):
        QemuLab(settings.load(), {"skunk1": one, "skunk2": other}).check()
    other.write_bytes(one.read_bytes())
    lab = QemuLab(settings.load(), {"skunk2": other, "skunk1": one})
    lab.check()
    assert lab.describe().image == "image.raw on skunk1, other.raw on skunk2"
    assert QemuLab(settings.load(), one).describe().image == "image.raw"


@needs_qemu
def test_a_fixed_ssh_port_that_is_taken(tmp_path: Path, state: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortInUse, match=rf"skunk2: port {port} on 127\.0\.0\.1 is taken"):
            QemuLab(with_port(port), bootable(tmp_path)).start()
    assert not list(state.glob("pairs/*"))


@pytest.mark.parametrize("name", ["", "../../etc", "a b", "x" * 33])
def test_a_name_that_is_none_for_a_pair(name: str) -> None:
    with pytest.raises(SettingsError, match="no name for a pair"):
        PairFolder("qemu", name)


def test_a_state_folder_too_deep_for_sockets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKUNK_STATE_DIR", str(tmp_path / ("x" * 90)))
    with pytest.raises(SettingsError, match="SKUNK_STATE_DIR"):
        QemuLab(settings.load(), bootable(tmp_path)).start()


HOLDER = """
import sys
from harness.lab.pairs import PairFolder
folder = PairFolder("qemu", "shared")
folder.acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_two_runs_on_one_pair() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(PairInUse, match=rf"process {holder.pid}, since .*\n.*PAIR=") as refused:
            PairFolder("qemu", "shared").acquire()
        assert isinstance(refused.value, HarnessError)
        holder.kill()
        holder.wait(10)
    folder = PairFolder("qemu", "shared")
    folder.acquire()  # the kernel gave the dead run's lock back
    folder.release()
