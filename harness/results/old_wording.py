"""Transcripts of before faults and actions had values: what their wording meant, in one table.

Until then a line of what the harness did had the kind `action` and its words, and nothing more.
"""

from __future__ import annotations

import dataclasses
import re

from harness.record.entry import Did, Effect, Entry, Kind

_FAULTS = {
    "power cut": (Kind.FAULT, "power", Effect.OFF),
    "ACPI shutdown": (Kind.FAULT, "power button", Effect.SWITCHED_OFF),
    "power on": (Kind.HEAL, "power", Effect.OFF),
    "private link unplugged": (Kind.FAULT, "link", Effect.UNPLUGGED),
    "private link plugged": (Kind.HEAL, "link", Effect.UNPLUGGED),
    "paused": (Kind.FAULT, "pause", Effect.PAUSED),
    "resumed": (Kind.HEAL, "pause", Effect.PAUSED),
}

_ACTIONS = {
    "reset": Did.RESET,
    "panic": Did.PANIC,
    "reboot -nq": Did.REBOOT_AT_ONCE,
    "SSH answers": Did.SSH_ANSWERS,
    "rebooted": Did.REBOOTED,
}

_KNOWN_STATE = re.compile(r"(saved as|restored to) '(.*)'")


def in_values(entry: Entry) -> Entry:
    """The same entry with the values that its wording stands for, if it has none of its own."""
    if entry.kind is not Kind.ACTION or entry.did is not None:
        return entry
    if entry.text in _FAULTS:
        kind, fault, effect = _FAULTS[entry.text]
        return dataclasses.replace(entry, kind=kind, fault=fault, effect=effect)
    state = _KNOWN_STATE.match(entry.text)
    if state is not None:
        did = Did.SAVED if state[1] == "saved as" else Did.RESTORED
        return dataclasses.replace(entry, did=did, state=state[2])
    wrote = entry.text.startswith("wrote ")
    return dataclasses.replace(
        entry, did=Did.WROTE if wrote else _ACTIONS.get(entry.text, Did.NOTE)
    )
