"""The transcript: each command, on which node, what it printed, when and how long it took.

Also what the harness itself did (a power cut, a wait), so that a run reads as one timed story.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import IO

from harness.record.outgoing import without_secrets
from harness.waiting import clock
from harness.words import Word

PROVISIONED = "provisioned"
"""A state that the pair is restored to: both nodes up and provisioned; HAST not yet created."""

SET_UP = "set-up"
"""As claim 1 leaves the pair: skunk1 primary, the pool on it, skunk2 secondary and in sync."""


class Kind(Word):
    """What a line of the transcript is about.

    A wait's text is what was awaited, and it is written at its end, after what was done meanwhile.
    Writes are those of a ledger, with a line of `stdout` for each.
    """

    COMMAND = "command"
    REPEATS = "repeats"
    WAIT = "wait"
    WRITES = "writes"
    FAULT = "fault"
    HEAL = "heal"
    ACTION = "action"


class Did(Word):
    """What the harness did, where it is neither a command nor a fault that is to be healed."""

    NOTE = "note"
    """It wrote a line down, for whoever reads the transcript."""

    NO_ANSWER = "no answer"
    """It gave a command up, whose line it is."""

    RESTORED = "restored"
    SAVED = "saved"
    REPLACED = "replaced"
    """It gave the pair up and boots another one."""

    WROTE = "wrote"
    SSH_ANSWERS = "ssh answers"
    """It waited until the node answered."""

    REBOOTED = "rebooted"
    RESET = "reset"
    PANIC = "panic"
    REBOOT_AT_ONCE = "reboot -nq"


class Effect(Word):
    """What a fault makes of a node, where a report draws that."""

    OFF = "off"
    SWITCHED_OFF = "switched off"
    """Off, once FreeBSD has shut down."""

    PAUSED = "paused"
    UNPLUGGED = "unplugged"
    """Its cable is out of the private link."""


@dataclass(frozen=True)
class Entry:
    """One line of the story. `at` is UTC, `duration` in seconds; `status` only for commands.

    An action has `did`, and the known `state` where one was restored or saved. A fault and its end
    have the name of the `fault`. What is told of them is told by these values: `text` is for
    persons.
    """

    at: datetime
    node: str
    kind: Kind
    text: str
    duration: float
    status: int | None = None
    stdout: str = ""
    stderr: str = ""
    did: Did | None = None
    state: str = ""
    fault: str = ""
    effect: Effect | None = None

    def repeats(self, earlier: Entry) -> bool:
        """Whether this is the same command on the same node with the same answer."""
        return self.kind is Kind.COMMAND and (
            (self.node, self.text, self.status, self.stdout, self.stderr)
            == (earlier.node, earlier.text, earlier.status, earlier.stdout, earlier.stderr)
        )

    def render(self) -> str:
        """The entry as a person reads it."""
        clock = self.at.strftime("%H:%M:%S.%f")[:-3]
        prompt = {Kind.COMMAND: "#", Kind.WAIT: "* waited for"}.get(self.kind, "*")
        head = f"{clock} {self.node:<7} {prompt} {self.text}"
        if self.kind is Kind.COMMAND:
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
        self._watcher: Callable[[Entry], None] | None = None

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

    def add(self, entry: Entry) -> None:
        """Write one entry to the folder opened last.

        A command that a wait repeats, with the same answer each time, is written once and then
        counted.
        """
        with self._lock:
            self._add(entry)
            watcher = self._watcher
        if watcher is not None:
            watcher(entry)

    @contextlib.contextmanager
    def watched(self, watcher: Callable[[Entry], None]) -> Iterator[None]:
        """Give each entry to `watcher` too while the block runs, in the thread that adds it."""
        self._watcher = watcher
        try:
            yield
        finally:
            self._watcher = None

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

    def note(
        self, node: str, text: str, duration: float = 0.0, *, did: Did = Did.NOTE, state: str = ""
    ) -> None:
        """Write what the harness did to `node` (or to the "pair")."""
        now = clock.current().utc()
        self.add(Entry(now, node, Kind.ACTION, text, duration, did=did, state=state))
