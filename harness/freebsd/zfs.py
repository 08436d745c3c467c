"""zfs(8): the datasets of the imported pools, and where they are mounted."""

from __future__ import annotations

from dataclasses import dataclass

from harness.freebsd.output import Output

_COLUMNS = ("name", "type", "used", "available", "referenced", "mounted", "mountpoint")
LIST_COMMAND = ("zfs", "list", "-Hp", "-o", ",".join(_COLUMNS))


@dataclass(frozen=True)
class Dataset:
    """One dataset. Sizes are in bytes, None where a type of dataset has none.

    `mounted` is None for what cannot be mounted. `mountpoint` is the property: a path where it
    would be mounted, `none`, `legacy`, or None for what has no such property.
    """

    name: str
    type: str
    used: int | None
    available: int | None
    referenced: int | None
    mounted: bool | None
    mountpoint: str | None


def parse_list(text: str) -> tuple[Dataset, ...]:
    """Read `LIST_COMMAND`. Raises `UnrecognisedOutput` when a line has not its columns."""
    output = Output(" ".join(LIST_COMMAND), text)
    datasets = []
    for line in output.lines():
        cells = line.split("\t")
        if len(cells) != len(_COLUMNS):
            raise output.unrecognised(f"the line {line!r} has not {len(_COLUMNS)} columns")
        row = {
            key: None if cell == "-" else cell for key, cell in zip(_COLUMNS, cells, strict=True)
        }
        if row["mounted"] not in {"yes", "no", None}:
            raise output.unrecognised(f"mounted is {row['mounted']!r} and neither yes nor no")
        datasets.append(
            Dataset(
                name=cells[0],
                type=cells[1],
                used=_size(output, row, "used"),
                available=_size(output, row, "available"),
                referenced=_size(output, row, "referenced"),
                mounted=None if row["mounted"] is None else row["mounted"] == "yes",
                mountpoint=row["mountpoint"],
            )
        )
    return tuple(datasets)


def _size(output: Output, row: dict[str, str | None], key: str) -> int | None:
    value = row[key]
    return None if value is None else output.integer(value, key)
