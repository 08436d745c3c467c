"""The results of a benchmark: what was measured, under which conditions, and where.

One file of JSON for a run; its schema (`schema`, docs/bench-schema.json) is made from these
classes. Units are part of each name: `_s` seconds, `_bytes`, `_bytes_per_s`, `_ms` milliseconds,
`_mbit` megabits (1e6) a second, `_mb` megabytes (1e6) a second.
"""

from __future__ import annotations

import enum
import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from pydantic import BaseModel, ConfigDict, Field

from harness.config.settings import HastSettings
from harness.config.software import ReplacedProgram, system
from harness.errors import SettingsError

VERSION = 1
"""Of the schema: it grows when a file of an older one can no longer be read."""

FILE = "bench.json"

NOTICED = "noticed by hastd"
"""The event of a failover whose operator waited for it."""

SetName = Literal["", "A", "B"]
"""Which one of a comparison; empty outside of one."""

Positive = Annotated[float, Field(ge=0)]


class _Result(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Program(_Result):
    """A program of the user's own that took the place of one of the base system on a node."""

    node: str
    program: str
    file: str
    sha256: str


class Where(_Result):
    """What the figures come from. `simulated` figures say nothing about FreeBSD.

    `release` is skunk1's, `releases` has both nodes' where they differ.
    """

    lab: str
    simulated: bool
    hypervisor: str
    acceleration: str
    image: str
    release: str
    releases: dict[str, str] | None = None
    replaced: tuple[Program, ...] = ()
    host_cpu: str
    host_cores: int
    host_memory_bytes: int
    harness: str
    started: datetime

    @property
    def programs(self) -> tuple[ReplacedProgram, ...]:
        """The replaced programs."""
        return tuple(ReplacedProgram(o.node, o.program, o.file, o.sha256) for o in self.replaced)

    @property
    def system(self) -> str:
        """The release, or both, with the replaced programs: only runs of the same are alike."""
        return system(self.release, self.releases, self.programs)


class Noise(_Result):
    """What else the host did meanwhile: not the harness's, and not the two machines'.

    Shares of all its processors, 0 to 1. `other` is other processes, `stolen` what its own
    hypervisor took from it.
    """

    other: float
    stolen: float
    pace_s: Positive | None = None
    """Seconds that always the same work took the host, the mean of before and after: where it is a
    virtual machine itself, its neighbours slow it down and no counter of its own tells."""


class LinkSetting(_Result):
    """How the private link is shaped, and what was then measured on it. None: not shaped."""

    delay_ms: Positive | None = None
    rate_mbit: Positive | None = None
    loss: Positive | None = None
    round_trip_s: Positive | None = None
    """Measured with ping(8), the median."""
    rate_bytes_per_s: Positive | None = None
    """Measured with one TCP connection."""

    @property
    def shaped(self) -> bool:
        """Whether anything was done to it."""
        return (self.delay_ms, self.rate_mbit, self.loss) != (None, None, None)


class DiskSetting(_Result):
    """How the secondary's data disk is shaped, and what was then measured. None: not shaped."""

    delay_ms: Positive | None = None
    rate_mb: Positive | None = None
    request_s: Positive | None = None
    """Measured: one read of 64 KiB after the other, the mean."""
    read_bytes_per_s: Positive | None = None
    """Measured in requests of 1 MiB."""


class Pattern(enum.StrEnum):
    """Which extents are dirty: one after the other, or spread over the disk by chance."""

    SEQUENTIAL = "sequential"
    RANDOM = "random"


class ResyncConditions(_Result):
    """One row of a plan. `size_bytes` is what has to be sent, `data_bytes` HAST's whole data area.

    `full`: the secondary was created anew. `incremental`: it was away while `size_bytes` in whole
    extents became dirty. `content` of the blocks is random, or zeros, which hole compression does
    not send.
    """

    kind: Literal["full", "incremental"] = "full"
    size_bytes: int
    data_bytes: int
    pattern: Pattern = Pattern.SEQUENTIAL
    content: Literal["random", "zeros"] = "random"
    hast: HastSettings
    link: LinkSetting = LinkSetting()
    disk: DiskSetting = DiskSetting()
    load: Literal["none", "writes"] = "none"
    sampling_s: Positive | None = 1.0
    """Seconds between two samples; None: no samples are taken."""
    sampling_named: bool = False
    """The plan names this interval, to find what samples cost; other rows have the run's."""

    @property
    def label(self) -> str:
        """The conditions in a few words: what differs from the plainest."""
        words = [self.kind, f"{self.size_bytes / (1 << 20):.0f} MiB"]
        if self.kind == "incremental":
            words.append(self.pattern)
        if self.content != "random":
            words.append(self.content)
        plain = HastSettings()
        for name in ("replication", "checksum", "compression", "local"):
            value = getattr(self.hast, name)
            if value != getattr(plain, name):
                words.append(f"{name} {value}")
        for value, unit in (
            (self.link.delay_ms, "ms link delay"),
            (self.link.rate_mbit, "Mbit/s"),
            (self.link.loss and self.link.loss * 100, "% loss"),
            (self.disk.delay_ms, "ms disk delay"),
            (self.disk.rate_mb, "MB/s disk"),
        ):
            if value is not None:
                words.append(f"{value:g} {unit}")
        if self.load != "none":
            words.append(f"load: {self.load}")
        if self.sampling_s is None:
            words.append("not sampled")
        elif self.sampling_named:
            words.append(f"sampled every {self.sampling_s:g} s")
        return ", ".join(words)


class Outcome(enum.StrEnum):
    """How a resync ended. Only a complete one has figures."""

    COMPLETE = "complete"
    INTERRUPTED = "interrupted"
    STALLED = "stalled"
    NEVER_STARTED = "never started"


class Sample(_Result):
    """One look at both nodes, `at_s` seconds after the resync began."""

    at_s: float
    dirty_bytes: int
    status: str


class NodeUse(_Result):
    """What a node did during a resync. `cpu` is the busy share of its processors, 0 to 1."""

    cpu: float
    disk_read_bytes: int
    disk_written_bytes: int
    link_received_bytes: int
    link_sent_bytes: int


class UseSample(_Result):
    """What a node had done `at_s` seconds after its own first look, since that look."""

    at_s: float
    use: NodeUse


class HastdSays(_Result):
    """hastd's own words on it: bytes and rate with three digits, seconds in whole ones.

    `seconds_s` is the time between its two log lines, which syslogd stamps in microseconds.
    """

    about_bytes: int
    about_bytes_per_s: int
    seconds_s: float


class Resync(_Result):
    """One resync. `bytes`, `seconds_s` and rates are None unless it is complete.

    `seconds_s` is from the first to the last moment at which the primary had dirty extents to send:
    by the harness's own samples where no two are further apart than 1 % of it, else, and under a
    load, which makes extents dirty until its end, between hastd's two log lines (`by_hastd`).
    `samples` has the harness's own duration either way: the first has something dirty, the last
    nothing, and each may be one interval late.
    """

    conditions: ResyncConditions
    outcome: Outcome
    why: str = ""
    """For one that is not complete: what was seen last."""
    bytes: int | None = None
    seconds_s: Positive | None = None
    rate_bytes_per_s: Positive | None = None
    percentile_rates_bytes_per_s: dict[str, float] = {}
    """Of the rates between two samples: `10`, `50` and `90`."""
    by_hastd: bool = False
    load_bytes_per_s: Positive | None = None
    """What the load wrote to the primary meanwhile."""
    samples: tuple[Sample, ...] = ()
    primary_uses: tuple[UseSample, ...] = ()
    secondary_uses: tuple[UseSample, ...] = ()
    primary: NodeUse | None = None
    secondary: NodeUse | None = None
    hastd: HastdSays | None = None
    noise: Noise
    taken: datetime
    set_name: SetName = ""
    row: str = ""
    """In a comparison, where conditions differ: what A and B have in common."""

    @property
    def label(self) -> str:
        """What was measured, in a few words."""
        return self.row or self.conditions.label

    @property
    def complete(self) -> bool:
        """Whether it has figures."""
        return self.outcome is Outcome.COMPLETE


class Event(_Result):
    """A moment of a failover: seconds after the fault, or after a planned one's first command."""

    what: str
    at_s: Positive


class Failover(_Result):
    """One failover, from the fault to the first acknowledged write on the other node."""

    kind: Literal["planned", "power cut"]
    timeout_s: int
    events: tuple[Event, ...]
    command_s: Positive | None = None
    """Seconds that a command that does nothing took on the node that took over, just before.

    Every moment is late by about as much."""
    noise: Noise
    taken: datetime
    set_name: SetName = ""
    row: str = ""

    @property
    def label(self) -> str:
        """What kind of failover, in a few words."""
        return self.row or self.in_words()

    def in_words(self, *, timeout: bool = True) -> str:
        """The same, with HAST's timeout or without it."""
        words = [self.kind, *([f"timeout {self.timeout_s} s"] if timeout else [])]
        if any(event.what == NOTICED for event in self.events):
            words.append("promoted once hastd noticed")
        return ", ".join(words)

    @property
    def seconds_s(self) -> float:
        """The time without service."""
        return self.events[-1].at_s


WriteSetting = Literal["no HAST", "no peer", "memsync", "fullsync", "async", "as configured"]


class WriteCost(_Result):
    """Synced writes of one size to a device, one after the other. `latencies_s` has each one."""

    setting: WriteSetting
    write_bytes: int
    latencies_s: tuple[float, ...]
    seconds_s: Positive
    noise: Noise
    taken: datetime
    set_name: SetName = ""

    @property
    def bytes_per_s(self) -> float:
        """The throughput."""
        return self.write_bytes * len(self.latencies_s) / self.seconds_s


class Compared(_Result):
    """A or B of a comparison: what it is in the user's words, and what it ran on."""

    description: str
    where: Where
    own_machines: bool = False
    """Whether A and B had a pair of machines each: then it is one boot of each that is compared."""


class Unmeasured(_Result):
    """What the plan asked for and did not get, with the reason."""

    what: str
    why: str


class SamplingCost(_Result):
    """What samples cost the primary, measured before the first resync.

    Seconds of its processor: for `hastctl list`, and for the counters of one node.
    """

    look_s: Positive
    counters_s: Positive
    every_s: Positive
    """Seconds between two samples that were taken therefore."""


class Bench(_Result):
    """All of a run."""

    version: Literal[1] = 1
    unfinished: bool = False
    """Whether not all of the plan has been measured: it runs, was interrupted, or was killed."""
    where: Where
    compared: dict[Literal["A", "B"], Compared] = {}
    sampling: SamplingCost | None = None
    not_measured: tuple[Unmeasured, ...] = ()
    resyncs: tuple[Resync, ...] = ()
    failovers: tuple[Failover, ...] = ()
    writes: tuple[WriteCost, ...] = ()

    def save(self, folder: Path) -> Path:
        """Write bench.json into a folder, whole or not at all."""
        path = folder / FILE
        unfinished = path.with_suffix(".new")
        unfinished.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")
        unfinished.replace(path)
        return path


def load(path: Path) -> Bench:
    """Read a bench.json, or the one in a folder.

    Raises `SettingsError` when there is none, or it is not of this schema.
    """
    file = path / FILE if path.is_dir() else path
    try:
        return Bench.model_validate_json(file.read_bytes())
    except OSError as error:
        raise SettingsError(
            f"{file} cannot be read: {error.strerror}", advice="name the folder of a benchmark"
        ) from None
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise SettingsError(
            f"{file} is no benchmark of schema {VERSION}: {place}: {first['msg']}",
            advice="name the folder of a benchmark; docs/bench-schema.json has the schema",
        ) from None


def schema() -> dict[str, Any]:
    """The JSON schema of bench.json."""
    return Bench.model_json_schema()


def schema_text() -> str:
    """The same as it stands in docs/bench-schema.json."""
    return json.dumps(schema(), indent=1, sort_keys=True) + "\n"
