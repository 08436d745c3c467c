"""The simulated guests' command line against what FreeBSD 13.2 printed for the same lines.

recorded/13.2/shell.json: each line was run by sshd(8) on a running 13.2, in a folder made anew by
the line `fixture`, with the text `stdin` (recorded on 22 Nov 2026).
"""

from __future__ import annotations

import copy
import hashlib
import json
import random
import re
import time
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.lab.base import Power
from harness.lab.simulated import features
from harness.lab.simulated.engine.signal import Signal
from harness.lab.simulated.kernel.files import Entry
from harness.lab.simulated.kernel.guest import Console, Guest, World
from harness.lab.simulated.kernel.process import Process
from harness.lab.simulated.shell import interpreter as shell
from harness.lab.simulated.shell.language.parser import parse
from harness.lab.ssh import remote_command
from harness.trials.fuzz import random_line
from tests.unit.simulated.storage import nics

RECORDED: dict[str, Any] = json.loads(
    (Path(__file__).parent.parent / "recorded/13.2/shell.json").read_text(encoding="ascii")
)
features.load_all()


class Nothing:
    """A console that nobody looks at."""

    def write(self, text: str) -> None:
        pass


@cache
def _booted() -> Guest:
    """A guest that is up."""
    world = World(1)
    console = Console(Nothing().write)
    for number, name in enumerate(("skunk1", "skunk2"), 1):
        guest = Guest(
            world,
            name,
            number=number,
            parts=features.parts(),
            data_disk_bytes=64 << 20,
            data_disk_serial=f"{name}-data",
            nics=nics(world, number),
            console=console,
        )
        guest.power_on()
    while world.now < 300 and not all(each.sshd_up for each in world.guests.values()):
        world.step()
    assert guest.sshd_up
    return world.guests["skunk1"]


@pytest.fixture
def guest() -> Guest:
    world = copy.deepcopy(_booted().world)
    return world.guests["skunk1"]


def run(guest: Guest, line: str, stdin: bytes = b"", patience: float = 1e5) -> Process:
    process = Process(guest, line)
    process.feed(stdin)
    process.start(shell.run_line(process, line))
    until = guest.world.now + patience
    while process.status is None and guest.power is Power.RUNNING and guest.world.now < until:
        guest.world.step()
    if process.failure is not None:
        raise process.failure
    return process


def out(guest: Guest, line: str, stdin: bytes = b"") -> str:
    process = run(guest, line, stdin)
    assert (process.status, bytes(process.stderr)) == (0, b"")
    return bytes(process.stdout).decode()


def _text(data: bytes | bytearray) -> str:
    """As it was recorded, but for how long dd took."""
    text = bytes(data).decode("utf-8", "surrogateescape")
    return re.sub(r"in [\d.]+ secs \(\d+ bytes/sec\)", "in T secs (R bytes/sec)", text)


@pytest.mark.parametrize("recorded", RECORDED["lines"], ids=lambda each: each["line"][12:60])
def test_prints_what_freebsd_printed(guest: Guest, recorded: dict[str, Any]) -> None:
    out(guest, RECORDED["fixture"])
    process = run(guest, recorded["line"], RECORDED["stdin"].encode())
    assert process.status is not None
    assert {
        "line": recorded["line"],
        "stdout": _text(process.stdout),
        "stderr": _text(process.stderr),
        # What a signal ended has no status on the wire.
        "status": max(process.status, -1),
    } == recorded | {
        key: _text(recorded[key].encode("utf-8", "surrogateescape")) for key in ("stdout", "stderr")
    }
    assert (
        not guest.world.gaps
        or "not found" in recorded["stderr"] + recorded["stdout"]
        or (process.status == 127 or "127" in recorded["stdout"] or "nosuch" in recorded["line"])
    )


