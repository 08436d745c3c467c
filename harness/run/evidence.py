"""Evidence: for every test a folder with what the nodes said, whether it passed or failed."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from harness import __version__
from harness.cluster.node import Node
from harness.config.settings import NODES
from harness.config.software import ReplacedProgram
from harness.errors import EvidenceLost, HarnessError
from harness.freebsd.hast import log as hastd_log
from harness.lab.base import LabDescription
from harness.record.folders import ELSEWHERE, no_folder
from harness.record.outgoing import without_secrets
from harness.record.transcript import Transcript
from harness.run.audit import Finding
from harness.waiting.parallel import on_each

_COLLECTED = {
    "hastd.log": hastd_log.COMMAND,
    "hast.conf": ("cat", "/etc/hast.conf"),
    "hastctl-list.txt": ("hastctl", "list"),
    "hastctl-status.txt": ("hastctl", "status"),
    "hastctl-dump.txt": ("hastctl", "dump"),
    "zpool-list.txt": ("zpool", "list"),
    "messages.txt": ("tail", "-n", "200", "/var/log/messages"),
}
"""File in the evidence, and the command on the node whose output goes into it. None of them waits
for a pool's I/O: `zpool status` on a suspended pool would."""

_COLLECTED_OF_A_FAILURE = {
    "dmesg.txt": ("dmesg",),
    "zpool-status.txt": ("timeout", "10", "zpool", "status"),
}
"""The same, and last of all, for a test that has failed: here `zpool status` may wait in vain."""

_COLLECT_SECONDS = 20.0


class Evidence:
    """The folder of one run under results/, and in it a folder for each test."""

    def __init__(self, folder: Path, transcript: Transcript, part: str | None = None) -> None:
        """Write into `folder`, which is made when it is not there.

        `part` is the name of the pair where several write into the same run's folder. Raises
        `EvidenceLost` where it cannot be made.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise no_folder(folder, error) from error
        self._trouble = ""
        self.folder = folder
        self.lab_folder = folder / "lab" / (part or "")
        """For the transcript of the pair's start."""
        self.notes_folder = self.lab_folder if part else folder
        """For what belongs to the pair and to no test."""
        self.broken_on_purpose: str | None = None
        """The mutation that the run has: its results are none about FreeBSD."""
        self._transcript = transcript
        self._started = datetime.now(UTC)

    def describe(
        self,
        lab: LabDescription,
        releases: Mapping[str, str],
        replaced: Sequence[ReplacedProgram] = (),
    ) -> None:
        """Write run.json: which lab, release, machine and harness the results come from.

        `releases` are those of both nodes, `replaced` the programs of the user's own.
        """
        content = (
            json.dumps(
                {
                    "lab": lab.lab,
                    "hypervisor": lab.hypervisor,
                    "acceleration": lab.acceleration,
                    "image": lab.image,
                    "release": releases[NODES[0]],
                    **({"releases": dict(releases)} if len(set(releases.values())) > 1 else {}),
                    **({"replaced": [asdict(one) for one in replaced]} if replaced else {}),
                    **({} if lab.seed is None else {"seed": lab.seed}),
                    **({"mutation": self.broken_on_purpose} if self.broken_on_purpose else {}),
                    "started": self._started.isoformat(),
                    "harness": __version__,
                },
                indent=2,
            )
            + "\n"
        )
        with self.writing():
            self.notes_folder.mkdir(parents=True, exist_ok=True)
            (self.notes_folder / "run.json").write_text(content)

    @property
    def trouble(self) -> str:
        """Why some of it could not be written, if that was so; "" where all of it is there.

        Nothing that is written for a test raises: its faults are healed and its pair stopped all
        the same.
        """
        return self._trouble or self._transcript.trouble

    @property
    def lost(self) -> EvidenceLost | None:
        """The same as an error, with what to do."""
        return EvidenceLost(self.trouble, advice=ELSEWHERE) if self.trouble else None

    def raise_if_lost(self) -> None:
        """Raise `EvidenceLost` if something could not be written."""
        if self.lost is not None:
            raise self.lost

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Note what cannot be written in the block, instead of raising it."""
        try:
            yield
        except (OSError, ValueError) as error:
            self._trouble = self._trouble or f"the evidence cannot be written: {error}"

    def open(self, name: str) -> Path:
        """Make the folder of one test, and let the transcript go there."""
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        self._transcript.open(folder)
        return folder

    def close(
        self,
        folder: Path,
        nodes: Sequence[Node],
        findings: Sequence[Finding] = (),
        *,
        failed: bool = False,
    ) -> None:
        """Collect what both nodes still tell, with their consoles, and end the transcript.

        `findings` are those of the audit; of a test that has `failed` more is kept. A node that
        does not answer leaves a file that says so; collecting never fails a test (see `trouble`).
        """
        try:
            if findings:
                with self.writing():
                    _write(folder / "audit.txt", "".join(f"{finding}\n" for finding in findings))
            if nodes:
                wanted = _COLLECTED | (_COLLECTED_OF_A_FAILURE if failed else {})
                on_each(nodes, lambda node: self._collect(node, folder / node.name, wanted))
        finally:
            self._transcript.close()

    def _collect(self, node: Node, folder: Path, wanted: Mapping[str, Sequence[str]]) -> None:
        with self.writing():
            folder.mkdir(exist_ok=True)
            _write(folder / "console.txt", node.console_text())
            for name, command in wanted.items():
                try:
                    result = node.ask(*command, within=_COLLECT_SECONDS)
                except HarnessError as error:
                    _write(folder / "unreachable.txt", f"{error}\n")
                    return
                _write(folder / name, result.stdout + result.stderr)


def _write(path: Path, text: str) -> None:
    # A node may print what no encoding has.
    path.write_text(without_secrets(text), encoding="utf-8", errors="backslashreplace")
