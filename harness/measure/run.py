"""A benchmark from its plan to its files: row after row, each kept as soon as it is taken."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil
from rich.progress import Progress

from harness import __version__
from harness.cluster.node import Node
from harness.cluster.pair import Pair
from harness.config.settings import HastSettings
from harness.errors import CommandFailed, HarnessError
from harness.lab.ssh import Result
from harness.measure.plan import FailoverPlan, Plan, ResyncPlan, WritesPlan, resync_rows, shuffled
from harness.measure.probes import failover, resync, writes
from harness.measure.probes.counters import COUNTERS
from harness.measure.probes.sampler import COUNTERS_EVERY
from harness.measure.probes.shaping import shaped_disk, shaped_link
from harness.measure.progress import shown
from harness.measure.result import (
    Bench,
    Compared,
    Program,
    Resync,
    ResyncConditions,
    SamplingCost,
    SetName,
    Unmeasured,
    Where,
)
from harness.record.marked import prefix
from harness.run.session import Session
from harness.waiting import clock

SAMPLING_SHARE = 0.005
"""Of a node's processor: half of what samples may cost a resync, as they cost more than that."""

_TRIAL_SAMPLES = 20


@dataclass
class Subject:
    """What is measured: a pair, in a comparison with its name and what its user calls it.

    `changes` are those of hast.conf, where both of a comparison share one pair.
    """

    session: Session
    name: SetName = ""
    description: str = ""
    changes: dict[str, object] = field(default_factory=dict)
    ready: _Ready | None = None

    @property
    def hast(self) -> HastSettings:
        """Its hast.conf."""
        return self.session.settings.hast.but(**self.changes)

    def change(self, hast: HastSettings) -> HastSettings:
        """A row's hast.conf as this one has it: what the row sets itself stays."""
        plain = self.session.settings.hast.model_dump()
        own = {
            key: value for key, value in self.changes.items() if getattr(hast, key) == plain[key]
        }
        return hast.but(**own)


@dataclass
class Running:
    """A benchmark that is under way; `bench` has what has been measured so far."""

    subjects: Sequence[Subject]
    folder: Path
    say: Callable[[str], None]
    bench: Bench

    def keep(self, **more: tuple[object, ...]) -> None:
        """Add results and write all of them, so that nothing is lost with what comes next."""
        self.bench = self.bench.model_copy(
            update={name: (*getattr(self.bench, name), *values) for name, values in more.items()}
        )
        self.bench.save(self.folder)

    def failed(self, what: str, error: HarnessError) -> None:
        """Note what could not be measured, and go on with the next."""
        self.say(f"{what}: not measured: {_in_short(error)}")
        self.keep(not_measured=(Unmeasured(what=what, why=_in_short(error)),))

    @contextlib.contextmanager
    def alone(self, subject: Subject) -> Iterator[None]:
        """Freeze the other pair, if there is one: the host's processors are for this one."""
        others = [
            machine
            for other in self.subjects
            if other.session is not subject.session
            for machine in other.session.lab.machines.values()
        ]
        with contextlib.ExitStack() as stack:
            for machine in others:
                machine.pause()
                stack.callback(machine.resume)
            yield

    def take_pair(self, subject: Subject) -> None:
        """Note that a pair is set up anew: whatever had been prepared on it is gone."""
        for other in self.subjects:
            if other.session is subject.session:
                other.ready = None

    @contextlib.contextmanager
    def attempt(self, subject: Subject, what: str) -> Iterator[None]:
        """Let the block set up the subject's pair and measure; an error is noted, not raised."""
        try:
            with self.alone(subject):
                self.take_pair(subject)
                yield
        except HarnessError as error:
            self.failed(what, error)


def where(session: Session) -> Where:
    """What the figures come from: the lab, the release and this host."""
    lab = session.lab
    described = lab.describe()
    return Where(
        lab=described.lab,
        simulated=lab.mark is not None,
        hypervisor=described.hypervisor,
        acceleration=described.acceleration,
        image=described.image,
        release=session.release,
        releases=session.releases if len(set(session.releases.values())) > 1 else None,
        replaced=tuple(Program(**asdict(each.about)) for each in lab.replacements),
        host_cpu=_processor(),
        host_cores=psutil.cpu_count() or 1,
        host_memory_bytes=psutil.virtual_memory().total,
        harness=__version__,
        started=clock.Clock().utc(),
    )


