"""The transcript: each command, on which node, what it printed, when and how long it took.

Also what the harness itself did (a power cut, a wait), so that a run reads as one timed story.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO


@dataclass(frozen=True)
class Entry:
    """One line of the story. `at` is UTC, `duration` in seconds; `status` only for commands."""

    at: datetime
    node: str
    kind: str
    text: str
    duration: float
    status: int | None = None
    stdout: str = ""
    stderr: str = ""

    def render(self) -> str:
        """The entry as a person reads it."""
        clock = self.at.strftime("%H:%M:%S.%f")[:-3]
        prompt = "#" if self.kind == "command" else "*"
        head = f"{clock} {self.node:<7} {prompt} {self.text}"
        if self.kind == "command":
            head += f"    [status {self.status}, {self.duration:.3f} s]"
        elif self.duration:
            head += f"    [{self.duration:.3f} s]"
        body = [f"        {line}" for line in self.stdout.splitlines()]
        body += [f"    err {line}" for line in self.stderr.splitlines()]
        return "\n".join([head, *body]) + "\n"


class Transcript:
    """Receives entries and writes them to whatever folder is open, as text and as JSON lines.

    One for the whole run; `open` and `close` bracket a test. Entries outside a test are kept only
    in the run's own folder if one is open, and are otherwise dropped. Thread-safe.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: list[tuple[IO[str], IO[str]]] = []

    def open(self, folder: Path) -> None:
        """Write to `folder` too, from now on, until the matching `close`."""
        folder.mkdir(parents=True, exist_ok=True)
        with self._lock:
            self._files.append(
                (
                    (folder / "transcript.txt").open("a", encoding="utf-8"),
                    (folder / "transcript.jsonl").open("a", encoding="utf-8"),
                )
            )

    def close(self) -> None:
        """Stop writing to the folder opened last."""
        with self._lock:
            for file in self._files.pop():
                file.close()

    def add(self, entry: Entry) -> None:
        """Write one entry to the folder opened last."""
        fields = {
            "at": entry.at.isoformat(),
            "node": entry.node,
            "kind": entry.kind,
            "text": entry.text,
            "duration": round(entry.duration, 6),
        }
        if entry.kind == "command":
            fields |= {
                "status": entry.status,
                "stdout": entry.stdout,
                "stderr": entry.stderr,
            }
        with self._lock:
            if not self._files:
                return
            text, lines = self._files[-1]
            text.write(entry.render())
            text.flush()
            lines.write(json.dumps(fields, ensure_ascii=False) + "\n")
            lines.flush()

    def note(self, node: str, text: str, duration: float = 0.0) -> None:
        """Write what the harness did to `node` (or to the "pair")."""
        self.add(Entry(datetime.now(UTC), node, "action", text, duration))
