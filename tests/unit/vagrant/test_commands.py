"""python-vagrant with deadlines, and the Vagrant that a killed harness left running."""

from __future__ import annotations

import subprocess
from pathlib import Path

import psutil
import pytest

from harness.errors import LabError, MissingTool
from harness.lab.vagrant.commands import Vagrant, kill_strays
from tests.unit.vagrant.conftest import Programs


def test_a_vagrant_that_hangs_is_ended(programs: Programs, tmp_path: Path) -> None:
    """`up` has its own deadline; what it said until then is in the error and in the log."""
    programs.script("vagrant", "echo Waiting for domain to get an IP address...; /bin/sleep 987")
    log = tmp_path / "log"
    vagrant = Vagrant(tmp_path, {}, log=log, within={"up": 1})
    with pytest.raises(LabError, match=r"within 1 s [^$]*  Waiting for domain to get an IP"):
        vagrant.up(provider="libvirt")
    assert "Waiting for domain" in log.read_text()


def test_answers_are_read(programs: Programs, tmp_path: Path) -> None:
    programs.make(
        "vagrant",
        ("--version", "Vagrant 2.3.4"),
        (
            "plugin list --machine-readable",
            "1795368798,,plugin-name,vagrant-libvirt\n"
            "1795368798,vagrant-libvirt,plugin-version,0.11.2%!(VAGRANT_COMMA) system",
        ),
    )
    vagrant = Vagrant(tmp_path, {})
    assert vagrant.version() == "2.3.4"
    assert [plugin.name for plugin in vagrant.plugin_list()] == ["vagrant-libvirt"]


def test_the_environment_reaches_vagrant(programs: Programs, tmp_path: Path) -> None:
    programs.script("vagrant", 'echo "$SKUNK_PREFIX $PATH"')
    said = Vagrant(tmp_path, {"SKUNK_PREFIX": "skunk-try-"}).ssh_config()
    assert said.split() == ["skunk-try-", str(tmp_path / "bin")]


def test_no_vagrant(programs: Programs, tmp_path: Path) -> None:
    with pytest.raises(MissingTool, match="apt-get install vagrant"):
        Vagrant(tmp_path, {}).version()


def test_only_this_pairs_stray_vagrant_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not another pair's, and not what merely has the environment: a shell, an editor."""
    started = [
        subprocess.Popen(
            [program, "987"],
            executable="/bin/sleep",
            env={"VAGRANT_DOTFILE_PATH": str(tmp_path / dotfile)},
        )
        for program, dotfile in (("vagrant", "ours"), ("vagrant", "other"), ("sleep", "ours"))
    ]
    # A mistake in what is under test must not reach any other process of the host.
    known = [psutil.Process(process.pid) for process in started]
    monkeypatch.setattr(psutil, "process_iter", lambda: iter(known))
    try:
        kill_strays(tmp_path / "ours")
        assert [process.poll() is None for process in started] == [False, True, True]
    finally:
        for process in started:
            process.kill()
            process.wait(10)
