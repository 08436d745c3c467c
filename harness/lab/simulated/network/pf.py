"""pf(4), as far as a filter by direction and interface needs it: no addresses, ports or states."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from harness.lab.simulated.engine.signal import NotModelled
from harness.lab.simulated.hardware.segment import Direction

_RULE = re.compile(
    r"(?P<action>block(?: drop)?|pass) (?P<direction>in|out)(?P<quick> quick)? "
    r"on (?P<interface>\w+) all(?: no state)?"
)


@dataclass(frozen=True)
class Rule:
    """One rule of pf.conf(5) about everything in one direction on one interface."""

    action: Literal["block", "pass"]
    direction: Direction
    interface: str
    quick: bool


class Pf:
    """The packet filter of one kernel. `since` is the node's time at which it was enabled."""

    def __init__(self) -> None:
        self.enabled = False
        self.since: float | None = None
        self.rules: tuple[Rule, ...] = ()

    def load(self, text: str) -> None:
        """Take the rules of a pf.conf instead of those that are there."""
        lines = (line.partition("#")[0].split() for line in text.splitlines())
        self.rules = tuple(_rule(" ".join(words)) for words in lines if words)

    def passes(self, direction: Direction, interface: str) -> bool:
        """Whether a packet passes: the last rule that matches decides, or the first `quick` one."""
        verdict = "pass"
        for rule in self.rules if self.enabled else ():
            if (rule.direction, rule.interface) == (direction, interface):
                verdict = rule.action
                if rule.quick:
                    break
        return verdict == "pass"


def _rule(text: str) -> Rule:
    match = _RULE.fullmatch(text)
    if match is None or (match["action"] == "pass" and not text.endswith("no state")):
        raise NotModelled(f"the rule {text!r} of pf")
    return Rule(
        "pass" if match["action"] == "pass" else "block",
        "in" if match["direction"] == "in" else "out",
        match["interface"],
        match["quick"] is not None,
    )
