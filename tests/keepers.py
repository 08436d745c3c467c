"""Pairs that a test brings up by command, in a process that would outlive it: they end with it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psutil

from harness.errors import HarnessError
from harness.operate.bring_up import take_down
from harness.operate.kept import Kept

PATIENCE = 20.0
"""Seconds for a keeper to stop its machines."""


@contextlib.contextmanager
def ended() -> Iterator[None]:
    """Bring down, at the end of the block, whatever pair of this state folder came up in it."""
    before = {kept.folder.path for kept in Kept.all()}
    try:
        yield
    finally:
        for kept in Kept.all():
            if kept.folder.path not in before:
                _end(kept)


def _end(kept: Kept) -> None:
    """As Ctrl-C would, whether it answers or not; and else as the kernel would."""
    with contextlib.suppress(psutil.NoSuchProcess, HarnessError):
        keeper = psutil.Process(kept.about().pid)
        keeper.resume()
        keeper.terminate()
        _, alive = psutil.wait_procs([keeper], timeout=PATIENCE)
        for each in alive:
            each.kill()
    with contextlib.suppress(HarnessError):
        take_down(kept)  # what a keeper leaves that was killed
