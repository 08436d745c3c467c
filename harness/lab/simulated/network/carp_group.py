"""A group of carp(4): what one node does for one vhid on one interface (ip_carp.c, 13.2)."""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from harness.lab.simulated.engine.timeline import Event
from harness.lab.simulated.kernel.guest import Guest
from harness.lab.simulated.kernel.modules import HZ, Kernel
from harness.lab.simulated.network.arp import Arp
from harness.lab.simulated.network.interfaces import Interface, Virtual
from harness.lab.simulated.network.ip import HEADER, Ip, Packet

GROUP, PROTOCOL = "224.0.0.18", 112

_TTL = 255
_HEADER = 36
"""Bytes of an advertisement."""

_MOST_SKEW = 240
"""Of an advskew with what it is demoted by (CARP_MAXSKEW)."""

_ERRORS, _SUCCESSES = 3, 3
"""Advertisements that could not be sent until it is demoted, and sent again until it is not."""

_ERRNO = {"EACCES": 13, "ENETDOWN": 50}


class State(enum.Enum):
    """What a node is for a group."""

    INIT = "INIT"
    BACKUP = "BACKUP"
    MASTER = "MASTER"


@dataclass(frozen=True)
class Advertisement:
    """What a MASTER says of itself."""

    vhid: int
    advbase: int
    advskew: int
    """With what it is demoted by."""
    digest: tuple[str, ...]

    @property
    def interval(self) -> tuple[int, int]:
        """How often it says so, in seconds and microseconds: the smaller one wins."""
        return self.advbase, self.advskew * 1_000_000 // 256

    def __deepcopy__(self, memo: object) -> Advertisement:
        return self


class Node(Protocol):
    """What the groups of a node have in common."""

    guest: Guest
    ip: Ip
    kernel: Kernel

    def variable(self, name: str, /) -> int:
        """One of net.inet.carp."""

    def demote(self, by: int, reason: str, /) -> None:
        """Add to what is added to every advskew."""

    def say(self, text: str, /) -> None:
        """A line of carp(4)'s own in the kernel's log."""


