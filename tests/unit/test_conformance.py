"""Recordings of a run: written, read back, made comparable, folded into questions."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness.config import paths
from harness.config import settings as settings_file
from harness.errors import CommandTimedOut, SettingsError
from harness.freebsd.comparable import normalise
from harness.lab.base import Endpoint, Lab, LabDescription, Machine
from harness.lab.simulated.lab import SimulatedLab, SimulatedMachine
from harness.lab.ssh import Result
from harness.trials.conformance.recording import (
    Fed,
    RecordedConnection,
    RecordedLab,
    RecordedMachine,
    Recorder,
    Step,
    load,
)
from harness.trials.conformance.replay import (
    Difference,
    KnownDifference,
    KnownGap,
    fold,
    known_differences,
)
from harness.waiting.clock import Clock
from tests.nested import run_all

LAB = LabDescription("qemu", "QEMU 7.2", "KVM", "image")


class FakeRemote:
    """Answers every command in the same way, or with an error."""

    host_key = "key"
    alive = True

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    def run(self, argv: object, *, within: float, stdin: bytes = b"") -> Result:
        if self._error is not None:
            raise self._error
        return Result("skunk1", tuple(argv), 1, b"out\n", "err\n", 0.5, datetime.now(UTC))  # type: ignore[arg-type]

    def close(self) -> None: ...


def test_a_recording_is_read_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    with Recorder(path, Clock()) as recorder:
        remote = RecordedConnection(FakeRemote(), "skunk1", recorder)
        remote.run(["hastctl", "list"], within=1, stdin=b"x" * 3)
        remote.run(["cat"], within=1, stdin=random.Random(1).randbytes(20_000))
        recorder.note(recorder.now(), "skunk2", "power_cut")
        failing = RecordedConnection(FakeRemote(CommandTimedOut("too slow")), "skunk1", recorder)
        with pytest.raises(CommandTimedOut):
            failing.run(["sync"], within=1)
        recorder.source(LAB, "13.2-RELEASE amd64")
    source, (first, long, cut, failed) = load(path)
    assert (source.lab, source.release) == ("qemu", "13.2-RELEASE amd64")
    assert (first.argv, first.status, first.stdout, first.stderr) == (
        ("hastctl", "list"),
        *(1, "out\n", "err\n"),
    )
    assert first.stdin is not None
    assert first.stdin.stand_in() == b"xxx"
    assert long.stdin is not None
    assert long.stdin.zlib is None
    assert len(long.stdin.stand_in()) == 20_000
    assert (cut.node, cut.verb) == ("skunk2", "power_cut")
    assert (failed.status, failed.error) == (None, "too slow")


RECORDED = """\
def test_recorded(provisioned_pair):
    skunk1 = provisioned_pair.skunk1
    skunk1.run("sleep", "5")
    with skunk1.powered_off():
        pass
