"""pfctl(8), as far as a fault of the private link needs it."""

from __future__ import annotations

from collections.abc import Generator

from harness.lab.simulated.engine.signal import NotModelled, Program, Signal
from harness.lab.simulated.kernel.files import FileError
from harness.lab.simulated.kernel.modules import Kernel
from harness.lab.simulated.network.interfaces import Network
from harness.lab.simulated.network.pf import Pf
from harness.lab.simulated.shell.options import BadOption, Options
from harness.lab.simulated.shell.programs import Context, command

_COUNTERS = {
    "": "searches inserts removals",
    "Counters": "match bad-offset fragment short normalize memory bad-timestamp congestion "
    "ip-option proto-cksum state-mismatch state-insert state-limit src-limit synproxy map-failed",
}
"""What pf counts; the model counts nothing."""

_NOT_LOADED = "pfctl: Syntax error in config file: pf rules not loaded"


@command("pfctl")
def pfctl(context: Context, arguments: list[str]) -> Program:
    """Load rules, enable and disable pf, or show whether it is on (recorded on 13.2)."""
    try:
        options = Options(arguments, "deq", "fs")
    except BadOption as bad:
        raise NotModelled(f"pfctl -{bad.letter}") from bad
    if options.rest or not options.letters().replace("q", ""):
        raise NotModelled(f"pfctl {' '.join(arguments)}")
    kernel, network = context.guest.part(Kernel), context.guest.part(Network)
    if "pf" not in kernel.modules:
        context.complain("pfctl: /dev/pf: No such file or directory")
        return 1
    pf = network.pf
    if "d" in options:
        if not pf.enabled:
            context.complain("pfctl: pf not enabled")
            return 1
        pf.enabled, pf.since = False, context.guest.wall_clock()
        _say(context, options, "pf disabled")
    if "s" in options:
        _show(context, pf, options.value("s"))
    if "f" in options:
        text = yield from _rules(context, options.value("f"))
        if text is None:
            return 1
        pf.load(text)
    if "e" in options:
        if pf.enabled:
            context.complain("pfctl: pf already enabled")
            return 1
        pf.enabled, pf.since = True, context.guest.wall_clock()
        _say(context, options, "pf enabled")
    return 0


def _say(context: Context, options: Options, text: str) -> None:
    if "q" not in options:
        context.complain(text)


def _rules(context: Context, name: str) -> Generator[float | Signal, None, str | None]:
    """The text of a file of rules, or None when there is no such file."""
    if name == "-":
        yield from context.read_stdin()
        return (context.stdin or b"").decode(errors="replace")
    try:
        return context.guest.tree.read(context.path(name)).decode(errors="replace")
    except FileError as error:
        context.complain(
            f"pfctl: {name}: {error.reason}\n"
            f"pfctl: cannot open the main config file!: {error.reason}\n{_NOT_LOADED}"
        )
        return None


def _show(context: Context, pf: Pf, what: str) -> None:
    if what != "info":
        raise NotModelled(f"pfctl -s {what}")
    status = "Status: " + ("Enabled" if pf.enabled else "Disabled")
    since = int(context.guest.wall_clock() - (pf.since or 0.0))
    if pf.since is not None:
        minutes, seconds = divmod(since, 60)
        hours, minutes = divmod(minutes, 60)
        days, hours = divmod(hours, 24)
        status += f" for {days} days {hours:02}:{minutes:02}:{seconds:02}"
    context.print(f"{status:<44}{'Debug: Urgent':>15}\n")
    context.print(f"{'State Table':<27} {'Total':>14} {'Rate':>16}")
    context.print(f"  {'current entries':<25} {0:>14} {'':>14}")
    for title, names in _COUNTERS.items():
        if title:
            context.print(title)
        for name in names.split():
            rate = f"{0.0:14.1f}/s" if since > 0 else " " * 14
            context.print(f"  {name:<25} {0:>14} {rate}")
