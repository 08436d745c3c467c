"""What the harness itself costs: start of a pair, restore, one command, memory.

Each figure is printed with what a person reaches by hand, and kept as JSON in the run's folder.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from harness.cluster.node import Node
from harness.config.settings import Settings
from harness.errors import SettingsError
from harness.lab.base import Lab
from harness.lab.choose import KINDS, Feature, LabName, open_lab
from harness.lab.ssh import remote_command
from harness.measure import start_up
from harness.record.entry import SET_UP
from harness.record.folders import new_run_folder
from harness.record.sinks import Lines
from harness.run.session import Session
from harness.waiting.wait import wait_until

_ROUND_TRIPS = 50


@dataclass(frozen=True)
class Figure:
    """One thing measured, in its unit, over all repeats; `aim` is what it is held against."""

    name: str
    unit: str
    values: tuple[float, ...]
    aim: str

    @property
    def median(self) -> float:
        """The median over the repeats."""
        return statistics.median(self.values)


def main(
    lab_name: LabName,
    settings: Settings,
    image: Path | None,
    repeats: int,
    say: Callable[[str], None],
) -> None:
    """Measure, print a table and write bench.json.

    `say` gets a line for each stage. Raises `SettingsError` for a lab whose time is not the host's,
    and whatever the lab raises.
    """
    if Feature.HOST_TIME not in KINDS[lab_name].features:
        raise SettingsError(
            f"what the harness costs cannot be measured on the {lab_name} lab: its time is virtual",
            advice="take a lab with machines: `skunk bench harness --lab qemu`",
        )
    folder = new_run_folder(f"{lab_name}-bench")

    def lab() -> Lab:
        return open_lab(lab_name, settings, image_path=image, pair="bench", say=say)

    starts = []
    figures = []
    with _Openssh() as openssh:
        for repeat in range(1, repeats + 1):
            clock = time.monotonic()
            session = Session(settings, lab(), told=Lines(say), results=folder)
            with session:
                starts.append(session.boot_seconds)
                say(f"cold start {repeat} of {repeats}: {starts[-1]:.1f} s")
                if repeat < repeats:
                    continue
                session.set_up()
                figures.append(_restores(session, repeats))
                figures += _round_trips(session.pair.skunk1, openssh)
                description = f"{session.lab.describe()}, FreeBSD {session.release}"
            say(f"the run took {time.monotonic() - clock:.0f} s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    mib = peak / (1 << 20) if sys.platform == "darwin" else peak / 1024
    figures.insert(0, Figure("cold start to both SSH ready", "s", tuple(starts), "by hand 35 s"))
    figures.append(Figure("memory of the harness, peak", "MiB", (mib,), "under 143 (150 MB)"))
    figures += start_ups()
    show(description, figures)
    (folder / "bench.json").write_text(
        json.dumps(
            {"where": description, "figures": [asdict(figure) for figure in figures]}, indent=2
        )
        + "\n"
    )
    say(f"written to {folder / 'bench.json'}")


def start_ups() -> list[Figure]:
    """What commands take to their first line; needs no machines."""
    return [
        Figure(f"skunk {' '.join(line.split()[:2])}, to its first line", "s", values, start_up.AIM)
        for line, values in start_up.first_lines().items()
    ]


def _restores(session: Session, repeats: int) -> Figure:
    values = []
    for _ in range(max(repeats, 3)):
        session.restore(SET_UP)
        values.append(session.restore_seconds)
        assert session.pair.info(session.pair.skunk1).in_sync, "HAST is connected after a restore"
    return Figure("restore to both SSH ready, HAST connected", "s", tuple(values), "1.5 s")


def _round_trips(node: Node, openssh: _Openssh) -> list[Figure]:
    theirs = openssh.connect(node)
    theirs()
    node.run("true")
    ours_ms, theirs_ms = [], []
    for _ in range(_ROUND_TRIPS):
        ours_ms.append(_milliseconds(lambda: node.run("true")))
        theirs_ms.append(_milliseconds(theirs))
    ours = Figure("no-op command, harness", "ms", tuple(ours_ms), "1.2 x OpenSSH")
    return [
        ours,
        Figure("no-op command, OpenSSH, shared connection", "ms", tuple(theirs_ms), ""),
        Figure(
            "no-op command, harness / OpenSSH",
            "",
            (ours.median / statistics.median(theirs_ms),),
            "1.2",
        ),
    ]


def _milliseconds(work: Callable[[], object]) -> float:
    clock = time.monotonic()
    work()
    return (time.monotonic() - clock) * 1000


class _Openssh:
    """ssh(1) with one shared connection, to compare with. Leaving it ends the connection."""

    def __enter__(self) -> _Openssh:
        self._folder = tempfile.TemporaryDirectory(prefix="skunk-ssh-")
        self._master: subprocess.Popen[bytes] | None = None
        return self

    def __exit__(self, *_: object) -> None:
        if self._master is not None:
            self._master.terminate()
            self._master.wait(10)
        self._folder.cleanup()

    def connect(self, node: Node) -> Callable[[], object]:
        """Log in once; the function returned runs `true` over that connection."""
        endpoint = node.machine.endpoint()
        known_hosts = Path(self._folder.name) / "known_hosts"
        known_hosts.write_text(f"[{endpoint.host}]:{endpoint.port} {endpoint.host_key}\n")
        socket = Path(self._folder.name) / "control"
        base = [
            *("ssh", "-F", "none", "-o", f"ControlPath={socket}", "-o", "BatchMode=yes"),
            *("-o", f"UserKnownHostsFile={known_hosts}", "-o", "StrictHostKeyChecking=yes"),
            *("-i", str(endpoint.key), "-p", str(endpoint.port), "-l", endpoint.user),
        ]
        self._master = subprocess.Popen(
            [*base, "-M", "-N", endpoint.host],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until("ssh(1) to log in", socket.exists, 30, every=0.05)
        # The very words that the harness sends for node.run("true").
        command = [*base, endpoint.host, remote_command(("true",), endpoint.user)]
        return lambda: subprocess.run(command, check=True, timeout=30, capture_output=True)


def show(description: str, figures: list[Figure]) -> None:
    """Print a table of them."""
    table = Table(title=description, title_justify="left")
    for heading in ("figure", "median", "min", "max", "n", "held against"):
        table.add_column(
            heading, justify="left" if heading in {"figure", "held against"} else "right"
        )
    for figure in figures:
        table.add_row(
            figure.name,
            f"{figure.median:.2f} {figure.unit}",
            f"{min(figure.values):.2f}",
            f"{max(figure.values):.2f}",
            str(len(figure.values)),
            figure.aim,
        )
    Console().print(table)
