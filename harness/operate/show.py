"""Both nodes as a table, once or refreshed in place."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import TextIO

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from harness.errors import HarnessError
from harness.operate.views import NodeView, PairView
from harness.record.terminal import console_for

_NOTHING = Text("-", style="dim")

_COLOURS = {
    "running": "green",
    "complete": "green",
    "ONLINE": "green",
    "active": "green",
    "MASTER": "green",
    "primary": "bold",
    "degraded": "yellow",
    "DEGRADED": "yellow",
    "paused": "yellow",
    "no carrier": "red",
    "off": "red",
    "SUSPENDED": "red",
    "FAULTED": "red",
    "UNAVAIL": "red",
}
"""Never the only sign: the word itself is there."""


def table(view: PairView) -> Table:
    """The pair at one moment."""
    shown = Table(title=_title(view), title_justify="left", title_style="", caption=_caption(view))
    shown.caption_justify = "left"
    shown.add_column("")
    for node in view.nodes:
        shown.add_column(node.name, min_width=16)
    for name, cell in _ROWS.items():
        cells = [cell(node) for node in view.nodes]
        if name in _ONLY_IF_ANY and not any(cells):
            continue
        shown.add_row(name, *(text or _NOTHING for text in cells))
    return shown


def _title(view: PairView) -> Text:
    return Text(f"{view.description}; FreeBSD {view.release}")


def _caption(view: PairView) -> Text:
    text = f"pair {view.pair}, {view.at}, asked in {view.seconds:.1f} s"
    if view.purpose != "skunk up":
        text += f"; up for {view.purpose}"
    if view.busy:
        text += f"; {view.busy}"
    return Text(text, style="dim")


def _word(text: str) -> Text:
    return Text(text, style=_COLOURS.get(text, ""))


def _lines(*texts: Text | str) -> Text:
    return Text("\n").join(text if isinstance(text, Text) else Text(text) for text in texts)


def _answers(node: NodeView) -> Text:
    if node.answers:
        return Text("yes" if node.silent_because is None else f"yes, but {node.silent_because}")
    return Text.assemble(("no", "red"), f": {node.silent_because}")


def _uptime(node: NodeView) -> Text:
    if node.uptime is None:
        return Text()
    minutes, seconds = divmod(int(node.uptime), 60)
    hours, minutes = divmod(minutes, 60)
    return Text(f"{hours}:{minutes:02d}:{seconds:02d}")


def _role(node: NodeView) -> Text:
    if node.hastd is not None:
        return Text(node.hastd, style="yellow")
    return _lines(*(Text.assemble(f"{r.name}: ", _word(r.role)) for r in node.resources))


def _status(node: NodeView) -> Text:
    return _lines(*(_word(r.status or "-") + Text(f" ({r.replication})") for r in node.resources))


def _dirty(node: NodeView) -> Text:
    known = [r.dirty for r in node.resources if r.dirty is not None]
    return _lines(*(decimal(dirty) if dirty else "0" for dirty in known))


def _pools(node: NodeView) -> Text:
    return _lines(*(Text.assemble(f"{k}: ", _word(v)) for k, v in node.pools.items()))


def _carp(node: NodeView) -> Text:
    return _lines(
        *(Text.assemble(f"{c.interface} vhid {c.vhid}: ", _word(c.state)) for c in node.carp)
    )


_ROWS: dict[str, Callable[[NodeView], Text]] = {
    "power": lambda node: _word(node.power),
    "answers": _answers,
    "up for": _uptime,
    "role": _role,
    "replication": _status,
    "dirty": _dirty,
    "pool": _pools,
    "private link": lambda node: _word(node.link or ""),
    "public link": lambda node: _word(node.public or ""),
    "CARP": _carp,
    "broken": lambda node: Text(", ".join(node.broken), style="red"),
}
_ONLY_IF_ANY = {"public link", "CARP", "broken"}


def watch(
    look: Callable[[], PairView],
    every: float,
    *,
    once: int | None = None,
    file: TextIO | None = None,
) -> None:
    """Show the pair and refresh it every `every` seconds, until it is down or Ctrl-C.

    In a terminal in place; else one table after the other. `once` ends it after so many looks.
    """
    from rich.live import Live  # noqa: PLC0415 - only here

    view = look()
    console = console_for(None if (file or sys.stdout).isatty() else view.mark, file)
    never = threading.Event()
    looks = 1
    with (
        Live(table(view), console=console, auto_refresh=False)
        if console.is_terminal
        else (_OneByOne(console, table(view))) as live
    ):
        while looks != once:
            never.wait(every)
            try:
                view = look()
            except HarnessError as error:
                console.print(f"no longer up: {error.what}")
                return
            live.update(table(view), refresh=True)
            looks += 1


class _OneByOne:
    """What `Live` is, for output that is no terminal."""

    def __init__(self, console: Console, first: Table) -> None:
        self._console = console
        self.update(first)

    def __enter__(self) -> _OneByOne:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, shown: Table, *, refresh: bool = True) -> None:  # noqa: ARG002 - as Live's
        self._console.print(shown)
