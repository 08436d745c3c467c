"""What a host lacks and what mends it there; nothing on it is changed."""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from harness.config import paths
from harness.config import settings as settings_file
from harness.doctor import checks as doctor
from harness.doctor import mend
from harness.doctor.checks import Check, LabReport, examine
from harness.lab import qemu_host as host
from harness.lab.qemu_host import Qemu
from tests.unit.operate.conftest import Skunk


def check(lab: LabReport, name: str) -> Check:
    (found,) = [check for check in lab.checks if check.name == name]
    return found


@pytest.mark.parametrize(
    ("family", "command"),
    [
        ("debian", "apt-get install qemu-system-x86 qemu-utils"),
        ("fedora", "dnf install qemu-system-x86 qemu-img"),
        ("freebsd", "pkg install qemu"),
        ("macos", "brew install qemu"),
    ],
)
def test_each_missing_thing_has_its_command(
    family: mend.Family, command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(doctor, "host_family", lambda: family)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("SKUNK_CACHE_DIR", str(tmp_path))
    (report,) = examine(paths.SETTINGS, lab="qemu")
    assert not report.ready
    assert check(report, "QEMU").mend == command
    image = check(report, "FreeBSD image")
    assert not image.ok
    assert "make image" in str(image.mend)
    assert check(report, "room").ok, "one missing thing hides no other"


def test_the_exit_status_tells_a_script(
    skunk: Skunk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert skunk("doctor", "--lab", "qemu").exit_code == 3
    assert skunk("doctor").exit_code == 3, "a model alone is no lab with real machines"
    said = skunk("doctor", "--lab", "simulated", "--json")
    assert said.exit_code == 0
    report = json.loads(said.stdout)
    assert report["ready"] is True
    assert [lab["name"] for lab in report["labs"]] == ["simulated"]


def test_each_lab_is_told_of_before_the_next_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def qemu(*_: object) -> tuple[Check, ...]:
        asked.append("qemu")
        return ()

    monkeypatch.setattr(doctor, "_qemu", qemu)
    labs = examine(paths.SETTINGS)
    assert next(labs).name == "simulated"
    assert asked == []
    assert next(labs).name == "qemu"
    assert asked == ["qemu"]


def test_what_comes_first_is_no_wider_than_a_terminal() -> None:
    large = doctor.Room(1024, 9_999_999, 9_999_999, 99_999_999)
    assert max(map(len, (mend.host_in_words(), str(large)))) <= 80


def refuse(error: OSError) -> NoReturn:
    raise error


@pytest.mark.skipif(sys.platform != "linux", reason="KVM is Linux's")
def test_why_there_is_no_kvm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = settings_file.load()
    qemu = Qemu("qemu-system-x86_64", "qemu-img", (7, 2))

    def kvm() -> Check:
        return doctor._kvm(settings, "debian", qemu, None)

    monkeypatch.setattr(doctor, "_KVM", tmp_path / "kvm")
    assert "there is no" in kvm().says
    (tmp_path / "kvm").touch()
    monkeypatch.setattr(doctor, "_create_vm", lambda: refuse(PermissionError(13, "denied")))
    assert kvm().mend == "usermod -aG kvm $USER, then log in anew"
    monkeypatch.setattr(doctor, "_create_vm", lambda: refuse(OSError(16, "busy")))
    assert "makes no virtual machine: busy" in kvm().says
    monkeypatch.setattr(doctor, "_create_vm", lambda: None)
    monkeypatch.setattr(host, "found_out", lambda _: "tcg")
    assert not kvm().ok
    assert not kvm().needed, "emulation works"
    assert "FreeBSD does not run in it" in kvm().says
    monkeypatch.setattr(host, "found_out", lambda _: "kvm")
    assert kvm().ok


def test_the_kind_of_host(monkeypatch: pytest.MonkeyPatch) -> None:
    def is_like(release: dict[str, str]) -> mend.Family:
        monkeypatch.setattr(platform, "freedesktop_os_release", lambda: release)
        return mend.host_family()

    monkeypatch.setattr(sys, "platform", "linux")
    assert is_like({"ID": "debian"}) == "debian"
    assert is_like({"ID": "linuxmint", "ID_LIKE": "ubuntu debian"}) == "debian"
    assert is_like({"ID": "rocky", "ID_LIKE": "rhel centos fedora"}) == "fedora"
    assert is_like({"ID": "void"}) == "other"
    assert mend.command("qemu", "other")
    monkeypatch.setattr(sys, "platform", "freebsd14")
    assert mend.host_family() == "freebsd"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert mend.host_family() == "macos"