def run(
    subjects: Sequence[Subject], plan: Plan, folder: Path, say: Callable[[str], None]
) -> Running:
    """Measure all of a plan on sessions that have been entered; write bench.json as it grows.

    One subject, or the two of a comparison, which take turns.
    """
    first = subjects[0].session
    bench = Bench(
        unfinished=True,
        where=where(first),
        compared={
            subject.name: Compared(
                description=subject.description,
                where=where(subject.session),
                own_machines=subjects[0].session is not subjects[-1].session,
            )
            for subject in subjects
            if subject.name
        },
    )

    def told(text: str) -> None:
        say(prefix(first.lab.mark) + text)

    running = Running(subjects, folder, told, bench)
    with shown(told) as progress:
        if plan.resync is not None:
            with running.alone(subjects[0]):
                cost = sampling_cost(first, plan.sampling_s)
            running.bench = running.bench.model_copy(update={"sampling": cost})
            told(f"a sample every {cost.every_s:.1f} s; one takes {cost.look_s * 1000:.0f} ms")
            _resyncs(running, plan, plan.resync, cost.every_s, progress)
        if plan.failover is not None:
            _failovers(running, plan, plan.failover, progress)
        if plan.writes is not None:
            _writes(running, plan, plan.writes, progress)
    running.bench = running.bench.model_copy(update={"unfinished": False})
    running.keep()
    return running


def sampling_cost(session: Session, every: float | None = None) -> SamplingCost:
    """What a sample costs a node's processor, and how often it may be taken therefore.

    That is at most once a second, and such that samples take no more than `SAMPLING_SHARE`.
    Measured on a pair without a role: its processor has nothing else to do. `every` is a choice of
    the user.
    """
    pair = session.provisioned()
    session.used()
    pair.start_hastd()
    watched = resync.find_hardware(pair)[0]
    look = _cost(pair.skunk1, 'hastctl list "$2"', pair.resource)
    uses = _cost(pair.skunk1, COUNTERS.format(disk="$2", nic="$3"), watched.disk, watched.nic)
    affordable = (look + uses / COUNTERS_EVERY) / SAMPLING_SHARE
    return SamplingCost(
        look_s=look, counters_s=uses, every_s=every or max(1.0, round(affordable, 1))
    )


def _cost(node: Node, command: str, *arguments: str) -> float:
    """Processor seconds that a command of sh(1) takes on an idle node, the mean of some."""
    loop = f'i=0; while [ $i -lt "$1" ]; do {{ {command}; }} >/dev/null; i=$((i + 1)); done'
    before = _busy(node)
    node.sh(loop, str(_TRIAL_SAMPLES), *arguments, within=180)
    return max(0.0, (_busy(node) - before) / _TRIAL_SAMPLES)


def _busy(node: Node) -> float:
    """Processor seconds since boot that were not idle (kern.cp_time, 127 ticks a second)."""
    *busy, _ = map(int, node.ask("sysctl", "-n", "kern.cp_time").check().stdout.split())
    return sum(busy) / 127


def _in_turns(subjects: Sequence[Subject], turn: int) -> Sequence[Subject]:
    """A and B, then B and A: neither is always the first."""
    return subjects if turn % 2 == 0 else subjects[::-1]


# --- resyncs --------------------------------------------------------------------------------------


def _resyncs(
    running: Running, plan: Plan, wanted: ResyncPlan, sampling: float, progress: Progress
) -> None:
    rows = resync_rows(wanted, running.subjects[0].session.settings, sampling)
    order = shuffled(rows, plan.repeats, chance=1, at_once=plan.at_once)
    task = progress.add_task("resyncs", total=len(order) * len(running.subjects))
    for number, row in enumerate(order):
        for subject in _in_turns(running.subjects, number):
            progress.update(task, description=f"{subject.name} {row.label}".strip())
            _resync(running, subject, row, plan.warm_up, chance=number)
            progress.advance(task)


def _resync(
    running: Running, subject: Subject, row: ResyncConditions, warm_up: int, chance: int
) -> None:
    """Measure one row, and keep its result or why there is none."""
    own = row.model_copy(update={"hast": subject.change(row.hast)})
    named = {"set_name": subject.name, "row": row.label if subject.name else ""}
    try:
        with running.alone(subject):
            if subject.ready is None or not subject.ready.suits(own):
                running.take_pair(subject)
                subject.ready = _make_ready(subject.session, own, warm_up)
            result = _one_resync(subject.ready, own, chance)
        running.keep(resyncs=(result.model_copy(update=named),))
        if not result.complete:
            running.say(f"{own.label}: {result.outcome}: {result.why}")
            subject.ready = None
    except HarnessError as error:
        subject.ready = None
        running.failed(own.label, error)


