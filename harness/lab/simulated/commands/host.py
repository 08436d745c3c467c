"""Programs that tell or change what the host is: date, uname, hostname, id, uuidgen, expr."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from harness.lab.simulated.commands import Context, command
from harness.lab.simulated.files import FileError
from harness.lab.simulated.options import Options
from harness.lab.simulated.process import NotModelled
from harness.lab.simulated.regex import compile_regex
from harness.lab.simulated.shell_arithmetic import number
from harness.lab.simulated.tool import Failure, entry_of, tool

RELEASE = "13.2-RELEASE"
VERSION = "FreeBSD 13.2-RELEASE GENERIC"
"""uname -r and -v, recorded on 13.2."""

_DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September"),
    *("October", "November", "December"),
)


def _weekday(when: datetime) -> int:
    return when.isoweekday() % 7


_FORMATS: dict[str, Callable[[datetime], str]] = {
    "a": lambda t: _DAYS[_weekday(t)][:3],
    "A": lambda t: _DAYS[_weekday(t)],
    "b": lambda t: _MONTHS[t.month - 1][:3],
    "h": lambda t: _MONTHS[t.month - 1][:3],
    "B": lambda t: _MONTHS[t.month - 1],
    "C": lambda t: f"{t.year // 100:02d}",
    "c": lambda t: format_time(t, "%a %b %e %H:%M:%S %Y"),
    "d": lambda t: f"{t.day:02d}",
    "D": lambda t: format_time(t, "%m/%d/%y"),
    "e": lambda t: f"{t.day:2d}",
    "F": lambda t: format_time(t, "%Y-%m-%d"),
    "H": lambda t: f"{t.hour:02d}",
    "I": lambda t: f"{(t.hour - 1) % 12 + 1:02d}",
    "j": lambda t: f"{t.timetuple().tm_yday:03d}",
    "k": lambda t: f"{t.hour:2d}",
    "l": lambda t: f"{(t.hour - 1) % 12 + 1:2d}",
    "m": lambda t: f"{t.month:02d}",
    "M": lambda t: f"{t.minute:02d}",
    "n": lambda _: "\n",
    "p": lambda t: "AM" if t.hour < 12 else "PM",
    "R": lambda t: format_time(t, "%H:%M"),
    "s": lambda t: str(int(t.timestamp())),
    "S": lambda t: f"{t.second:02d}",
    "t": lambda _: "\t",
    "T": lambda t: format_time(t, "%H:%M:%S"),
    "u": lambda t: str(t.isoweekday()),
    "w": lambda t: str(_weekday(t)),
    "y": lambda t: f"{t.year % 100:02d}",
    "Y": lambda t: str(t.year),
    "z": lambda _: "+0000",
    "Z": lambda _: "UTC",
    "%": lambda _: "%",
}
_DEFAULT = "%a %b %e %H:%M:%S %Z %Y"


def format_time(when: datetime, template: str) -> str:
    """strftime(3) in UTC and English, whatever the host's time zone and language are."""

    def one(match: re.Match[str]) -> str:
        if match[1] not in _FORMATS:
            raise NotModelled(f"the time format {match[0]}")
        return _FORMATS[match[1]](when)

    return re.sub("%(.)", one, template, flags=re.DOTALL)


_DATE_USAGE = """\
usage: date [-jnRu] [-I[date|hours|minutes|seconds]] [-f input_fmt]
            [-r filename|seconds] [-v[+|-]val[y|m|w|d|H|M|S]]
            [[[[[[cc]yy]mm]dd]HH]MM[.SS] | new_date] [+output_fmt]"""


@tool("date", flags="ujnR", valued="r", unmodelled="Ifv", usage=_DATE_USAGE)
def date(context: Context, options: Options) -> int:
    """date(1): tell the guest's own clock, or set it."""
    when = context.guest.now_utc()
    if "r" in options:
        seconds: float | None = number(options.value("r"))
        if seconds is None:
            try:
                seconds = entry_of(context, options.value("r")).mtime
            except FileError:
                raise Failure(_DATE_USAGE) from None
        if not 0 <= seconds < 1 << 37:
            raise NotModelled(f"date -r {options.value('r')}")
        when = datetime.fromtimestamp(seconds, UTC)
    template = "%a, %d %b %Y %H:%M:%S %z" if "R" in options else _DEFAULT
    words = list(options.rest)
    if words and not words[0].startswith("+"):
        when = _new_date(words.pop(0), when)
        if "j" not in options:
            context.guest.set_clock(when)
    if words and words[0].startswith("+"):
        template = words.pop(0)[1:]
    if words:
        raise Failure(f"date: illegal time format\n{_DATE_USAGE}")
    context.print(format_time(when, template))
    return 0


