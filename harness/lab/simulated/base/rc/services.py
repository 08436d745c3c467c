"""The services of rc(8): what each is, and the register of them.

A module that has one makes a `Service` and calls `register`; nothing else names it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from harness.lab.simulated.kernel.guest import Guest
from harness.lab.simulated.kernel.task import Daemon


@dataclass(frozen=True)
class Start:
    """A start of a service that is under way: what its script sees, and where its lines go."""

    guest: Guest
    service: Service
    conf: Mapping[str, str]
    """The variables of rc.conf(5)."""
    say: Callable[[str], None]
    warn: Callable[[str], None]

    @property
    def flags(self) -> str:
        """What rc.conf has for its arguments."""
        return self.conf.get(self.service.flags, "")


class Ending(Protocol):
    """The end of a boot, as a service's own stop sees it."""

    @property
    def in_rc(self) -> bool:
        """Whether rc.shutdown(8) still runs."""

    def after(self, delay: float, action: Callable[..., None], *arguments: object) -> None:
        """Do something in some seconds."""

    def next(self) -> None:
        """Go on with the next service: this one has ended."""


@dataclass(frozen=True)
class Service:
    """A script in /etc/rc.d."""

    name: str
    description: str
    rcvar: str | None
    command: str = ""
    """The daemon's program; empty for a script that only does something."""
    flags: str = ""
    """The variable with its arguments."""
    extra: tuple[str, ...] = ()
    pid_file: str = ""
    title: str = ""
    """As ps(1) shows the daemon, if that is not its command line (13.2)."""
    required_files: tuple[str, ...] = ()
    required_modules: tuple[str, ...] = ()
    """What rc.subr(8) looks for and loads before a start."""
    honours: tuple[str, ...] = ()
    """Variables of rc.conf(5) by which the model does what FreeBSD does, besides `rcvar`."""
    check: Callable[[Guest, Mapping[str, str]], None] | None = None
    """Notes what its own files ask for that the model lacks, when it starts or reads them again."""
    before_start: str = ""
    """What its script says before it starts or reloads the daemon."""
    start: Callable[[Start], int] | None = None
    """What its script does instead of starting a daemon that only runs; returns the status."""
    started: Callable[[Guest, int, str], None] | None = None
    ended: Callable[[Guest], None] | None = None
    reload: Callable[[Guest], None] | None = None
    """What its daemon does when it begins (with its pid and flags), ends, and gets SIGHUP."""
    before_stop: tuple[str, ...] = ()
    """The command that its script runs before it stops the daemon; if that fails it does not."""
    order: int = 0
    """Its place among those that a boot starts; 0 if a boot of the model does not."""
    seconds: float = 0.0
    """How long a boot takes from the step before to its start, for a guest alone."""
    runs_hooks: bool = False
    """Whether the start_precmd and start_postcmd of rc.conf have been done when `start` returns."""
    waited_for: Callable[[Guest], bool] | None = None
    """Whether what the start_postcmd of rc.conf waits for is there, or will never be."""
    ready: Callable[[Guest], bool] | None = None
    """Whether its daemon has gone to the background, for which its script waits."""
    stop_seconds: float | None = None
    """How long rc.shutdown(8) takes from its stop to the next; None if it does not stop it."""
    stop: Callable[[Guest, int, Ending], None] | None = None
    """Begins to stop its daemon, which has that pid, in a way of its own, and calls `next` then."""

    @property
    def directives(self) -> str:
        """What its usage lists after the prefixes."""
        usual = "start stop restart rcvar enable disable delete enabled describe extracommands"
        more = ("status", "poll") if self.command else ()
        return "|".join((*usual.split(), *self.extra, *more))


SERVICES: dict[str, Service] = {}
"""Every service that the model has, by its name."""


def register(*services: Service) -> None:
    """Take services in."""
    SERVICES.update({service.name: service for service in services})


def honoured() -> frozenset[str]:
    """The variables of rc.conf(5) by which the model does what FreeBSD does."""
    found = {"rcshutdown_timeout"}
    for service in SERVICES.values():
        found.update(service.honours)
        if service.rcvar is not None and (service.order or service.start is not None):
            found.add(service.rcvar)
    return frozenset(found)


def at_boot() -> list[Service]:
    """Those that a boot starts, in their order."""
    found = [service for service in SERVICES.values() if service.order]
    return sorted(found, key=lambda each: each.order)


class PlainDaemon(Daemon):
    """A daemon that does nothing the model cares about, but runs, and ends when told to."""

    def __init__(self, guest: Guest, service: Service, title: str) -> None:
        self.guest = guest
        self.service = service
        self.title = title
        self.pid = guest.next_pid()
        guest.daemons[self.pid] = self

    def signal(self, number: int) -> None:
        """SIGHUP makes it read its configuration again; the usual others end it."""
        if number in {0, 17, 18, 19, 20, 23, 28, 29, 30, 31}:
            return
        service = self.service
        if number == 1:
            if service.reload is not None:
                service.reload(self.guest)
            return
        self.guest.daemons.pop(self.pid, None)
        if service.ended is not None:
            service.ended(self.guest)
        root = self.guest.root
        if service.pid_file in root.entries and not root.read_only:
            root.remove(service.pid_file)


def runs(guest: Guest, name: str) -> bool:
    """Whether a daemon of the base system runs."""
    daemons = guest.daemons.values()
    return any(isinstance(each, PlainDaemon) and each.service.name == name for each in daemons)


def _nothing(begin: Start) -> int:
    """What has been done elsewhere, or has nothing to do here."""
    return 0


register(
    Service("hostid_save", "Save unique host ID to disk", "hostid_enable", start=_nothing),
    Service(
        "netif",
        "Network interface setup",
        "netif_enable",
        extra=("cloneup", "clonedown", "clear", "vnetup", "vnetdown"),
    ),
    Service("newsyslog", "Logfile rotation", "newsyslog_enable"),
    Service("ntpdate", "Set the date and time via NTP", "ntpdate_enable"),
    Service("pf", "Packet filter", "pf_enable", extra=("check", "reload", "resync", "status")),
    Service("powerd", "Modify the power profile", "powerd_enable", "/usr/sbin/powerd"),
    Service("zfs", "Mount and share ZFS datasets", "zfs_enable", start=_nothing),
)
