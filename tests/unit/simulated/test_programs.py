"""Constructs of scripts that administrators write, on the model: each answer is FreeBSD 13.2's.

The lines and what they print are in programs.txt. Those of awk and sed were compared with
13.2's own sources; what real FreeBSD answers to many more is in tests/recordings/.
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.cluster.pair import Pair
from harness.config import paths
from harness.lab.simulated.kernel.guest import Guest
from tests.tour.test_programs import lines_of
from tests.unit.simulated.test_shell import _booted, run

FILES = {
    "words": "one two\nthree\nfour five six\n",
    "status": "Name\tStatus\t Role\t\tComponents\n"
    "mirror\tcomplete primary        /dev/vtbd1\t192.168.0.2\n"
    "second\tdegraded secondary      /dev/vtbd2\t192.168.0.2\n",
    "carp": "vtnet0: flags=8843<UP,BROADCAST> metric 0 mtu 1500\n"
    "\tcarp: MASTER vhid 1 advbase 1 advskew 0\n"
    "\tcarp: BACKUP vhid 12 advbase 1 advskew 100\n",
}


@dataclass
class Entry:
    """A command line of programs.txt with what is expected of it."""

    line: str
    stdout: str = ""
    stderr: str = ""
    status: int = 0


@dataclass
class Section:
    """What stands under one heading of programs.txt."""

    title: str
    entries: list[Entry] = field(default_factory=list)


def _sections() -> list[Section]:
    found: list[Section] = []
    text = Path(__file__).with_name("programs.txt").read_text(encoding="utf-8")
    for block in text.removeprefix("## ").split("\n\n## "):
        title, _, body = block.partition("\n")
        section = Section(title)
        for line in body.removesuffix("\n").split("\n"):
            if line.startswith("$ "):
                section.entries.append(Entry(line[2:]))
            elif line.startswith("! "):
                section.entries[-1].stderr += line[2:] + "\n"
            elif line.startswith("=> "):
                section.entries[-1].status = int(line[3:])
            else:
                section.entries[-1].stdout += line + "\n"
        found.append(section)
    return found


@pytest.fixture
def guest() -> Guest:
    found = copy.deepcopy(_booted().world).guests["skunk1"]
    for name, text in FILES.items():
        run(found, f"cat > /root/{name}", text.encode())
    for name in ("toggle", "sleeper"):
        text = (paths.PROJECT / "tests/tour/scripts" / f"rc-{name}").read_text(encoding="utf-8")
        run(found, f"cat > /root/{name}; chmod 755 /root/{name}", text.encode())
    return found


@pytest.mark.parametrize("section", _sections(), ids=lambda section: section.title)
def test_answers_as_freebsd(guest: Guest, section: Section) -> None:
    answered = []
    for entry in section.entries:
        process = run(guest, entry.line)
        assert process.status is not None
        stdout, stderr = process.stdout.decode(), process.stderr.decode()
        stderr = re.sub(r"kill: -\d+:", "kill: -{pid}:", stderr)
        answered.append(Entry(entry.line, stdout, stderr, process.status))
    assert answered == section.entries
    assert not guest.world.gaps


@pytest.mark.parametrize(
    "line",
    [
        "awk 'BEGIN { print rand() }'",
        "awk 'BEGIN { print 1 == 1 }'",
        "awk 'BEGIN { print toupper(\"für\") }'",
        "awk 'BEGIN { nothing of awk }  }'",
        "awk 'BEGIN { while (1) n++ }'",
        "sed 's/a/\\x41/' words",
        "sed 's/\\(a/b/' words",
    ],
)
def test_what_the_programs_of_the_model_lack_is_a_gap(guest: Guest, line: str) -> None:
    assert run(guest, line).status == 127
    assert guest.world.gaps


def test_the_sockets_of_hastd(pair: Pair) -> None:
    """One that listens, and two connections between the workers."""
    lines = {
        "sockstat -4l -p 8457 | awk 'NR > 1 { print $1, $2 }'": "root hastd\n",
        "sockstat -4c -p 8457 | awk 'NR > 1 { print $1, $2 }'": "hast hastd\nhast hastd\n",
        "sockstat -u | awk '$6 == \"/var/run/hastctl\" { print $2 }'": "hastd\n",
        "netstat -an | grep -c '8457.*ESTABLISHED'": "2\n",
        "ps aux | awk '/hastd: mirror/ && !/awk/ { print $1 }'": "hast\n",
        "nc -z 192.168.0.1 8457 2>/dev/null; echo $?": "0\n",
        "nc -zv skunk2 8457 2>&1": "Connection to skunk2 8457 port [tcp/*] succeeded!\n",
        "nc -zw1 192.168.0.2 9; echo $?": "1\n",
    }
    for node in pair:
        assert {line: node.sh(line).stdout for line in lines} == lines


def test_the_titles_that_hastd_gives_itself(pair: Pair) -> None:
    """Only ps(1) puts the program's name behind them."""
    for node in pair:
        assert (
            node.sh("pgrep -lf hastd: | awk '{ print NF, $2, $3 }'").stdout == "4 hastd: mirror\n"
        )
        assert node.sh("pgrep -f 'hastd[)]'; echo $?").stdout == "1\n"
        shown = node.sh("ps -ax | awk '/hastd: mirror/ && !/awk/ { print $NF }'").stdout
        assert shown == "(hastd)\n"


def test_a_gap_at_the_end_of_a_pipe_is_told_there_too(guest: Guest) -> None:
    process = run(guest, "echo | nc -v 127.0.0.1 9; echo $?")
    assert process.stdout == b"127\n"
    assert process.stderr == b"sh: not modelled: nc -v 127.0.0.1 9\n"


def test_what_the_model_lacks_is_said(guest: Guest) -> None:
    """No line of lacking.txt is answered without a gap in the report."""
    lines = lines_of(paths.PROJECT / "tests/tour/lines/lacking.txt")
    silent = []
    for line in lines:
        guest.world.gaps.clear()
        run(guest, line)
        if not guest.world.gaps:
            silent.append(line)
    assert silent == []


def test_a_gap_in_the_background_is_told_as_in_front(guest: Guest) -> None:
    process = run(guest, "nc -v 127.0.0.1 9 & wait $!; echo $?")
    assert process.stdout == b"127\n"
    assert process.stderr == b"sh: not modelled: nc -v 127.0.0.1 9\n"
    assert guest.world.gaps


def test_a_node_connects_to_itself(guest: Guest) -> None:
    """Whoever listens takes the connection, at that address alone."""
    run(guest, "ifconfig vtnet1 inet 192.168.0.1/24")
    listen = "nc -l 192.168.0.1 7777 & sleep 1"
    process = run(guest, f"{listen}; nc -z 192.168.0.1 7777; wait $!; echo $?")
    assert process.stderr == b"Connection to 192.168.0.1 7777 port [tcp/*] succeeded!\n"
    assert process.stdout == b"0\n"
    line = f"{listen}; nc -z 127.0.0.1 7777; echo $?; kill $!"
    assert run(guest, line).stdout == b"1\n"
    assert not guest.world.gaps


def test_hastd_takes_a_connection_of_its_own_node(pair: Pair) -> None:
    """listen_accept() of sbin/hastd/hastd.c: it knows nobody there."""
    node = pair.skunk1
    node.sh("nc -z 192.168.0.1 8457")
    assert node.sh("nc -z 127.0.0.1 8457; echo $?").stdout == "1\n", "it listens at one address"
    log = node.sh("grep -c 'Client tcp://192.168.0.1:[0-9]* isn.t known' /var/log/messages").stdout
    assert log == "1\n"
