"""A libvirt box out of a disk image."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from harness.config import paths
from harness.errors import ImageError, LabError, MissingTool
from harness.lab.vagrant.make_box import make_box
from tests import needs
from tests.unit.vagrant.conftest import Programs

QEMU_IMG = shutil.which("qemu-img")

pytestmark = needs.programs("qemu-img")

MIB = 1 << 20


def qemu_img(*arguments: str | Path) -> str:
    command = [str(QEMU_IMG), *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


@pytest.fixture
def host(programs: Programs, tmp_path: Path) -> Programs:
    """A Vagrant that keeps the box it gets, and the real qemu-img."""
    programs.script("qemu-img", f'exec {QEMU_IMG} "$@"')
    programs.script(
        "vagrant",
        f'echo "$*" >> {tmp_path}/vagrant.calls\n'
        f'case "$1" in --version) echo Vagrant 2.3.4;; box) /bin/cp "$4" {tmp_path}/kept;; esac',
    )
    return programs


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    """A qcow2 over a raw image of 1 GiB and a bit, each of which has something in it."""
    raw = tmp_path / "base.raw"
    with raw.open("wb") as file:
        file.seek(510)
        file.write(b"\x55\xaa")
        file.truncate(1024 * MIB + 512)
    path = tmp_path / "image.qcow2"
    qemu_img("create", "-q", "-f", "qcow2", "-F", "raw", "-b", raw, path)
    return path


def test_an_overlay_becomes_a_whole_box(host: Programs, overlay: Path, tmp_path: Path) -> None:
    before = overlay.read_bytes()
    make_box(overlay, "freebsd/FreeBSD-13.2-RELEASE", say=lambda _: None)
    with tarfile.open(tmp_path / "kept") as box:
        box.extractall(tmp_path / "box", filter="data")
    folder = tmp_path / "box"
    metadata = json.loads((folder / "metadata.json").read_text())
    assert metadata == {"provider": "libvirt", "format": "qcow2", "virtual_size": 2}
    vagrantfile = (folder / "Vagrantfile").read_text()
    assert 'config.ssh.username = "root"' in vagrantfile
    assert 'config.ssh.sudo_command = "%c"' in vagrantfile
    info = json.loads(qemu_img("info", "--output=json", folder / "box.img"))
    assert info["format"] == "qcow2"
    assert info["virtual-size"] == 1024 * MIB + 512
    assert "backing-filename" not in info
    assert "identical" in qemu_img("compare", overlay, folder / "box.img")
    assert overlay.read_bytes() == before
    assert list(paths.cache_dir().iterdir()) == []
    added = (tmp_path / "vagrant.calls").read_text().splitlines()[-1]
    assert added.startswith("box add freebsd/FreeBSD-13.2-RELEASE /")
    assert added.endswith("--force --provider libvirt")


def test_what_vagrant_says_against_the_box_is_shown(host: Programs, overlay: Path) -> None:
    host.script("vagrant", 'case "$1" in --version) echo Vagrant 2;; *) echo full; exit 1;; esac')
    with pytest.raises(LabError, match=r"status 1; it said:\n  full"):
        make_box(overlay, "a/b", say=lambda _: None)
    assert list(paths.cache_dir().iterdir()) == []


def test_no_image(host: Programs, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"missing\.qcow2"):
        make_box(tmp_path / "missing.qcow2", "a/b")


@pytest.mark.parametrize("missing", ["qemu-img", "vagrant"])
def test_a_program_is_missing(host: Programs, overlay: Path, tmp_path: Path, missing: str) -> None:
    (tmp_path / "bin" / missing).unlink()
    with pytest.raises(MissingTool):
        make_box(overlay, "a/b")
