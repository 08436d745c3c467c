"""/etc/rc.conf and what is like it: the variables that a file sets (rc.conf(5))."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from types import MappingProxyType

from harness.lab.simulated.kernel.guest import Guest
from harness.lab.simulated.kernel.release import Release
from harness.lab.simulated.shell.language.parser import Function, Pipeline, Sequence, Simple, parse

RC_CONF = "/etc/rc.conf"


@functools.cache
def defaults(release: Release) -> Mapping[str, str]:
    """What /etc/defaults/rc.conf sets, and kld_list, which it has in a comment."""
    return MappingProxyType({**release.rc_conf, "kld_list": ""})


@functools.lru_cache(maxsize=256)
def parse_conf(text: str) -> Mapping[str, str]:
    """The variables that a file of rc.conf(5)'s kind sets."""
    return read_conf(text)[0]


@functools.lru_cache(maxsize=256)
def read_conf(text: str) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """The variables that a file of rc.conf(5)'s kind sets, and its lines that do anything else.

    It is a script for sh(1): the model takes values as they stand, and no commands.
    """
    found: dict[str, str] = {}
    others: list[str] = []
    script = parse(text)
    for command in script.commands:
        for each in command.commands if isinstance(command, Sequence) else (command,):
            if isinstance(each, Pipeline) and len(each.commands) == 1 and not each.negated:
                each = each.commands[0]  # noqa: PLW2901
            if isinstance(each, Function):
                continue  # of what a service's start runs, see `rc.start`
            if not isinstance(each, Simple) or each.words or each.redirections:
                others.append(getattr(each, "text", "") or type(each).__name__.lower())
                continue
            for assignment in each.assignments:
                if assignment.word.plain is None:
                    others.append(f"{assignment.name}=... to be expanded")
                else:
                    found[assignment.name] = assignment.word.plain
    if script.error is not None:
        others.append(script.error)
    return MappingProxyType(found), tuple(others)


@functools.lru_cache(maxsize=256)
def _merged(release: Release, *files: bytes) -> Mapping[str, str]:
    """The defaults and what files say after them."""
    found = dict(defaults(release))
    for data in files:
        found.update(parse_conf(data.decode(errors="replace")))
    return MappingProxyType(found)


def conf(guest: Guest, service: str = "") -> Mapping[str, str]:
    """The variables that a script sees: defaults, rc.conf and its own file."""
    files = [RC_CONF, "/etc/rc.conf.local"]
    if service:
        files += [f"/etc/rc.conf.d/{service}", f"/usr/local/etc/rc.conf.d/{service}"]
    entries = (guest.root.entries.get(path) for path in files)
    return _merged(
        guest.release, *(entry.data for entry in entries if entry and entry.kind == "file")
    )