class Group:
    """One vhid of an interface."""

    def __init__(self, carp: Node, interface: Interface, vhid: int, number: int) -> None:
        """`number` counts the groups in the order in which they were made."""
        self._carp = carp
        self._interface = interface
        self.vhid = vhid
        self.number = number
        self.advbase = 1
        self.advskew = 0
        self.key = ""
        self.addresses: list[str] = []
        self.state = State.INIT
        self._suppressed = False
        """Whether the node is demoted because its link is down."""
        self._errors = self._successes = 0
        self._next: Event | None = None
        """The advertisement that is to come."""
        self._down: Event | None = None
        """When the master is given up."""

    @property
    def mac(self) -> str:
        """The MAC address of the MASTER."""
        return f"00:00:5e:00:01:{self.vhid:02x}"

    @property
    def digest(self) -> tuple[str, ...]:
        """What two nodes have to have alike, besides the vhid."""
        return (self.key, *sorted(self.addresses, key=ipaddress.IPv4Address))

    def _skew(self) -> int:
        """The advskew with what it is demoted by (DEMOTE_ADVSKEW)."""
        return max(0, min(_MOST_SKEW, self.advskew + self._carp.variable("demotion")))

    # --- states ---------------------------------------------------------------------------------

    def _become(self, state: State, reason: str) -> None:
        if self.state is state:
            return
        name = f"{self.vhid}@{self._interface.name}"
        self._carp.say(f"{name}: {self.state.value} -> {state.value} ({reason})")
        self.state = state
        self.show()
        self._carp.guest.devctl.post("CARP", name, state.value)

    def show(self) -> None:
        """Let the interface answer for the addresses, or not."""
        is_master = self.state is State.MASTER
        for address in self.addresses:
            mac = self.mac if is_master else None
            self._interface.virtual[address] = Virtual(mac, f"vhid {self.vhid}")
        nic = self._interface.nic
        assert nic is not None
        nic.also = nic.also | {self.mac} if is_master else nic.also - {self.mac}

    @property
    def _can_run(self) -> bool:
        interface = self._interface
        return interface.up and interface.plugged and bool(self._carp.variable("allow"))

    def start_over(self) -> None:
        """Look at the link anew (carp_sc_state): with one it begins as BACKUP, also a MASTER."""
        carp, factor = self._carp, self._carp.variable("ifdown_demotion_factor")
        if not self._can_run:
            self.stop()
            if self.state is State.MASTER and not self._interface.up:
                self._say_scrubbed()
            self._become(State.INIT, "hardware interface down")
            if not self._suppressed:
                carp.demote(factor, "interface down")
            self._suppressed = True
            return
        self._become(State.INIT, "hardware interface up")
        self._run()
        if self._suppressed:
            carp.demote(-factor, "interface up")
        self._suppressed = False

    def stop(self) -> None:
        """Let no timer of it fire any more."""
        self._carp.guest.world.cancel(self._next)
        self._carp.guest.world.cancel(self._down)

    def removed(self) -> None:
        """It is no longer there (carp_destroy)."""
        if self._suppressed:
            self._carp.demote(-self._carp.variable("ifdown_demotion_factor"), "vhid removed")
        self.stop()

    def _run(self) -> None:
        """Set the timer of its state, that of the master anew (carp_setrun)."""
        if not self._can_run or not self.addresses:
            return
        world, interval = self._carp.guest.world, self.advskew * 1_000_000 // 256
        if self.state is State.INIT:
            self._become(State.BACKUP, "initialization complete")
        if self.state is State.BACKUP:
            world.cancel(self._next)
            world.cancel(self._down)
            self._down = self._after(3 * self.advbase, interval, self._master_down)
        else:
            world.cancel(self._next)
            self._next = self._after(self.advbase, interval, self.advertise)

    def _after(self, seconds: int, microseconds: int, action: Callable[[], None]) -> Event:
        """In so long, as tvtohz() and callout(9) have it."""
        tick = 1_000_000 // HZ
        ticks = seconds * HZ + -(-microseconds // tick) + 1
        guest = self._carp.guest
        delay = self._carp.kernel.after_ticks(ticks, guest.world.now)
        return guest.world.schedule(guest, delay, action)

    # --- MASTER ---------------------------------------------------------------------------------

    def advertise(self) -> None:
        """Say that it is the MASTER, and again after its interval (carp_send_ad_locked)."""
        skew = self._skew()
        said = Advertisement(self.vhid, self.advbase, skew, self.digest)
        if self.addresses:
            packet = Packet(GROUP, PROTOCOL, said, HEADER + _HEADER, ttl=_TTL)
            by = self._interface
            self._sent(self._carp.ip.send(packet, by=by, source_mac=self.mac))
        self._carp.guest.world.cancel(self._next)
        self._next = self._after(*said.interval, self.advertise)

    def _sent(self, error: str | None) -> None:
        """Note whether one could be sent (carp_send_ad_error)."""
        carp, name = self._carp, self._interface.name
        factor = carp.variable("senderr_demotion_factor")
        if error is not None:
            self._errors += 1
            if self._errors == _ERRORS:
                carp.demote(factor, f"send error {_ERRNO[error]} on {name}")
            self._successes = 0
        elif self._errors > 0:
            self._successes += 1
            if self._successes >= _SUCCESSES:
                if self._errors >= _ERRORS:
                    carp.demote(-factor, f"send ok on {name}")
                self._errors = 0

    def _master_down(self) -> None:
        self.take_over("master timed out")

    def take_over(self, reason: str) -> None:
        """Become the MASTER, from BACKUP (carp_master_down_locked)."""
        if self.state is not State.BACKUP:
            return
        self._become(State.MASTER, reason)
        self.advertise()
        for address in self.addresses:
            self._carp.guest.part(Arp).announce(self._interface, address, self.mac)
        self._run()

    def step_down(self, reason: str) -> None:
        """Become BACKUP, from MASTER."""
        self._carp.guest.world.cancel(self._next)
        self._become(State.BACKUP, reason)
        self._run()
        for address in self.addresses:
            self._carp.guest.part(Arp).forget(self._interface, address)
            self._say_scrubbed()

    def _say_scrubbed(self) -> None:
        """What in.c says when the route of an address that is no longer its own is gone."""
        self._carp.kernel.log("in_scrubprefix: err=65, prefix delete failed", "kern.info")

    # --- what it hears --------------------------------------------------------------------------

    def hear(self, said: Advertisement) -> None:
        """Take an advertisement of another node, with the same digest (carp_input_c)."""
        own = Advertisement(self.vhid, self.advbase, self._skew(), ()).interval
        if self.state is State.MASTER:
            if own >= said.interval:
                self.step_down("more frequent advertisement received")
        elif self.state is State.BACKUP:
            if self._carp.variable("preempt") and own < said.interval:
                self.take_over("preempting a slower master")
            elif (self.advbase * 3, own[1]) < said.interval:
                self.take_over("master will time out")
            else:
                self._run()
