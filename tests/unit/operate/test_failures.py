"""What a person reads of a failure: words, and the scenario's own lines."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.errors import NodeUnreachable, WaitExpired
from harness.freebsd.hast import hastctl as hast
from harness.freebsd.hast.hastctl import Role, Status
from harness.freebsd.hast.log import LogLine, PeerLost, SplitBrain, SyncStarted, WorkerExited
from harness.lab.base import Power
from harness.pytest_plugin.terminal.failures import Failures
from harness.words import in_words
from tests import forked
from tests.unit.freebsd.recordings import recorded


class Colour(enum.Enum):
    DARK_RED = 1


@dataclass(frozen=True)
class Ours:
    name: str
    count: int | None = None


def info(name: str) -> hast.ResourceInfo:
    return hast.parse_list(recorded(name)).resource("mirror")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "nothing"),
        ([], "nothing"),
        ("", "nothing"),
        (False, "no"),
        (12.3456, "12.3"),
        (Role.INIT, "init"),
        (Power.OFF, "off"),
        (Colour.DARK_RED, "dark red"),
        ([Role.INIT, Status.COMPLETE], "init, complete"),
        (SplitBrain(), "split brain"),
        ([PeerLost("Socket is not connected")], "peer lost: reason Socket is not connected"),
        (WorkerExited(958, exitcode=78), "worker exited: pid 958, exitcode 78"),
        (SyncStarted(1024), "sync started: about bytes 1024"),
        (LogLine("Split-brain detected, exiting.", "x"), "Split-brain detected, exiting."),
        (Ours("a"), "ours: name a"),
        ({"skunk1": Power.OFF}, "skunk1: off"),
        (NodeUnreachable("connection refused", node="skunk1"), "skunk1: connection refused"),
        (range(20), "\n  ... 15 before that\n  15\n  16\n  17\n  18\n  19"),
        (["one\ntwo", "three"], "\n  one\ntwo\n  three"),
    ],
)
def test_in_words(value: object, words: str) -> None:
    assert in_words(value) == words


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("hastctl_list_init", "role init, no worker"),
        ("hastctl_list_primary_complete", "role primary, complete, 0.0 MB dirty"),
        ("hastctl_list_secondary_complete", "role secondary, complete"),
        ("hastctl_list_secondary_unconnected", "role secondary, no worker"),
    ],
)
def test_a_resource_in_words(name: str, words: str) -> None:
    assert (in_words(info(name)), repr(info(name))) == (words, words)


def test_an_expired_wait_is_in_words() -> None:
    hint = "It forgot its role at boot: hastctl role secondary mirror"
    expired = WaitExpired("skunk2 to say complete", 30, info("hastctl_list_init"), hint)

    assert str(expired) == (
        "waited 30.0 s for skunk2 to say complete; last seen: role init, no worker. "
        "It forgot its role at boot: hastctl role secondary mirror"
    )


def test_what_pytest_compares() -> None:
    compare = Failures().pytest_assertrepr_compare
    assert compare("is", Status.COMPLETE, Status.DEGRADED) == ["complete, and not degraded"]
    assert compare("is", None, Status.DEGRADED) == ["nothing, and not degraded"]
    assert compare("!=", Role.INIT, Role.INIT) == ["it is init, and should not be"]
    assert compare("==", PeerLost("a"), PeerLost("b")) == [
        "peer lost: reason a, and not peer lost: reason b",
        "reason: a, and not b",
    ]
    assert compare("==", 1, 2) is None
    assert compare("<", Status.COMPLETE, Status.DEGRADED) is None


SHOWN = """\
{file}:N: in test_forgotten_role
    pair.wait_until_complete(pair.skunk1)
E   harness.errors.WaitExpired: waited 30.0 s for skunk2 to say complete; last seen: role init, \
no worker. It forgot its role at boot: hastctl role secondary mirror
{file}:N: in test_status
    assert_degraded(pair)
{file}:N: in assert_degraded
    assert pair.status(pair.skunk1).status is Status.DEGRADED
E   assert complete, and not degraded
{file}:N: in test_event
    assert pair.said(pair.skunk1, RoleChanged)[0] == expected
E   assert role changed: old init, new primary, and not role changed: old init, new secondary
E     new: primary, and not secondary
{file}:N: in test_no_event
    assert not pair.said(pair.skunk1, RoleChanged)
E   assert not [role changed: old init, new primary]
E    +  where [role changed: old init, new primary] = said(skunk1, RoleChanged)
E    +    where said = pair.said
E    +    and   skunk1 = pair.skunk1
"""


def test_a_failed_scenario_shows_its_own_lines(tmp_path: Path) -> None:
    file = "tests/unit/operate/failing_in_words.py"
    run = forked.run(
        *("-q", "-p", "no:cacheprovider", file),
        *("--lab", "simulated", "--no-wire", "--results", tmp_path / "results"),
        program="pytest",
    )
    lines = [line.removeprefix("[simulated] ") for line in run.stdout.splitlines()]
    assert any("= FAILURES =" in line for line in lines), run.stdout + run.stderr
    first = next(n for n, line in enumerate(lines) if "= FAILURES =" in line)
    last = next(n for n, line in enumerate(lines) if "= evidence of the failures =" in line)
    shown = [line for line in lines[first + 1 : last] if not line.startswith("____")]

    assert re.sub(r"\.py:\d+:", ".py:N:", "\n".join(shown)) == SHOWN.format(file=file).rstrip("\n")
