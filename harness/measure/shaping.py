"""A slower link and a slower disk, made with FreeBSD's own tools and measured before use.

The link is shaped by dummynet(4) on both nodes, each for what it sends: half the delay of a round
trip each way. The disk is shaped by gnop(8), which delays every request of the secondary's
provider. A guest with kern.hz=100, as FreeBSD sets it on a hypervisor, counts time in steps of
10 ms: so what was asked for is not what is used; what was measured is.
"""

from __future__ import annotations

import contextlib
import re
import statistics
from collections.abc import Iterator

from harness.errors import LabError
from harness.faults.healing import fault
from harness.faults.link import private_nic
from harness.freebsd.output import Output
from harness.measure.result import DiskSetting, LinkSetting
from harness.node import Node
from harness.pair import Pair
from harness.parallel import on_each

_LOAD = r"""
kenv net.inet.ip.fw.default_to_accept=1 >/dev/null
kldload -n ipfw dummynet
[ "$(sysctl -n net.inet.ip.fw.default_to_accept)" = 1 ]
"""
"""ipfw(4) denies everything unless told otherwise before it is loaded: SSH would be cut off."""

_PINGS = 10
_TOO_FAR = 3.0
"""A measured delay or rate that is this many times off says that shaping does not work here."""

_MEASURED_BYTES = 16 << 20
_PORT = 5001
"""For measuring the link's rate; any port but HAST's own."""


@contextlib.contextmanager
def shaped_link(pair: Pair, wish: LinkSetting) -> Iterator[LinkSetting]:
    """Shape the private link as wished while the block runs, and give it back with measured values.

    Raises `LabError` when what was measured is far from what was wished for.
    """
    if (wish.delay_ms, wish.rate_mbit, wish.loss) == (None, None, None):
        yield measured_link(pair, wish)
        return
    with contextlib.ExitStack() as stack:
        for node in pair:
            stack.enter_context(_shaped(pair, node, wish))
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


@contextlib.contextmanager
def _shaped(pair: Pair, node: Node, wish: LinkSetting) -> Iterator[None]:
    options: list[str] = []
    if wish.delay_ms is not None:
        options += ["delay", f"{wish.delay_ms / 2:g}ms"]
    if wish.rate_mbit is not None:
        options += ["bw", f"{wish.rate_mbit:g}Mbit/s"]
    if wish.loss is not None:
        options += ["plr", f"{wish.loss:g}"]
    nic = private_nic(node, pair.settings)

    def begin() -> None:
        node.sh(_LOAD)
        node.run("ipfw", "-q", "pipe", "1", "config", *options)
        everything = ("ip", "from", "any", "to", "any", "out", "via", nic)
        node.run("ipfw", "-q", "add", "100", "pipe", "1", *everything)

    def heal() -> None:
        node.run("ipfw", "-q", "delete", "100", check=False)
        node.run("ipfw", "-q", "pipe", "1", "delete", check=False)

    with fault(node, f"private link shaped: {' '.join(options)}", begin, heal):
        yield


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
    """Delay every request of a node's provider by gnop(8) while the block runs.

    hast.conf has to name the provider with `.nop` at its end, which is there in the block only.
    """
    if wish.delay_ms is None:
        yield wish
        return
    delay = f"{wish.delay_ms:g}"
    provider = pair.info(node).localpath.removesuffix(".nop")

    def begin() -> None:
        node.run("gnop", "configure", "-d", delay, "-q", "100", "-x", "100", f"{provider}.nop")

    def heal() -> None:
        node.run(
            *("gnop", "configure", "-d", "0", "-q", "0", "-x", "0", f"{provider}.nop"),
            check=False,
        )

    with fault(node, f"disk delayed by {delay} ms", begin, heal):
        yield wish


def make_delayable(pair: Pair) -> None:
    """Put gnop(8) over both providers, with no delay yet."""

    def make(node: Node) -> None:
        provider = pair.info(node).localpath
        node.run("gnop", "load")
        node.run("gnop", "create", provider)

    on_each(pair.nodes, make)
