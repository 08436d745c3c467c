"""results.json: one run for programs to read. Its JSON schema is docs/results-schema.json.

Fields are only ever added. Whatever removes one or changes its meaning raises `FORMAT`.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import pydantic
from pydantic import BaseModel, ConfigDict, Field

from harness.config.software import ReplacedProgram, system
from harness.errors import HarnessError
from harness.record.outgoing import without_secrets
from harness.results.run import Failure, Run, Scenario, Verdict, headline

NAME = "results.json"
FORMAT: Final = 1

Seconds = Annotated[float, Field(ge=0)]


class _Part(BaseModel):
    """A part of the file. Unknown fields of a later harness are passed over."""

    model_config = ConfigDict(frozen=True)


class Program(_Part):
    """A program of the user's own that took the place of one of the base system on a node."""

    node: str
    program: str = Field(description="hastd or hastctl.")
    file: str = Field(description="The name of the file that it came from.")
    sha256: str


class Description(_Part):
    """Where the results come from."""

    name: str = Field(description="The name of the results folder.")
    lab: str = Field(description="simulated, qemu or vagrant.")
    simulated: bool = Field(description="A model of FreeBSD: no evidence about FreeBSD.")
    hypervisor: str
    acceleration: str
    image: str
    release: str = Field(description="As `uname -rm` prints it on skunk1.")
    releases: dict[str, str] | None = Field(
        default=None, description="The same of each node, where they differ; else null."
    )
    replaced: tuple[Program, ...] = Field(
        default=(), description="The programs of the user's own in the place of the release's."
    )
    seed: int | str | None = Field(description="The chance of the simulated lab.")
    mutation: str | None = Field(description="What was broken on purpose, if something was.")
    pairs: int = Field(description="How many pairs of nodes ran side by side.")
    started: datetime
    seconds: Seconds = Field(description="The host's time for the whole run.")
    ended_early: str = Field(
        default="", description='Why not all of it ran, and how much did; "" where all of it did.'
    )
    harness: str = Field(description="The version of the harness.")

    @property
    def system(self) -> str:
        """The release, or both, with the replaced programs: only runs of the same are alike."""
        return system(self.release, self.releases, self.programs)

    @property
    def programs(self) -> tuple[ReplacedProgram, ...]:
        """The replaced programs."""
        return tuple(
            ReplacedProgram(one.node, one.program, one.file, one.sha256) for one in self.replaced
        )


class Spent(_Part):
    """Where the host's seconds of a scenario went (harness/waiting/spent.py)."""

    total: Seconds
    boot: Seconds = Field(description="Boots and restores.")
    freebsd: Seconds = Field(description="Waiting for FreeBSD.")
    evidence: Seconds = Field(description="Evidence and audit.")
    harness: Seconds = Field(description="What a harness that costs nothing would save.")


class Note(_Part):
    """Something that a scenario found out beyond its verdict."""

    name: str
    value: str


class Seen(_Part):
    """What a node was last seen to be."""

    name: str
    role: str
    status: str = Field(description='What it said of HAST; "" when nobody asked in that role.')
    dirty: int | None = Field(description="Bytes not yet on the secondary; a primary knows.")
    pool: str
    console: str | None = Field(description="Its console, relative to the results folder.")


class Problem(_Part):
    """Why a scenario did not hold."""

    error: str = Field(description="The class of the exception.")
    message: str
    phase: str = Field(description="setup, call or teardown.")
    broke: bool = Field(description="The lab, the host or the scenario broke: not FreeBSD.")
    step: str | None = Field(description="The scenario's own line that failed.")
    place: str | None = Field(description="Its file and line.")
    awaited: str | None = Field(description="What was waited for, if a wait expired.")
    within: Seconds | None = Field(description="For how many seconds.")
    last_seen: str | None = Field(description="The last value that the wait saw.")

    @classmethod
    def of(cls, failure: Failure) -> Problem:
        """The failure as the file has it."""
        return cls(
            error=failure.error,
            message=failure.message,
            phase=failure.phase,
            broke=failure.broke,
            step=failure.step,
            place=failure.place,
            awaited=failure.awaited,
            within=failure.within,
            last_seen=failure.last,
        )


class Ended(_Part):
    """One scenario and how it ended."""

    id: str = Field(description="file.py::name, with the number of a repetition if it has one.")
    scenario: str = Field(description="The same without that number: its name in every run.")
    claims: tuple[int, ...] = Field(description="The claims of the field notes that it tests.")
    docstring: str
    verdict: Verdict
    known_bug: int | None = Field(
        description="The number of the FreeBSD bug that it met, or that is fixed here."
    )
    gaps: tuple[str, ...] = Field(
        default=(),
        description="What the model lacked of what it was asked; then it has no verdict.",
    )
    reason: str = Field(
        description="Why it was skipped, did not run, is expected to fail or is fixed here."
    )
    seconds: Seconds = Field(description="The host's time, with set-up and clean-up.")
    lab_seconds: Seconds | None = Field(
        description="From the first to the last entry of its transcript, on the lab's clock."
    )
    spent: Spent | None
    notes: tuple[Note, ...]
    failures: tuple[Problem, ...]
    nodes: tuple[Seen, ...]
    evidence: str = Field(description="Its folder, relative to the results folder.")

    @classmethod
    def of(cls, scenario: Scenario) -> Ended:
        """The scenario as the file has it."""
        case, line = scenario.case, scenario.told.timeline
        spent = case.spent
        return cls(
            id=case.id,
            scenario=case.scenario,
            claims=case.claims,
            docstring=case.docstring,
            verdict=case.verdict,
            known_bug=case.bug,
            gaps=case.gaps,
            reason=case.reason,
            seconds=case.seconds,
            lab_seconds=None if line is None else line.seconds,
            spent=None
            if spent is None
            else Spent(
                total=spent.total,
                boot=spent.boot,
                freebsd=spent.freebsd,
                evidence=spent.evidence,
                harness=spent.harness,
            ),
            notes=tuple(Note(name=name, value=value) for name, value in case.noted),
            failures=tuple(map(Problem.of, case.failures)),
            nodes=_nodes(scenario),
            evidence=case.folder,
        )


