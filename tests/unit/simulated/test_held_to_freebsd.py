"""The model against recordings of real FreeBSD, many chances, and whatever a client may send."""

from __future__ import annotations

from pathlib import Path

import paramiko
import pytest

from harness.config import paths
from harness.config.settings import Settings
from harness.lab.simulated import features
from harness.lab.simulated.shell import programs as commands
from harness.lab.simulated.shell.programs import Context
from harness.trials import fuzz_run, soak
from harness.trials.conformance.replay import replay_recording
from harness.trials.fuzz_run import fuzz

RECORDINGS = sorted((paths.PROJECT / "tests" / "recordings").glob("*.jsonl"))


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda path: path.stem)
def test_it_answers_as_freebsd_did(settings: Settings, recording: Path) -> None:
    result = replay_recording(recording, settings)
    assert result.compared > 80
    assert not result.unexplained, "\n\n".join(map(str, result.unexplained))


def test_a_changed_answer_would_be_seen(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hastctl(context: Context, arguments: list[str]) -> int:
        context.print("mirror: fine")
        return 0

    features.load_all()
    monkeypatch.setitem(commands.COMMANDS, "hastctl", hastctl)
    result = replay_recording(RECORDINGS[0], settings)
    assert len(result.unexplained) > result.compared / 10


def test_set_up_and_failover_with_other_chances(settings: Settings) -> None:
    failures, _ = soak.soak(settings, range(1, 11))
    assert failures == []


def test_random_command_lines_leave_the_host_alone(settings: Settings) -> None:
    result = fuzz(settings, lines=400, seed=7, say=lambda _: None)
    assert result.ok, (*result.faults, *result.touched)


def test_a_line_that_a_node_does_not_answer_is_a_fault(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a node that went down may leave one without an answer."""
    lines = iter([b"true", b"hang up", b"reboot -nq; sleep 9", b"true"])
    monkeypatch.setattr(fuzz_run, "random_line", lambda _: next(lines))
    execute = fuzz_run._Run._exec

    def hang_up(run: fuzz_run._Run, transport: paramiko.Transport, line: bytes) -> str:
        if line == b"hang up":
            transport.close()
        return execute(run, transport, line)

    monkeypatch.setattr(fuzz_run._Run, "_exec", hang_up)
    result = fuzz(settings, lines=4, seed=7, say=lambda _: None)
    assert result.down == 1
    assert [fault.partition(":")[0] for fault in result.faults] == ["b'hang up'"]


def test_a_touch_of_the_host_would_be_seen(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def touching(context: Context, arguments: list[str]) -> int:
        (tmp_path / "host").write_text("touched")
        return 0

    features.load_all()
    for name in list(commands.COMMANDS):
        monkeypatch.setitem(commands.COMMANDS, name, touching)
    assert fuzz(settings, lines=50, seed=7, say=lambda _: None).touched
