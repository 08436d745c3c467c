"""ipfw(8), as far as shaping what leaves by an interface needs it.

Messages and statuses are those of sbin/ipfw/{main,ipfw2,dummynet}.c of 13.2. Nothing is on a
terminal here, so that a rule or a pipe which cannot be deleted is no failure of the program.
"""

from __future__ import annotations

import re
from typing import Literal, cast

from harness.lab.simulated.engine.signal import NotModelled
from harness.lab.simulated.kernel.modules import HZ, Kernel
from harness.lab.simulated.network.interfaces import Network
from harness.lab.simulated.network.ipfw import DEFAULT_RULE, Ipfw, Pipe, Rule
from harness.lab.simulated.shell.options import BadOption, Options
from harness.lab.simulated.shell.programs import Context, command
from harness.lab.simulated.shell.tool import Failure

_USAGE = """\
ipfw: usage: ipfw [options]
do "ipfw -h" or "man ipfw" for details"""

EX_USAGE, EX_DATAERR, EX_UNAVAILABLE, EX_OSERR = 64, 65, 69, 71

_NO_MODULE = "Protocol not available"

_MOST_QUEUED_KIB = 1024
_MOST_DELAY = 10000
_MOST_PIPES = 65536

_ALLOW = frozenset({"allow", "accept", "pass", "permit"})
_DENY = frozenset({"deny", "drop"})

_RATE = re.compile(r"([0-9]{1,15})([KkMmGg]?)(.*)")
_BITS, _BYTES = ("Bit/s", "bit/s"), ("B", "Byte/s", "bytes")
_FACTORS = {"": 1, "k": 1000, "m": 10**6, "g": 10**9}


@command("ipfw")
def ipfw(context: Context, arguments: list[str]) -> int:
    """Add, delete and list rules; configure and delete pipes."""
    if len(arguments) == 1:  # a line of its own
        arguments = arguments[0].partition("#")[0].split()
    try:
        options = Options(arguments, "fqn")
    except BadOption as bad:
        raise NotModelled(f"ipfw -{bad.letter}") from bad
    words = options.rest
    if "n" in options:
        raise NotModelled(f"ipfw {' '.join(arguments)}")
    if not arguments:
        context.complain(_USAGE)
        return EX_USAGE
    network = context.guest.part(Network)
    quiet = "q" in options
    try:
        if not words:
            raise Failure("bad arguments, for usage summary ``ipfw''", EX_USAGE)
        if words[0] == "pipe":
            return _pipe(context, network, words[1:])
        return _rules(context, network, words, quiet=quiet)
    except Failure as failure:
        context.complain(f"ipfw: {failure.text}")
        return failure.status


# --- rules --------------------------------------------------------------------------------------


def _rules(context: Context, network: Network, words: list[str], *, quiet: bool) -> int:
    name, rest = words[0], words[1:]
    if name == "delete":
        _delete(context, network, rest, quiet=quiet)
        return 0
    if name not in {"add", "list", "flush"} or (rest and name != "add"):
        raise NotModelled(f"ipfw {' '.join(words)}")
    if network.ipfw is None:
        call = {
            "add": "getsockopt(IP_FW_XADD)",
            "list": "retrieving config failed",
            "flush": "setsockopt(IP_FW_XDEL)",
        }[name]
        raise Failure(f"{call}: {_NO_MODULE}", EX_OSERR if name == "list" else EX_UNAVAILABLE)
    if name == "add":
        rule = _rule(network.ipfw, rest)
        network.ipfw.add(rule)
        if not quiet:
            context.print(str(rule))
    elif name == "flush":
        network.ipfw.delete(0, 0)
        if not quiet:
            context.print("Flushed all rules.")
    else:
        for rule in network.ipfw.all_rules():
            context.print(str(rule))
    context.guest.devctl.post("FIREWALL", "ipfw", "RULES")
    return 0


def _delete(context: Context, network: Network, words: list[str], *, quiet: bool) -> None:
    if not words:
        raise Failure("missing rule specification", EX_USAGE)
    for word in words:
        if not re.fullmatch(r"[0-9]{1,5}", word) or int(word) >= DEFAULT_RULE:
            raise NotModelled(f"ipfw delete {word}")
        number = int(word)
        if network.ipfw is None:
            text = f"rule {number}: setsockopt(IP_FW_XDEL): {_NO_MODULE}"
        elif not network.ipfw.delete(number, number):
            text = f"rule {number} not found"
        else:
            continue
        if not quiet:
            context.complain(f"ipfw: {text}")
    context.guest.devctl.post("FIREWALL", "ipfw", "RULES")


