"""A pair that stays up between commands: one keeper for all of this, and real ssh(1)."""

from __future__ import annotations

import errno
import json
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import filelock
import psutil
import pytest

from harness.config import paths
from harness.errors import HarnessError, LabError, PairInUse
from harness.lab.pairs import PairFolder
from harness.operate.kept import HEAL_SECONDS, Kept
from harness.operate.reach import Reached, reached, ssh_command, write_config
from tests import forked, needs
from tests.unit.operate.conftest import Skunk, error_of


@pytest.fixture(scope="module")
def kept(skunk: Skunk) -> Iterator[Kept]:
    result = skunk("up", "--lab", "simulated")
    assert result.exit_code == 0, result.output
    assert all(line.startswith("[simulated] ") for line in result.output.splitlines())
    yield Kept("simulated", "default")
    skunk("down")


def nodes(skunk: Skunk) -> dict[str, Any]:
    result = skunk("status", "--json")
    assert result.exit_code == 0, result.exception
    return {node["name"]: node for node in json.loads(result.stdout)["nodes"]}


def ssh(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness", "ssh", *words],
        cwd=paths.PROJECT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_it_is_set_up_and_stays(skunk: Skunk, kept: Kept) -> None:
    seen = nodes(skunk)
    skunk1, skunk2 = seen["skunk1"], seen["skunk2"]
    assert (skunk1["power"], skunk1["answers"], skunk1["link"]) == ("running", True, "active")
    assert skunk1["resources"][0] == {
        "name": "mirror",
        "role": "primary",
        "status": "complete",
        "replication": "memsync",
        "dirty": 0,
    }
    assert skunk1["pools"] == {"failover": "ONLINE"}
    assert skunk2["resources"][0]["role"] == "secondary"
    assert skunk2["resources"][0]["dirty"] is None, "a secondary does not know"
    assert skunk2["pools"] == {}
    assert skunk1["uptime"] > 10
    shown = skunk("status").stdout.splitlines()
    assert all(line.startswith("[simulated] ") for line in shown)
    assert any("mirror: primary" in line and "mirror: secondary" in line for line in shown)


def test_only_its_owner_can_ask_the_keeper(kept: Kept) -> None:
    assert stat.S_IMODE(kept.folder.path.stat().st_mode) == 0o700
    with pytest.raises(HarnessError, match="no verb 'rm'"):
        kept.ask("rm")


def test_another_one_of_that_name_is_refused(skunk: Skunk, kept: Kept) -> None:
    error = error_of(skunk("up", "--lab", "simulated"))
    assert "up already" in error.what
    assert f"process {kept.about().pid}" in error.what
    with pytest.raises(PairInUse, match=str(kept.about().pid)):
        PairFolder("simulated", "default").acquire()
    assert kept.is_up


@needs.programs("ssh")
def test_ssh_gives_output_and_exit_status(kept: Kept) -> None:
    done = ssh("skunk2", "hostname; echo wrong >&2; exit 7")
    assert (done.stdout, done.stderr, done.returncode) == ("skunk2\n", "wrong\n", 7)
    done = ssh("skunk1")
    assert done.returncode == 3
    assert "has no terminal" in done.stderr


@needs.programs("ssh")
def test_ssh_talks_to_nobody_with_another_host_key(kept: Kept) -> None:
    skunk1, skunk2 = (reached(kept, name) for name in ("skunk1", "skunk2"))
    impostor = replace(skunk1, host_key=skunk2.host_key)
    command = ssh_command(kept, skunk1, ["true"])
    config = Path(command[2])
    before = config.read_text()
    try:
        write_config(kept, [impostor, skunk2])
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    finally:
        write_config(kept, [skunk1, skunk2])
    assert config.read_text() == before
    assert done.returncode == 255
    assert "verification failed" in done.stderr


def test_a_user_who_is_not_root_becomes_root(kept: Kept) -> None:
    vagrants = Reached(
        name="skunk1",
        host="192.0.2.1",
        port=22,
        user="vagrant",
        key=Path("/k"),
        host_key="ssh-ed25519 AAAA",
        mark=None,
    )
    command = ssh_command(kept, vagrants, ["hastctl list;", "df"])
    assert command[3:] == ["skunk1", "sudo -n /bin/sh -c 'hastctl list; df'"]
    assert ssh_command(kept, vagrants, [])[3:] == ["-t", "skunk1", "sudo -i"]


def test_the_console_is_shown(skunk: Skunk, kept: Kept) -> None:
    said = skunk("console", "skunk1").stdout
    assert "Loading kernel...\n" in said
    assert skunk("console", "skunk1", "-n", "2").stdout.splitlines() == said.splitlines()[-2:]
    assert skunk("console", "skunk1", "-n", "0").stdout == ""


def test_a_node_without_power_is_silent_and_comes_back_without_a_role(
    skunk: Skunk, kept: Kept
) -> None:
    assert skunk("cut", "power", "skunk2").exit_code == 0
    skunk2 = nodes(skunk)["skunk2"]
    assert (skunk2["power"], skunk2["answers"]) == ("off", False)
    assert skunk2["broken"] == ["without power"]
    assert "its power is off" in error_of(skunk("cut", "pause", "skunk2")).what
    healed = skunk("heal")
    assert "a node without a role needs one" in healed.stdout
    skunk2 = nodes(skunk)["skunk2"]
    assert (skunk2["answers"], skunk2["broken"]) == (True, [])
    assert skunk2["resources"][0]["role"] == "init"


def test_everything_that_can_be_cut_is_healed_at_once(skunk: Skunk, kept: Kept) -> None:
    assert skunk("cut", "link").exit_code == 0
    assert skunk("cut", "deaf", "skunk1").exit_code == 0
    assert skunk("cut", "hastd", "skunk1").exit_code == 0
    assert skunk("cut", "pause", "skunk2").exit_code == 0
    seen = nodes(skunk)
    assert seen["skunk1"]["link"] == "no carrier"
    assert seen["skunk1"]["hastd"] == "hastd does not run"
    assert len(seen["skunk1"]["broken"]) == 3
    assert seen["skunk2"]["power"] == "paused"
    assert skunk("heal").exit_code == 0
    for node in nodes(skunk).values():
        assert (node["power"], node["link"], node["hastd"]) == ("running", "active", None)
        assert node["broken"] == []


def test_a_look_waits_for_nobody(skunk: Skunk, kept: Kept) -> None:
    kept.ask("cut", what="power", node="skunk1")
    healing = threading.Thread(target=lambda: kept.ask("heal", within=HEAL_SECONDS))
    healing.start()
    while healing.is_alive():
        assert kept.ask("status", within=20)["nodes"][1]["answers"]
    assert kept.ask("status")["nodes"][0]["answers"]


def test_many_ask_at_the_same_moment(kept: Kept) -> None:
    """Forty of them: nobody is told that the keeper is gone, and few looks answer them all."""
    with ThreadPoolExecutor(40) as pool:
        asked = [pool.submit(kept.ask, "status") for _ in range(40)]
        seen = [each.result(120) for each in asked]
    assert len({json.dumps(each) for each in seen}) <= 20  # 4 on an idle host
    assert all(node["answers"] for each in seen for node in each["nodes"])


@needs.programs("scp")
@pytest.mark.parametrize("options", [[], ["-O"]], ids=["sftp", "old"])
def test_scp_copies_there_and_back_or_ends(kept: Kept, tmp_path: Path, options: list[str]) -> None:
    """By SFTP; what has only the old protocol is told that the model has not."""
    sent, back = tmp_path / "sent", tmp_path / "back"
    sent.write_bytes(os.urandom(100_000))
    config = kept.folder.path / "ssh_config"

    def scp(*words: str | Path) -> subprocess.CompletedProcess[str]:
        command = ["scp", "-q", "-F", str(config), *options, *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    done = scp(sent, "skunk2:/tmp/")
    if options:
        assert done.returncode != 0
        assert "scp" in done.stderr
        return
    assert (done.returncode, done.stderr) == (0, "")
    assert scp("skunk2:/tmp/sent", back).returncode == 0
    assert back.read_bytes() == sent.read_bytes()
    assert "No such file" in scp("skunk2:/tmp/nosuch", back).stderr


def test_what_only_a_mistake_can_ask_for(skunk: Skunk, kept: Kept) -> None:
    for words in (
        ["cut", "power"],
        ["cut", "moon"],
        ["ssh", "skunk3"],
        ["up", "--bare", "--provision"],
    ):
        assert skunk(*words).exit_code == 2, words
    assert "no pair of that name is up" in error_of(skunk("status", "--pair", "other")).what


def test_down_leaves_nothing(skunk: Skunk, kept: Kept, state_dir: Path) -> None:
    pid = kept.about().pid
    assert "nothing of it is left" in skunk("down").stdout
    assert list((state_dir / "pairs").iterdir()) == []
    psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=10)
    assert not psutil.pid_exists(pid)
    assert "no pair is up" in error_of(skunk("status")).what


def test_what_a_killed_keeper_left_is_removed(skunk: Skunk, up: Kept, state_dir: Path) -> None:
    pid = up.about().pid
    os.kill(pid, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(pid)], timeout=10)
    assert f"process {pid}) is gone" in error_of(skunk("status")).what
    assert (state_dir / "pairs" / "simulated-default").exists()
    assert "what it left is removed" in skunk("down").stdout
    assert list((state_dir / "pairs").iterdir()) == []


