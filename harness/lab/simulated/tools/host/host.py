"""Programs that tell or change what the host is: date, uname, hostname, id, uuidgen, expr."""

from __future__ import annotations

import calendar
import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from harness.lab.simulated.engine.signal import NotModelled
from harness.lab.simulated.kernel.files import FileError
from harness.lab.simulated.kernel.modules import Kernel
from harness.lab.simulated.shell.language.arithmetic import number
from harness.lab.simulated.shell.options import Options
from harness.lab.simulated.shell.programs import Context, command
from harness.lab.simulated.shell.regex import compile_regex
from harness.lab.simulated.shell.tool import Failure, entry_of, tool

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


@tool("date", flags="ujnR", valued="rfv", unmodelled="I", usage=_DATE_USAGE)
def date(context: Context, options: Options) -> int:  # noqa: PLR0912 - its options
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
    if words and words[0].startswith("+"):
        template = words.pop(0)[1:]
    if words and not words[0].startswith("+"):
        text = words.pop(0)
        if "f" in options:
            when = _read_date(text, options.value("f"), when)
        else:
            when = _new_date(text, when)
        if "j" not in options:
            context.guest.set_clock(when)
    elif "f" in options:
        raise Failure(_DATE_USAGE)
    if words and words[0].startswith("+"):
        template = words.pop(0)[1:]
    for change in options.values("v"):
        when = _varied(when, change)
    if words:
        raise Failure(f"date: illegal time format\n{_DATE_USAGE}")
    context.print(format_time(when, template))
    return 0


_READABLE: dict[str, tuple[str, str]] = {
    "Y": (r"\d{1,4}", "year"),
    "m": (r"\d{1,2}", "month"),
    "d": (r"\d{1,2}", "day"),
    "e": (r" ?\d{1,2}", "day"),
    "H": (r"\d{1,2}", "hour"),
    "M": (r"\d{1,2}", "minute"),
    "S": (r"\d{1,2}", "second"),
    "s": (r"\d{1,12}", "epoch"),
    "b": (r"[A-Za-z]{3,9}", "name"),
    "B": (r"[A-Za-z]{3,9}", "name"),
    "a": (r"[A-Za-z]{3,9}", ""),
    "A": (r"[A-Za-z]{3,9}", ""),
    "Z": (r"UTC|GMT", ""),
    "z": (r"\+0000", ""),
    "%": ("%", ""),
}
"""What of strptime(3) is read, and what it sets; what is not read stays as it is now."""


def _read_date(text: str, template: str, now: datetime) -> datetime:
    template = template.replace("%T", "%H:%M:%S").replace("%F", "%Y-%m-%d")
    template = template.replace("%D", "%m/%d/%y").replace("%R", "%H:%M")
    pattern, names = "", []
    for literal, letter in re.findall(r"([^%]*)(?:%(.))?", template, re.DOTALL):
        pattern += re.sub(r"(?:\\\s|\s)+", r"\\s*", re.escape(literal))
        if letter:
            if letter not in _READABLE:
                raise NotModelled(f"date -f {template}")
            pattern += f"({_READABLE[letter][0]})"
            names.append(_READABLE[letter][1])
    found = re.match(pattern, text, re.ASCII)
    if found is None or found.end() < len(text):
        raise NotModelled(f"date -f {template} of {text}, which does not fit")
    values = {name: value for name, value in zip(names, found.groups(), strict=True) if name}
    if "epoch" in values:
        return datetime.fromtimestamp(int(values["epoch"]), UTC)
    if "name" in values:
        months = [month[:3].lower() for month in _MONTHS]
        if values["name"][:3].lower() not in months:
            raise NotModelled(f"date -f {template} of {text}")
        values["month"] = str(months.index(values.pop("name")[:3].lower()) + 1)
    try:
        numbers = {name: int(value) for name, value in values.items()}
        return now.replace(**numbers)  # type: ignore[arg-type]
    except ValueError:
        raise NotModelled(f"date -f {template} of {text}") from None


_UNITS = {"S": "seconds", "M": "minutes", "H": "hours", "d": "days", "w": "weeks"}
_PARTS = {"S": "second", "M": "minute", "H": "hour", "d": "day", "m": "month", "y": "year"}


def _varied(when: datetime, change: str) -> datetime:
    """What `-v` makes of a time (bin/date/vary.c): +1d, -2H, 15M."""
    match = re.fullmatch(r"([-+]?)(\d{1,6})([SMHdwmy])", change)
    if match is None:
        raise NotModelled(f"date -v {change}")
    sign, value, unit = match[1], int(match[2]), match[3]
    try:
        if not sign:
            if unit == "w":
                raise NotModelled(f"date -v {change}")
            if unit == "y" and value < 100:
                value += 2000 if value < 69 else 1900
            return when.replace(**{_PARTS[unit]: value})  # type: ignore[arg-type]
        value = -value if sign == "-" else value
        if unit in _UNITS:
            return when + timedelta(**{_UNITS[unit]: value})
        months = when.year * 12 + when.month - 1 + value * (12 if unit == "y" else 1)
        year, month = divmod(months, 12)
        day = min(when.day, calendar.monthrange(year, month + 1)[1])
        return when.replace(year=year, month=month + 1, day=day)
    except (ValueError, OverflowError):
        raise NotModelled(f"date -v {change}") from None


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
    release = context.guest.release
    values = {
        "s": "FreeBSD",
        "o": "FreeBSD",
        "n": context.guest.part(Kernel).hostname,
        "r": release.version,
        "v": f"{release.title} GENERIC",
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
        context.guest.part(Kernel).hostname = options.rest[0]
        return 0
    short, _, domain = context.guest.part(Kernel).hostname.partition(".")
    name = context.guest.part(Kernel).hostname
    context.print(short if "s" in options else (domain or name) if "d" in options else name)
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
