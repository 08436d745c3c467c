"""df(1) of FreeBSD 13.2: as a table, and as JSON of libxo(3)."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass

from harness.lab.simulated.engine.signal import NotModelled
from harness.lab.simulated.kernel.files import FileSystem
from harness.lab.simulated.kernel.guest import Guest
from harness.lab.simulated.shell.options import BadOption, Options
from harness.lab.simulated.shell.programs import Context, command


@dataclass(frozen=True)
class Row:
    """A mounted file system. Sizes are in KiB."""

    device: str
    type: str
    total: int
    used: int
    available: int
    at: str

    @property
    def percent(self) -> int:
        """How full it is, of what users may fill."""
        whole = self.used + self.available
        return 100 if whole == 0 else int(self.used * 100 / whole + 0.5)


def rows(guest: Guest) -> list[Row]:
    """Everything that is mounted, in the order of mounting. devfs and the ESP are as recorded."""
    found = []
    for at, filesystem in guest.tree.mounts.items():
        found.append(_row(filesystem, at))
        if at == "/":
            found.append(Row("devfs", "devfs", 1, 1, 0, "/dev"))
            found.append(Row("/dev/gpt/efiesp", "msdosfs", 32765, 891, 31874, "/boot/efi"))
    return found


def _row(filesystem: FileSystem, at: str) -> Row:
    return Row(filesystem.device, filesystem.kind, *filesystem.size_blocks(), at)


@command("df")
def df(context: Context, arguments: list[str]) -> int:
    """Print the mounted file systems, or those that the operands are on."""
    as_json, words = _libxo(arguments)
    try:
        options = Options(words, "kThl", "t")
    except BadOption as bad:
        raise NotModelled(f"df -{bad.letter}") from None
    status = 0
    every = rows(context.guest)
    shown = every
    if len(options.values("t")) > 1:
        context.complain("df: only one -t option may be specified")
        return 1
    if not options.rest:
        shown = [row for row in shown if _is_selected(row, options)]
    else:
        shown = []
        for name in options.rest:
            row = _of(context, name, every)
            if row is None:
                context.complain(f"df: {name}: No such file or directory")
                status = 1
            elif _is_selected(row, options):
                shown.append(row)
            else:
                status = 1
    if as_json:
        if "T" not in options or "h" in options:
            raise NotModelled("df --libxo json without -kT")
        context.print(_json(shown))
    elif shown:
        _table(context, shown, options)
    return status


def _is_selected(row: Row, options: Options) -> bool:
    """Whether -t lets it through (makevfslist() and checkvfsselected() in bin/df/df.c).

    A list that begins with "no" has the types that are left out, so that `-t nosuch` means all but
    a type "such". -l, which all of the model's file systems fit, makes up for any other list.
    """
    if "t" not in options:
        return True
    types = options.value("t")
    if types.startswith("no"):
        return row.type not in types.removeprefix("no").split(",")
    return "l" in options or row.type in types.split(",")


def _libxo(arguments: Sequence[str]) -> tuple[bool, list[str]]:
    """Whether JSON is asked for, and the other arguments."""
    words = list(arguments)
    for number, word in enumerate(words):
        if word == "--libxo" and words[number + 1 : number + 2] == ["json"]:
            return True, words[:number] + words[number + 2 :]
        if word in {"--libxo=json", "--libxo:J"}:
            return True, words[:number] + words[number + 1 :]
        if word.startswith("--libxo"):
            raise NotModelled(f"df {word}")
    return False, words


def _of(context: Context, name: str, every: Sequence[Row]) -> Row | None:
    path = posixpath.normpath(context.path(name))
    by_device = [row for row in every if row.device == name]
    if by_device:
        return by_device[0]
    if context.guest.tree.entry(path) is None:
        return None
    above = [row for row in every if row.at == "/" or f"{path}/".startswith(f"{row.at}/")]
    return max(above, key=_length)


def _length(row: Row) -> int:
    return len(row.at)


def _json(shown: Sequence[Row]) -> str:
    """As libxo(3) prints it: the types are padded as in a table."""
    width = max((len(row.type) for row in shown), default=0)
    each = ", ".join(
        "{"
        f'"name":{json.dumps(row.device)},"type":{json.dumps(row.type.ljust(width))},'
        f'"total-blocks":{row.total},"used-blocks":{row.used},'
        f'"available-blocks":{row.available},"used-percent":{row.percent},'
        f'"mounted-on":{json.dumps(row.at)}'
        "}"
        for row in shown
    )
    return f'{{"storage-system-information": {{"filesystem": [{each}]}}}}'


def _table(context: Context, shown: Sequence[Row], options: Options) -> None:
    human = "h" in options
    heading = "Size" if human else "1024-blocks" if "k" in options else "1K-blocks"
    lines = [_sizes(row, human=human) for row in shown]
    least = 7 if human else 0
    titles = (heading, "Used", "Avail")
    widths = [max(least, *map(len, column)) for column in zip(titles, *lines, strict=True)]
    name = max(10, *(len(row.device) for row in shown))
    kind = max(4, *(len(row.type) for row in shown)) if "T" in options else 0
    head = "Filesystem".ljust(name) + (f"  {'Type':{kind}}" if kind else "")
    for title, width in zip(titles, widths, strict=True):
        head += " " + title.rjust(width)
    context.print(f"{head} Capacity  Mounted on")
    for row, sizes in zip(shown, lines, strict=True):
        text = row.device.ljust(name) + (f"  {row.type:{kind}}" if kind else "")
        for size, width in zip(sizes, widths, strict=True):
            text += " " + size.rjust(width)
        context.print(f"{text} {row.percent:5}%    {row.at}")


def _sizes(row: Row, *, human: bool) -> tuple[str, str, str]:
    if not human:
        return str(row.total), str(row.used), str(row.available)
    return _human(row.total), _human(row.used), _human(row.available)


def _human(kib: int) -> str:
    """As humanize_number(3) with one decimal below 10: 2.9G, 218M, 0B."""
    if kib == 0:
        return "0B"
    value = float(kib)
    for unit in "KMGT":
        if value < 999.5 or unit == "T":
            break
        value /= 1024
    return f"{value:.1f}{unit}" if value < 9.95 else f"{value:.0f}{unit}"
