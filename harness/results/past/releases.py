"""Runs of several releases side by side: verdicts, times, and what FreeBSD answered otherwise."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import HarnessError
from harness.freebsd.comparable import normalise
from harness.record.entry import Kind
from harness.results.past.difference import SECONDS, SLOWER
from harness.results.results_json import Ended, Results
from harness.results.run import Verdict

Answers = Mapping[str, Sequence[str]]
"""What nodes said to a command: each answer once, comparable."""

_SHA256 = re.compile(r"\b[0-9a-f]{64}\b")


@dataclass(frozen=True)
class Row:
    """One claim or scenario in every run: None where the run had it not.

    `seconds` are the host's, and None where it did not hold: a failure takes as long as its
    deadline. `why` is the first line of why it is no verdict that held.
    """

    name: str
    verdicts: tuple[Verdict | None, ...]
    seconds: tuple[float | None, ...] = ()
    why: tuple[str, ...] = ()

    @property
    def differs(self) -> bool:
        """Whether two runs that had it say something else."""
        return len({verdict for verdict in self.verdicts if verdict is not None}) > 1


@dataclass(frozen=True)
class Slower:
    """A scenario that held in both and took another time, in seconds, in the run at `column`."""

    name: str
    column: int
    first: float
    then: float


@dataclass(frozen=True)
class Otherwise:
    """A command that was never answered alike in the first run and in that at `column`."""

    command: str
    column: int
    first: str
    then: str


@dataclass(frozen=True)
class Releases:
    """The runs beside each other; the first is what the others are compared with."""

    columns: tuple[str, ...]
    claims: tuple[Row, ...]
    scenarios: tuple[Row, ...]

    @property
    def slower(self) -> Iterator[Slower]:
        """What took much longer or shorter than in the first run, the most first."""
        found = []
        for row in self.scenarios:
            first, *others = row.seconds
            for column, then in enumerate(others, start=1):
                if first is None or then is None or abs(then - first) < SECONDS:
                    continue
                if max(first, then) >= SLOWER * max(min(first, then), 1e-3):
                    found.append(Slower(row.name, column, first, then))
        yield from sorted(found, key=lambda each: abs(each.then - each.first), reverse=True)


def beside(runs: Sequence[Results], columns: Sequence[str]) -> Releases:
    """Put runs side by side, each with the heading of its column."""
    scenarios = [_worst(run.scenarios) for run in runs]
    names = list(dict.fromkeys(name for run in scenarios for name in run))
    titles = {f"{claim.number}. {claim.title}": None for run in runs for claim in run.claims}
    claims = [
        {f"{claim.number}. {claim.title}": claim.verdict for claim in run.claims} for run in runs
    ]
    return Releases(
        tuple(columns),
        tuple(Row(title, tuple(run.get(title) for run in claims)) for title in titles),
        tuple(_row(name, [run.get(name) for run in scenarios]) for name in names),
    )


def _worst(scenarios: Iterable[Ended]) -> dict[str, Ended]:
    """Each scenario once: of one that was repeated the worst."""
    order = list(Verdict)
    found: dict[str, Ended] = {}
    for one in scenarios:
        known = found.get(one.scenario)
        if known is None or order.index(one.verdict) < order.index(known.verdict):
            found[one.scenario] = one
    return found


def _row(name: str, ended: Sequence[Ended | None]) -> Row:
    return Row(
        name,
        tuple(None if one is None else one.verdict for one in ended),
        tuple(one.seconds if one and one.verdict is Verdict.HELD else None for one in ended),
        tuple(_why(one) for one in ended),
    )


def _why(one: Ended | None) -> str:
    if one is None or one.verdict is Verdict.HELD:
        return ""
    return one.failures[0].message.partition("\n")[0] if one.failures else one.reason


# --- what was answered --------------------------------------------------------------------------


def answers(folder: Path) -> Answers:
    """Every answer of a run's scenarios, from their transcripts. Raises `HarnessError`."""
    found: dict[str, list[str]] = {}
    for path in sorted(folder.glob("*/transcript.jsonl")):
        try:
            entries = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        except ValueError as error:
            raise HarnessError(
                f"{path} is no transcript: {error}", advice="take its scenario's folder away"
            ) from None
        for entry in entries:
            if entry["kind"] == Kind.COMMAND:
                said = answer(entry["status"], entry["stdout"], entry["stderr"])
                known = found.setdefault(entry["text"], [])
                if said not in known:
                    known.append(said)
    return found


def answer(status: int | None, stdout: str, stderr: str) -> str:
    """What a command said, as far as it can be compared with another run's.

    Each run writes other data, so digests say nothing.
    """
    text = _SHA256.sub("SHA256", normalise(stdout))
    if stderr:
        text += f"\n--- stderr ---\n{normalise(stderr)}"
    return f"{text}\n--- status {status}"


def otherwise(all_answers: Sequence[Answers]) -> Iterator[Otherwise]:
    """The commands that every run asked, and that it never answered as the first one did.

    What depends on the moment of asking is answered alike at one time or another, so it is none.
    """
    first, *others = all_answers
    for column, then in enumerate(others, start=1):
        for command, said in first.items():
            replies = then.get(command)
            if replies and not set(said) & set(replies):
                yield Otherwise(command, column, said[0], replies[0])