def test_who_waits_for_a_pair_that_is_given_back_has_the_one_lock(tmp_path: Path) -> None:
    """The file of the lock goes with the pair, while another process has it open."""
    first, third = (PairFolder("simulated", "mine", tmp_path) for _ in range(2))
    first.acquire()
    waiting = filelock.FileLock(f"{first.path}.lock", thread_local=False, poll_interval=0.01)
    with ThreadPoolExecutor() as pool:
        acquired = pool.submit(waiting.acquire, timeout=30)
        assert not acquired.done()
        first.release()
        acquired.result()
    with pytest.raises(PairInUse):
        third.acquire()
    waiting.release()
    third.acquire()
    third.release()
    assert not third.is_there
    assert list((tmp_path / "pairs").iterdir()) == []


def test_a_pair_that_a_run_has_is_not_touched(skunk: Skunk, state_dir: Path) -> None:
    run = PairFolder("simulated", "default")
    run.acquire()
    try:
        error = error_of(skunk("up", "--lab", "simulated"))
        assert f"in use by process {os.getpid()}" in error.what
        assert not Kept("simulated", "default").folder.path.exists()
    finally:
        run.release()


def test_bare_means_that_nothing_was_done_to_it(skunk: Skunk, state_dir: Path) -> None:
    assert skunk("up", "--lab", "simulated", "--bare", "--pair", "bare").exit_code == 0
    try:
        node = nodes(skunk)["skunk1"]
        assert node["answers"]
        assert "/etc/hast.conf" in node["hastd"]
    finally:
        skunk("down")


