"""The program that `exec` in hast.conf names: what hastd runs it for.

hast.conf(5) of FreeBSD 13.2 lists the events and their arguments; sbin/hastd/control.c and event.c
make them. hastd does not wait for the program, and logs it as an error when it does not exit 0;
two runs close together can overtake each other (`syncstart` before its `connect`: recorded run).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.freebsd.hast.hastctl import Role
from harness.freebsd.output import Output
from harness.words import Word


class HookEvent(Word):
    """Why the program is run. The three sync events come on the primary only."""

    ROLE = "role"
    CONNECT = "connect"
    DISCONNECT = "disconnect"
    SYNCSTART = "syncstart"
    SYNCDONE = "syncdone"
    SYNCINTR = "syncintr"
    SPLIT_BRAIN = "split-brain"


@dataclass(frozen=True)
class Hook:
    """One run of the program. The roles are given for `HookEvent.ROLE` only."""

    event: HookEvent
    resource: str
    old_role: Role | None = None
    new_role: Role | None = None


def parse_arguments(arguments: Sequence[str]) -> Hook:
    """Read the program's arguments, `$1` first. Raises `UnrecognisedOutput` for any others."""
    output = Output("exec of hast.conf", " ".join(arguments))
    match list(arguments):
        case ["role", resource, old, new]:
            return Hook(
                HookEvent.ROLE,
                resource,
                output.word(Role, old, "the old role"),
                output.word(Role, new, "the new role"),
            )
        case [event, resource] if event != "role":
            return Hook(output.word(HookEvent, event, "the event"), resource)
        case _:
            raise output.unrecognised("these are not the arguments of one of hastd's events")
