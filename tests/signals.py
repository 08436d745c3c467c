"""`skunk` with a signal at a random moment, over and over: how it ends, and what it leaves.

A process of its own forks for each trial, with all modules loaded: a trial costs what it does and
not the start of Python, and no signal comes while Python reads modules. Its arguments are SEED
LATEST TRIALS WORD..., or the name of a hook of pytest in the place of the three numbers: then
Ctrl-C comes in that hook.
"""

from __future__ import annotations

import atexit
import faulthandler
import itertools
import json
import os
import random
import re
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

from harness.config import paths
from harness.record.exit_status import INTERRUPTED
from harness.waiting import interrupt
from tests import forked

MOST_SECONDS = 60.0
"""From the signal to the end of the process, on a host with other work."""

STARTS_WITHIN = 1.0
"""Seconds until a forked trial listens to signals, on a host with other work."""

_NOT_FOR_PEOPLE = (
    *("Traceback", "INTERNALERROR", "KeyboardInterrupt", "full traceback", "generated xml file"),
    *("interrupt.py", "_pytest", "Exception ignored"),
)
"""Words of Python and of pytest, which say nothing of what was interrupted."""

_WHERE = signal.SIGUSR1
"""Makes a trial that hangs say where, in what it said."""


@dataclass(frozen=True)
class Trial:
    """One signal at one moment, in seconds from the start, and what came of it."""

    signal: str
    moment: float | str
    """Or the hook of pytest in which it came."""
    status: int
    """Exit status, or minus the number of the signal that killed it."""
    seconds: float
    """From the signal to the end."""
    said: str
    left: list[str]
    """What is new in the state directory afterwards, but the locks, which stay."""

    @property
    def ended_well(self) -> bool:
        """It ended as interrupted; or was over, or still only Python, when the signal came.

        On a host with other work a second may pass until Python listens, with nothing started yet.
        """
        if self.status == -signal.Signals[self.signal]:
            early = isinstance(self.moment, float) and self.moment < STARTS_WITHIN
            return early and not self.said
        return self.status in (0, INTERRUPTED)

    @property
    def unfit(self) -> list[str]:
        """What nobody is to read at the end of a run, and what it names that is not there."""
        found = [word for word in _NOT_FOR_PEOPLE if word in self.said]
        if self.status == INTERRUPTED and f"\n{self.said}".count("\ninterrupted; everything") != 1:
            found.append("not said once that it was interrupted")
        named = re.findall(r"(?:evidence|report): +(/\S+)", self.said)
        return found + [f"{path} is not there" for path in named if not Path(path).exists()]


def trials(
    words: Sequence[str], state_dir: Path, *, seed: int, latest: float, count: int
) -> list[Trial]:
    """Run `skunk` with these words `count` times; each of the signals comes equally often.

    A signal comes at a random moment, at the latest `latest` seconds after the start.
    """
    given = [str(seed), str(latest), str(count), *words]
    return _in_a_process(given, state_dir, within=count * (latest + MOST_SECONDS))


def at_hooks(words: Sequence[str], state_dir: Path, hooks: Sequence[str]) -> list[Trial]:
    """Run `skunk` with these words, with Ctrl-C in the middle of each of these hooks of pytest."""
    within = (len(hooks) + 1) * MOST_SECONDS
    return _in_a_process([",".join(hooks), *words], state_dir, within=within)


def _in_a_process(given: Sequence[str], state_dir: Path, *, within: float) -> list[Trial]:
    done = forked.run(
        *given,
        program="tests.signals",
        env={
            **os.environ,
            "SKUNK_STATE_DIR": str(state_dir),
            "SKUNK_RESULTS_DIR": str(state_dir / "results"),
        },
        timeout=within,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [Trial(**json.loads(line)) for line in done.stdout.splitlines()]


def left_in(state_dir: Path) -> list[str]:
    """What is left of pairs."""
    return [
        path.name
        for path in (state_dir / "pairs").glob("*")
        if path.suffix not in (".lock", ".turn")
    ]


def _interrupted_in(hook: str) -> object:
    """A plugin that presses Ctrl-C in a hook, the first time that pytest calls it."""
    pressed: list[bool] = []

    def press() -> None:
        if not pressed:
            pressed.append(True)
            os.kill(os.getpid(), signal.SIGINT)

    return type("Impatient", (), {hook: staticmethod(press)})()


def _child(words: Sequence[str], log: Path, hook: str = "") -> NoReturn:
    status = 70
    try:
        os.setsid()
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(file, stream)
        faulthandler.register(_WHERE, all_threads=True)
        sys.argv = ["skunk", *words]
        import pytest  # noqa: PLC0415 - it is loaded already

        from harness.cli.main import main  # noqa: PLC0415 - as above

        if hook:
            run = pytest.main
            pytest.main = lambda arguments, plugins: run(  # type: ignore[assignment, misc]
                arguments, [*plugins, _interrupted_in(hook)]
            )
        try:
            main()
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 70
        except BaseException:
            traceback.print_exc()
        atexit._run_exitfuncs()
        sys.stdout.flush()
    finally:
        os._exit(status)


def _try(words: Sequence[str], number: signal.Signals, moment: float | str, log: Path) -> Trial:
    before = left_in(paths.state_dir())
    log.write_bytes(b"")
    child = os.fork()
    if not child:
        _child(words, log, moment if isinstance(moment, str) else "")
    if isinstance(moment, float):
        time.sleep(moment)
        os.kill(child, number)
    begun = time.monotonic()
    status = None
    while status is None:
        pid, ended = os.waitpid(child, os.WNOHANG)
        if pid:
            status = os.waitstatus_to_exitcode(ended)
        elif time.monotonic() - begun > MOST_SECONDS:
            os.kill(child, _WHERE)
            time.sleep(0.5)
            os.kill(child, signal.SIGKILL)
        else:
            time.sleep(0.01)
    return Trial(
        number.name,
        moment if isinstance(moment, str) else round(moment, 3),
        status,
        round(time.monotonic() - begun, 3),
        log.read_text(errors="replace")[-4000:],
        [name for name in left_in(paths.state_dir()) if name not in before],
    )


def main() -> None:
    """Try it, and print what came of each as a line of JSON."""
    for number in interrupt.SIGNALS:  # a job in the background of a shell ignores some
        signal.signal(number, signal.SIG_DFL)
    paths.state_dir().mkdir(parents=True, exist_ok=True)
    planned: list[tuple[signal.Signals, float | str]]
    if sys.argv[1].startswith("pytest_"):
        hooks, *words = sys.argv[1:]
        planned = [(signal.SIGINT, hook) for hook in hooks.split(",")]
    else:
        seed, latest, count, *words = sys.argv[1:]
        dice = random.Random(int(seed))
        turns = itertools.islice(itertools.cycle(interrupt.SIGNALS), int(count))
        planned = [(number, dice.uniform(0, float(latest))) for number in turns]
    for number, moment in planned:
        trial = _try(words, number, moment, paths.state_dir() / "trial.log")
        sys.stdout.write(json.dumps(asdict(trial)) + "\n")
        sys.stdout.flush()
