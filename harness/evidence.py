"""Evidence: for every test a folder with what the nodes said, whether it passed or failed."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from harness import __version__, paths
from harness.audit import Finding
from harness.errors import HarnessError
from harness.freebsd import hastd_log
from harness.lab.base import LabDescription
from harness.node import Node
from harness.outgoing import without_secrets
from harness.parallel import on_each
from harness.transcript import Transcript

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


def run_folder(lab: str) -> Path:
    """The folder of a run that begins now: results/TIME-LAB. It is not made yet."""
    return paths.results_dir() / f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%S}-{lab}"


def make_latest(folder: Path) -> None:
    """Point results/latest to a run's folder."""
    # In one step: another run may do the same at this moment.
    new = folder.with_name(f".latest-{folder.name}")
    new.unlink(missing_ok=True)
    new.symlink_to(folder.name, target_is_directory=True)
    new.replace(folder.parent / "latest")


def new_run_folder(lab: str) -> Path:
    """Make results/TIME-LAB for a new run and point results/latest to it.

    Of several that begin in the same second, the later ones are called TIME-LAB-2 and so on.
    """
    first = folder = run_folder(lab)
    first.parent.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(2):
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            break
        folder = first.with_name(f"{first.name}-{number}")
    make_latest(folder)
    return folder


def folder_name(test: str) -> str:
    """The name of a test's folder: its own, with what a path cannot have replaced."""
    return re.sub(r"[^A-Za-z0-9_.=-]+", "-", test).strip("-")


class Evidence:
    """The folder of one run under results/, and in it a folder for each test."""

    def __init__(self, folder: Path, transcript: Transcript, part: str | None = None) -> None:
        """Write into `folder`, which is made when it is not there.

        `part` is the name of the pair where several write into the same run's folder.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.lab_folder = folder / "lab" / (part or "")
        """For the transcript of the pair's start."""
        self.notes_folder = self.lab_folder if part else folder
        """For what belongs to the pair and to no test."""
        self.broken_on_purpose: str | None = None
        """The mutation that the run has: its results are none about FreeBSD."""
        self._transcript = transcript
        self._started = datetime.now(UTC)

    def describe(self, lab: LabDescription, release: str) -> None:
        """Write run.json: which lab, release, machine and harness the results come from."""
        self.notes_folder.mkdir(parents=True, exist_ok=True)
        (self.notes_folder / "run.json").write_text(
            json.dumps(
                {
                    "lab": lab.lab,
                    "hypervisor": lab.hypervisor,
                    "acceleration": lab.acceleration,
                    "image": lab.image,
                    "release": release,
                    **({} if lab.seed is None else {"seed": lab.seed}),
                    **({"mutation": self.broken_on_purpose} if self.broken_on_purpose else {}),
                    "started": self._started.isoformat(),
                    "harness": __version__,
                },
                indent=2,
            )
            + "\n"
        )

    def folder_of(self, test: str) -> Path:
        """The folder of one test, there or not."""
        return self.folder / folder_name(test.removeprefix("tests/scenarios/"))

    def open(self, test: str) -> Path:
        """Make the folder of one test, named after it, and let the transcript go there."""
        folder = self.folder_of(test)
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
        does not answer leaves a file that says so; collecting never fails a test.
        """
        if findings:
            (folder / "audit.txt").write_text("".join(f"{finding}\n" for finding in findings))
        if nodes:
            wanted = _COLLECTED | (_COLLECTED_OF_A_FAILURE if failed else {})
            on_each(nodes, lambda node: _collect(node, folder / node.name, wanted))
        self._transcript.close()


def _collect(node: Node, folder: Path, wanted: Mapping[str, Sequence[str]]) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "console.txt").write_text(without_secrets(node.console_text()), encoding="utf-8")
    for name, command in wanted.items():
        try:
            result = node.ask(*command, within=_COLLECT_SECONDS)
        except HarnessError as error:
            (folder / "unreachable.txt").write_text(f"{error}\n", encoding="utf-8")
            return
        told = without_secrets(result.stdout + result.stderr)
        (folder / name).write_text(told, encoding="utf-8")
