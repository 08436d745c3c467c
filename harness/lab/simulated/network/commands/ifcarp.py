"""The words of ifconfig(8) for carp(4) (sbin/ifconfig/ifcarp.c, recorded on 13.2)."""

from __future__ import annotations

import re

from harness.lab.simulated.kernel.guest import Guest
from harness.lab.simulated.network.carp import Carp
from harness.lab.simulated.network.carp_group import Group, State
from harness.lab.simulated.network.commands.ifconfig import PARAMETERS, Wish
from harness.lab.simulated.network.interfaces import Interface

_KEY = 19
"""Bytes of a password that count (CARP_KEY_LEN, with the zero at its end)."""

_LONGEST_BASE, _MOST_SKEW, _MOST_VHID = 255, 254, 255

_STATES = {state.value: state for state in State}


def _number(text: str) -> int:
    """What atoi(3) makes of a text."""
    found = re.match(r"\s*([+-]?\d+)", text)
    return int(found[1]) if found is not None else 0


def set_group(guest: Guest, interface: Interface, wish: Wish) -> str | None:
    """Make or change a group, and let the address that is about to be added belong to it."""
    given, carp = wish.parameters, guest.part(Carp)
    if (wrong := _mistake(given) or _refused(carp, interface)) is not None:
        return f"ifconfig: {wrong}"
    vhid = _number(given["vhid"])
    group = carp.group(interface, vhid)
    if not _set(group, given):
        return "ifconfig: SIOCSVH: Invalid argument"
    if "state" in given:
        _change(group, _STATES[given["state"].upper()])
    if wish.address is not None and wish.action != "remove":
        address = str(wish.address.ip)
        carp.detach(interface, address, keeps=True)
        carp.attach(interface, vhid, address)
    return None


def _mistake(given: dict[str, str]) -> str | None:
    """What is wrong with the words, of which the vhid comes first."""
    first = next(iter(given))
    if first != "vhid":
        return f"{'passwd' if first == 'pass' else first} requires vhid"
    if not 0 < _number(given["vhid"]) <= _MOST_VHID:
        return "vhid must be greater than 0 and less than 255"
    return "unknown state" if given.get("state", "INIT").upper() not in _STATES else None


def _refused(carp: Carp, interface: Interface) -> str | None:
    """Why the kernel knows of no group there."""
    if not carp.is_loaded:
        return "SIOCGVH: Protocol not supported"
    return "SIOCGVH: Operation not supported" if interface.nic is None else None


def _set(group: Group, given: dict[str, str]) -> bool:
    """Take the values as far as they are good, in the order of the kernel (carp_ioctl)."""
    base, skew = _number(given.get("advbase", "-1")), _number(given.get("advskew", "-1"))
    if base > _LONGEST_BASE:
        return False
    group.advbase = base if base > 0 else group.advbase
    if skew > _MOST_SKEW:
        return False
    group.advskew = skew if skew > -1 else group.advskew
    group.key = given.get("pass", "")[:_KEY] or group.key
    return True


def _change(group: Group, wanted: State) -> None:
    why = "user requested via ifconfig"
    if wanted is State.BACKUP and group.state is State.MASTER:
        group.step_down(why)
    elif wanted is State.MASTER:
        group.take_over(why)


for _word in ("vhid", "advbase", "advskew", "pass", "state"):
    PARAMETERS[_word] = set_group
