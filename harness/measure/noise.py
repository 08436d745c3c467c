"""What else the host does while something is measured on it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import psutil

from harness.measure.result import Noise


@dataclass
class NoiseMeter:
    """Filled in when the block that it was made for has ended."""

    noise: Noise


@contextlib.contextmanager
def listening() -> Iterator[NoiseMeter]:
    """Note what the host's processors did in the block for others than the harness and its QEMUs.

    Machines that are not the harness's children, as libvirt's are not, count as others.
    """
    meter = NoiseMeter(Noise(other=0.0, stolen=0.0))
    before, ours_before = psutil.cpu_times(), _ours()
    try:
        yield meter
    finally:
        after, ours = psutil.cpu_times(), _ours() - ours_before
        total = sum(after) - sum(before)
        idle = after.idle - before.idle + getattr(after, "iowait", 0) - getattr(before, "iowait", 0)
        stolen = getattr(after, "steal", 0.0) - getattr(before, "steal", 0.0)
        if total > 0:
            other = max(0.0, total - idle - stolen - ours) / total
            meter.noise = Noise(other=round(other, 4), stolen=round(max(0.0, stolen) / total, 4))


def _ours() -> float:
    """Processor seconds of this process and its living children."""
    me = psutil.Process()
    seconds = 0.0
    for process in [me, *me.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            seconds += times.user + times.system
    return seconds
