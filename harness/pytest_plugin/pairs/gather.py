"""One run of several parts: run.json and gaps.json of all pairs become the run's own."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from harness.config.software import system_of
from harness.errors import SettingsError


def gather(folder: Path) -> None:
    """Make run.json and gaps.json from those of all pairs in lab/.

    Raises `SettingsError`, with both written, where not all pairs ran the same: a program of the
    user's own that was built anew between the starts of two pairs.
    """
    runs = list(_read(folder, "run.json"))
    if runs:
        first = min(runs, key=lambda run: datetime.fromisoformat(run["started"]))
        _write(folder / "run.json", {**first, "pairs": len(runs)})
    gaps = [gap for gaps in _read(folder, "gaps.json") for gap in gaps]
    if runs and "seed" in runs[0]:
        unique = {tuple(sorted(gap.items())): gap for gap in gaps}
        _write(folder / "gaps.json", list(unique.values()))
    ran = sorted({system_of(run) for run in runs})
    if len(ran) > 1:
        raise SettingsError(
            f"the pairs did not run the same: {'; '.join(ran)}",
            advice="let the program be while a run starts, and run the scenarios again",
        )


def _read(folder: Path, name: str) -> Iterator[Any]:
    for path in sorted((folder / "lab").glob(f"*/{name}")):
        with contextlib.suppress(ValueError):  # on a full disk it is cut off, and its pair says so
            yield json.loads(path.read_text())


def _write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")
