"""A slower link and a slower disk, made with FreeBSD's own tools and measured before use.

The link is shaped by dummynet(4) on both nodes, each for what it sends: half the delay of a round
trip each way. The disk is shaped by gnop(8), which delays every request of the secondary's
provider; its rate is limited by the hypervisor. A guest with kern.hz=100, as FreeBSD sets it on a
hypervisor, counts time in steps of 10 ms: so what was asked for is not what is used; what was
measured is. Both cut a delay down to whole steps, and the step that has begun counts as one
(config_link() in sys/netpfil/ipfw/ip_dummynet.c, MSEC_2_TICKS() in sys/sys/time.h, 13.2).
"""

from __future__ import annotations

import contextlib
import re
import statistics
from collections.abc import Iterator

from harness.cluster.node import Node
from harness.cluster.pair import Pair
from harness.errors import LabError
from harness.faults import shaping
from harness.freebsd.output import Output
from harness.measure.result import DiskSetting, LinkSetting

_PINGS = 10
_TOO_FAR = 3.0
"""A measured delay or rate that is this many times off says that shaping does not work here."""

NOP = ".nop"
"""What gnop(8) adds to a provider's name."""

_REQUESTS = 32
"""Reads of each size that a disk is measured with."""

_MEASURED_BYTES = 16 << 20
_PORT = 5001
"""For measuring the link's rate; any port but HAST's own."""


@contextlib.contextmanager
def shaped_link(pair: Pair, wish: LinkSetting) -> Iterator[LinkSetting]:
    """Shape the private link as wished while the block runs, and give it back with measured values.

    Raises `LabError` when what was measured is far from what was wished for.
    """
    if not wish.shaped:
        yield measured_link(pair, wish)
        return
    with shaping.shaped_link(*_pipe(wish)).on(*pair.nodes):
        got = measured_link(pair, wish)
        _check(wish, got)
        yield got


def measured_link(pair: Pair, wish: LinkSetting) -> LinkSetting:
    """The same wish with the round trip and the rate that the link has now."""
    return wish.model_copy(
        update={"round_trip_s": round_trip(pair), "rate_bytes_per_s": tcp_rate(pair)}
    )


def round_trip(pair: Pair) -> float:
    """The median round trip from skunk1 to skunk2 in seconds, by ping(8)."""
    address = str(pair.settings.nodes["skunk2"].private_address)
    said = pair.skunk1.ask("ping", "-c", str(_PINGS), "-i", "0.2", address).stdout
    times = [float(time) for time in re.findall(r"time=([0-9.]+) ms", said)]
    if not times:
        raise Output(f"ping {address}", said).unrecognised("nobody answered")
    return statistics.median(times) / 1000


def tcp_rate(pair: Pair) -> float | None:
    """Bytes a second of one TCP connection from skunk1 to skunk2, by nc(1) and dd(1).

    None where there is no such program.
    """
    skunk1, skunk2 = pair.nodes
    address = str(pair.settings.nodes["skunk2"].private_address)
    listening = 'nc -l "$1" "$2" >/dev/null 2>&1 &\nsleep 1'
    skunk2.ask("/bin/sh", "-c", listening, "sh", address, str(_PORT)).check()
    said = skunk1.ask(
        *("/bin/sh", "-c"),
        'dd if=/dev/zero bs=64k count="$3" | nc -N "$1" "$2"',
        *("sh", address, str(_PORT), str(_MEASURED_BYTES >> 16)),
        within=600,
    )
    rate = re.search(r"\(([0-9]+) bytes/sec\)", said.stderr)
    return None if rate is None else float(rate[1])


def _pipe(wish: LinkSetting) -> list[str]:
    """What one node's half of the wish is to `ipfw pipe config`."""
    options: list[str] = []
    if wish.delay_ms is not None:
        options += ["delay", f"{wish.delay_ms / 2:g}ms"]
    if wish.rate_mbit is not None:
        options += ["bw", f"{wish.rate_mbit:g}Mbit/s", "queue", f"{_queue_kib(wish.rate_mbit)}K"]
    if wish.loss is not None:
        options += ["plr", f"{wish.loss:g}"]
    return options


