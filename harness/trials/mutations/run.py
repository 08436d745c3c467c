"""Running the scenarios with each mutation on the simulated lab, and what came of it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from harness.config import paths
from harness.errors import LabError
from harness.lab.choose import MODEL
from harness.record.exit_status import BROKE, FAILED, HELD, MET_GAPS
from harness.results import junit
from harness.results.run import Case, Verdict
from harness.trials.mutations.mutation import ALL, Mutation

SLOWEST_RUN = 1800.0
"""Seconds of the host for all scenarios with one mutation."""

_RAN = (HELD, FAILED, BROKE, MET_GAPS)
"""The exit status of a run that came to its end, however it ended."""


@dataclass(frozen=True)
class Outcome:
    """What a mutation did, by the scenario's name, with the first line of what it said.

    `caught` noticed it, `otherwise` failed for another reason than the mutation's. `not_set_up` are
    those that could not begin, which proves nothing about them.
    """

    mutation: Mutation
    caught: dict[str, str] = field(default_factory=dict)
    otherwise: dict[str, str] = field(default_factory=dict)
    not_set_up: tuple[str, ...] = ()


@dataclass(frozen=True)
class Matrix:
    """All outcomes.

    Without a mutation `scenarios` hold, `expected_to_fail` fail as they should, and `broken` fail
    as they should not, so that they prove nothing.
    """

    scenarios: tuple[str, ...]
    expected_to_fail: tuple[str, ...]
    broken: tuple[str, ...]
    outcomes: tuple[Outcome, ...]
    complete: bool = True
    """Whether every mutation and every scenario was run."""

    @property
    def uncaught(self) -> list[str]:
        """The mutations that no scenario has noticed."""
        return [outcome.mutation.name for outcome in self.outcomes if not outcome.caught]

    @property
    def never_failed(self) -> list[str]:
        """The scenarios that no mutation has made fail for the right reason."""
        noticing = {
            name
            for outcome in self.outcomes
            if not outcome.mutation.of_every_scenario
            for name in outcome.caught
        }
        return [name for name in self.scenarios if name not in noticing]

    @property
    def ok(self) -> bool:
        """Whether every mutation is caught and every scenario catches one."""
        missing = self.uncaught or self.broken or (self.complete and self.never_failed)
        return not missing


def run_all(
    mutations: Sequence[Mutation],
    arguments: Sequence[str] = (),
    *,
    jobs: int | None = None,
    complete: bool = True,
    keep: Path | None = None,
    say: Callable[[str], None],
) -> Matrix:
    """Run the scenarios as they are, then with each mutation, on all cores side by side.

    `arguments` go to pytest; `say` gets a line for each run that ends; `keep` is a folder for their
    evidence, which otherwise goes. Raises `LabError` when the scenarios as they are do not come to
    their end.
    """
    with (
        tempfile.TemporaryDirectory(prefix="skunk-mutations-") as folder,
        ThreadPoolExecutor(jobs or os.cpu_count() or 1) as pool,
    ):
        place = keep or Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        plain = _run(place, None, arguments)
        broken = tuple(_name(case) for case in plain if case.failures)

        def run(mutation: Mutation) -> Outcome:
            try:
                cases = _run(place, mutation, arguments)
            except LabError as error:
                return Outcome(mutation, otherwise={"the run itself": error.what})
            outcome = judge(mutation, [case for case in cases if _name(case) not in broken])
            say(f"{mutation.name}: caught by {len(outcome.caught)}")
            return outcome

        try:
            outcomes = tuple(pool.map(run, mutations))
        except BaseException:  # also Ctrl-C, and SIGTERM, which its children do not get
            pool.shutdown(wait=False, cancel_futures=True)
            for child in psutil.Process().children():
                child.terminate()
            raise
    return Matrix(
        scenarios=tuple(_name(case) for case in plain if case.verdict is Verdict.HELD),
        expected_to_fail=tuple(_name(case) for case in plain if case.verdict is Verdict.KNOWN_BUG),
        broken=broken,
        outcomes=outcomes,
        complete=complete,
    )


def judge(mutation: Mutation, cases: Iterable[Case]) -> Outcome:
    """Who noticed a mutation, and for what reason."""
    outcome = Outcome(mutation)
    not_set_up = []
    for case in cases:
        name = _name(case)
        if case.verdict in (Verdict.GAP, Verdict.NOT_RUN):
            outcome.otherwise[name] = f"{case.verdict}: {case.reason}"
            continue
        if mutation.shows is Verdict.KNOWN_BUG and case.verdict is Verdict.KNOWN_BUG:
            if mutation.explains(case.reason):
                outcome.caught[name] = case.reason.partition("\n")[0]
            continue
        if any(failure.phase == "setup" for failure in case.failures):
            not_set_up.append(name)
            continue
        for failure in case.failures:
            right = mutation.shows is Verdict.FAILED and mutation.explains(failure.message)
            (outcome.caught if right else outcome.otherwise).setdefault(
                name, _line(failure.message)
            )
        if name in outcome.caught:
            outcome.otherwise.pop(name, None)
    return Outcome(mutation, outcome.caught, outcome.otherwise, tuple(not_set_up))


def _line(message: str) -> str:
    """The first line of a message that says something, with the one after a colon."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    text = lines[0] if lines else ""
    return f"{text} {lines[1]}" if text.endswith(":") and len(lines) > 1 else text


def _name(case: Case) -> str:
    return f"{case.file}::{case.name}"


def _pair(mutation: Mutation | None) -> str:
    """A name of its own for each run's pair, and a short one."""
    return f"mutation-{0 if mutation is None else 1 + list(ALL).index(mutation.name)}"


def _run(place: Path, mutation: Mutation | None, arguments: Sequence[str]) -> tuple[Case, ...]:
    name = "none" if mutation is None else mutation.name
    results = place / name
    said = place / f"{name}.txt"
    command = [
        *(sys.executable, "-m", "pytest", "--rootdir", str(paths.PROJECT), "--quiet"),
        "--tb=short",
        *("-p", "no:cacheprovider", "--lab", MODEL, "--no-wire", "--pair", _pair(mutation)),
        *("--results", str(results), "--junitxml", str(place / f"{name}.xml")),
        *([] if mutation is None else ["--mutate", name]),
        *(str(paths.PROJECT / "tests" / "scenarios"), *arguments),
    ]
    with said.open("wb") as output:
        try:
            status = subprocess.run(
                command,
                cwd=paths.PROJECT,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=SLOWEST_RUN,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            status = -1
    if status not in _RAN:
        last = said.read_text(errors="replace").splitlines()[-5:]
        raise LabError(
            f"the scenarios with the mutation {name} ended with {status}:\n" + "\n".join(last),
            advice=f"see `pytest --lab simulated --mutate {name} tests/scenarios`",
        )
    cases = junit.read(place / f"{name}.xml")[1]
    if all(case.verdict is Verdict.NOT_RUN for case in cases):
        why = cases[0].reason if cases else "there is none"
        raise LabError(f"no scenario ran with the mutation {name}: {why}")
    return cases
