"""Programs that show who listens and who is connected: sockstat, netstat -a."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.lab.simulated.base.inetd.daemon import Inetd
from harness.lab.simulated.engine.signal import NotModelled
from harness.lab.simulated.hast.address import UnixAddress
from harness.lab.simulated.hast.hastd import Hast
from harness.lab.simulated.hast.replication.worker import Worker
from harness.lab.simulated.kernel.guest import Guest
from harness.lab.simulated.network.tcp import Tcp
from harness.lab.simulated.shell.options import BadOption, Options
from harness.lab.simulated.shell.programs import Context, command

if TYPE_CHECKING:
    from harness.lab.simulated.hast.hastd import Hastd

_SSH = 22
_SYSLOG = 514


@dataclass(frozen=True)
class Row:
    """One socket, and who has it."""

    user: str
    program: str
    pid: int
    descriptor: int
    protocol: str
    """tcp4, tcp6, udp4, udp6; stream and dgram are sockets of the file system."""
    local: tuple[str, int]
    foreign: tuple[str, int] | None = None
    """None where it listens."""

    @property
    def family(self) -> str:
        """4, 6 or u."""
        return self.protocol[-1] if self.protocol[-1] in "46" else "u"


def rows(guest: Guest) -> Iterator[Row]:
    """All sockets that the model knows of, the youngest processes first."""
    hastd = guest.part(Hast).hastd
    known: set[int] = set()
    for pid, daemon in reversed(guest.daemons.items()):
        title = daemon.title
        program = posixpath.basename(title.split()[0]).rstrip(":")
        if isinstance(daemon, Worker):
            yield from _of_worker(daemon)
        elif isinstance(daemon, Inetd):
            for descriptor, where in enumerate(daemon.listening(), 6):
                yield Row("root", "inetd", pid, descriptor, "tcp4", where)
                known.add(where[1])
        elif hastd is not None and daemon is hastd:
            yield from _of_hastd(hastd)
        elif program == "sshd":
            yield Row("root", program, pid, 3, "tcp6", ("*", _SSH))
            yield Row("root", program, pid, 4, "tcp4", ("*", _SSH))
        elif program == "syslogd":
            yield Row("root", program, pid, 6, "udp6", ("*", _SYSLOG), ("*", 0))
            yield Row("root", program, pid, 7, "udp4", ("*", _SYSLOG), ("*", 0))
            yield Row("root", program, pid, 8, "dgram", ("/var/run/log", 0))
            yield Row("root", program, pid, 9, "dgram", ("/var/run/logpriv", 0))
        elif program == "devd":
            yield Row("root", program, pid, 4, "stream", ("/var/run/devd.pipe", 0))
            yield Row("root", program, pid, 5, "seqpac", ("/var/run/devd.seqpacket.pipe", 0))
    for port, listener in guest.part(Tcp).listeners.items():
        if port not in known and (hastd is None or not hastd.accepts_from(listener)):
            raise NotModelled(f"sockets while a program listens on the port {port}")


def _of_hastd(hastd: Hastd) -> Iterator[Row]:
    for descriptor, where in enumerate(hastd.bound, 4):
        if isinstance(where, UnixAddress):
            yield Row("root", "hastd", hastd.pid, descriptor, "stream", (where.path, 0))
        else:
            local = ("*" if where.ip.is_unspecified else where.host, where.port)
            yield Row("root", "hastd", hastd.pid, descriptor, f"tcp{where.ip.version}", local)


def _of_worker(worker: Worker) -> Iterator[Row]:
    for descriptor, socket in enumerate(worker.sockets(), 10):
        if socket.open and socket.peer is not None:
            local = (socket.address, socket.port)
            foreign = (socket.peer.address, socket.peer.port)
            yield Row("hast", "hastd", worker.pid, descriptor, "tcp4", local, foreign)


# --- sockstat -----------------------------------------------------------------------------------

_USAGE = "usage: sockstat [-46CciLlnqSsUuvw] [-j jid] [-p ports] [-P protocols]"


@command("sockstat")
def sockstat(context: Context, arguments: list[str]) -> int:
    """Show sockets and who has them (usr.bin/sockstat/sockstat.c); descriptors are made up."""
    try:
        options = Options(arguments, "46clLqu", "pP")
    except BadOption as bad:
        if bad.letter in "CijnsSUvw":
            raise NotModelled(f"sockstat -{bad.letter}") from bad
        context.guest.release.check_illegal("sockstat", bad.letter)
        context.complain(f"sockstat: illegal option -- {bad.letter}\n{_USAGE}")
        return 1
    if options.rest:
        context.complain(_USAGE)
        return 1
    families = {letter for letter in "46u" if letter in options} or set("46u")
    protocols = set(options.value("P").split(",")) if "P" in options else {"tcp", "udp"}
    if protocols - {"tcp", "udp"}:
        raise NotModelled(f"sockstat -P {options.value('P')}")
    ports = _ports(options)
    if "q" not in options:
        context.print(
            "USER     COMMAND    PID   FD PROTO  LOCAL ADDRESS         FOREIGN ADDRESS      "
        )
    for row in rows(context.guest):
        listens = row.foreign is None or row.foreign == ("*", 0)
        if (
            row.family not in families
            or (row.family != "u" and row.protocol[:-1] not in protocols)
            or (ports and row.local[1] not in ports and (row.foreign or ("", 0))[1] not in ports)
            or ("l" in options and "c" not in options and not listens)
            or ("c" in options and "l" not in options and listens)
        ):
            continue
        _print_socket(context, row)
    return 0


def _ports(options: Options) -> set[int]:
    found: set[int] = set()
    for part in filter(None, options.value("p").split(",")):
        first, _, last = part.partition("-")
        if not first.isdecimal() or (last and not last.isdecimal()):
            raise NotModelled(f"sockstat -p {part}")
        found |= set(range(int(first), int(last or first) + 1))
    return found


def _print_socket(context: Context, row: Row) -> None:
    text = f"{row.user} ".ljust(9) + row.program[:10]
    text = (text.ljust(20) + f"{row.pid} ").ljust(26) + f"{row.descriptor} "
    text = text.ljust(29) + row.protocol + (" " if row.family != "u" else "")
    text = text.ljust(36)
    if row.family == "u":
        context.print(text + row.local[0])
        return
    foreign = row.foreign or ("*", 0)
    context.print(f"{text}{_address(row.local)}".ljust(58) + _address(foreign))


def _address(where: tuple[str, int]) -> str:
    return f"{where[0]}:{where[1] or '*'}"


# --- netstat ------------------------------------------------------------------------------------


def netstat_sockets(context: Context, options: Options) -> int:
    """`netstat -an`: connections and who listens (usr.bin/netstat/inet.c)."""
    family = options.value("f", "")
    protocol = options.value("p", "")
    if family not in {"", "inet", "inet6"} or protocol not in {"", "tcp", "udp"}:
        raise NotModelled(f"netstat -f {family} -p {protocol}")
    if "n" not in options:
        raise NotModelled("netstat with names")
    chosen = [
        row
        for row in rows(context.guest)
        if row.family in {"": "46", "inet": "4", "inet6": "6"}[family]
        and row.protocol.startswith(protocol)
        and ("a" in options or row.local[0] != "*")
    ]
    if chosen:
        _print_connections(context, options, chosen)
    if not family and not protocol:
        _print_local(context)
    return 0


def _print_connections(context: Context, options: Options, chosen: list[Row]) -> None:
    servers = " (including servers)" if "a" in options else ""
    context.print(f"Active Internet connections{servers}")
    context.print(
        f"{'Proto':<5} {'Recv-Q':<6} {'Send-Q':<6} {'Local Address':<22} "
        f"{'Foreign Address':<22} {'(state)':<11}"
    )
    for row in sorted(chosen, key=lambda row: (row.protocol[:3], row.local[0] == "*", row.family)):
        state = "ESTABLISHED" if row.foreign is not None else "LISTEN"
        if row.protocol.startswith("udp"):
            state = ""
        local, foreign = _dotted(row.local), _dotted(row.foreign or ("*", 0))
        context.print(f"{row.protocol:<5} {0:>6} {0:>6} {local:<22} {foreign:<22} {state:<11}")


def _print_local(context: Context) -> None:
    """The sockets in the file system that have a name; the kernel's addresses are made up."""
    context.print("Active UNIX domain sockets")
    context.print(
        f"{'Address':<16} {'Type':<6} {'Recv-Q':<6} {'Send-Q':<6} {'Inode':>16} {'Conn':>16} "
        f"{'Refs':>16} {'Nextref':>16} Addr"
    )
    for number, row in enumerate(row for row in rows(context.guest) if row.family == "u"):
        address = f"fffff8000{0x3A1C000 + 0x100 * number:07x}"
        inode = f"fffff8000{0x51B7000 + 0x1D8 * number:07x}"
        zeros = f"{0:>16}"
        context.print(
            f"{address} {row.protocol:<6.6} {0:>6} {0:>6} {inode} {zeros} {zeros} {zeros} "
            f"{row.local[0]}"
        )


def _dotted(where: tuple[str, int]) -> str:
    return f"{where[0]}.{where[1] or '*'}"