def _new_date(text: str, now: datetime) -> datetime:
    match = re.fullmatch(r"(\d*)(?:\.(\d\d))?", text, re.ASCII)
    if match is None or len(match[1]) not in {2, 4, 6, 8, 10, 12}:
        raise Failure(f"date: illegal time format\n{_DATE_USAGE}")
    digits = match[1].rjust(12, " ")
    year = now.year
    if digits[2:4].strip():
        year = int(digits[2:4])
        if digits[:2].strip():
            year += 100 * int(digits[:2])
        else:
            year += 2000 if year < 69 else 1900
    month = int(digits[4:6].strip() or now.month)
    day = int(digits[6:8].strip() or now.day)
    hour = int(digits[8:10].strip() or now.hour)
    minute, second = int(digits[10:12].strip() or now.minute), int(match[2] or 0)
    fits = 1 <= month <= 12 and 1 <= day <= 31 and hour <= 23 and minute <= 59 and second <= 61
    if not fits:
        raise Failure(f"date: illegal time format\n{_DATE_USAGE}")
    if not 1970 <= year <= 9998:
        raise NotModelled(f"date {text}")
    # The 30th of February is the 2nd of March, as mktime(3) has it.
    passed = timedelta(days=day - 1, hours=hour, minutes=minute, seconds=second)
    return datetime(year, month, 1, tzinfo=UTC) + passed


@tool("uname", flags="amnoprsvi", unmodelled="bKU", usage="usage: uname [-abiKmnoprsUv]")
def uname(context: Context, options: Options) -> int:
    """uname(1)."""
    if options.rest:
        raise Failure("usage: uname [-abiKmnoprsUv]")
    values = {
        "s": "FreeBSD",
        "o": "FreeBSD",
        "n": context.guest.system.hostname,
        "r": RELEASE,
        "v": VERSION,
        "m": "amd64",
        "p": "amd64",
        "i": "GENERIC",
    }
    wanted = set(options.letters()) or {"s"}
    if "a" in wanted:
        wanted = (wanted - {"a", "o"}) | set("snrvm")
    context.print(" ".join(values[letter] for letter in "sonrvmpi" if letter in wanted))
    return 0


@tool("hostname", flags="fsd", usage="usage: hostname [-f] [-s | -d] [name-of-host]")
def hostname(context: Context, options: Options) -> int:
    """hostname(1): tell the host's name, or set it."""
    if len(options.rest) > 1:
        raise Failure("usage: hostname [-f] [-s | -d] [name-of-host]")
    if options.rest:
        context.guest.system.set_hostname(options.rest[0])
        return 0
    short, _, domain = context.guest.system.hostname.partition(".")
    name = context.guest.system.hostname
    context.print(short if "s" in options else domain if "d" in options else name)
    return 0


_ID_USAGE = """\
usage: id [user]
       id -A
       id -G [-n] [user]
       id -M
       id -P [user]
       id -c
       id -g [-nr] [user]
       id -p [user]
       id -u [-nr] [user]"""
_USERS = frozenset(
    {
        *("toor", "daemon", "operator", "bin", "tty", "kmem", "games", "news", "man", "sshd"),
        *("smmsp", "mailnull", "bind", "unbound", "proxy", "_pflogd", "_dhcp", "uucp", "pop"),
        *("auditdistd", "www", "ntpd", "_ypldap", "hast", "nobody"),
    }
)


@tool("id", flags="ugGnrp", unmodelled="APMacd", usage=_ID_USAGE)
def identity(context: Context, options: Options) -> int:
    """id(1): everybody is root here."""
    if options.rest and options.rest != ["root"]:
        if options.rest[0] in _USERS:
            raise NotModelled(f"id {options.rest[0]}")
        raise Failure(f"id: {options.rest[0]}: no such user")
    names = "n" in options
    if "u" in options:
        context.print("root" if names else "0")
    elif "g" in options:
        context.print("wheel" if names else "0")
    elif "G" in options:
        context.print("wheel operator" if names else "0 5")
    elif "p" in options:
        raise NotModelled("id -p")
    else:
        context.print("uid=0(root) gid=0(wheel) groups=0(wheel),5(operator)")
    return 0


@tool("whoami", usage="usage: whoami")
def whoami(context: Context, options: Options) -> int:
    """whoami(1)."""
    if options.rest:
        raise Failure("usage: whoami")
    context.print("root")
    return 0


@command("logname")
def logname(context: Context, arguments: list[str]) -> int:
    """logname(1)."""
    if arguments:
        context.complain("usage: logname")
        return 1
    context.print("root")
    return 0