"""


def test_a_run_on_the_simulated_lab_is_recorded_in_its_own_time(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    runs = {"recorded": (RECORDED, ["--record", str(path)])}
    ran = run_all(tmp_path, runs, within=120)["recorded"]
    assert ran.status == 0, ran.said
    assert "[simulated]" in ran.said
    source, steps = load(path)
    assert (source.lab, source.date) == ("simulated", "2026-01-01")
    assert [step.verb for step in steps if step.verb != "run"] == [
        *("start", "save", "power_cut", "power_on"),
    ]
    (slept,) = (step for step in steps if step.argv == ("sleep", "5"))
    assert 5 <= slept.duration < 6
    assert all(0 <= step.at < 600 for step in steps)


def test_a_recorded_lab_is_the_given_one_in_everything(tmp_path: Path) -> None:
    """Nothing is left to what every lab has by default, as its clock once was."""
    lab = SimulatedLab(settings_file.load(paths.SETTINGS), "recorded", state_dir=tmp_path)
    endpoint = Endpoint("127.0.0.1", 22, "root", tmp_path / "key", None)
    machine = SimulatedMachine(lab, "skunk1", tmp_path, endpoint)
    with Recorder(tmp_path / "run.jsonl", lab.clock) as recorder:
        recorded = RecordedLab(lab, recorder)
        pairs = ((Lab, recorded), (Machine, RecordedMachine(machine, recorder)))
    for base, front in pairs:
        names = {*vars(base), *base.__annotations__}
        own = {*vars(type(front)), *vars(front)}
        assert {name for name in names if not name.startswith("_")} <= own
    for name in ("name", "mark", "clock"):
        assert getattr(recorded, name) is getattr(lab, name)


@pytest.mark.parametrize("text", ["", "{}\n", "not JSON\n", '{"source": {"colour": "blue"}}\n'])
def test_what_is_no_recording_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other"
    path.write_text(text)
    with pytest.raises(SettingsError, match="is no recording of a run"):
        load(path)


def test_only_what_differs_between_two_runs_is_taken_out() -> None:
    text = (
        "  status: complete\n  workerpid: 1089\n  dirty: 58720256 (56MB)\n  dirty: 0 (0B)\n"
        "<29>1 2026-11-22T20:45:18.585001+00:00 skunk2 hastd 1055 - - [INFO] [mirror] (primary)"
        " Synchronization complete. 34MB synchronized in 2s (17MB/sec).\n"
    )
    assert normalise(text) == (
        "  status: complete\n  workerpid: PID\n  dirty: N\n  dirty: 0 (0B)\n"
        "<29>1 TIME skunk2 hastd PID - - [INFO] [mirror] (primary)"
        " Synchronization complete. N synchronized in N."
    )
    assert normalise("status: degraded") != normalise("status: complete")
    assert normalise("localcnt: 1") != normalise("localcnt: 2")


def test_the_name_that_mkstemp_makes_up_is_taken_out() -> None:
    said = "mktemp: mkstemp failed on /nonexistent/x.{}: No such file or directory"
    assert normalise(said.format("bLL")) == normalise(said.format("jIw"))
    assert normalise(said.format("bLL")) != normalise(said.format("bLL").replace("/x", "/y"))


def answer(stdout: str, stderr: str = "", status: int = 0) -> str:
    return f"{stdout}\n--- stderr ---\n{stderr}\n--- status {status}"


RECORDED_LINES = answer("PID TT\n1 root ILs")


@pytest.mark.parametrize(
    ("model", "known"),
    [
        (answer("  PID TT\n1 root ILs"), True),
        (answer("  PID TT\n1 root SLs"), False),
        (answer("  PID TT\n1 root ILs", status=1), False),
        (answer("  PID TT\n1 root ILs", "sh: not modelled: ps -o"), False),
        (answer("", "sh: not modelled: ps", 127), False),
    ],
)
def test_a_known_difference_is_in_its_lines_alone(model: str, known: bool) -> None:
    entry = KnownDifference.model_validate(
        {
            "recording": "a.jsonl",
            "nodes": ("skunk1",),
            "commands": ("ps",),
            "lines": ("^ *PID ", "not modelled"),
            "why": "wide",
        }
    )
    assert entry.explains(Difference("skunk1", "ps", RECORDED_LINES, model)) == (
        "wide" if known else None
    )


def test_a_gap_is_known_by_what_the_model_says() -> None:
    entry = KnownGap(recording="a.jsonl", nodes=("skunk1",), commands=("ps",), says="ps -o")
    path = Path("a.jsonl")
    for said, known in (("ps -o", True), ("ps -o x", False), ("ps", False)):
        model = answer("", f"sh: not modelled: {said}", 127)
        difference = Difference("skunk1", "ps", RECORDED_LINES, model)
        assert difference.gap == said
        assert (entry.explains(difference) is not None) is known
        assert entry.names(path, difference)
    wrong = Difference("skunk1", "ps", RECORDED_LINES, answer("2"))
    assert (wrong.gap, entry.explains(wrong)) == (None, None)
    assert not entry.names(path, Difference("skunk2", "ps", "", ""))
    assert not entry.names(Path("b.jsonl"), wrong)


def test_all_that_is_known_is_of_an_answer_that_was_recorded() -> None:
    folder = paths.PROJECT / "tests" / "recordings"
    known = known_differences(folder / "known-differences.yaml")
    for recording in {each.recording for each in known}:
        _, steps = load(folder / recording)
        answered = {(step.node, " ".join(step.argv)) for step in steps}
        wanted = {
            (node, command)
            for each in known
            if each.recording == recording
            for node in each.nodes
            for command in each.commands
        }
        assert wanted <= answered


def test_digests_of_stand_ins_are_translated() -> None:
    assert normalise("abc ./file\n", {"abc": "def"}) == "def ./file"


def step(at: float, node: str, *argv: str, duration: float = 1.0, verb: str = "run") -> Step:
    return Step(at, duration, node, verb, argv, None, 0)


def test_waiting_is_one_question_and_what_overlaps_keeps_to_its_own_lane() -> None:
    poll = ("hastctl", "list")
    questions = fold(
        [
            step(0, "skunk1", *poll),
            step(2, "skunk1", *poll),
            step(2.5, "skunk2", "zpool", "import", duration=20),
            step(4, "skunk1", *poll),
            step(6, "skunk1", "uname"),
            step(8, "skunk1", *poll),
            step(9.5, "pair", "set-up", verb="restore"),
            step(30, "skunk1", *poll),
        ]
    )
    assert [len(question.steps) for question in questions] == [3, 1, 1, 1, 1, 1]
    polled, imported, uname, again, restored, after = questions
    assert polled.lane == uname.lane == again.lane != imported.lane
    assert uname.needs == {}, "the import had not ended"
    assert after.needs == {imported.lane: 1, restored.lane: 1}


def test_the_recordings_of_this_repository_can_be_read() -> None:
    recordings = sorted((paths.PROJECT / "tests" / "recordings").glob("*.jsonl"))
    assert recordings
    for path in recordings:
        source, steps = load(path)
        assert source.release == "13.2-RELEASE amd64"
        assert steps


def test_short_input_is_kept_whole() -> None:
    assert Fed.of(b"hast.conf").stand_in() == b"hast.conf"
