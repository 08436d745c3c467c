"""Evidence: for every test a folder with what the nodes said, whether it passed or failed."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from harness import __version__, paths
from harness.audit import Finding
from harness.errors import HarnessError
from harness.freebsd import hastd_log
from harness.lab.base import LabDescription
from harness.node import Node
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

_COLLECT_SECONDS = 20.0


def new_run_folder(lab: str) -> Path:
    """Make results/TIME-LAB for a new run and point results/latest to it."""
    folder = paths.results_dir() / f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%S}-{lab}"
    folder.mkdir(parents=True)
    latest = folder.parent / "latest"
    latest.unlink(missing_ok=True)
    latest.symlink_to(folder.name, target_is_directory=True)
    return folder


def folder_name(test: str) -> str:
    """The name of a test's folder: its own, with what a path cannot have replaced."""
    return re.sub(r"[^A-Za-z0-9_.=-]+", "-", test).strip("-")


class Evidence:
    """The folder of one run under results/, and in it a folder for each test."""

    def __init__(self, folder: Path, transcript: Transcript) -> None:
        """Write into `folder`, which is made when it is not there."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.broken_on_purpose: str | None = None
        """The mutation that the run has: its results are none about FreeBSD."""
        self._transcript = transcript
        self._started = datetime.now(UTC)

    def describe(self, lab: LabDescription, release: str) -> None:
        """Write run.json: which lab, release, machine and harness the results come from."""
        (self.folder / "run.json").write_text(
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

    def open(self, test: str) -> Path:
        """Make the folder of one test, named after it, and let the transcript go there."""
        folder = self.folder / folder_name(test.removeprefix("tests/scenarios/"))
        shutil.rmtree(folder, ignore_errors=True)
        self._transcript.open(folder)
        return folder

    def close(self, folder: Path, nodes: Sequence[Node], findings: Sequence[Finding] = ()) -> None:
        """Collect what both nodes still tell, with their consoles, and end the transcript.

        `findings` are those of the audit. A node that does not answer leaves a file that says so;
        collecting never fails a test.
        """
        if findings:
            (folder / "audit.txt").write_text("".join(f"{finding}\n" for finding in findings))
        if nodes:
            on_each(nodes, lambda node: _collect(node, folder / node.name))
        self._transcript.close()


def _collect(node: Node, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "console.txt").write_text(node.console_text(), encoding="utf-8")
    for name, command in _COLLECTED.items():
        try:
            result = node.ask(*command, within=_COLLECT_SECONDS)
        except HarnessError as error:
            (folder / "unreachable.txt").write_text(f"{error}\n", encoding="utf-8")
            return
        (folder / name).write_text(result.stdout + result.stderr, encoding="utf-8")