def _rule(table: Ipfw, words: list[str]) -> Rule:
    """A rule from `[number] action ip from any to any [in|out] [via interface]`."""
    rest = list(words)
    number = table.next_number()
    if rest and re.fullmatch(r"[0-9]{1,5}", rest[0]) and 0 < int(rest[0]) < DEFAULT_RULE:
        number = int(rest.pop(0))
    action = rest.pop(0) if rest else ""
    pipe = 0
    if action == "pipe" and rest and re.fullmatch(r"[0-9]{1,5}", rest[0]):
        pipe = int(rest.pop(0))
    what = "allow" if action in _ALLOW else "deny" if action in _DENY else action if pipe else ""
    body, rest = rest[:5], rest[5:]
    direction = rest.pop(0) if rest and rest[0] in {"in", "out"} else ""
    interface = rest[1] if len(rest) == 2 and rest[0] == "via" else ""
    if (
        not what
        or body not in (["ip", "from", "any", "to", "any"], ["all", "from", "any", "to", "any"])
        or (rest and not re.fullmatch(r"[a-z]+[0-9]+", interface))
    ):
        raise NotModelled(f"ipfw add {' '.join(words)}")
    return Rule(
        number,
        cast(Literal["allow", "deny", "pipe"], what),
        pipe,
        cast(Literal["in", "out", ""], direction),
        interface,
    )


# --- pipes --------------------------------------------------------------------------------------


def _pipe(context: Context, network: Network, words: list[str]) -> int:
    """`pipe NUMBER COMMAND` and, as ipfw swaps the two, `pipe COMMAND NUMBER`."""
    if not words:
        raise Failure("missing command", EX_USAGE)
    if words[0].isdecimal() and len(words) > 1:
        words = [words[1], words[0], *words[2:]]
    name, rest = words[0], words[1:]
    if name not in {"config", "delete"}:
        raise NotModelled(f"ipfw pipe {' '.join(words)}")
    if not rest or not re.fullmatch(r"[0-9]{1,9}", rest[0]) or (name == "delete" and rest[1:]):
        if name == "config" and (not rest or not rest[0][:1].isdigit()):
            raise Failure("need a pipe/flowset/sched number", EX_USAGE)
        raise NotModelled(f"ipfw pipe {' '.join(words)}")
    number = int(rest[0])
    table = network.ipfw if "dummynet" in context.guest.part(Kernel).modules else None
    if name == "delete":
        if table is None or table.pipes.pop(number, None) is None:
            why = _NO_MODULE if table is None else "Invalid argument"
            context.complain(f"ipfw: rule 1: setsockopt(IP_DUMMYNET_DEL): {why}")
        return 0
    if number == 0:
        raise Failure("need a pipe/flowset/sched number", EX_USAGE)
    wanted = _configuration(context.guest.part(Kernel), rest[1:])
    if table is None or number >= _MOST_PIPES:
        why = _NO_MODULE if table is None else "Invalid argument"
        raise Failure(f"setsockopt(IP_DUMMYNET_CONFIGURE): {why}")
    table.pipes[number] = wanted
    return 0


def _configuration(kernel: Kernel, words: list[str]) -> Pipe:
    pipe = Pipe(kernel)
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word not in {"delay", "bw", "bandwidth", "plr", "queue"}:
            raise NotModelled(f"ipfw pipe config {word}")
        if not rest:
            needs = {
                "delay": "delay needs argument 0..10000ms\n",
                "plr": "plr needs argument 0..1\n",
                "queue": "queue needs queue size\n",
            }
            raise Failure(needs.get(word, "bw needs bandwidth or interface\n"), EX_USAGE)
        value = rest.pop(0)
        if word == "delay":
            pipe.delay_ticks = _milliseconds(value) * HZ // 1000
        elif word == "plr":
            pipe.loss = _share(value)
        elif word == "queue":
            _check_queue(value)
        else:
            pipe.bits_per_s = _bandwidth(value)
    return pipe


def _milliseconds(text: str) -> int:
    """strtoul(3): what is behind the digits, a decimal fraction as well as `ms`, is not read."""
    digits = re.match(r"[0-9]{1,12}", text)
    if digits is None or (text.startswith("0") and text[1:2].isalnum() and text[1:3] != "ms"):
        raise NotModelled(f"ipfw pipe config delay {text}")
    if int(digits[0]) > _MOST_DELAY:
        raise Failure("delay must be < 10000", EX_DATAERR)
    return int(digits[0])


def _check_queue(text: str) -> None:
    """A size in KiB; the model's link drops nothing for want of room."""
    size = re.fullmatch(r"([1-9][0-9]{0,6})[Kk]", text)
    if size is None:
        raise NotModelled(f"ipfw pipe config queue {text}")
    if int(size[1]) > _MOST_QUEUED_KIB:
        raise Failure(f"queue size must be < {_MOST_QUEUED_KIB << 10}B", EX_DATAERR)


def _share(text: str) -> float:
    if not re.fullmatch(r"[0-9]{0,9}\.?[0-9]{1,12}(e-[0-9]{1,2})?", text):
        raise NotModelled(f"ipfw pipe config plr {text}")
    return min(1.0, float(text))


def _bandwidth(text: str) -> int:
    """Bits a second."""
    found = _RATE.fullmatch(text)
    if (
        found is None
        or (text.startswith("0") and text[1:2].isdigit())
        or found[3] not in {"", *_BITS, *_BYTES}
    ):
        raise NotModelled(f"ipfw pipe config bw {text}")
    rate = int(found[1]) * _FACTORS[found[2].lower()]
    if found[3] in _BYTES:
        rate *= 8
    if rate > 0xFFFFFFFF:
        raise Failure("bandwidth too large", EX_DATAERR)
    return rate