def test_runs_what_the_harness_sends(guest: Guest) -> None:
    put = 'cat > "$1.new" && chmod "$2" "$1.new" && mv -f "$1.new" "$1"'
    content = bytes(range(256)) * 300
    line = remote_command(["/bin/sh", "-c", put, "sh", "/tmp/it's here", "0600"])
    assert out(guest, line, content) == ""
    assert guest.tree.read("/tmp/it's here") == content
    many_lines = remote_command(["/bin/sh", "-c", "printf '%s\n' \"$1\"\necho !", "sh", "a b"])
    assert out(guest, many_lines) == "a b\n!\n"


def test_what_freebsd_has_not_is_not_found_and_no_gap(guest: Guest) -> None:
    process = run(guest, "nosuch -x a; /usr/local/bin/bash; command -v fio; echo on")
    assert bytes(process.stderr) == b"sh: nosuch: not found\nsh: /usr/local/bin/bash: not found\n"
    assert (process.status, bytes(process.stdout)) == (0, b"on\n")
    assert not guest.world.gaps


def test_gaps_are_noted_once(guest: Guest) -> None:
    for _ in range(2):
        process = run(guest, "echo a; ls -U; echo not")
        assert (process.status, bytes(process.stdout)) == (127, b"a\n")
        assert bytes(process.stderr) == b"sh: not modelled: ls -U\n"
    assert [(gap.node, gap.command, gap.what) for gap in guest.world.gaps] == [
        ("skunk1", "echo a; ls -U; echo not", "ls -U"),
    ]


def test_background_jobs_are_processes(guest: Guest) -> None:
    start = guest.world.now
    process = run(guest, "(sleep 100; echo late > /tmp/late) & echo $!")
    pid = int(process.stdout)
    assert guest.world.now - start < 1
    assert pid in guest.processes
    assert run(guest, f"kill -0 {pid}").status == 0
    guest.world.pass_time(101)
    assert pid not in guest.processes
    assert guest.tree.read("/tmp/late") == b"late\n"


def test_a_killed_command_line_stops(guest: Guest) -> None:
    victim = shell.spawn(guest, "while :; do date >> /tmp/log; sleep 1; done")
    guest.world.pass_time(5)
    assert run(guest, f"kill {victim.pid}").status == 0
    assert victim.status == -15
    before = guest.tree.read("/tmp/log")
    assert before.count(b"UTC 2026\n") >= 4
    guest.world.pass_time(5)
    assert guest.tree.read("/tmp/log") == before


def test_scripts_are_found_by_path(guest: Guest) -> None:
    guest.tree.make_directory("/root/bin")
    guest.tree.write("/root/bin/mine", b"#!/bin/sh\necho mine $0 $1\n", mode=0o755)
    assert out(guest, "mine a; cd /root; bin/mine b") == (
        "mine /root/bin/mine a\nmine bin/mine b\n"
    )


