"""Programs that show what disks and interfaces have done: iostat, netstat."""

from __future__ import annotations

from harness.lab.simulated.engine.signal import NotModelled
from harness.lab.simulated.network.commands.route import table
from harness.lab.simulated.network.interfaces import Network
from harness.lab.simulated.shell.options import BadOption, Options
from harness.lab.simulated.shell.programs import Context, command
from harness.lab.simulated.tools.host.sockstat import netstat_sockets

_MTU = 1500
"""Bytes of a packet: what is counted as packets is bytes by this."""


@command("iostat")
def iostat(context: Context, arguments: list[str]) -> int:
    """Show the totals of disks, as `-Ix` has them."""
    try:
        options = Options(arguments, "Ix", "")
    except BadOption as bad:
        raise NotModelled(f"iostat -{bad.letter}") from bad
    if "I" not in options or "x" not in options or not options.rest:
        raise NotModelled(f"iostat {' '.join(arguments)}")
    context.print(f"{'extended device statistics':>50}  ")
    context.print(
        "device           r/i         w/i         kr/i         kw/i qlen   tsvc_t/i      sb/i  "
    )
    for name in options.rest:
        disk = context.guest.disks.get(name)
        if disk is None:
            raise NotModelled(f"iostat of {name}")
        context.print(
            f"{name:<8}{disk.reads:>13.1f}{disk.writes:>12.1f}{disk.bytes_read / 1024:>13.1f}"
            f"{disk.bytes_written / 1024:>13.1f}{0:>5}{0:>11.1f}{0:>10.1f} "
        )
    return 0


@command("netstat")
def netstat(context: Context, arguments: list[str]) -> int:
    """Show an interface's counters as `-I NIC -bn -f link` has them, or routes as `-rn -f inet`."""
    try:
        options = Options(arguments, "abnr", "Ifp")
    except BadOption as bad:
        raise NotModelled(f"netstat -{bad.letter}") from bad
    if "r" in options:
        if "n" not in options or options.value("f", "") != "inet":
            raise NotModelled(f"netstat {' '.join(arguments)}")
        context.print("\n".join(table(context.guest.part(Network))))
        return 0
    if "I" not in options and "b" not in options and not options.rest:
        return netstat_sockets(context, options)
    interfaces = context.guest.part(Network).interfaces
    name = options.value("I", "")
    if options.value("f", "") != "link" or "b" not in options or name not in interfaces:
        raise NotModelled(f"netstat {' '.join(arguments)}")
    interface = interfaces[name]
    if (nic := interface.nic) is None:
        raise NotModelled(f"netstat {' '.join(arguments)}")
    sent, received = nic.sent, nic.received
    context.print(
        "Name     Mtu Network       Address              Ipkts Ierrs Idrop     Ibytes    Opkts "
        "Oerrs     Obytes  Coll"
    )
    network = f"<Link#{interface.index}>"
    context.print(
        f"{name:<7}{_MTU:>5} {network:<13} {nic.mac}{received // _MTU:>9}     0     0"
        f"{received:>11}{sent // _MTU:>9}     0{sent:>11}     0"
    )
    return 0
