"""What rc(8) and rc.shutdown(8) start and stop of /usr/local/etc/rc.d, and when.

Not those of the base system: `boot` and `shutdown` do what these do.
"""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Callable
from dataclasses import dataclass

from harness.lab.simulated.base.rc import rcorder
from harness.lab.simulated.base.rc.services import at_boot
from harness.lab.simulated.engine.signal import NotModelled
from harness.lab.simulated.kernel.files import Unseen
from harness.lab.simulated.kernel.guest import Guest
from harness.lab.simulated.kernel.process import Process
from harness.lab.simulated.kernel.release import Headers
from harness.lab.simulated.shell import interpreter as shell

FOLDER = "/usr/local/etc/rc.d"
EARLY = "FILESYSTEMS"
"""After this script rc(8) looks for others than those of the base system."""


_MARK = "# PROVIDE:"
_SCRATCH = ("~", "#", ".OLD", ".bak", ".orig", ",v")


def steps() -> tuple[str, ...]:
    """The scripts of the base system that the model has, in the order in which a boot has them."""
    return (EARLY, "hostname", "kld", "netif", *(each.name for each in at_boot()))


@dataclass(frozen=True)
class _Script:
    path: str
    headers: Headers


def _scripts(guest: Guest) -> list[_Script]:
    """What find_local_scripts_new of rc.subr(8) finds: executable, with a line of PROVIDE."""
    found = []
    for path, text in _files(guest):
        if any(line.startswith(_MARK) for line in text.splitlines()) and not path.endswith(
            ".sample"
        ):
            found.append(_Script(path, Headers.of(text)))
    return found


def old_style(guest: Guest) -> list[str]:
    """What localpkg starts: executable files named *.sh that have no line of PROVIDE."""
    return [path for path, text in _files(guest) if path.endswith(".sh") and _MARK not in text]


def _files(guest: Guest) -> list[tuple[str, str]]:
    """The executable files of the folder with their content, by name."""
    found = []
    for path, entry in sorted(guest.root.entries.items()):
        name = path.removeprefix(FOLDER + "/")
        if name != path and "/" not in name and not name.startswith("."):
            target = guest.tree.entry(path)
            if target is None or isinstance(target, Unseen) or target.kind != "file":
                continue
            if entry.kind == "link" or target.mode & 0o111:
                found.append((path, target.data.decode(errors="replace")))
    return found


def to_start(guest: Guest) -> dict[str, list[str]]:
    """The paths of the scripts that a boot starts, by the one of `steps` that they come after.

    Where rcorder(8) promises no order, the base system's come first, and others by their names.
    Raises `NotModelled` for an order of which the model is not capable.
    """
    return _placed(guest, lambda keywords: not keywords & {"nostart", "firstboot"})


def to_stop(guest: Guest) -> dict[str, list[str]]:
    """Those that a shutdown stops, in its order, by the one of `steps` that is stopped after them.

    Raises `NotModelled` as `to_start` does.
    """
    placed = _placed(guest, lambda keywords: "shutdown" in keywords)
    return {step: paths[::-1] for step, paths in placed.items()}


def _placed(guest: Guest, wanted: Callable[[frozenset[str]], bool]) -> dict[str, list[str]]:
    scripts = _scripts(guest)
    if not scripts:
        return {}
    headers = {script.path: script.headers for script in scripts}
    order = steps()
    level = rcorder.levels({**guest.release.rcorder, **headers})
    for one, two in itertools.pairwise(order):
        if level[one] > level[two]:
            raise NotModelled(f"rc.d: {one} after {two}")
    placed: dict[str, list[str]] = {}
    for script in sorted(scripts, key=lambda each: (level[each.path], each.path)):
        if wanted(frozenset(script.headers.keywords)):
            step = next((s for s in order[::-1] if level[s] <= level[script.path]), EARLY)
            placed.setdefault(step, []).append(script.path)
    return placed


def run(guest: Guest, path: str, directive: str) -> Process:
    """Begin to run one as rc(8) does for `faststart`, or rc.shutdown(8) for `faststop`.

    It is read by a shell that knows rc.conf; what it says goes to the console.
    """
    starts = directive == "faststart"
    name = "/etc/rc" if starts else "/etc/rc.shutdown"
    lines = [". /etc/rc.subr", "load_rc_config"]
    if path.endswith(_SCRATCH):
        lines.append(f"warn Ignoring scratch file {shlex.quote(path)}")
    else:
        lines += ["autoboot=yes", "rc_fast=yes"] if starts else []
        lines += [f"rc_service={shlex.quote(path)}", f"set {directive}", f". {shlex.quote(path)}"]
    title = f"sh {name} autoboot" if starts else f"sh {name}"
    return shell.spawn_at_boot(guest, title, name, "\n".join(lines))
