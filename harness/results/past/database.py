"""Runs and what came of them in an SQLite file, which a person may ask with sqlite3(1)."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from harness.errors import HarnessError

_LOCKED_SECONDS = 5.0


class HistoryUnusable(HarnessError):
    """The history cannot be read or written. No run depends on it."""


class RunDatabase:
    """A file with a table `runs` and another one with rows for each run. A context manager.

    A subclass has the tables. `runs` needs the columns `id` and `folder`, and the first column of
    the other table is `run`, which goes with it. Everything raises `HistoryUnusable` when the file
    is damaged, locked or of a later harness.
    """

    SCHEMA: ClassVar[str]
    VERSION: ClassVar[int] = 1

    def __init__(self, path: Path, *, locked_seconds: float = _LOCKED_SECONDS) -> None:
        """Open it, and make it when it is not there; wait so long for another run to let go."""
        self.path = path
        with self._telling(), contextlib.ExitStack() as opening:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, timeout=locked_seconds)
            opening.callback(self._database.close)
            (version,) = self._database.execute("PRAGMA user_version").fetchone()
            if version > self.VERSION:
                raise HistoryUnusable(
                    f"the history {path} is of a later harness (version {version})",
                    advice="update the harness, or move the file away: a new one is begun",
                )
            self._database.execute("PRAGMA foreign_keys = ON")
            if version < self.VERSION:
                self._database.executescript(f"{self.SCHEMA} PRAGMA user_version = {self.VERSION};")
            opening.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def _rows(self, query: str, *values: object) -> list[Any]:
        """All rows that a query finds."""
        with self._telling():
            return self._database.execute(query, values).fetchall()

    def _replace(
        self, run: Mapping[str, object], table: str, rows: Iterable[tuple[object, ...]]
    ) -> int:
        """Put a run in place of the one of the same folder, if any, and return its number.

        `run` has its columns, and `rows` are those of the other table without the first column.
        """
        with self._telling(), self._database:
            self._database.execute("DELETE FROM runs WHERE folder = ?", (run["folder"],))
            number = self._insert(f"runs ({', '.join(run)})", tuple(run.values()))
            for row in rows:
                self._insert(table, (number, *row))
        return number

    def _insert(self, where: str, row: tuple[object, ...]) -> int:
        places = ", ".join("?" * len(row))
        done = self._database.execute(f"INSERT INTO {where} VALUES ({places})", row)  # noqa: S608
        assert done.lastrowid is not None
        return done.lastrowid

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, ValueError) as error:
            raise HistoryUnusable(
                f"the history {self.path} cannot be used: {error}",
                advice="see which process holds it, or move it away: a new one is begun",
            ) from error
