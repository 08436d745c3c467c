"""tcpdump(1), as far as it writes what two hastd say of their data to a file."""

from __future__ import annotations

from harness.lab.simulated.engine.signal import NotModelled, Program, Signal
from harness.lab.simulated.kernel.guest import PRIVATE
from harness.lab.simulated.shell.options import BadOption, Options
from harness.lab.simulated.shell.programs import Context, command

_FILE_HEADER = bytes.fromhex("d4c3b2a1020004000000000000000000000004000100 0000".replace(" ", ""))
"""pcap-savefile(5): what a file begins with. The packets themselves are not modelled."""


@command("tcpdump")
def tcpdump(context: Context, arguments: list[str]) -> Program:
    """Write until it is killed."""
    words = [word for word in arguments if word != "--immediate-mode"]
    try:
        options = Options(words, "U", "siw")
    except BadOption as bad:
        raise NotModelled(f"tcpdump -{bad.letter}") from bad
    guest = context.guest
    path = options.value("w", "")
    if options.value("i", "") != PRIVATE or not path:
        raise NotModelled(f"tcpdump {' '.join(arguments)}")
    if options.rest != ["tcp", "port", "8457", "or", "icmp"]:
        raise NotModelled(f"tcpdump of {' '.join(options.rest)}")
    guest.tree.write(context.path(path), _FILE_HEADER)

    def tap(fields: bytes) -> None:
        guest.tree.write(context.path(path), fields, append=True)

    guest.taps.append(tap)
    try:
        yield Signal()
    finally:
        if tap in guest.taps:
            guest.taps.remove(tap)
    return 0