@tool(
    "uuidgen",
    flags="1r",
    valued="n",
    unmodelled="oc",
    usage="usage: uuidgen [-1] [-r] [-n count] [-o filename]",
)
def uuidgen(context: Context, options: Options) -> int:
    """uuidgen(1): UUIDs of version 1, or of version 4 with -r."""
    text = options.value("n", "1")
    if not re.fullmatch("[1-9][0-9]{0,2}", text):
        if re.fullmatch("[0-9]+", text) and int(text):
            raise NotModelled(f"uuidgen -n {text}")
        raise Failure("usage: uuidgen [-1] [-r] [-n count] [-o filename]")
    if options.rest:
        raise Failure("usage: uuidgen [-1] [-r] [-n count] [-o filename]")
    for _ in range(int(text)):
        version = 4 if "r" in options else 1
        made = uuid.UUID(int=context.guest.rng.getrandbits(128), version=4)
        digits = made.hex[:12] + str(version) + made.hex[13:]
        context.print(str(uuid.UUID(digits)))
    return 0


# --- expr ---------------------------------------------------------------------------------------


class _Expr:
    def __init__(self, words: list[str]) -> None:
        self._words = words
        self._at = 0
        self._depth = 0

    def result(self) -> str:
        value = self._binary(0)
        if self._at < len(self._words):
            raise Failure("expr: syntax error", 2)
        return value

    _LEVELS = (
        ("|",),
        ("&",),
        ("=", "==", ">", ">=", "<", "<=", "!="),
        ("+", "-"),
        ("*", "/", "%"),
        (":",),
    )

    def _binary(self, level: int) -> str:
        if level == len(self._LEVELS):
            return self._primary()
        left = self._binary(level + 1)
        while self._at < len(self._words) and self._words[self._at] in self._LEVELS[level]:
            operator = self._words[self._at]
            self._at += 1
            left = self._apply(operator, left, self._binary(level + 1))
        return left

    def _primary(self) -> str:
        self._depth += 1
        if self._depth > 500:
            raise NotModelled("expr of that size")
        if self._at >= len(self._words):
            raise Failure("expr: syntax error", 2)
        word = self._words[self._at]
        self._at += 1
        if word != "(":
            return word
        if self._depth > 30:
            raise NotModelled("expr nested that deep")
        value = self._binary(0)
        if self._at >= len(self._words) or self._words[self._at] != ")":
            raise Failure("expr: syntax error", 2)
        self._at += 1
        return value

    @staticmethod
    def _matched(text: str, pattern: str) -> str:
        """The first group, or how many characters fit from the start on."""
        regex = compile_regex("^" + pattern.removeprefix("^"), extended=False)
        match = regex.search(text.encode("utf-8", "surrogateescape"))
        if regex.groups:
            found = match.group(1) if match is not None else None
            return (found or b"").decode("utf-8", "surrogateescape")
        return str(len((match.group(0) or b"").decode("utf-8", "replace")) if match else 0)

    @staticmethod
    def _integer(text: str) -> int | None:
        return int(text) if re.fullmatch(r"-?[0-9]{1,18}", text, re.ASCII) else None

    def _apply(self, operator: str, left: str, right: str) -> str:
        first, second = self._integer(left), self._integer(right)
        if operator == ":":
            return self._matched(left, right)
        if operator in {"|", "&"}:
            left_true = left not in {"", "0"} and first != 0
            right_true = right not in {"", "0"} and second != 0
            if operator == "|":
                return left if left_true else (right or "0")
            return left if left_true and right_true else "0"
        if operator in self._LEVELS[2]:
            if first is not None and second is not None:
                order = (first > second) - (first < second)
            else:
                order = (left > right) - (left < right)
            return str(
                int(
                    {
                        "=": order == 0,
                        "==": order == 0,
                        "!=": order != 0,
                        "<": order < 0,
                        "<=": order <= 0,
                        ">": order > 0,
                        ">=": order >= 0,
                    }[operator]
                )
            )
        for value, text in ((first, left), (second, right)):
            if value is None:
                if re.fullmatch("-?[0-9]+", text, re.ASCII):
                    raise Failure(f"expr: operand too large: '{text}'", 2)
                raise Failure(f"expr: not a decimal number: '{text}'", 2)
        assert first is not None
        assert second is not None
        if operator in {"/", "%"}:
            if second == 0:
                raise Failure("expr: division by zero", 2)
            quotient = abs(first) // abs(second) * (1 if (first < 0) == (second < 0) else -1)
            return str(quotient if operator == "/" else first - quotient * second)
        value = {"+": first + second, "-": first - second, "*": first * second}[operator]
        if not -(1 << 63) <= value < 1 << 63:
            raise Failure("expr: overflow", 2)
        return str(value)


@command("expr")
def expr(context: Context, arguments: list[str]) -> int:
    """expr(1)."""
    words = arguments[1:] if arguments[:1] == ["--"] else arguments
    if words is arguments and words and words[0][:1] == "-" and len(words[0]) > 1:
        if words[0] == "-e":
            raise NotModelled("expr -e")
        context.complain(f"expr: illegal option -- {words[0][1]}")
        context.complain("expr: usage: expr [-e] expression\n")
        return 2
    try:
        value = _Expr(words).result()
    except Failure as failure:
        context.complain(failure.text)
        return failure.status
    context.print(value)
    return int(value in {"", "0"})
