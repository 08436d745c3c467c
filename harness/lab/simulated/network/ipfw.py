"""ipfw(4) and dummynet(4), as far as shaping everything that leaves by one interface needs them.

Rules know a direction and an interface: no addresses, ports, states, sets or counters. A pipe
delays, limits and loses; its queue of 50 slots is not modelled. (sys/netpfil/ipfw/ip_fw2.c,
ip_dummynet.c and ip_dn_io.c, 13.2)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from harness.lab.simulated.hardware.segment import Direction
    from harness.lab.simulated.kernel.modules import Kernel

DEFAULT_RULE = 65535
"""The last rule, which is always there and takes everything (IPFW_DEFAULT_RULE)."""

_STEP = 100
"""Between a rule that is added without a number and the last one (net.inet.ip.fw.autoinc_step)."""


@dataclass(frozen=True)
class Rule:
    """A rule about IP from any to any. `pipe` is 0 unless the action is one."""

    number: int
    action: Literal["allow", "deny", "pipe"]
    pipe: int = 0
    direction: Literal["in", "out", ""] = ""
    interface: str = ""

    def __deepcopy__(self, memo: object) -> Rule:
        return self

    def __str__(self) -> str:
        action = f"pipe {self.pipe}" if self.action == "pipe" else self.action
        direction = f" {self.direction}" if self.direction else ""
        via = f" via {self.interface}" if self.interface else ""
        return f"{self.number:05} {action} ip from any to any{direction}{via}"

    def matches(self, direction: Direction, interface: str) -> bool:
        """Whether it is about such a packet."""
        return self.direction in {"", direction} and self.interface in {"", interface}


class Pipe:
    """A pipe of dummynet: time passes in it in ticks of the kernel.

    A delay is cut down to whole ticks, and the tick that has begun counts as one of them: 15 ms are
    between 0 and 10 ms. With a limited rate a packet waits for the next tick at least.
    """

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self.delay_ticks = 0
        self.bits_per_s = 0
        """0: as many as there are."""
        self.loss = 0.0
        self._free_at = 0.0

    def latency(self, now: float, size: int) -> float:
        """Seconds until a lone packet of `size` bytes that comes now has left it."""
        return self._leaves(now, now, size)[1] - now

    def take(self, now: float, size: int) -> tuple[float, float]:
        """When the first and the last of `size` bytes that come now will have left it."""
        begin = max(now, self._free_at)
        if self.bits_per_s:
            self._free_at = begin + size * 8 / self.bits_per_s
        return self._leaves(now, begin, size)

    def _leaves(self, now: float, begin: float, size: int) -> tuple[float, float]:
        kernel = self._kernel
        if not self.bits_per_s:
            if not self.delay_ticks:
                return now, now
            at = kernel.time_of(math.floor(kernel.ticks_at(now)) + self.delay_ticks)
            return at, at
        first = math.floor(kernel.ticks_at(begin)) + 1
        end = kernel.ticks_at(begin + size * 8 / self.bits_per_s)
        last = max(first, math.ceil(end))
        return kernel.time_of(first + self.delay_ticks), kernel.time_of(last + self.delay_ticks)


class Ipfw:
    """The rules of one kernel, in their order; those with one number in that of their coming."""

    def __init__(self, *, accepts: bool) -> None:
        """`accepts` is what the last rule does: net.inet.ip.fw.default_to_accept, at loading."""
        self.accepts = accepts
        self.rules: list[Rule] = []
        self.pipes: dict[int, Pipe] = {}

    def all_rules(self) -> list[Rule]:
        """Those that were added, and the last one."""
        return [*self.rules, Rule(DEFAULT_RULE, "allow" if self.accepts else "deny")]

    def next_number(self) -> int:
        """The number of a rule that is added without one."""
        last = self.rules[-1].number if self.rules else 0
        return last + _STEP if last < DEFAULT_RULE - _STEP else last

    def add(self, rule: Rule) -> None:
        """Put a rule in its place."""
        self.rules.append(rule)
        self.rules.sort(key=lambda each: each.number)

    def delete(self, first: int, last: int) -> bool:
        """Delete rules by their numbers, all of them from 0 to 0; whether there was one."""
        everything = first == last == 0
        kept = [each for each in self.rules if not (everything or first <= each.number <= last)]
        found = len(kept) < len(self.rules)
        self.rules = kept
        return found

    def passes(self, direction: Direction, interface: str) -> bool:
        """Whether a packet passes: the first rule that is about it decides (one_pass)."""
        rule = self._rule(direction, interface)
        return rule.pipe in self.pipes if rule.action == "pipe" else rule.action == "allow"

    def pipe(self, direction: Direction, interface: str) -> Pipe | None:
        """The pipe that a packet goes through."""
        rule = self._rule(direction, interface)
        return self.pipes.get(rule.pipe) if rule.action == "pipe" else None

    def _rule(self, direction: Direction, interface: str) -> Rule:
        return next(each for each in self.all_rules() if each.matches(direction, interface))
