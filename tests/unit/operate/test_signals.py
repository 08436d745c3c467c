"""Whatever ends a run, at whatever moment: all that it started is stopped and removed."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from harness.config import paths
from harness.record.exit_status import INTERRUPTED
from harness.waiting import interrupt
from tests.documented import Reader
from tests.signals import at_hooks, left_in, trials

RUN = ("run", "--lab", "simulated", "-k", "test_set_up")


def test_every_signal_at_some_moments(state_dir: Path) -> None:
    """Four times forty of them are in tests/plumbing, on the qemu lab too."""
    seen = trials(RUN, state_dir, seed=4, latest=2.0, count=8)
    assert [trial.left for trial in seen] == [[]] * len(seen), seen
    assert [trial for trial in seen if not trial.ended_well] == []
    assert [(trial.unfit, trial.said) for trial in seen if trial.unfit] == []
    assert INTERRUPTED in {trial.status for trial in seen}


_REPORT_LATER = "interrupted before the report was there: `skunk report "
HOOKS = {
    "pytest_configure": "interrupted: nothing ran",
    "pytest_sessionstart": "interrupted: nothing ran",
    "pytest_collectstart": "interrupted: nothing ran",
    "pytest_collection_finish": "interrupted: 0 of 1 ran",
    "pytest_runtest_setup": "interrupted: 0 of 1 ran",
    "pytest_runtest_call": "interrupted: 0 of 1 ran",
    "pytest_runtest_teardown": "interrupted: 0 of 1 ran",
    "pytest_sessionfinish": "interrupted: 1 of 1 ran",
    "pytest_terminal_summary": _REPORT_LATER,
    "pytest_unconfigure": _REPORT_LATER,
}
"""What a run says of itself that was interrupted there."""


def test_ctrl_c_wherever_pytest_is(state_dir: Path) -> None:
    words = (*RUN[:3], "--no-wire", "tests/scenarios/test_set_up.py")
    seen = at_hooks(words, state_dir, list(HOOKS))
    for trial in seen:
        assert (trial.status, trial.left, trial.unfit) == (INTERRUPTED, [], []), trial
        assert HOOKS[str(trial.moment)] in trial.said, trial
    assert len(seen) == len(HOOKS)
    folders = [path for path in (state_dir / "results").iterdir() if path.is_dir()]
    assert [path for path in folders if not (path / "lab" / "transcript.jsonl").is_file()] == []


def test_ctrl_c_before_the_workers_know_what_to_run(state_dir: Path) -> None:
    """They are not told any more, and do not run it."""
    (seen,) = at_hooks((*RUN, "-n", "1"), state_dir, ["pytest_sessionstart"])
    assert (seen.status, seen.left, seen.unfit) == (INTERRUPTED, [], []), seen
    assert "interrupted: nothing ran" in seen.said


_SIGNAL_AT_AN_IMPORT = """
import os, sys, time

class Presses:
    def find_spec(self, name, *_):
        if name == {module!r}:
            os.kill(os.getpid(), {number})
            time.sleep(5)

sys.meta_path.insert(0, Presses())
sys.argv = ["skunk", "--help"]
from harness.__main__ import main
main()
"""


@pytest.mark.parametrize("number", interrupt.SIGNALS)
def test_a_signal_while_the_command_line_is_read(number: signal.Signals) -> None:
    code = _SIGNAL_AT_AN_IMPORT.format(module="typer", number=int(number))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (INTERRUPTED, "")
    assert done.stderr == "interrupted; nothing had been started\n"


def own_terminal(slave: int) -> None:
    """Have the terminal as one's own, and listen to its end, which nohup(1) lets one ignore."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)


def test_a_terminal_that_is_closed(state_dir: Path) -> None:
    """What the clean-up has to say goes nowhere, and must not end it."""
    master, slave = os.openpty()
    run = subprocess.Popen(
        ["skunk", *RUN],
        env=Reader({}).environment,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=lambda: own_terminal(slave),  # noqa: PLW1509 - no threads
    )
    os.close(slave)
    try:
        said = b""
        while b"provisioned" not in said:
            said += os.read(master, 1 << 16)
        os.close(master)  # the kernel sends SIGHUP
        assert run.wait(60) == INTERRUPTED
    finally:
        run.kill()
    assert left_in(state_dir) == []


LEFT_BEHIND = """
from harness.config import settings
from harness.lab.simulated.lab import SimulatedLab

SimulatedLab(settings.load()).__enter__()
raise OSError("No space left on device, and whoever has the lab does not stop it")
"""


def test_a_lab_that_nobody_stops(state_dir: Path) -> None:
    """It ends with the process at the latest, as after an error of pytest's own."""
    done = subprocess.run(
        [sys.executable, "-c", LEFT_BEHIND],
        cwd=paths.PROJECT,
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert "whoever has the lab does not stop it" in done.stderr
    assert left_in(state_dir) == []
