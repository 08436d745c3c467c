"""devd(8) as it runs: one event after the other, one action after the other (devd.cc, 13.2).

Events of devices (attach, detach, nomatch) are not in the model, so their rules never apply, and
ZFS's neither. devd.pipe is not there. Files of a folder are read by their names, on FreeBSD in the
order of the directory.
"""

from __future__ import annotations

import re

from harness.lab.simulated.base import configuration
from harness.lab.simulated.base.devd.rules import BadRules, Rules, expand
from harness.lab.simulated.base.rc.services import PlainDaemon, Service, Start, register
from harness.lab.simulated.base.rc.start import write_pid
from harness.lab.simulated.engine.signal import NotModelled
from harness.lab.simulated.kernel.devctl import Notice
from harness.lab.simulated.kernel.files import FileError, Unseen
from harness.lab.simulated.kernel.guest import Guest, Part
from harness.lab.simulated.kernel.modules import Kernel
from harness.lab.simulated.kernel.process import Process
from harness.lab.simulated.network.interfaces import Network
from harness.lab.simulated.shell import interpreter as shell
from harness.lab.simulated.shell.streams import NullWriter, Reader, Writer

_CONF = "/etc/devd.conf"
_QUEUE = "hw.bus.devctl_queue"

_AS_IT_COMES = """
options { directory "/etc/devd"; directory "/usr/local/etc/devd"; };
notify 0 { match "system" "IFNET"; match "type" "LINK_UP"; media-type "ethernet"; };
"""
"""What 13.2's own file says about what the kernel of the model announces. Its action is to start
dhclient, which ends at once on an interface without DHCP."""

_DELAYS = (0.002, 0.01)
"""Seconds, from one to the other, until devd has an event."""

_ENDING, _KILLED = frozenset({1, 2, 15}), 9


class Devd(PlainDaemon):
    """The daemon, from its start to its end."""

    def __init__(self, guest: Guest, service: Service, title: str, rules: Rules) -> None:
        super().__init__(guest, service, title)
        self._rules = rules
        self._busy = self._ends = False
        self._left: list[str] = []
        """Actions of the event that it is at."""
        self.in_background = False
        """Whether it has taken all that was in the queue when it started: so long rc(8) waits."""
        guest.devctl.reader = self._wake
        self._wake()

    def signal(self, number: int) -> None:
        """End: after the event that it is at, or at once by SIGKILL, without the running action."""
        if number == _KILLED or (number in _ENDING and not self._busy):
            self._end(number)
        elif number in _ENDING:
            self._ends = True

    def _end(self, number: int) -> None:
        if self.guest.devctl.reader == self._wake:
            self.guest.devctl.reader = None
        super().signal(number)

    @property
    def _gone(self) -> bool:
        return self.guest.daemons.get(self.pid) is not self

    def _wake(self) -> None:
        self.guest.world.schedule(self.guest, self.guest.rng.uniform(*_DELAYS), self._next)

    def _next(self) -> None:
        """Take the next event, if it has nothing to do."""
        if self._busy or self._gone:
            return
        if (notice := self.guest.devctl.take()) is None:
            self.in_background = True
            return
        self._busy = True
        text = str(notice)
        self._log("info", f"Processing event '{text}'")
        self._log("debug", "Processing notify event")
        variables = _variables(self.guest, notice, text)
        rule = self._rules.rule_for("notify", variables, _media(self.guest))
        seen = {**self._rules.variables, **variables}
        self._left = [] if rule is None else [expand(each, seen) for each in rule.actions]
        self._act()

    def _act(self, _: Process | None = None) -> None:
        """Run the next action, which it waits for, or go on with the next event."""
        if self._gone:
            return
        if self._left:
            line = self._left.pop(0)
            self._log("info", f"Executing '{line}'")
            streams: dict[int, Reader | Writer] = {1: NullWriter(), 2: NullWriter()}
            process = shell.spawn_without_login(
                self.guest, f"sh -c {line}", "sh", line, streams, parent=self.pid
            )
            process.on_end = self._act
            return
        self._busy = False
        if self._ends:
            self._end(15)
        else:
            self._wake()

    def _log(self, level: str, text: str) -> None:
        self.guest.log("devd", self.pid, f"user.{level}", text)


