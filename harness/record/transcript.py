"""The transcript: each command, on which node, what it printed, when and how long it took.

Also what the harness itself did (a power cut, a wait), so that a run reads as one timed story.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO

from harness.record.entry import Did, Entry, Kind
from harness.record.outgoing import without_secrets
from harness.record.sinks import Event, Replaced, Sink
from harness.waiting import clock
from harness.waiting.wait import Waited


class Transcript(Sink):
    """The sink that writes entries them to whatever folder is open, as text and as JSON lines.

    One for the whole run; `open` and `close` bracket a test. Entries outside a test are kept only
    in the run's own folder if one is open, and are otherwise dropped. Thread-safe.
    """

    def __init__(self, mark: str | None = None) -> None:
        """Begin every line with `mark`, if there is one."""
        self._mark = f"{mark} " if mark else ""
        self._lock = threading.Lock()
        self._files: list[tuple[IO[str], IO[str]] | None] = []
        self.trouble = ""
        """Why something could not be written, if that was so: the first time. Nothing is raised,
        so that a full disk leaves no fault unhealed and no pair running."""
        self._last: dict[str, Entry] = {}
        self._repeated: dict[str, int] = {}

    def open(self, folder: Path) -> None:
        """Write to `folder` too, from now on, until the matching `close`."""
        with self._lock, contextlib.ExitStack() as opened:
            self._files.append(None)
            with self._noting():
                folder.mkdir(parents=True, exist_ok=True)
                text, lines = (
                    opened.enter_context(
                        (folder / name).open("a", encoding="utf-8", errors="backslashreplace")
                    )
                    for name in ("transcript.txt", "transcript.jsonl")
                )
                self._files[-1] = text, lines
                opened.pop_all()

    def close(self) -> None:
        """Stop writing to the folder opened last."""
        with self._lock:
            for node in list(self._last):
                self._end_repeats(node)
            for file in self._files.pop() or ():
                with self._noting():
                    file.close()

    def tell(self, event: Event) -> None:
        """Write what was done, and what was waited for, to the folder opened last.

        A command that a wait repeats, with the same answer each time, is written once and then
        counted.
        """
        match event:
            case Entry():
                entry = event
            case Waited(what, since, seconds, came):
                text = what if came else f"{what}, in vain"
                entry = Entry(since, "pair", Kind.WAIT, text, seconds)
            case Replaced(why):
                entry = Entry.action("pair", f"replaced: {why}", did=Did.REPLACED)
            case _:
                return
        with self._lock:
            self._add(entry)

    def _add(self, entry: Entry) -> None:
        if self._files:
            last = self._last.get(entry.node)
            if last is not None and entry.repeats(last):
                self._repeated[entry.node] = self._repeated.get(entry.node, 0) + 1
                return
            self._end_repeats(entry.node)
            if entry.kind is Kind.COMMAND:
                self._last[entry.node] = entry
            self._write(entry)

    def _end_repeats(self, node: str) -> None:
        last, times = self._last.pop(node, None), self._repeated.pop(node, 0)
        if last is not None and times:
            text = f"{last.text}: the same answer {times} more times"
            self._write(Entry(clock.current().utc(), node, Kind.REPEATS, text, 0.0))

    def _write(self, entry: Entry) -> None:
        entry = replace(
            entry,
            text=without_secrets(entry.text),
            stdout=without_secrets(entry.stdout),
            stderr=without_secrets(entry.stderr),
        )
        fields = {
            **({"mark": self._mark.strip()} if self._mark else {}),
            "at": entry.at.isoformat(),
            "node": entry.node,
            "kind": entry.kind,
            **{
                name: value
                for name in ("did", "state", "fault", "effect")
                if (value := getattr(entry, name))
            },
            "text": entry.text,
            "duration": round(entry.duration, 6),
        }
        if entry.kind is Kind.COMMAND:
            fields |= {
                "status": entry.status,
                "stdout": entry.stdout,
                "stderr": entry.stderr,
            }
        elif entry.stdout:
            fields["stdout"] = entry.stdout
        if (files := self._files[-1]) is None:
            return
        text, lines = files
        with self._noting():
            text.write("".join(self._mark + line for line in entry.render().splitlines(True)))
            text.flush()
            lines.write(json.dumps(fields, ensure_ascii=False) + "\n")
            lines.flush()

    @contextlib.contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:  # ValueError: a name that no file can have
            self.trouble = self.trouble or f"the transcript cannot be written: {error}"
