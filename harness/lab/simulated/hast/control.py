"""What hastd tells hastctl(8): a row for each resource, and how hastctl prints it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.lab.simulated.engine.signal import Signal
from harness.lab.simulated.hast.replication.worker import Statistics
from harness.lab.simulated.hast.text import humanize

if TYPE_CHECKING:
    from harness.lab.simulated.hast.conf import ResourceConfig
    from harness.lab.simulated.hast.replication.worker import Resource


CONTROL, NEW_CONTROL = "control", "new control"
"""The sockets for hastctl among those that hastd listens on; no address is called so."""


@dataclass
class Row:
    """One resource. `error` is hastd's number; without a worker there is no `status`."""

    name: str
    role: str = ""
    error: int = 0
    config: ResourceConfig | None = None
    status: str | None = None
    pid: int = 0
    extentsize: int = 0
    keepdirty: int = 0
    dirty: int = 0
    statistics: Statistics = field(default_factory=Statistics)
    queues: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)

    def lines(self) -> list[str]:
        """As `hastctl list` prints it."""
        if self.error:
            return [f"{self.name}:", f"  error: {self.error}"]
        config, counts = self.config, self.statistics
        assert config is not None
        source = [f"  sourceaddr: {config.sourceaddr}"] if config.sourceaddr else []
        status = [f"  status: {self.status}"] if self.status is not None else []
        worker = [f"  workerpid: {self.pid}"] if self.pid else []
        errors = ", ".join(f"{name}: {number}" for name, number in counts.errors.items())
        names = ("local", "send", "recv", "done", "idle")
        queues = ", ".join(
            f"{name}: {number}" for name, number in zip(names, self.queues, strict=True)
        )
        return [
            f"{self.name}:",
            f"  role: {self.role}",
            f"  provname: {config.provname}",
            f"  localpath: {config.localpath}",
            f"  extentsize: {self.extentsize} ({humanize(self.extentsize)}B)",
            f"  keepdirty: {self.keepdirty}",
            f"  remoteaddr: {config.remoteaddr}",
            *source,
            f"  replication: {config.replication}",
            *status,
            *worker,
            f"  dirty: {self.dirty} ({humanize(self.dirty)}B)",
            "  statistics:",
            f"    reads: {counts.reads}",
            f"    writes: {counts.writes}",
            f"    deletes: {counts.deletes}",
            f"    flushes: {counts.flushes}",
            f"    activemap updates: {counts.activemap_updates}",
            f"    local errors: {errors}",
            f"    queues: {queues}",
        ]

    def line(self) -> str:
        """As `hastctl status` prints it."""
        if self.error:
            return f"{self.name}\tERR{self.error}"
        assert self.config is not None
        status = self.status or "-"
        return (
            f"{self.name}\t{status:<9}{self.role:<15}"
            f"{self.config.localpath}\t{self.config.remoteaddr}"
        )


class Reply:
    """hastd's answer to hastctl, which waits for `done`."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.done = Signal()


def row_of(resource: Resource) -> Row:
    """What hastd knows about a resource; its worker adds what it knows."""
    worker = resource.worker
    row = Row(resource.config.name, resource.role, config=resource.config)
    if worker is None:
        return row
    row.pid = worker.pid
    if worker.metadata is not None and worker.ready:
        row.status = worker.status
        row.extentsize = worker.metadata.extentsize
        row.keepdirty, row.dirty = worker.keepdirty, worker.dirty
        row.statistics, row.queues = worker.statistics, worker.queues
    return row
