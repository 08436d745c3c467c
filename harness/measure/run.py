"""A benchmark from its plan to its files: row after row, each kept as soon as it is taken."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from harness import __version__, clock
from harness.errors import HarnessError
from harness.lab.base import Lab
from harness.measure import failover, resync
from harness.measure.plan import FailoverPlan, Plan, ResyncPlan, resync_rows, shuffled
from harness.measure.result import Bench, Resync, ResyncConditions, Where
from harness.measure.shaping import shaped_link
from harness.node import Node
from harness.pair import Pair
from harness.session import Session
from harness.settings import HastSettings

SAMPLING_SHARE = 0.008
"""Of a node's processor: samples may not cost a resync 1 %."""

_TRIAL_SAMPLES = 20


@dataclass
class Running:
    """A benchmark that is under way; `bench` has what has been measured so far."""

    session: Session
    folder: Path
    say: Callable[[str], None]
    bench: Bench
    failures: list[str] = field(default_factory=list)

    def keep(self, **more: tuple[object, ...]) -> None:
        """Add results and write all of them, so that nothing is lost with what comes next."""
        self.bench = self.bench.model_copy(
            update={name: (*getattr(self.bench, name), *values) for name, values in more.items()}
        )
        self.bench.save(self.folder)


def where(lab: Lab, release: str) -> Where:
    """What the figures come from: the lab, the release and this host."""
    described = lab.describe()
    return Where(
        lab=described.lab,
        simulated=lab.mark is not None,
        hypervisor=described.hypervisor,
        acceleration=described.acceleration,
        image=described.image,
        release=release,
        host_cpu=_processor(),
        host_cores=psutil.cpu_count() or 1,
        host_memory_bytes=psutil.virtual_memory().total,
        harness=__version__,
        started=clock.Clock().utc(),
    )


def run(session: Session, plan: Plan, folder: Path, say: Callable[[str], None]) -> Running:
    """Measure all of a plan on a session that has been entered; write bench.json as it grows."""
    running = Running(session, folder, say, Bench(where=where(session.lab, session.release)))
    sampling = plan.sampling_s or affordable_sampling(session)
    say(f"a sample every {sampling:.1f} s")
    with _progress() as progress:
        if plan.resync is not None:
            _resyncs(running, plan, plan.resync, sampling, progress)
        if plan.failover is not None:
            _failovers(running, plan, plan.failover, progress)
    return running


def affordable_sampling(session: Session) -> float:
    """Seconds between two samples such that they cost a node no more than `SAMPLING_SHARE`.

    At least one second. Measured on a pair without a role: its processor has nothing else to do.
    """
    pair = session.provisioned()
    session.used()
    pair.start_hastd(pair.skunk1)
    before = _busy(pair.skunk1)
    script = 'i=0; while [ $i -lt "$1" ]; do hastctl list "$2" >/dev/null; i=$((i + 1)); done'
    pair.skunk1.sh(script, str(_TRIAL_SAMPLES), pair.resource, within=120)
    cost = (_busy(pair.skunk1) - before) / _TRIAL_SAMPLES
    return max(1.0, round(cost / SAMPLING_SHARE, 1))


def _busy(node: Node) -> float:
    """Processor seconds since boot that were not idle (kern.cp_time, 127 ticks a second)."""
    *busy, _ = map(int, node.ask("sysctl", "-n", "kern.cp_time").check().stdout.split())
    return sum(busy) / 127


def _resyncs(
    running: Running, plan: Plan, wanted: ResyncPlan, sampling: float, progress: Progress
) -> None:
    rows = resync_rows(wanted, running.session.settings, sampling)
    order = shuffled(rows, plan.repeats, chance=1)
    task = progress.add_task("resyncs", total=len(order))
    ready: _Ready | None = None
    for number, row in enumerate(order):
        progress.update(task, description=row.label)
        try:
            if ready is None or not ready.suits(row):
                ready = _make_ready(running, row, plan.warm_up)
            running.keep(resyncs=(_one_resync(ready, row, chance=number),))
            last = running.bench.resyncs[-1]
            if not last.complete:
                running.say(f"{row.label}: {last.outcome}: {last.why}")
                ready = None
        except HarnessError as error:
            running.failures.append(f"{row.label}: {error}")
            running.say(f"{row.label}: not measured: {error}")
            ready = None
        progress.advance(task)


@dataclass(frozen=True)
class _Ready:
    """A pair that is set up for rows of one hast.conf and content."""

    pair: Pair
    hardware: resync.Hardware
    hast: HastSettings
    content: str

    def suits(self, row: ResyncConditions) -> bool:
        return (self.hast, self.content) == (row.hast, row.content)


def _make_ready(running: Running, row: ResyncConditions, warm_up: int) -> _Ready:
    pair = running.session.provisioned(row.hast)
    running.session.used()
    hardware = resync.prepare(pair, row.content)
    ready = _Ready(pair, hardware, row.hast, row.content)
    data = pair.metadata(pair.skunk1).datasize
    # A new pair first gets everything, which also is the warm-up and gives both the same content.
    first = row.model_copy(
        update={"kind": "full", "size_bytes": data, "data_bytes": data, "sampling_s": None}
    )
    for _ in range(max(1, warm_up)):
        result = resync.measure(pair, first, hardware)
        if not result.complete:
            raise HarnessError(f"the warm-up did not complete: {result.outcome}: {result.why}")
    return ready


def _one_resync(ready: _Ready, row: ResyncConditions, chance: int) -> Resync:
    data = ready.pair.metadata(ready.pair.skunk1).datasize
    size = data if row.kind == "full" else row.size_bytes
    with contextlib.ExitStack() as stack:
        link = stack.enter_context(shaped_link(ready.pair, row.link))
        conditions = row.model_copy(update={"size_bytes": size, "data_bytes": data, "link": link})
        return resync.measure(ready.pair, conditions, ready.hardware, chance=chance)


def _failovers(running: Running, plan: Plan, wanted: FailoverPlan, progress: Progress) -> None:
    kinds: list[tuple[failover.Kind, int, bool]] = []
    for timeout in wanted.timeouts_s:
        for kind in wanted.kinds:
            kinds.append((kind, timeout, False))
            if kind == "power cut":
                kinds.append((kind, timeout, True))
    order = kinds * plan.repeats
    task = progress.add_task("failovers", total=len(order))
    for kind, timeout, wait in order:
        progress.update(task, description=f"failover: {kind}, timeout {timeout} s")
        try:
            pair = running.session.set_up(running.session.settings.hast.but(timeout=timeout))
            running.session.used()
            running.keep(failovers=(failover.measure(pair, kind, wait_to_notice=wait),))
        except HarnessError as error:
            running.failures.append(f"failover, {kind}: {error}")
            running.say(f"failover, {kind}: not measured: {error}")
        progress.advance(task)


@contextlib.contextmanager
def _progress() -> Iterator[Progress]:
    """A bar with the time that is left; nothing but its last state where there is no terminal."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    ) as progress:
        yield progress


def _processor() -> str:
    """The host's processor by its name, as far as the host tells."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