def _queue_kib(rate_mbit: float) -> int:
    """How much a pipe may hold: what it lets through in some ticks, and as much as by default.

    A pipe sends once a tick, so at 10 ms a tick and 100 Mbit/s the default of 50 packets overflows
    within each. dummynet(4) takes 1 MiB at most (net.inet.ip.dummynet.pipe_byte_limit).
    """
    in_five_ticks = rate_mbit * 1e6 / 8 * 0.05
    return min(1024, max(75, round(in_five_ticks / 1024)))


def _check(wish: LinkSetting, got: LinkSetting) -> None:
    delay, rate = (wish.delay_ms or 0.0) / 1000, (wish.rate_mbit or 0.0) * 1e6 / 8
    wrong = []
    if got.round_trip_s is not None and got.round_trip_s * _TOO_FAR < delay:
        wrong.append(f"a delay of {delay:g} s was asked for, and it has {got.round_trip_s:g}")
    if rate and got.rate_bytes_per_s is not None and got.rate_bytes_per_s > rate * _TOO_FAR:
        wrong.append(f"{rate:g} bytes/s were asked for, and it carries {got.rate_bytes_per_s:g}")
    if wrong:
        raise LabError(
            f"the private link is not shaped as it should be: {'; '.join(wrong)}",
            advice="look whether ipfw(4) and dummynet(4) are in this kernel",
        )


@contextlib.contextmanager
def shaped_disk(pair: Pair, node: Node, wish: DiskSetting) -> Iterator[DiskSetting]:
    """Make a node's data disk slow while the block runs, and give the setting with measured values.

    A delay needs `local: gnop` in the pair's settings. A rate is limited by the hypervisor. Raises
    `LabError` when the lab cannot do that, or what was measured is far from what was wished for.
    """
    with contextlib.ExitStack() as stack:
        if wish.delay_ms is not None:
            stack.enter_context(_delayed(pair, node, wish.delay_ms))
        if wish.rate_mb is not None:
            stack.enter_context(shaping.limited_disk(wish.rate_mb * 1e6).on(node))
        got = measured_disk(pair, node, wish)
        _check_disk(node, wish, got)
        yield got


def measured_disk(pair: Pair, node: Node, wish: DiskSetting) -> DiskSetting:
    """The same wish with the time of a small request and the rate of large ones, read from it."""
    provider = pair.info(node).localpath
    small = _read(node, provider, "64k", _REQUESTS)
    large = _read(node, provider, "1m", _REQUESTS)
    return wish.model_copy(
        update={"request_s": small / _REQUESTS, "read_bytes_per_s": _REQUESTS * (1 << 20) / large}
    )


def _read(node: Node, provider: str, size: str, count: int) -> float:
    """Seconds that dd(1) took to read so many blocks, one after the other."""
    said = node.ask(
        "dd", f"if={provider}", "of=/dev/null", f"bs={size}", f"count={count}", within=300
    ).check()
    found = re.search(r" in ([0-9.]+) secs", said.stderr)
    if found is None:
        raise Output("dd", said.stderr).unrecognised("it does not say how long it took")
    return float(found[1])


def _delayed(pair: Pair, node: Node, delay_ms: float) -> contextlib.AbstractContextManager[None]:
    provider = pair.info(node).localpath
    if not provider.endswith(NOP):
        raise LabError(
            f"the disk {provider} cannot be delayed", node=node.name, advice="set local to gnop"
        )
    return shaping.delayed_disk(provider, delay_ms).on(node)


def _check_disk(node: Node, wish: DiskSetting, got: DiskSetting) -> None:
    delay = (wish.delay_ms or 0.0) / 1000
    wrong = []
    if got.request_s is not None and got.request_s < delay / _TOO_FAR:
        wrong.append(f"a delay of {delay:g} s was asked for, and a request takes {got.request_s:g}")
    if wish.rate_mb is not None and got.read_bytes_per_s is not None:
        limit = wish.rate_mb * 1e6
        if got.read_bytes_per_s > limit * _TOO_FAR:
            wrong.append(f"{limit:g} bytes/s were asked for, it reads {got.read_bytes_per_s:g}")
    if wrong:
        raise LabError(
            f"the data disk is not as slow as it should be: {'; '.join(wrong)}",
            node=node.name,
            advice="look whether geom_nop(4) is there, or whether the hypervisor limits disks",
        )
