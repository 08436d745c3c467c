"""Replaying a recorded run on the simulated lab, and comparing what its nodes print.

Each step begins when all that had ended before it in the recording has ended here too, and after
the same pause; so what overlapped in the recording may overlap here. Commands that followed each
other on a node with nothing between (somebody was waiting) are one question: it is asked until the
model gives the recorded last answer. The answers on the way to it depend on the moments of asking,
which no two runs of FreeBSD share; they are counted, and not compared. For the same reason a
question that changes nothing is asked again for some seconds when its answer differs, and a log
may have gone on since.
"""

from __future__ import annotations

import bisect
import difflib
import hashlib
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter

from harness.config import yaml_file
from harness.config.settings import Settings, SimulatedSettings
from harness.errors import HarnessError
from harness.freebsd.comparable import normalise
from harness.freebsd.hast import log as hastd_log
from harness.lab.base import Network
from harness.lab.simulated.direct import DirectConnection
from harness.lab.simulated.lab import SimulatedLab
from harness.trials.conformance.recording import Step, load
from harness.waiting import clock as clocks

NOT_COMPARED = {
    ("tail", "-n", "200", "/var/log/messages"): "the kernel's own story of its hardware",
    ("uname", "-a"): "names the kernel's build",
}
"""Commands whose output has nothing that the model claims to know, and why."""

AS_RECORDED = SimulatedSettings(disk_mb=40.0, link_mbit=400.0)
"""About as slow as two emulated guests on two cores, on which the recordings were made."""

_PATIENCE = 120.0
"""Virtual seconds that a command or question may take longer than it did in the recording."""

_SHORTEST_PAUSE = 0.05

_DIGEST = re.compile(r"\b[0-9a-f]{64}\b")

_MOMENT = 10.0
"""Virtual seconds by which the model may be late with an answer."""

_ASKING = re.compile(
    r"(/bin/sh -c )?(hastctl (list|status|dump)|test|cat|ls|df|zpool (list|status|get)"
    r"|zfs (list|get)|mount -t|ifconfig( \S+)?$|ifconfig -a|kldstat|service \S+ status|sysrc -n"
    r"|true)\b"
)
"""Commands that change nothing."""


_GAP = re.compile(r"^\S+: not modelled: (.*)$", re.MULTILINE)
"""What the model says where it knows that it cannot answer."""


