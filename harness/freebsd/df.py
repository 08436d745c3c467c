"""df(1): the mounted file systems and how full they are, as JSON of libxo(3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pydantic
from pydantic import Field, StringConstraints

from harness.freebsd.output import Output

COMMAND = ("df", "--libxo", "json", "-kT")


@dataclass(frozen=True)
class FileSystem:
    """One mounted file system. Sizes are in blocks of 1 KiB.

    `available_kib` can be negative: UFS keeps a reserve that only root may fill.
    """

    device: Annotated[str, Field(validation_alias="name")]
    # libxo pads this one value as if it were a column of the table.
    type: Annotated[str, Field(validation_alias="type"), StringConstraints(strip_whitespace=True)]
    total_kib: Annotated[int, Field(validation_alias="total-blocks")]
    used_kib: Annotated[int, Field(validation_alias="used-blocks")]
    available_kib: Annotated[int, Field(validation_alias="available-blocks")]
    used_percent: Annotated[int, Field(validation_alias="used-percent")]
    mounted_on: Annotated[str, Field(validation_alias="mounted-on")]


@dataclass(frozen=True)
class _List:
    filesystem: tuple[FileSystem, ...]


@dataclass(frozen=True)
class _Document:
    information: Annotated[_List, Field(validation_alias="storage-system-information")]


_DOCUMENT = pydantic.TypeAdapter(_Document)


def parse(text: str) -> tuple[FileSystem, ...]:
    """Read the JSON of `df`. Raises `UnrecognisedOutput` when it is not what libxo makes of it."""
    try:
        return _DOCUMENT.validate_json(text).information.filesystem
    except pydantic.ValidationError as error:
        why = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc']) or 'all of it'}: {problem['msg']}"
            for problem in error.errors()
        )
        raise Output(" ".join(COMMAND), text).unrecognised(why) from None
