"""Fields of the JSON files of a run, read one by one.

Whoever needs a few of them, of many runs or at once, is not made to wait for pydantic and the whole
schema (results_json.py), whose import takes longer than a person should wait for a line.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

REPORT = "report.html"
RESULTS = "results.json"
DESCRIPTION = "run.json"

UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""What reading a file that is missing, damaged or of another kind may raise."""


def read(path: Path) -> dict[str, Any]:
    """The whole of a JSON file, an object. Raises what `UNREADABLE` lists."""
    found = json.loads(path.read_bytes())
    if not isinstance(found, dict):
        raise TypeError(f"it is a JSON {type(found).__name__}, and no object")
    return found


def when(text: str) -> datetime:
    """A time as the files have it; one without a zone is in UTC."""
    found = datetime.fromisoformat(text)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def why(error: Exception) -> str:
    """One of `UNREADABLE` in a line, for a person."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    if isinstance(error, KeyError):
        return f"there is no {error}"
    return (str(error).splitlines() or [""])[0][:200] or type(error).__name__