@dataclass(frozen=True)
class _Ready:
    """A pair that is set up for rows of one hast.conf and content."""

    pair: Pair
    hardware: resync.Hardware
    hast: HastSettings
    content: str

    def suits(self, row: ResyncConditions) -> bool:
        return (self.hast, self.content) == (row.hast, row.content)


def _make_ready(session: Session, row: ResyncConditions, warm_up: int) -> _Ready:
    """Set a pair up and let it synchronise all: the warm-up, and the same content on both."""
    pair = session.provisioned(row.hast)
    session.used()
    hardware = resync.prepare(pair, row.content)
    data = pair.metadata(pair.skunk1).datasize
    plain = ResyncConditions(
        size_bytes=data, data_bytes=data, hast=row.hast, content=row.content, sampling_s=None
    )
    for _ in range(max(1, warm_up)):
        result = resync.measure(pair, plain, hardware)
        if not result.complete:
            raise HarnessError(f"the warm-up did not complete: {result.outcome}: {result.why}")
    return _Ready(pair, hardware, row.hast, row.content)


def _one_resync(ready: _Ready, row: ResyncConditions, chance: int) -> Resync:
    pair = ready.pair
    data = pair.metadata(pair.skunk1).datasize
    size = data if row.kind == "full" else row.size_bytes
    with contextlib.ExitStack() as stack:
        link = stack.enter_context(shaped_link(pair, row.link))
        disk = row.disk
        if (disk.delay_ms, disk.rate_mb) != (None, None):
            disk = stack.enter_context(shaped_disk(pair, pair.skunk2, disk))
        changed = {"size_bytes": size, "data_bytes": data, "link": link, "disk": disk}
        conditions = row.model_copy(update=changed)
        return resync.measure(pair, conditions, ready.hardware, chance=chance)


# --- failovers and writes -------------------------------------------------------------------------


def _failovers(running: Running, plan: Plan, wanted: FailoverPlan, progress: Progress) -> None:
    kinds: list[tuple[failover.Kind, int | None, bool]] = []
    timeouts: list[int | None] = [*wanted.timeouts_s]
    if any("timeout" in subject.changes for subject in running.subjects):
        timeouts = [None]  # what is compared has them, A one and B another, and not the plan
    for timeout in timeouts:
        for kind in wanted.kinds:
            kinds.append((kind, timeout, False))
            if kind == "power cut" and wanted.wait_to_notice:
                kinds.append((kind, timeout, True))
    order = kinds * plan.repeats
    task = progress.add_task("failovers", total=len(order) * len(running.subjects))
    for number, (kind, timeout, wait) in enumerate(order):
        for subject in _in_turns(running.subjects, number):
            what = f"{subject.name} failover: {kind}".strip()
            what += "" if timeout is None else f", timeout {timeout} s"
            progress.update(task, description=what)
            with running.attempt(subject, what):
                hast = subject.hast if timeout is None else subject.hast.but(timeout=timeout)
                pair = subject.session.set_up(hast)
                subject.session.used()
                result = failover.measure(pair, kind, wait_to_notice=wait)
                row = result.in_words(timeout=timeout is not None) if subject.name else ""
                named = {"set_name": subject.name, "row": row}
                running.keep(failovers=(result.model_copy(update=named),))
            progress.advance(task)


def _writes(running: Running, plan: Plan, wanted: WritesPlan, progress: Progress) -> None:
    order = wanted.settings * plan.repeats
    task = progress.add_task("writes", total=len(order) * len(running.subjects))
    for number, setting in enumerate(order):
        for subject in _in_turns(running.subjects, number):
            what = f"{subject.name} writes: {setting}".strip()
            progress.update(task, description=what)
            with running.attempt(subject, what):
                result = writes.measure(
                    subject.session, subject.hast, setting, wanted.write_bytes, wanted.count
                )
                named = {"set_name": subject.name}
                running.keep(writes=(result.model_copy(update=named),))
            progress.advance(task)


def _in_short(error: HarnessError) -> str:
    """An error in a line: of a script that failed, what it said last. The transcript has it all."""
    if isinstance(error, CommandFailed) and isinstance(error.result, Result):
        words = (error.result.stderr or error.result.stdout).strip().splitlines()
        return f"{error.node}: {words[-1] if words else f'status {error.result.status}'}"
    return str(error).splitlines()[0]


def _processor() -> str:
    """The host's processor by its name, as far as the host tells."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
