"""A scenario fails, in a pytest of its own: what is kept of it, and the pair as it was then."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import tarfile
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
from pexpect.fdpexpect import fdspawn

from harness.errors import HarnessError
from harness.operate.kept import Kept
from harness.pytest_plugin.bundle import pack
from tests import forked
from tests.forked import Forked

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\n{}\n-----END OPENSSH PRIVATE KEY-----\n"


def words(results: Path, *options: str) -> list[str]:
    return [
        *("-v", "--tb=line", "-p", "no:cacheprovider"),
        *("--lab", "simulated", "--results", str(results), "--pair", "broken", *options),
        "tests/unit/operate/failing.py",
    ]


@contextlib.contextmanager
def at_a_terminal(results: Path) -> Iterator[fdspawn[str]]:
    """A run with `--shell-on-failure`, as a person has it."""
    master, slave = os.openpty()
    modes = termios.tcgetattr(slave)
    modes[3] &= ~termios.ECHO
    termios.tcsetattr(slave, termios.TCSANOW, modes)
    with (
        os.fdopen(master, "r+b", buffering=0) as terminal,
        forked.start(
            *words(results, "--shell-on-failure", "--color=no"), program="pytest", terminal=slave
        ),
    ):
        yield fdspawn(terminal, timeout=60, encoding="utf-8")


@pytest.fixture
def kept(state_dir: Path) -> Kept:
    return Kept("simulated", "broken")


def link_of_skunk2(kept: Kept) -> object:
    return kept.ask("status")["nodes"][1]["link"]


@pytest.fixture
def kept_run(kept: Kept, tmp_path: Path) -> Iterator[Forked]:
    """A run with `--keep`, without a terminal, that has come to its failure."""
    with (
        (tmp_path / "said").open("w") as said,
        forked.start(
            *words(tmp_path / "results", "--keep"),
            program="pytest",
            stdout=said,
            stderr=subprocess.STDOUT,
        ) as run,
    ):
        until = time.monotonic() + 120  # on a host with other work
        while not kept.is_up:
            assert run.poll() is None, (tmp_path / "said").read_text()
            assert time.monotonic() < until
            time.sleep(0.05)
        yield run
        run.terminate()
        run.wait(30)


def test_keep_leaves_the_pair_as_the_failure_made_it(
    kept_run: Forked, kept: Kept, tmp_path: Path
) -> None:
    assert link_of_skunk2(kept) == "no carrier", "not healed"
    assert kept.about().purpose == "the failure of test_fails_while_something_is_broken"
    kept.ask("down")
    assert kept_run.wait(30) == 1
    said = (tmp_path / "said").read_text()
    assert "1 failed, 1 not run in" in said
    assert "skunk ssh skunk1" in said
    assert all(line.startswith("[simulated] ") for line in said.splitlines() if line), said
    assert "\x1b" not in said
    assert not kept.folder.path.exists()
    (archive,) = (tmp_path / "results").glob("*.tar.gz")
    assert str(archive) in said
    with tarfile.open(archive) as packed:
        names = {name.partition("/")[2] for name in packed.getnames()}
        content = b"".join(
            file.read() for member in packed if (file := packed.extractfile(member)) is not None
        )
    both = ("hastd.log", "hast.conf", "hastctl-list.txt", "dmesg.txt", "zpool-status.txt")
    for node in ("skunk1", "skunk2"):
        assert {f"{node}/{name}" for name in (*both, "console.txt", "messages.txt")} <= names
    assert {"run.json", "transcript.txt", "transcript.jsonl"} <= names
    assert b"the moon to be made of cheese" in content
    assert b"pool: failover" in content
    assert b"a private key, left out" in content, "the scenario printed the lab's own"
    assert b"PRIVATE KEY" not in content


def test_the_run_waits_for_enter_and_goes_on(kept: Kept, tmp_path: Path) -> None:
    said = ""
    with at_a_terminal(tmp_path / "results") as run:
        run.expect("goes on with the run")
        said += str(run.before)
        assert link_of_skunk2(kept) == "no carrier", "not healed yet"
        with pytest.raises(HarnessError, match="belongs to a run of scenarios"):
            kept.ask("down")
        run.sendline("zpool status")
        run.expect("no shell of a node")
        run.sendline("exit")
        run.expect("1 failed, 1 passed")
        said += str(run.before)
        run.expect(pexpect.EOF)
    # The line below pytest's own, which goes before anything else is written.
    assert re.search(r"\x1b\[2K\[simulated\] \[1/2\] failing: fails_while\w+ \d+ s, set-up", said)
    assert "\x1b[J" in said


def test_a_python_prompt_has_the_pair_in_it(kept: Kept, tmp_path: Path) -> None:
    """It reaches both nodes, survives every mistake and Ctrl-C, and the transcript goes on."""
    prompt = r"\[simulated\] >>> "
    with at_a_terminal(tmp_path / "results") as run:
        run.expect("skunk1: running, nothing broken on purpose")
        run.expect("skunk2: running, broken on purpose: private link unplugged")
        run.expect("goes on with the run")
        run.sendline("python")
        run.expect("Python with pair, skunk1, skunk2; Ctrl-D goes back")
        for typed, shown in (
            ("skunk2.run('hostname').stdout", r"\[simulated\] 'skunk2\\n'"),
            ("pair.info(skunk1).role", r"\[simulated\] primary"),
            ("skunk2.faults", r"\['private link unplugged'\]"),
            ("1 / 0", "ZeroDivisionError"),
            ("skunk1.run('false')", "CommandFailed: skunk1: `false` ended with status 1"),
            ("for node in pair:", r"\.\.\. "),
        ):
            run.expect(prompt)
            run.sendline(typed)
            run.expect(shown)
        run.send("\x03")
        run.expect("KeyboardInterrupt")
        run.expect(prompt)
        run.sendline("import threading; threading.Event().wait(1000)")
        time.sleep(0.5)  # until it waits
        run.send("\x03")
        run.expect("KeyboardInterrupt")
        run.expect(prompt)
        run.send("\x04")
        run.expect("Enter, or `exit`, goes on with the run")
        assert link_of_skunk2(kept) == "no carrier", "still as it was"
        run.sendline("python")
        run.expect(prompt)
        run.sendline("exit")
        run.expect("goes on with the run")
        run.sendline("")
        run.expect("1 failed, 1 passed")
        run.expect(pexpect.EOF)
    (transcript,) = (tmp_path / "results").glob("*fails_while*/transcript.txt")
    assert "hostname" in transcript.read_text()


def test_without_a_terminal_nobody_could_press_enter(tmp_path: Path) -> None:
    done = forked.run(*words(tmp_path, "--shell-on-failure"), program="pytest", new_session=True)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "there is none" in done.stderr


def test_no_private_key_is_packed(tmp_path: Path) -> None:
    folder = tmp_path / "test_x"
    (folder / "skunk1").mkdir(parents=True)
    (tmp_path / "run.json").write_text("{}")
    (tmp_path / "junit.xml").write_text("of the whole run")
    key = KEY.format("b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW")
    (folder / "transcript.txt").write_text(f"before\n{key}between\n{key}after\n")
    (folder / "transcript.jsonl").write_text(key.replace("\n", "\\n") + "after\n")
    (folder / "skunk1" / "cut-off.txt").write_text("before\n" + key[:90])
    (folder / "link").symlink_to("/etc/hostname")
    with tarfile.open(pack(folder)) as archive:
        packed = {
            member.name: file.read().decode()
            for member in archive
            if (file := archive.extractfile(member)) is not None
        }
    assert packed == {
        "test_x/run.json": "{}",
        "test_x/skunk1/cut-off.txt": "before\n-----BEGIN OPENSSH PRIVATE KEY-----\n"
        "(a private key, left out)",
        "test_x/transcript.jsonl": "(a private key, left out)\\nafter\n",
        "test_x/transcript.txt": "before\n(a private key, left out)\nbetween\n"
        "(a private key, left out)\nafter\n",
    }
