"""nightly.yaml, checked: the lanes of a night, and how they are shared among CI's runners."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pydantic
from pydantic import BaseModel, ConfigDict, Field

from harness.config import paths, yaml_file
from harness.config.settings import ImageSettings
from harness.lab.choose import MODEL, LabName


@dataclass(frozen=True)
class Lane:
    """One lab with one release. The simulated lab is a model of its own release: None."""

    lab: LabName
    release: str | None
    may_fail: bool
    shards: int

    @property
    def name(self) -> str:
        """As artifacts, folders and people call it: qemu-14.5, simulated."""
        return self.lab if self.release is None else f"{self.lab}-{self.release}"

    def had(self, lab: str, release: str) -> bool:
        """Whether a run with this lab and release (`uname -rm`) is one of this lane."""
        if self.lab != lab:
            return False
        ran = release.partition(" ")[0]
        return self.release is None or ImageSettings(release=self.release).names(ran)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PlannedRelease(_Section):
    """A release that has its turn every night."""

    release: str
    may_fail: bool = False

    @pydantic.field_validator("release")
    @classmethod
    def _is_one(cls, release: str) -> str:
        return ImageSettings(release=release).release


class Plan(_Section):
    """The whole file."""

    releases: Annotated[tuple[PlannedRelease, ...], Field(min_length=1)]
    simulated: bool = True
    shards: Annotated[int, Field(ge=1, le=20)] = 1
    hours: Annotated[float, Field(gt=0)] = 3.0
    keep: Annotated[int, Field(ge=2)] = 60
    keep_evidence: Annotated[int, Field(ge=1)] = 7

    def lanes(self) -> Iterator[Lane]:
        """What runs in a night, the simulated lab first: it takes half a minute."""
        if self.simulated:
            yield Lane(MODEL, None, may_fail=False, shards=1)
        for each in self.releases:
            yield Lane("qemu", each.release, each.may_fail, self.shards)

    def matrix(self) -> dict[str, str]:
        """For GitHub's `fromJSON`: `images` has a job for each release, `scenarios` all jobs."""
        jobs: list[dict[str, Any]] = [
            {
                "lane": lane.name,
                "lab": lane.lab,
                "release": lane.release or "",
                "may_fail": lane.may_fail,
                "shard": shard,
                "shards": lane.shards,
            }
            for lane in self.lanes()
            for shard in range(1, lane.shards + 1)
        ]
        releases = [{"release": each.release, "may_fail": each.may_fail} for each in self.releases]
        return {
            "images": json.dumps({"include": releases}),
            "scenarios": json.dumps({"include": jobs}),
        }


def load(path: Path = paths.NIGHTLY_PLAN) -> Plan:
    """Read and check it. Raises `SettingsError`."""
    return yaml_file.read(
        path,
        Plan.model_validate,
        advice="correct the keys above; nightly.yaml in the repository shows them all",
    )
