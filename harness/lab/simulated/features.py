"""What the model has: the one list of it."""

from __future__ import annotations

# ruff: noqa: F401, PLC0415 - each module registers its programs; none of them is needed before


def load_all() -> None:
    """Register every program, so that a guest's shell finds it."""
    from harness.lab.simulated.base import service
    from harness.lab.simulated.geom import geom, gnop, gpart
    from harness.lab.simulated.hast import hastctl, hastd_command
    from harness.lab.simulated.network import ifconfig, ipfw_command, nc, pfctl, sockstat, tcpdump
    from harness.lab.simulated.tools.files import archive, data, df, files, listing, lock, mount
    from harness.lab.simulated.tools.host import (
        counters,
        host,
        kernel,
        ktrace,
        processes,
        session,
        shells,
    )
    from harness.lab.simulated.tools.text import awk, grep, sed, text
    from harness.lab.simulated.ufs import fsck
    from harness.lab.simulated.zfs import zfs_command, zpool_command