class Claim(_Part):
    """One of the ten claims of the field notes."""

    number: int
    title: str
    verdict: Verdict
    untested: str = Field(
        default="", description='What of it no scenario of the harness tests; "" where all is.'
    )
    scenarios: tuple[str, ...]


class Gap(_Part):
    """Something that FreeBSD has and the model lacks, and what asked for it."""

    node: str
    command: str
    what: str


class Changed(_Part):
    """A scenario that ended otherwise; `reason` is the first line of why, if it is bad now."""

    id: str
    before: Verdict
    now: Verdict
    reason: str = ""


class Time(_Part):
    """A scenario that held in both runs and took longer or shorter, in seconds."""

    id: str
    before: float
    now: float


class Difference(_Part):
    """This run beside an earlier one, scenario by scenario.

    One that was repeated counts once, with its worst verdict and its mean time.
    """

    name: str = Field(description="The results folder of the other run.")
    started: datetime
    release: str
    harness: str
    compared: int = Field(description="How many scenarios both runs had.")
    new_failures: tuple[Changed, ...] = Field(description="Failed or broke, and did not before.")
    fixed: tuple[Changed, ...] = Field(description="Failed or broke before, and do not now.")
    changed: tuple[Changed, ...] = Field(description="Other verdicts that changed.")
    added: tuple[str, ...] = Field(description="Only this run had them.")
    missing: tuple[str, ...] = Field(description="Only the other run had them.")
    times: tuple[Time, ...] = Field(
        description="Whose time changed, the most first; on the simulated lab the nodes' time. "
        "None when another number of pairs shared the host's processors."
    )

    @property
    def verdicts(self) -> tuple[Changed, ...]:
        """Every verdict that changed, the new failures first."""
        return (*self.new_failures, *self.fixed, *self.changed)


class Results(_Part):
    """The whole file."""

    format: Literal[1] = Field(description="Raised when a field changes its meaning.")
    run: Description
    counts: dict[Verdict, int]
    nodes: tuple[str, ...]
    claims: tuple[Claim, ...]
    scenarios: tuple[Ended, ...]
    gaps: tuple[Gap, ...] | None = Field(description="None unless the lab was simulated.")
    difference: Difference | None = Field(
        description="What an earlier run of the same lab found otherwise."
    )

    @property
    def headline(self) -> str:
        """The run in a line: first that it ended early, if it did, then its verdicts."""
        return headline(self.run.ended_early, self.counts)

    @classmethod
    def of(cls, run: Run) -> Results:
        """The run as the file has it, compared to no other."""
        about = run.description
        ended = tuple(map(Ended.of, run.scenarios))
        return cls(
            format=FORMAT,
            run=Description(
                name=run.name,
                lab=about.lab,
                simulated=run.simulated,
                hypervisor=about.hypervisor,
                acceleration=about.acceleration,
                image=about.image,
                release=about.release,
                releases=None if about.releases is None else dict(about.releases),
                replaced=tuple(
                    Program(node=one.node, program=one.program, file=one.file, sha256=one.sha256)
                    for one in about.replaced
                ),
                seed=about.seed,
                mutation=about.mutation,
                pairs=about.pairs,
                started=about.started,
                seconds=run.seconds,
                ended_early=run.ended_early,
                harness=about.harness,
            ),
            counts=run.counts,
            nodes=tuple(sorted({node.name for one in ended for node in one.nodes})),
            claims=tuple(
                Claim(
                    number=claim.number,
                    title=claim.title,
                    verdict=claim.verdict,
                    untested=claim.untested,
                    scenarios=tuple(scenario.case.id for scenario in claim.scenarios),
                )
                for claim in run.claims
            ),
            scenarios=ended,
            gaps=None
            if run.gaps is None
            else tuple(Gap(node=gap.node, command=gap.command, what=gap.what) for gap in run.gaps),
            difference=None,
        )

    def write(self, folder: Path) -> Path:
        """Write results.json into the folder of the run. Raises `OSError`."""
        path = folder / NAME
        text = without_secrets(self.model_dump_json(indent=1))
        path.write_text(text + "\n", encoding="utf-8")
        return path


def load(path: Path) -> Results:
    """Read a results.json. Raises `HarnessError` when it is missing, broken or another format's."""
    try:
        return Results.model_validate_json(path.read_bytes())
    except (OSError, pydantic.ValidationError) as error:
        raise HarnessError(
            f"{path} cannot be read: {str(error).splitlines()[0]}",
            advice="make it anew from the rest of its folder: skunk report FOLDER",
        ) from None


def schema() -> dict[str, Any]:
    """The JSON schema of results.json, as docs/results-schema.json has it."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Results.model_json_schema(mode="serialization"),
    }


def schema_text() -> str:
    """The schema as it is written down."""
    return json.dumps(schema(), indent=2) + "\n"


def _nodes(scenario: Scenario) -> tuple[Seen, ...]:
    line, files = scenario.told.timeline, dict(scenario.told.files)
    if line is None:
        return ()
    return tuple(
        Seen(
            name=track.node,
            role=track.last.role,
            status=track.last.status,
            dirty=track.last.dirty,
            pool=track.last.pool,
            console=next(
                (file.path for file in files.get(track.node, ()) if file.name == "console.txt"),
                None,
            ),
        )
        for track in line.tracks
    )
