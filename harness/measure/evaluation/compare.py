"""The two of a comparison: what a person calls A and B, and the pairs they need."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.config import settings as settings_file
from harness.config import yaml_file
from harness.config.settings import HastSettings, Settings
from harness.errors import SettingsError
from harness.lab.choose import LabName, is_model, open_lab
from harness.measure.run import Subject
from harness.record.sinks import Lines
from harness.run.session import Session

_ADVICE = "give changes like `replication=async`, a settings file (.yaml) or a FreeBSD image"


@dataclass(frozen=True)
class Contestant:
    """A or B: its settings and image, or changes to the hast.conf of a pair that both share."""

    description: str
    settings: Settings
    image: Path | None
    changes: dict[str, object] = field(default_factory=dict)

    @classmethod
    def read(cls, text: str, settings: Path, image: Path | None) -> Contestant:
        """Understand what stands on the command line. Raises `SettingsError`."""
        path = Path(text)
        if path.suffix in (".yaml", ".yml"):
            return cls(path.name, settings_file.load(path), image)
        base = settings_file.load(settings)
        if path.is_file():
            return cls(path.name, base, path)
        if "=" not in text:
            raise SettingsError(f"{text!r} is neither a file nor a setting", advice=_ADVICE)
        changes = dict(_setting(word) for word in text.split(","))
        base.hast.but(**changes)
        return cls(text, base, image, changes)

    def shares_pair(self, other: Contestant) -> bool:
        """Whether the same two machines serve both."""
        return (self.settings, self.image) == (other.settings, other.image)

    def session(self, opening: Opening, pair: str, folder: Path) -> Session:
        """A session on a pair of this one's own, not yet entered."""
        folder.mkdir(parents=True, exist_ok=True)
        lab = open_lab(
            opening.lab, self.settings, image_path=self.image, pair=pair, say=opening.say
        )
        return Session(self.settings, lab, told=Lines(opening.say), results=folder)


@dataclass(frozen=True)
class Opening:
    """Where the pairs of a comparison come from, and where their evidence goes."""

    lab: LabName
    pair: str
    folder: Path
    say: Callable[[str], None]


@contextlib.contextmanager
def opened(a: Contestant, b: Contestant, opening: Opening) -> Iterator[list[Subject]]:
    """Boot what is needed while the block runs: one pair for both, or one for each.

    Raises `SettingsError` when A and B do not differ, or the lab cannot have two pairs.
    """
    pair, folder = opening.pair, opening.folder
    with contextlib.ExitStack() as stack:
        if a.shares_pair(b):
            if a.changes == b.changes:
                raise SettingsError("A and B are the same", advice=_ADVICE)
            first = second = stack.enter_context(a.session(opening, pair, folder))
        elif is_model(opening.lab):
            raise SettingsError(
                "the simulated lab has one virtual time, and so one pair at a time",
                advice="compare two hast.conf on it, or take the qemu lab",
            )
        else:
            first = stack.enter_context(a.session(opening, f"{pair}-a", folder / "A"))
            second = stack.enter_context(b.session(opening, f"{pair}-b", folder / "B"))
        yield [
            Subject(first, "A", a.description, a.changes),
            Subject(second, "B", b.description, b.changes),
        ]


def _setting(word: str) -> tuple[str, Any]:
    """One `key=value`; the value is read as YAML has it, so that 5 is a number."""
    found = re.fullmatch(r"\s*([a-z_]+)\s*=\s*(.+?)\s*", word)
    if found is None or found[1] not in HastSettings.model_fields:
        known = ", ".join(sorted(HastSettings.model_fields))
        raise SettingsError(
            f"{word!r} is no setting of hast.conf; those are {known}", advice=_ADVICE
        )
    try:
        return found[1], yaml_file.parse(found[2])
    except ValueError as error:
        raise SettingsError(f"the value of {word!r} is not YAML: {error}", advice=_ADVICE) from None