class _Known(BaseModel):
    """Answers of a recording: what `nodes` said to `commands`, whose words are joined by blanks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    recording: str
    nodes: tuple[str, ...]
    commands: tuple[str, ...]

    def names(self, path: Path, difference: Difference) -> bool:
        """Whether an answer of the recording `path` is among them."""
        return (
            path.name == self.recording
            and difference.node in self.nodes
            and difference.command in self.commands
        )


class KnownDifference(_Known):
    """Answers that differ by chance or by nature, and why.

    Only in lines in which one of `lines` is found, each a regular expression.
    """

    lines: tuple[re.Pattern[str], ...]
    why: str

    def explains(self, difference: Difference) -> str | None:
        """Why it differs, if it does so in these lines only and the model claimed to know."""
        if difference.gap is None and _is_same_but_for(self.lines, difference):
            return self.why
        return None


class KnownGap(_Known):
    """Answers that the model does not give, as it says itself: `not modelled: ` and `says`."""

    says: str

    def explains(self, difference: Difference) -> str | None:
        """That it is a gap, if the model says just that."""
        return f"a gap: {self.says}" if difference.gap == self.says else None


_KNOWN = TypeAdapter(tuple[KnownDifference | KnownGap, ...])


@dataclass(frozen=True)
class Difference:
    """One recorded answer that the model did not give. `model` is what it said instead."""

    node: str
    command: str
    recorded: str
    model: str
    why: str | None = None
    """What known-differences.yaml says of it, if anything."""

    @property
    def gap(self) -> str | None:
        """What the model says that it lacks, if it does."""
        said = _GAP.search(self.model)
        return None if said is None else said[1]

    def __str__(self) -> str:
        changes = difflib.unified_diff(
            self.recorded.splitlines(), self.model.splitlines(), "FreeBSD", "model", lineterm=""
        )
        known = [] if self.why is None else [f"known: {self.why}"]
        return "\n".join([f"{self.node} # {self.command}", *known, *changes])


@dataclass(frozen=True)
class Conformance:
    """What a replay comes to: answers compared, and each that is different."""

    release: str
    compared: int
    differences: tuple[Difference, ...]
    on_the_way: int
    seen_on_the_way: int

    @property
    def unexplained(self) -> tuple[Difference, ...]:
        """The differences that nobody has explained."""
        return tuple(each for each in self.differences if each.why is None)

    @property
    def equal(self) -> int:
        """Answers that the model gave to the letter."""
        return self.compared - len(self.differences)

    @property
    def gaps(self) -> int:
        """Answers that the model did not give and said so."""
        return sum(each.gap is not None for each in self.differences)

    def __str__(self) -> str:
        return (
            f"{self.compared} answers of FreeBSD {self.release} compared: {self.equal} equal, "
            f"{len(self.differences)} different, {self.gaps} of them gaps that the model tells; "
            f"of {self.on_the_way} answers on the way, which depend on the moment of asking, "
            f"{self.seen_on_the_way} were seen"
        )


@dataclass
class Question:
    """Steps with one command on one node that followed each other with nothing between."""

    steps: list[Step]
    lane: int = 0
    number: int = 0
    needs: dict[int, int] = field(default_factory=dict)
    """For each lane, how many of its questions have to have been answered before."""

    @property
    def first(self) -> Step:
        """The step with which it began."""
        return self.steps[0]

    @property
    def end(self) -> float:
        """When the last of its steps had ended."""
        return self.steps[-1].end  # each began after the one before


def replay_recording(path: Path, settings: Settings) -> Conformance:
    """Replay one recording on a fresh simulated pair."""
    source, steps = load(path)
    settings = settings.model_copy(update={"simulated": AS_RECORDED, "public": None})
    with tempfile.TemporaryDirectory(prefix="skunk-replay-") as folder:
        lab = SimulatedLab(settings, pair="replay", state_dir=Path(folder))
        before = clocks.current()
        with lab:
            clocks.use(lab.clock)
            try:
                runner = _Runner(lab, fold(steps))
                runner.run()
            finally:
                clocks.use(before)
    return Conformance(
        source.release,
        runner.compared,
        tuple(_explained(path, runner.differences)),
        runner.on_the_way,
        runner.seen_on_the_way,
    )


def _explained(path: Path, differences: Iterable[Difference]) -> Iterator[Difference]:
    """The differences, with what known-differences.yaml beside the recording says of them."""
    listed = path.parent / "known-differences.yaml"
    known = known_differences(listed) if listed.exists() else ()
    for difference in differences:
        why = next(
            (
                why
                for entry in known
                if entry.names(path, difference) and (why := entry.explains(difference))
            ),
            None,
        )
        yield replace(difference, why=why)


def known_differences(path: Path) -> tuple[KnownDifference | KnownGap, ...]:
    """Read known-differences.yaml. Raises `SettingsError`."""
    return yaml_file.read(path, _KNOWN.validate_python, advice="its first lines say what it has")


def _is_same_but_for(patterns: Sequence[re.Pattern[str]], difference: Difference) -> bool:
    """Whether recording and model agree but for the lines in which a pattern is found."""
    recorded, model = (
        "\n".join(
            line
            for line in text.split("\n")
            if line and not any(each.search(line) for each in patterns)  # "" is nothing printed
        )
        for text in (difference.recorded, difference.model)
    )
    return _is_same(tuple(difference.command.split()), recorded, model)


def fold(steps: Iterable[Step]) -> list[Question]:
    """Fold repeated commands, and share the questions out so that none in a lane overlap."""
    questions: list[Question] = []
    last_on: dict[str, Question] = {}
    for step in steps:
        last = last_on.get(step.node)
        if (
            last is not None
            and step.verb == "run"
            and last.first.verb == "run"
            and (step.argv, step.stdin) == (last.first.argv, last.first.stdin)
            and step.at >= last.end
        ):
            last.steps.append(step)
            continue
        question = Question([step])
        questions.append(question)
        if step.node == "pair":
            last_on.clear()
        else:
            last_on[step.node] = question
    lanes: list[list[Question]] = []
    for question in questions:
        free = next(
            (
                at
                for at, lane in enumerate(lanes)
                if lane[-1].end <= question.first.at and lane[-1].first.node == question.first.node
            ),
            None,
        )
        if free is None:
            free = len(lanes)
            lanes.append([])
        question.lane, question.number = free, len(lanes[free]) + 1
        for at, lane in enumerate(lanes):
            ended = bisect.bisect_right(lane, question.first.at, key=lambda other: other.end)
            if at != free and ended:
                question.needs[at] = ended
        lanes[free].append(question)
    return questions


class _Runner:
    """Asks the model, a thread for each lane, in virtual time."""

    def __init__(self, lab: SimulatedLab, questions: Sequence[Question]) -> None:
        self.compared = 0
        self.differences: list[Difference] = []
        self.on_the_way = 0
        self.seen_on_the_way = 0
        self._lab = lab
        self._clock = lab.clock
        self._questions = questions
        self._answered: dict[int, int] = {}
        self._digests: dict[str, str] = {}
        self._ends = sorted(question.end for question in questions)

    def run(self) -> None:
        lanes: dict[int, list[Question]] = {}
        for question in self._questions:
            lanes.setdefault(question.lane, []).append(question)
        with (
            self._clock.workers(len(lanes)) as workers,
            ThreadPoolExecutor(len(lanes)) as pool,
        ):

            def ask_all(lane: list[Question]) -> None:
                try:
                    for question in lane:
                        self._ask_in_turn(question)
                finally:
                    workers.done()

            list(pool.map(ask_all, lanes.values()))

    def _ask_in_turn(self, question: Question) -> None:
        needs = question.needs
        self._clock.wait(
            lambda: all(self._answered.get(lane, 0) >= count for lane, count in needs.items()),
            3600.0,
        )
        before = [end for end in self._ends if end <= question.first.at]
        if before:
            self._clock.sleep(max(_SHORTEST_PAUSE, question.first.at - before[-1]))
        try:
            if question.first.verb == "run":
                self._ask(question)
            else:
                self._do(question.first)
        finally:
            with self._clock.condition:
                self._answered[question.lane] = question.number

    def _do(self, step: Step) -> None:
        match step.verb:
            case "start":
                return  # a lab that was entered has power
            case "save":
                self._lab.save(*step.argv)
            case "restore":
                self._lab.restore(*step.argv)
            case verb:
                networks = map(Network, step.argv)  # of a cable; older recordings have one alone
                getattr(self._lab.machines[step.node], verb)(*networks)

    def _ask(self, question: Question) -> None:
        """Run the command until the last recorded answer comes; compare the answers in order."""
        step = question.first
        if step.argv in NOT_COMPARED:
            return
        recorded = _distinct(
            _answer(each.status, each.stdout, each.stderr) if each.error is None else None
            for each in question.steps
        )
        stdin = b""
        if step.stdin is not None:
            stdin = step.stdin.stand_in()
            own = hashlib.sha256(stdin).hexdigest()
            if own != step.stdin.sha256:
                self._digests[own] = step.stdin.sha256
        length = question.end - step.at
        start = self._clock.monotonic()
        given: list[str | None] = []
        while True:
            given.append(self._unify(recorded[-1], self._run(step, stdin, length + _PATIENCE)))
            if _is_same(step.argv, recorded[-1], given[-1]):
                break
            # Somebody waited, or the node was down: then the harness asked again, too.
            waited = len(question.steps) > 1 or given[-1] is None
            asking = _ASKING.match(" ".join(step.argv)) is not None
            patience = length + _PATIENCE if waited else _MOMENT if asking else 0.0
            if self._clock.monotonic() - start >= patience:
                break
            self._clock.sleep(max(_SHORTEST_PAUSE, length / len(question.steps)))
        self._compare(step, recorded, given)

    def _run(self, step: Step, stdin: bytes, within: float) -> str | None:
        try:
            connection = DirectConnection(self._lab, step.node, 10.0)
            result = connection.run(step.argv, within=within, stdin=stdin)
        except HarnessError:
            return None
        return _answer(result.status, result.stdout, result.stderr, self._digests)

    def _unify(self, recorded: str | None, given: str | None) -> str | None:
        """Let a digest of chance stand for the recorded one: from now on this one and no other.

        /dev/random gives other bytes each time; which digests are equal has to be as recorded.
        """
        if recorded is None or given is None:
            return given
        theirs, ours = _DIGEST.findall(recorded), _DIGEST.findall(given)
        if len(theirs) == len(ours):
            for their, our in zip(theirs, ours, strict=True):
                known = our in self._digests or their in self._digests.values()
                if their != our and not known:
                    self._digests[our] = their
                    given = given.replace(our, their)
        return given

    def _compare(
        self, step: Step, recorded: Sequence[str | None], given: Sequence[str | None]
    ) -> None:
        *on_the_way, last = recorded
        with self._clock.condition:
            self.on_the_way += len(on_the_way)
            self.seen_on_the_way += sum(answer in given for answer in on_the_way)
            if last is None:
                return  # a node that is down says nothing
            self.compared += 1
            if not _is_same(step.argv, last, given[-1]):
                command = " ".join(step.argv)
                said = given[-1] if given[-1] is not None else "nothing"
                self.differences.append(Difference(step.node, command, last, said))


def _answer(
    status: int | None, stdout: str, stderr: str, digests: dict[str, str] | None = None
) -> str:
    return (
        f"{normalise(stdout, digests)}\n--- stderr ---\n{normalise(stderr, digests)}\n"
        f"--- status {status}"
    )


def _is_same(argv: tuple[str, ...], recorded: str | None, given: str | None) -> bool:
    """Whether an answer is the recorded one; a log that is read later may have more at its end."""
    if argv == hastd_log.COMMAND and recorded is not None and given is not None:
        return given.split("\n--- stderr")[0].startswith(recorded.split("\n--- stderr")[0])
    return given == recorded


def _distinct(answers: Iterable[str | None]) -> list[str | None]:
    """Answers without those that repeat the one before."""
    kept: list[str | None] = []
    for answer in answers:
        if not kept or kept[-1] != answer:
            kept.append(answer)
    return kept
