"""What the model has: the one list of it.

A feature (a daemon, a subsystem, a program) is a module that registers what it has: a program with
`command`, a service of rc(8) with `register`. It is named in `load_all`, and its part of a guest,
if it has one, in `parts`. Nothing else names it.
"""

from __future__ import annotations

from harness.lab.simulated.kernel.guest import Part

# ruff: noqa: F401, PLC0415 - each module registers its programs; none of them is needed before


def parts() -> tuple[type[Part], ...]:
    """The parts of a guest's FreeBSD, in the order in which a boot makes them."""
    from harness.lab.simulated.base.daemons import Cron, Sshd
    from harness.lab.simulated.base.devd.daemon import Devctl
    from harness.lab.simulated.base.supervisor import Supervisors
    from harness.lab.simulated.base.syslog import Syslog
    from harness.lab.simulated.base.system import System
    from harness.lab.simulated.hast.hastd import Hast
    from harness.lab.simulated.kernel.modules import Kernel
    from harness.lab.simulated.network.arp import Arp
    from harness.lab.simulated.network.carp import Carp
    from harness.lab.simulated.network.interfaces import Network
    from harness.lab.simulated.network.ip import Ip
    from harness.lab.simulated.network.tcp import Tcp
    from harness.lab.simulated.network.udp import Udp
    from harness.lab.simulated.zfs.zfs import Zfs

    return (
        Kernel,
        Network,
        Arp,
        Ip,
        Udp,
        Tcp,
        Carp,
        Zfs,
        Supervisors,
        Syslog,
        Cron,
        Sshd,
        Devctl,
        System,
        Hast,
    )


def load_all() -> None:
    """Register every program and service, so that a guest's shell and rc(8) find it."""
    from harness.lab.simulated.base import daemons, early, rc_subr, service, syslog
    from harness.lab.simulated.base.devd import daemon as devd
    from harness.lab.simulated.base.inetd import daemon as inetd
    from harness.lab.simulated.geom import geom, gnop, gpart
    from harness.lab.simulated.hast import hastctl, hastd_command, rc_script
    from harness.lab.simulated.network import arp
    from harness.lab.simulated.network.commands import ifcarp, ifconfig, ipfw, pfctl, route, tcpdump
    from harness.lab.simulated.shell import builtins
    from harness.lab.simulated.tools.files import archive, data, df, files, listing, lock, mount
    from harness.lab.simulated.tools.host import (
        counters,
        host,
        kernel,
        ktrace,
        nc,
        processes,
        session,
        shells,
        sockstat,
    )
    from harness.lab.simulated.tools.text import awk, grep, sed, text
    from harness.lab.simulated.ufs import fsck
    from harness.lab.simulated.zfs import zfs_command, zpool_command
