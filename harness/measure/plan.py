"""What a benchmark measures: `bench.yaml`, checked, and the rows that follow from it."""

from __future__ import annotations

import decimal
import math
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import pydantic
from pydantic import BaseModel, ConfigDict, Field

from harness.config import paths, yaml_file
from harness.config.settings import HastSettings, Settings
from harness.errors import SettingsError
from harness.measure.result import (
    DiskSetting,
    LinkSetting,
    Pattern,
    ResyncConditions,
    WriteSetting,
)

Mib = Annotated[int, Field(ge=1)]

LARGEST_SIZE = 1 << 60
"""Bytes: a thousand times what any disk has."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ResyncPlan(_Section):
    """Which resyncs. An empty list leaves a factor out."""

    base_mib: Mib = 128
    sizes_mib: list[Mib] = []
    incremental_mib: list[Mib] = []
    patterns: list[Pattern] = list(Pattern)
    contents: list[Literal["zeros"]] = []
    replication: list[Literal["memsync", "fullsync", "async"]] = []
    checksum: list[Literal["none", "crc32", "sha256"]] = []
    compression: list[Literal["none", "hole", "lzf"]] = []
    link_delay_ms: list[Annotated[float, Field(gt=0)]] = []
    link_rate_mbit: list[Annotated[float, Field(gt=0)]] = []
    link_loss: list[Annotated[float, Field(gt=0, lt=0.5)]] = []
    disk_delay_ms: list[Annotated[float, Field(gt=0)]] = []
    disk_rate_mb: list[Annotated[float, Field(gt=0)]] = []
    load: list[Literal["writes"]] = []
    unsampled: bool = False
    sampled_every_s: list[Annotated[float, Field(gt=0)]] = []


class FailoverPlan(_Section):
    """Which failovers."""

    timeouts_s: list[Annotated[int, Field(ge=1)]] = [20]
    kinds: list[Literal["planned", "power cut"]] = ["planned", "power cut"]
    wait_to_notice: bool = True
    """Also power cuts after which the operator waits for hastd to notice."""


class WritesPlan(_Section):
    """Which writes."""

    settings: list[WriteSetting] = ["no HAST", "no peer", "memsync", "fullsync", "async"]
    """`as configured` is what hast.conf says: in a comparison of two, each its own."""
    write_bytes: Annotated[int, Field(ge=512, multiple_of=512)] = 16384
    count: Annotated[int, Field(ge=10)] = 200


class Plan(_Section):
    """All of it. `sampling_s` None: the harness chooses by what a sample costs.

    Each row is measured `repeats` times, `at_once` of them before the pair is set up for another
    hast.conf: more at once saves set-ups, and a drift of the machine hits rows less alike.
    """

    repeats: Annotated[int, Field(ge=1)] = 3
    at_once: Annotated[int, Field(ge=1)] = 1
    warm_up: Annotated[int, Field(ge=0)] = 1
    resync: ResyncPlan | None = None
    failover: FailoverPlan | None = None
    writes: WritesPlan | None = None
    sampling_s: Annotated[float, Field(gt=0)] | None = None
    sizes_to_tell: list[str] = []

    @pydantic.field_validator("sizes_to_tell")
    @classmethod
    def _are_sizes(cls, sizes: list[str]) -> list[str]:
        for size in sizes:
            parse_size(size)
        return sizes


def load(path: Path = paths.BENCH_PLAN) -> Plan:
    """Read a plan. Raises `SettingsError` naming the file, the key and what is wrong with it."""
    return yaml_file.read(
        path,
        Plan.model_validate,
        called="the plan",
        advice="correct the keys above; bench.yaml in the repository shows them all",
    )


def check(plan: Plan, settings: Settings) -> None:
    """Look whether a pair with these settings can do all of it. Raises `SettingsError`."""
    if plan.resync is not None:
        resync_rows(plan.resync, settings, 1.0)


def parse_size(text: str) -> int:
    """Bytes in a size as people write it: `40 GB`, `512 MiB`, `1.5T`. Raises ValueError.

    Disks are sold in powers of 1000, GB and TB; GiB and TiB are powers of 1024, and so are the bare
    letters that zpool(8) and zfs(8) print (10T is ten times 2 to the 40th bytes).
    """
    found = re.fullmatch(r"([0-9]+(?:[.][0-9]+)?) ?([KMGTP]?)(|B|IB)", text.strip().upper())
    if found is None or (found[3] == "IB" and not found[2]):
        raise ValueError(
            f"{text!r} is no size; one is `40 GB`, `512 MiB` or, as zpool has it, `1T`"
        )
    base = 1000 if found[3] == "B" else 1024
    size = int(decimal.Decimal(found[1]) * base ** ("KMGTP".index(found[2]) + 1 if found[2] else 0))
    if not 0 < size <= LARGEST_SIZE:
        raise ValueError(f"{text!r} is no size of a disk")
    return size


def size_in_words(text: str) -> str:
    """A size with what it is in the other kind of unit: 40 GB (37.3 GiB)."""
    size = parse_size(text)
    binary = not re.search(r"[KMGTP]B$", text.strip().upper())
    base, end = (1000, "B") if binary else (1024, "iB")
    power = min(5, max(0, math.floor(math.log(size, base))))
    if power == 0:
        return f"{size} bytes"
    return f"{text.strip()} ({size / base**power:.3g} {'KMGTP'[power - 1]}{end})"


def resync_rows(plan: ResyncPlan, settings: Settings, sampling: float) -> list[ResyncConditions]:
    """The different conditions of a plan, the plainest first; none twice.

    `sampling` is in seconds. Raises `SettingsError` when the data disks are too small for one.
    """
    largest = max([plan.base_mib, *plan.sizes_mib])
    if largest > settings.machine.data_disk_mib:
        raise SettingsError(
            f"a resync of {largest} MiB does not fit on data disks of "
            f"{settings.machine.data_disk_mib} MiB",
            advice="set machine.data_disk_mib in lab.yaml, or measure less in bench.yaml",
        )
    rows: dict[str, ResyncConditions] = {}
    for row in _rows(plan, settings.hast, sampling):
        rows.setdefault(row.model_dump_json(), row)
    return list(rows.values())


def _rows(plan: ResyncPlan, hast: HastSettings, sampling: float) -> Iterator[ResyncConditions]:
    def full(mib: int, **other: object) -> ResyncConditions:
        return ResyncConditions.model_validate(
            {
                "size_bytes": mib << 20,
                "data_bytes": mib << 20,
                "hast": hast.but(media_mib=mib),
                "sampling_s": sampling,
            }
            | other
        )

    base = plan.base_mib
    yield full(base)
    if plan.unsampled:
        yield full(base, sampling_s=None)
    yield from (full(base, sampling_s=s, sampling_named=True) for s in plan.sampled_every_s)
    yield from (full(mib) for mib in plan.sizes_mib)
    for mib in plan.incremental_mib:
        for pattern in plan.patterns:
            yield full(base, kind="incremental", size_bytes=mib << 20, pattern=pattern)
    yield from (full(base, content=content) for content in plan.contents)
    for name in ("replication", "checksum", "compression"):
        for value in getattr(plan, name):
            yield full(base, hast=hast.but(media_mib=base, **{name: value}))
    yield from (full(base, link=LinkSetting(delay_ms=ms)) for ms in plan.link_delay_ms)
    yield from (full(base, link=LinkSetting(rate_mbit=rate)) for rate in plan.link_rate_mbit)
    yield from (full(base, link=LinkSetting(loss=loss)) for loss in plan.link_loss)
    gnop = hast.but(media_mib=base, local="gnop")
    if plan.disk_delay_ms:
        yield full(base, hast=gnop)  # what gnop(8) itself costs
    for ms in plan.disk_delay_ms:
        yield full(base, hast=gnop, disk=DiskSetting(delay_ms=ms))
    yield from (full(base, disk=DiskSetting(rate_mb=rate)) for rate in plan.disk_rate_mb)
    yield from (full(base, load=load) for load in plan.load)


def shuffled(
    rows: list[ResyncConditions], repeats: int, chance: int, at_once: int = 1
) -> list[ResyncConditions]:
    """Every row `repeats` times, each round in another order, `at_once` of them a round.

    Rows of the same hast.conf and content stay together within a round, because changing either
    sets the pair up anew.
    """
    dice = random.Random(chance)  # noqa: S311 - no secret
    chosen: list[ResyncConditions] = []
    for done in range(0, repeats, at_once):
        groups: dict[tuple[HastSettings, str], list[ResyncConditions]] = {}
        for row in rows:
            group = groups.setdefault((row.hast, row.content), [])
            group.extend([row] * min(at_once, repeats - done))
        order = list(groups.values())
        dice.shuffle(order)
        for group in order:
            dice.shuffle(group)
            chosen += group
    return chosen
