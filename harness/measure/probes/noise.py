"""What else the host does while something is measured on it."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

import psutil

from harness.measure.result import Noise

_WORK = random.Random(1).sample(range(100_000), 50_000)  # noqa: S311 - no secret
"""What the host sorts to show its pace: about 10 ms of branches and memory."""
_TRIES = 3


@dataclass
class NoiseMeter:
    """Filled in when the block that it was made for has ended."""

    noise: Noise


@contextlib.contextmanager
def listening() -> Iterator[NoiseMeter]:
    """Note what the host's processors did in the block for others than the harness and its QEMUs.

    Machines that are not the harness's children, as libvirt's are not, count as others. A block
    shorter than the kernel's clock tick (10 ms) has heard nobody; the host's pace it has anyway.
    """
    meter = NoiseMeter(Noise(other=0.0, stolen=0.0))
    pace = _pace()
    before, ours_before = psutil.cpu_times(), _ours()
    try:
        yield meter
    finally:
        after, ours = psutil.cpu_times(), _spent_between(ours_before, _ours())
        total = sum(after) - sum(before)
        idle = after.idle - before.idle + getattr(after, "iowait", 0) - getattr(before, "iowait", 0)
        stolen = getattr(after, "steal", 0.0) - getattr(before, "steal", 0.0)
        other = min(1.0, max(0.0, total - idle - stolen - ours) / total) if total > 0 else 0.0
        meter.noise = Noise(
            other=round(other, 4),
            stolen=round(max(0.0, stolen) / total, 4) if total > 0 else 0.0,
            pace_s=round((pace + _pace()) / 2, 6),
        )


def _pace() -> float:
    """Seconds for the fixed work, the best of some tries: the others may have been interrupted."""
    tries = []
    for _ in range(_TRIES):
        begun = time.perf_counter()
        sorted(_WORK)
        tries.append(time.perf_counter() - begun)
    return min(tries)


def _ours() -> dict[int, float]:
    """Processor seconds of this process and its living children, by process ID."""
    me = psutil.Process()
    seconds: dict[int, float] = {}
    for process in [me, *me.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            seconds[process.pid] = times.user + times.system
    return seconds


def _spent_between(before: dict[int, float], after: dict[int, float]) -> float:
    """What has been spent since. Of a machine whose power was cut nobody can tell any more."""
    return sum(max(0.0, spent - before.get(pid, 0.0)) for pid, spent in after.items())
