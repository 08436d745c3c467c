"""A night on one host, for cron(8) or a systemd timer: every lane, one after another."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import filelock

from harness.config.settings import ImageSettings
from harness.errors import HarnessError, PairInUse
from harness.lab.images import download as image
from harness.nightly import night
from harness.nightly.collect import prune
from harness.nightly.night import Night
from harness.nightly.plan import Lane, Plan
from harness.record.exit_status import MET_GAPS
from harness.record.folders import made
from harness.results.results_json import NAME as RESULTS

LOG = "night.log"
"""Beside the results folders: what the last night printed."""

_PAIR = "nightly"
_STOP_SECONDS = 180.0
"""In which a run that took too long has to put its machines away."""


def run_night(
    plan: Plan,
    results: Path,
    *,
    lanes: Sequence[str] = (),
    arguments: Sequence[str] = (),
    say: Callable[[str], None],
) -> Night:
    """Run all lanes, or those named, and return what became of them.

    `arguments` go to pytest; `say` gets a line for each stage. Raises `PairInUse` when another
    night is under way with the same folder. A lane that cannot run is no error: the night says so.
    """
    made(results)
    lock = filelock.FileLock(results / ".night.lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise PairInUse(
            f"another nightly run is under way in {results}",
            advice="let it end, or start the next one later: a night takes longer than was thought",
        ) from None
    with lock:
        started = datetime.now(UTC)
        (results / LOG).write_text("")
        ended = [
            (lane, *_run(lane, plan, results, arguments, say))
            for lane in plan.lanes()
            if not lanes or lane.name in lanes
        ]
        told = night.write(results, started, ended)
        prune(results, keep=plan.keep, keep_evidence=plan.keep_evidence)
        return told


def _run(
    lane: Lane, plan: Plan, results: Path, arguments: Sequence[str], say: Callable[[str], None]
) -> tuple[Path | None, str]:
    """The results folder of a lane, and why it did not run, or not to its end."""
    say(f"{lane.name}: {datetime.now(UTC):%H:%M:%S} UTC")
    words = [*(sys.executable, "-m", "harness", "run"), *("--lab", lane.lab, "--pair", _PAIR)]
    if lane.release is not None:
        try:
            path = image.download(ImageSettings(release=lane.release))
        except HarnessError as error:
            return None, error.what
        words += ["--image", str(path)]
    before = _latest(results)
    status = _bounded([*words, *arguments], results, plan.hours * 3600)
    folder = _latest(results)
    if folder == before or folder is None or not (folder / RESULTS).is_file():
        return None, f"the run ended with {status} and left no results ({LOG} says why)"
    if status not in (0, 1, MET_GAPS):
        return folder, f"the run ended with {status} ({LOG} says why)"
    return folder, ""


def _latest(results: Path) -> Path | None:
    latest = results / "latest"
    return results / latest.readlink().name if latest.is_symlink() else None


def _bounded(words: Sequence[str], results: Path, seconds: float) -> int:
    """Run a command with its output in the log; a status below 0 or 130 when it took too long."""
    environment = os.environ | {"SKUNK_RESULTS_DIR": str(results)}
    with (results / LOG).open("ab") as log:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
        )
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            log.write(f"stopped: it took longer than {seconds / 3600:g} hours\n".encode())
            process.send_signal(signal.SIGTERM)
            try:
                return process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                return process.wait()
        except BaseException:
            process.send_signal(signal.SIGTERM)
            process.wait(_STOP_SECONDS)
            raise
