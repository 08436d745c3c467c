"""A YAML file of the project's own, read and checked in one go."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pydantic
import yaml

from harness.errors import SettingsError

T = TypeVar("T")


def read(path: Path, validate: Callable[[object], T], *, advice: str) -> T:
    """Read `path` and let pydantic's `validate` check what is in it.

    Raises `SettingsError` when it cannot be read, or is wrong: then with `advice`.
    """
    try:
        return validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError) as error:
        raise SettingsError(
            f"{path} cannot be read: {error}", advice="restore it from the repository"
        ) from None
    except pydantic.ValidationError as error:
        raise SettingsError(f"{path} is wrong:\n{problems(error)}", advice=advice) from None


def problems(error: pydantic.ValidationError) -> str:
    """What is wrong, a line for each key."""
    return "\n".join(
        f"  {'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors()
    )
