"""What a run shows while it lasts."""

from __future__ import annotations

import fcntl
import io
import os
import struct
import termios
import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

import pytest

from harness.cli import repeats
from harness.errors import WaitExpired
from harness.pytest_plugin.telling import reported
from harness.pytest_plugin.terminal import verdict_lines
from harness.pytest_plugin.terminal.live import SET_UP, Live, WholeWords, _Stream, in_words
from harness.pytest_plugin.terminal.verdict_lines import short_name
from harness.record.folders import without_number
from harness.record.marked import MarkedStream
from harness.record.sinks import Asking, PartBegan, ScenarioBegan, ScenarioOver
from harness.waiting import wait
from harness.waiting.wait import Deadline, Over, Waiting, settle, under_way, wait_until


class Terminal:
    """What is used of pytest's."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write_line(self, line: str) -> None:
        self.lines.append(line)

    def flush(self) -> None:
        pass


@pytest.fixture
def terminal() -> Terminal:
    return Terminal()


def asking(node: str, argv: Sequence[str], within: float) -> Asking:
    return Asking(node, argv, deadline=Deadline.after(within))


@pytest.fixture
def shown(terminal: Terminal) -> Live:
    plugins = SimpleNamespace(getplugin=lambda _: terminal)
    return Live(cast(pytest.Config, SimpleNamespace(pluginmanager=plugins)), None)


def test_what_it_waits_for_and_how_long_it_has(shown: Live) -> None:
    assert shown.text() == ""
    shown.tell(ScenarioBegan("tests/scenarios/test_crashes.py::test_panic[skunk1]"))
    assert shown.text() == "crashes: panic[skunk1] 0 s"
    wait.tell(shown.tell)
    try:
        seen = []

        def probe() -> bool:
            with under_way(shown.tell, asking("skunk1", ("hastctl", "list"), 60)):
                seen.append(shown.text())
            return True

        wait_until("skunk1 to say complete", probe, 30)
        with pytest.raises(WaitExpired):
            wait_until("nothing", lambda: False, 0)
        settle("peace", probe, 0.01)
        with under_way(shown.tell, asking("skunk2", ("zpool", "import", "x" * 80), 120)):
            seen.append(shown.text())
    finally:
        wait.tell()
    assert seen[0].endswith(": waiting for skunk1 to say complete, 0 of 30 s"), "not the probe"
    assert "waiting for peace to last, 0 of 0 s" in seen[1]
    assert seen[-1].endswith("skunk2 # zpool import " + "x" * 47 + "..., 0 of 120 s")
    assert shown.text() == "crashes: panic[skunk1] 0 s", "all of it has ended"


def test_several_at_a_time_are_those_of_the_workers(shown: Live) -> None:
    for name in ("test_a.py::test_one", "test_b.py::test_two"):
        shown.tell(ScenarioBegan(f"tests/scenarios/{name}"))
    assert shown.text() == "2 run: a: one 0 s, b: two 0 s"
    shown.tell(ScenarioOver("tests/scenarios/test_a.py::test_one"))
    assert shown.text() == "b: two 0 s"
    shown.tell(ScenarioOver("tests/scenarios/test_b.py::test_two"))
    shown.tell(ScenarioBegan("tests/scenarios/test_set_up.py::test_set_up"))
    assert shown.text() == "set_up 0 s", "one name for both"


def test_without_a_terminal_only_what_takes_long_is_told(
    shown: Live, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown.tell(ScenarioBegan("tests/scenarios/test_a.py::test_one"))
    shown.tell(Waiting("the end", deadline=Deadline.after(300)))
    shown.tell(Waiting("the other's end", deadline=Deadline.after(300)))
    doing = shown._doing[0]
    for seconds, lines in ((9, 0), (11, 1), (50, 1), (61, 2), (100, 2), (121, 3), (122, 3)):
        monkeypatch.setattr(time, "monotonic", lambda at=doing.began + seconds: at)
        shown._write_if_it_takes_long()
        assert len(terminal.lines) == lines, f"after {seconds} s"
    shown._doing.remove(doing)
    shown._write_if_it_takes_long()
    assert len(terminal.lines) == 3, "the other is as old, and was in the lines before"
    assert terminal.lines[0][2] == ":", "it begins with the time"
    assert "waiting for the end, 11 of 300 s" in terminal.lines[0]


def test_a_start_of_many_short_waits_is_told_every_ten_seconds(
    shown: Live, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown.tell(ScenarioBegan("test_a.py::test_one"))
    began = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: began)
    told = []
    for part in (SET_UP, "scenario"):
        shown.tell(PartBegan("test_a.py::test_one", part))
        for _ in range(30):
            began += 3
            waiting = Waiting("a part of it", deadline=Deadline.after(60))
            shown.tell(waiting)
            waiting.began = began
            shown._write_if_it_takes_long()
            shown.tell(Over(waiting))
        told.append(len(terminal.lines))
    assert told == [7, 8], "of 90 s each; a scenario is told of once a minute"
    assert "one 12 s, set-up: waiting for a part of it" in terminal.lines[0]


def test_the_line_is_gone_before_anything_else_is_written(shown: Live) -> None:
    real = io.StringIO()
    stream = _Stream(MarkedStream(real, "simulated"), real, shown._lock)  # type: ignore[arg-type]
    stream.write("test_a ")
    stream.draw("[simulated] waiting", 19)
    stream.draw("[simulated] waiting", 19)
    stream.write("PASSED\n")
    stream.clear()
    assert real.getvalue() == (
        "[simulated] test_a \n\r\x1b[2K[simulated] waiting\x1b[A\r\x1b[19C\x1b[JPASSED\n"
    )


def test_a_terminal_has_its_own_width(shown: Live) -> None:
    ours, theirs = os.openpty()
    try:
        with os.fdopen(theirs, "w") as real:
            fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 123, 0, 0))
            assert _Stream(real, real, shown._lock).columns == 123
    finally:
        os.close(ours)


def test_repeats_and_order_are_pytest_s_arguments() -> None:
    assert repeats.arguments(1, shuffle=False, shuffle_seed=None) == []
    assert repeats.arguments(3, shuffle=False, shuffle_seed=7) == [
        *("--count", "3", "--random-order-bucket", "global", "--random-order-seed", "7"),
    ]
    assert repeats.arguments(1, shuffle=True, shuffle_seed=None)[-1].isdigit()
    assert without_number("test_a.py::test_x[2-20]") == "test_a.py::test_x"
    assert without_number("test_a.py::test_x[skunk1-2-20]") == "test_a.py::test_x[skunk1]"
    assert without_number("test_a.py::test_x[skunk1]") == "test_a.py::test_x[skunk1]"


def test_the_scenarios_named_are_the_only_ones() -> None:
    assert repeats.chosen(["-k", "failover", "-x"]) == [str(repeats.SCENARIOS)]
    assert repeats.chosen([f"{__file__}::test_x", "-x"]) == []
    assert repeats.chosen([str(repeats.SCENARIOS)]) == []


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["hastctl", "role", "primary", "mirror"], "hastctl role primary mirror"),
        (["/bin/sh", "-c", "sysctl -n kern.boottime; date +%s"], "sysctl -n kern.boottime ..."),
        (
            ["/bin/sh", "-c", "sysctl debug.kdb.panic=1 >/dev/null 2>&1 &"],
            "sysctl debug.kdb.panic=1 ...",
        ),
        (
            ["/bin/sh", "-c", "\nset -eu\nfor n in 1 2; do\necho $n\ndone", "sh", "/f"],
            "a shell script",
        ),
        (["/bin/sh", "-c", "# what it does\nls"], "a shell script"),
        (["/bin/sh", "-c", "n=1; echo $n"], "a shell script"),
        (["/bin/sh", "-c", "zpool list"], "zpool list"),
        (["echo", "a\nb"], "echo 'a b'"),
    ],
)
def test_of_a_script_a_person_sees_its_first_words(argv: list[str], said: str) -> None:
    assert in_words(argv) == said


def test_a_full_line_is_broken_between_words() -> None:
    lines = WholeWords()
    text = "  claim 1: after create, the \x1b[32mstatus\x1b[0m is complete\n"
    assert lines.broken(text, 20) == (
        "  claim 1: after\n    create, the\n    \x1b[32mstatus\x1b[0m is\n    complete\n"
    )
    assert (
        lines.broken("a word ", 9) + lines.broken("and others\n", 9) == "a word \n  and\n  others\n"
    )
    assert lines.broken("x" * 30 + " y\n", 9) == "x" * 30 + "\n  y\n"
    assert lines.broken("=" * 9 + "\n", 9) == "=" * 9 + "\n", "a line that is just full"


def report(nodeid: str, **of: object) -> pytest.TestReport:
    return pytest.TestReport(nodeid, ("", 0, ""), {}, "passed", None, "call", **of)  # type: ignore[arg-type]


def test_a_line_for_each_verdict_fits_into_80_columns() -> None:
    long = (
        "tests/scenarios/test_wrong_set_ups.py::test_secondary_that_does_not_know_its_primary[a b]"
    )
    assert list(verdict_lines.lines(reported(report(long), 0.0), "PASSED    1.2 s  ", 68)) == [
        "PASSED    1.2 s  wrong_set_ups:",
        "                   secondary_that_does_not_know_its_primary[a b]",
    ]
    expected = report("tests/scenarios/test_ufs.py::test_ufs")
    expected.wasxfail = "reason: a known defect"
    assert list(verdict_lines.lines(reported(expected, 0.0), "XFAIL  0.1 s  ", 68)) == [
        "XFAIL  0.1 s  ufs",
        "              a known defect",
    ]


@pytest.mark.parametrize(
    ("test", "shown"),
    [
        ("test_set_up.py::test_set_up", "set_up"),
        ("tests/scenarios/test_resync.py::test_full", "resync: full"),
        ("mine/test_it.py::test_url[ftp://host/a]", "it: url[ftp://host/a]"),
    ],
)
def test_the_short_name_of_a_scenario(test: str, shown: str) -> None:
    assert short_name(test) == shown