def _variables(guest: Guest, notice: Notice, text: str) -> dict[str, str]:
    return {
        **dict(re.findall(r"(\S+?)=(\S*)", text[1:])),
        "*": text,
        "_": text[1:],
        "timestamp": f"{guest.wall_clock():.6f}",
        "system": notice.system,
    }


def _media(guest: Guest) -> dict[str, str]:
    """Interfaces of which devd can ask what they are."""
    interfaces = guest.part(Network).interfaces.values()
    return {each.name: "ethernet" for each in interfaces if each.nic is not None}


class Devctl(Part):
    """The variable for the queue of devctl(4), which can only be turned off (subr_bus.c, 13.2)."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        kernel = guest.part(Kernel)
        kernel.trees[_QUEUE] = self._value
        kernel.setters[_QUEUE] = self._assign

    def _value(self, _: str) -> str:
        return str(self._guest.devctl.room)

    def _assign(self, _: str, value: str) -> str | None:
        if int(value, 0) != 0:
            return "Invalid argument"
        self._guest.devctl.turn_off()
        return None


# --- its start ----------------------------------------------------------------------------------


def read(guest: Guest) -> Rules:
    """What its files say. Raises `BadFile`."""
    rules = Rules()
    entry = guest.tree.entry(_CONF)
    if entry is None:
        raise _BadFile(f"Cannot open config file {_CONF}: No such file or directory", None)
    if isinstance(entry, Unseen):
        text = _AS_IT_COMES + entry.more.decode(errors="replace")
    else:
        text = entry.data.decode(errors="replace")
    _read_file(rules, _CONF, text)
    for folder in rules.directories:
        try:
            names = guest.tree.names(folder)
        except FileError:
            continue
        for name in names:
            path = f"{folder}/{name}"
            found = guest.tree.entry(path)
            if name.endswith(".conf") and found is not None and not isinstance(found, Unseen):
                _read_file(rules, path, found.data.decode(errors="replace"))
    return rules


class _BadFile(Exception):
    def __init__(self, message: str, syntax: str | None) -> None:
        super().__init__(message)
        self.syntax = syntax


def _read_file(rules: Rules, path: str, text: str) -> None:
    try:
        rules.read(text)
    except BadRules as bad:
        raise _BadFile(f"Cannot parse {path} at line {bad.line}", str(bad)) from bad


def _start(begin: Start) -> int:
    guest = begin.guest
    if not guest.devctl.room:
        raise NotModelled(f"devd after sysctl {_QUEUE}=0")
    try:
        rules = read(guest)
    except _BadFile as bad:
        if bad.syntax is not None:
            guest.log("devd", guest.next_pid(), "user.err", bad.syntax)
        begin.warn(f"devd: {bad}")
        warning = "/etc/rc.d/devd: WARNING: failed to start devd"
        guest.log("root", guest.next_pid(), "user.notice", warning)
        begin.warn(warning)
        return 1
    title = f"{begin.service.command} {begin.flags}".strip()
    daemon = Devd(guest, begin.service, title, rules)
    write_pid(guest, begin.service.pid_file, daemon.pid)
    return 0


def _ready(guest: Guest) -> bool:
    """Whether it has gone to the background, or was ended before."""
    return all(each.in_background for each in guest.daemons.values() if isinstance(each, Devd))


register(
    Service(
        *("devd", "Device state change daemon", "devd_enable", "/sbin/devd", "devd_flags"),
        pid_file="/var/run/devd.pid",
        check=configuration.of_devd,
        start=_start,
        ready=_ready,
        order=10,
        seconds=1.1,
        stop_seconds=0.0,
    )
)