def test_two_starts_at_the_same_time(skunk: Skunk, state_dir: Path) -> None:
    """One has the pair, and the other is told so."""
    words = ("up", "--lab", "simulated", "--bare")
    with ThreadPoolExecutor(2) as pool:
        starting = [pool.submit(forked.run, *words, stderr=subprocess.STDOUT) for _ in range(2)]
    said = [each.result().stdout for each in starting]
    assert sorted(each.result().returncode for each in starting) == [0, 3], said
    assert sum("is up already, by " in each for each in said) == 1, said
    assert skunk("down").exit_code == 0


@pytest.mark.parametrize("state", ["/dev/null", "/dev/null/below"])
def test_a_state_folder_that_cannot_be_written(
    state: str, skunk: Skunk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message, and nothing of Python's."""
    monkeypatch.setenv("SKUNK_STATE_DIR", state)
    error = error_of(skunk("up", "--lab", "simulated"))
    assert "cannot be used: Not a directory" in error.what


def test_a_disk_that_is_full(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever cannot be written: the pair is given back, and nothing stays."""

    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", full)
    folder = PairFolder("simulated", "full")
    with pytest.raises(LabError, match="cannot be used: No space left"):
        folder.acquire()
    assert not folder.held
    assert list((state_dir / "pairs").glob("simulated-full.owner*")) == []


def test_a_pair_that_never_was(skunk: Skunk, state_dir: Path) -> None:
    error = error_of(skunk("down", "--lab", "simulated", "--pair", "never"))
    assert (
        error.what == "the pair 'never' of the simulated lab is not up, and nothing is left of one"
    )


@pytest.mark.parametrize("name", ["../x", "two words", "", "a" * 200, "-f", "ä"])
def test_what_is_no_name_of_a_pair(skunk: Skunk, state_dir: Path, name: str) -> None:
    for words in (["up", "--lab", "simulated"], ["down", "--lab", "simulated"]):
        error = error_of(skunk(*words, f"--pair={name}"))
        assert f"{name!r} is no name for a pair" in error.what
    assert "no pair" in error_of(skunk("status", f"--pair={name}")).what


def test_an_interrupted_start_leaves_nothing(state_dir: Path) -> None:
    reading, writing = os.pipe()
    with (
        os.fdopen(reading) as said,
        forked.start(
            *("up", "--lab", "simulated"), stdout=writing, stderr=subprocess.STDOUT
        ) as starting,
    ):
        os.close(writing)
        assert any("booting" in line for line in said)
        starting.send_signal(signal.SIGINT)
        assert starting.wait(30) == 130
    assert list((state_dir / "pairs").iterdir()) == []


def test_a_keeper_that_hangs_is_noticed(state_dir: Path, skunk: Skunk, up: Kept) -> None:
    process = psutil.Process(up.about().pid)
    process.suspend()
    try:
        for _ in range(3):
            with pytest.raises(LabError, match="did not answer within 0 s"):
                up.ask("status", within=0.1)
    finally:
        process.resume()
    # It looks at the pair now, for nobody, and that must not keep it from ending.
    assert skunk("down").exit_code == 0
    gone, _ = psutil.wait_procs([process], timeout=10)
    assert gone