def test_writes_wait_for_the_file_system(guest: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Signal()
    monkeypatch.setattr(guest.root, "ready", lambda: None if gate.fired else gate)
    process = shell.spawn(guest, "echo a > /tmp/waits; echo b")
    guest.world.pass_time(100)
    assert process.status is None
    assert guest.tree.entry("/tmp/waits") is None
    gate.fire()
    guest.world.pass_time(1)
    assert process.status == 0
    assert guest.tree.read("/tmp/waits") == b"a\n"


def test_a_power_cut_takes_what_was_not_written_to_the_disk(guest: Guest) -> None:
    out(guest, "echo a > /tmp/safe; echo b > /tmp/lost; fsync /tmp/safe")
    guest.power_cut()
    assert guest.root.get("/tmp/lost") is None
    assert guest.root.entries["/tmp/safe"] == Entry(
        "file", b"a\n", 0o644, guest.root.entries["/tmp/safe"].mtime
    )


def test_zeros_in_a_pipe_are_bytes_like_others(guest: Guest) -> None:
    """At its start they are only counted (`shell_streams.PipeBuffer`)."""
    zeros = "dd if=/dev/zero bs=4k count=2"
    for line, expected in (
        (zeros, bytes(8192)),
        (f"{zeros}; {zeros}", bytes(16384)),
        (f"{zeros}; printf x; {zeros}", bytes(8192) + b"x" + bytes(8192)),
        (f"printf x; {zeros}", b"x" + bytes(8192)),
        (f"{zeros} | dd bs=1k count=1", bytes(1024)),
    ):
        said = run(guest, f"{{ {line}; }} 2>/dev/null | sha256").stdout.decode().strip()
        assert said == hashlib.sha256(expected).hexdigest(), line


def test_dd_moves_blocks_of_a_device(guest: Guest) -> None:
    data = random.Random(1).randbytes(3 * 4096)
    line = "dd of=/dev/vtbd1 bs=4k seek=2 2>/dev/null; dd if=/dev/vtbd1 bs=4k skip=1 count=5"
    process = run(guest, line, data)
    assert bytes(process.stdout) == bytes(4096) + data + bytes(4096)
    assert b"5+0 records in\n" in process.stderr
    # A sector in the middle of a block leaves the rest of the block alone.
    run(guest, "printf '%512s' x | dd of=/dev/vtbd1 bs=512 seek=17 2>/dev/null")
    process = run(guest, "dd if=/dev/vtbd1 bs=4k skip=2 count=1 2>/dev/null")
    assert bytes(process.stdout) == data[:512] + b" " * 511 + b"x" + data[1024:4096]


ENDLESS = 20.0
"""Seconds of a processor; the longest took 5 on a busy host, and what has no end takes all."""


@pytest.mark.parametrize(
    "line",
    [
        "while :; do :; done",
        "f() { f; }; f",
        "f() { f & f & }; f; wait",
        "x=a; while :; do x=$x$x; done",
        "cat /dev/zero",
        "dd if=/dev/zero bs=1m count=100 | wc -c",
        "dd if=/dev/zero of=/tmp/zeros",
        "dd if=/dev/random of=/dev/vtbd1 bs=512",
        "seq 2000 > /tmp/a; while :; do cat /tmp/a >> /tmp/b; done",
        "((((" * 2000,
        "echo " + "$(" * 2000,
        "echo " + "`" * 2001,
        "echo $((" + "(" * 3000,
        "if " * 3000,
        "a" * 1_000_000,
        "x=$(printf '%60000s' a); echo ${x%%*a*a*a*a*b} ${x##*a*a*a*b} | wc -c",
        "printf '%60000s' a | grep -E '(.*.*.*)*b'",
        "echo a | sed -E 's/(a|a|a)*(a*)*b/x/g'",
    ],
    ids=lambda line: line[:30],
)
def test_nothing_is_endless(guest: Guest, line: str) -> None:
    start = time.process_time()
    process = run(guest, line)
    assert process.status is not None
    assert time.process_time() - start < ENDLESS


def test_random_lines_end_and_raise_nothing() -> None:
    rng = random.Random(22)
    guest = copy.deepcopy(_booted().world).guests["skunk1"]
    seen: set[int] = set()
    for number in range(3000):
        if number % 100 == 0 or guest.power is not Power.RUNNING or not guest.sshd_up:
            guest = copy.deepcopy(_booted().world).guests["skunk1"]
        line = random_line(rng).decode("utf-8", "surrogateescape")
        try:
            process = run(guest, line, b"some\ninput\n")
        except Exception as error:
            raise AssertionError(f"the line {line!r}") from error
        if process.status is not None:
            seen.add(process.status)
    assert {0, 1, 2, 127} <= seen


@given(st.text() | st.binary().map(lambda data: data.decode("utf-8", "surrogateescape")))
@settings(max_examples=300, deadline=None)
def test_any_text_is_parsed(text: str) -> None:
    """Deep text raises TooDeep, which no short one is; all else is a script or its error."""
    script = parse(text)
    assert script.error is None or script.error


def test_a_command_costs_little(guest: Guest) -> None:
    line = "exec test -c /dev/hast/mirror"
    run(guest, line)
    best = 1.0
    for _ in range(5):
        start = time.process_time()
        for _ in range(100):
            run(guest, line)
        best = min(best, (time.process_time() - start) / 100)
    assert best < 0.001
