"""What a synced write costs: with HAST in each of its modes, without a peer, and without HAST.

dd(1) writes to the device itself, which returns when the device has acknowledged the write; nothing
caches it in between. ktrace(1) notes when each write(2) was called and when it returned, at the
resolution of the node's clock, so that each write has a latency of its own.
"""

from __future__ import annotations

import re

from harness.cluster.pair import Pair
from harness.config.settings import HastSettings
from harness.freebsd.output import Output
from harness.measure.probes.noise import listening
from harness.measure.result import WriteCost, WriteSetting
from harness.run.session import Session
from harness.waiting import clock

_WRITE = r"""
cd /var/run &&
dd if=/dev/random of=skunk-writes.data bs="$2" count="$3" 2>/dev/null &&
dd if=skunk-writes.data of="$1" bs="$2" count="$4" 2>/dev/null &&
ktrace -t c -f skunk-writes.ktrace dd if=skunk-writes.data of="$1" bs="$2" count="$3" 2>/dev/null &&
kdump -T -f skunk-writes.ktrace | grep -E ' (CALL|RET) +write'
status=$?
rm -f skunk-writes.data skunk-writes.ktrace
exit $status
"""
"""sh(1): device, size of a write, how many, how many to warm up. Random data: hole compression, on
by default, would not send zeros."""

_LINE = re.compile(
    r"^ *[0-9]+ dd +([0-9]+\.[0-9]+) (CALL +write\((0x[0-9a-f]+|[0-9]+),|RET +write ([0-9]+))",
    re.MULTILINE,
)
_WARM_UP = 10


def measure(
    session: Session, hast: HastSettings, setting: WriteSetting, size: int, count: int
) -> WriteCost:
    """Set a pair up as `setting` has it, and time `count` writes of `size` bytes on skunk1.

    Raises as setting up does, and `UnrecognisedOutput` when the trace cannot be read.
    """
    pair, device = _set_up(session, hast, setting)
    taken = clock.current().utc()
    with listening() as meter:
        said = pair.skunk1.sh(
            *(_WRITE, device, str(size), str(count), str(min(count, _WARM_UP))),
            within=60 + count * pair.settings.hast.timeout / 10,
        )
    latencies, seconds = parse_trace(said.stdout, size)
    if len(latencies) != count:
        raise Output("kdump", said.stdout).unrecognised(
            f"{count} writes were made, it shows {len(latencies)}"
        )
    return WriteCost(
        setting=setting,
        write_bytes=size,
        latencies_s=latencies,
        seconds_s=seconds,
        noise=meter.noise,
        taken=taken,
    )


def parse_trace(text: str, size: int) -> tuple[tuple[float, ...], float]:
    """The seconds of each write of `size` bytes in a trace, and from the first to the last's end.

    `kdump -T` prints the process, seconds since 1970 in microseconds, and what was called or
    returned. dd's own words to standard error are writes too, of other sizes.
    """
    latencies: list[float] = []
    called = first = end = 0.0
    for time, what, _, written in (found.groups() for found in _LINE.finditer(text)):
        if what.startswith("CALL"):
            called = float(time)
        elif int(written) == size:
            first = first or called
            end = float(time)
            latencies.append(round(end - called, 6))
    return tuple(latencies), end - first


def _set_up(session: Session, hast: HastSettings, setting: WriteSetting) -> tuple[Pair, str]:
    """The pair and the device to write to."""
    match setting:
        case "no HAST" | "no peer" | "as configured":
            pair = session.provisioned(hast)
        case "memsync" | "fullsync" | "async":
            pair = session.provisioned(hast.but(replication=setting))
    session.used()
    if setting == "no HAST":
        pair.start_hastd(pair.skunk1)  # only to ask it for its provider, which it does not open
        return pair, pair.info(pair.skunk1).localpath
    pair.set_up_replication()
    if setting == "no peer":
        pair.disconnect_role(pair.skunk2)
        pair.write_device(pair.skunk1, 0)
        pair.wait_until_degraded(pair.skunk1)
    return pair, pair.device
