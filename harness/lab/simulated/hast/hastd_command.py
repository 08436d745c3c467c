"""hastd(8) from a command line; rc(8) starts it in its own way."""

from __future__ import annotations

from harness.lab.simulated.engine.signal import NotModelled
from harness.lab.simulated.hast import conf as hast_conf
from harness.lab.simulated.hast.hastd import Hast, start
from harness.lab.simulated.shell.programs import Context, command


@command("hastd")
def hastd(context: Context, arguments: list[str]) -> int:
    """Start hastd as a daemon. In the foreground (-F) it is modelled under daemon(8) only.

    Where another one runs, `hastd -F` ends at once, and that is modelled, too.
    """
    config = hast_conf.PATH
    pid_file: str | None = None
    rest = list(arguments)
    foreground = False
    while rest:
        word = rest.pop(0)
        if word in {"-c", "-P"} and rest:
            value = rest.pop(0)
            config, pid_file = (value, pid_file) if word == "-c" else (config, value)
        elif word == "-F" and context.guest.part(Hast).hastd is not None:
            foreground = True
        elif word == "-h":
            context.complain("hastd: [-dFh] [-c config] [-P pidfile]")
            return 64
        elif word.startswith("-"):
            raise NotModelled(f"hastd {word}")
        else:
            break
    errors: list[str] = []
    echoed: list[str] = []
    status = start(
        context.guest,
        foreground=foreground,
        config=context.path(config),
        pid_file=pid_file,
        errors=errors,
        echoed=echoed,
    )
    context.stdout += "".join(echoed).encode("latin-1")
    for line in errors:
        context.complain(line)
    return status
