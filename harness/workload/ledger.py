"""A ledger of writes: which were acknowledged, which only issued, and whether they are there.

An acknowledged write has to be there afterwards. One that was issued and never answered may be
there or not. Anything else must never appear.
"""

from __future__ import annotations

import contextlib
import hashlib
import statistics
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from harness.cluster.node import Node
from harness.errors import ClaimFailed, HarnessError
from harness.record.entry import Entry, Kind
from harness.waiting import clock
from harness.waiting.parallel import in_background
from harness.waiting.wait import wait_until
from harness.workload.files import sha256_of_files

PACE = 0.1
"""Seconds between an acknowledgement and the next write: a steady load, not a flood."""

_WRITE = 'cat > "$1" && fsync "$1"'
_PATIENCE = 90.0
"""Seconds that one write may take: HAST's timeout, with room, when the link is cut."""


@dataclass
class Ledger:
    """Numbered files of 64 KiB in one folder, each written and fsynced before the next begins.

    `acknowledged` and `issued` have the SHA-256 of each file's content by its name; an acknowledged
    write is in both.
    """

    folder: str
    acknowledged: dict[str, str] = field(default_factory=dict)
    issued: dict[str, str] = field(default_factory=dict)
    took: list[tuple[float, float | None]] = field(default_factory=list)
    """Of each write, when it was issued, in seconds since the first, and after how many more it was
    acknowledged; None: never."""

    ended_by: HarnessError | None = None
    """What ended the writing before its time: the node went down, or the file system failed."""

    @classmethod
    @contextlib.contextmanager
    def writing(cls, node: Node, folder: str) -> Iterator[Ledger]:
        """Keep writing on the node, beside the block, over an SSH connection of its own.

        The block begins when the first write has been acknowledged.
        """
        ledger = cls(folder)
        beside = node.second_login()
        beside.run("mkdir", "-p", folder)
        started, start = clock.current().utc(), clock.current().monotonic()
        try:
            with in_background(lambda ending: ledger._write(beside, ending)):
                ledger.wait_for(1)
                yield ledger
        finally:
            seconds = clock.current().monotonic() - start
            beside.write_down(
                Entry(started, node.name, Kind.WRITES, ledger.summary, seconds, stdout=ledger.times)
            )
        beside.disconnect()

    @property
    def summary(self) -> str:
        """How many writes there were, and how long they took to be acknowledged."""
        took = [seconds for _, seconds in self.took if seconds is not None]
        never = len(self.took) - len(took)
        text = f"{len(took)} writes in {self.folder} acknowledged"
        if took:
            text += f", half of them within {statistics.median(took):.3f} s"
            text += f", the slowest after {max(took):.3f} s"
        return text + (f"; {never} never" if never else "")

    @property
    def times(self) -> str:
        """A line for each write; harness/results/timeline.py reads them."""
        return "".join(
            f"{at:.3f} s: "
            + ("never acknowledged" if took is None else f"acknowledged after {took:.3f} s")
            + "\n"
            for at, took in self.took
        )

    def wait_for(self, more: int) -> None:
        """Wait until `more` further writes have been acknowledged."""
        goal = len(self.acknowledged) + more

        def count() -> int:
            if self.ended_by is not None:
                raise ClaimFailed(f"the writing ended before its time: {self.ended_by}")
            return len(self.acknowledged)

        wait_until(
            f"{goal} acknowledged writes", count, _PATIENCE, accept=lambda seen: seen >= goal
        )

    def check(self, node: Node) -> None:
        """Raise `ClaimFailed` unless the folder on this node is what the ledger allows."""
        found = sha256_of_files(node, self.folder)
        lines = [
            f"lost, although acknowledged: {name}"
            for name in sorted(self.acknowledged.keys() - found.keys())
        ]
        lines += [f"never written: {name}" for name in sorted(found.keys() - self.issued.keys())]
        lines += [
            f"changed, although acknowledged: {name}"
            for name, digest in sorted(self.acknowledged.items())
            if name in found and found[name] != digest
        ]
        if lines:
            raise ClaimFailed(
                f"{len(self.acknowledged)} writes in {self.folder} were acknowledged:\n"
                + "\n".join(lines),
                node=node.name,
            )

    def _write(self, node: Node, ending: threading.Event) -> None:
        number = 0
        start = clock.current().monotonic()
        while not ending.is_set():
            number += 1
            name = f"write-{number:05d}"
            content = hashlib.shake_256(f"{self.folder}/{name}".encode()).digest(1 << 16)
            digest = hashlib.sha256(content).hexdigest()
            self.issued[name] = digest
            issued = clock.current().monotonic()
            self.took.append((issued - start, None))
            try:
                node.ask(
                    *("/bin/sh", "-c", _WRITE, "sh", f"{self.folder}/{name}"),
                    stdin=content,
                    within=_PATIENCE,
                ).check()
            except HarnessError as error:
                self.ended_by = error
                return
            self.took[-1] = issued - start, clock.current().monotonic() - issued
            self.acknowledged[name] = digest
            clock.current().sleep(PACE)
