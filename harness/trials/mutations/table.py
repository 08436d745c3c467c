"""All mutations. Importing it imports the model, which the most of them change."""

from __future__ import annotations

import difflib

from harness.errors import SettingsError
from harness.trials.mutations import (
    config,  # noqa: F401 - they fill the table
    faults,  # noqa: F401 - they fill the table
    known,  # noqa: F401 - they fill the table
    machine,  # noqa: F401 - they fill the table
    operator,  # noqa: F401 - they fill the table
    replication,  # noqa: F401 - they fill the table
    roles,  # noqa: F401 - they fill the table
    storage,  # noqa: F401 - they fill the table
)
from harness.trials.mutations.mutation import ALL, Mutation

__all__ = ["ALL", "find"]


def find(name: str) -> Mutation:
    """The mutation of that name. Raises `SettingsError`."""
    try:
        return ALL[name]
    except KeyError:
        near = difflib.get_close_matches(name, ALL, 1)
        raise SettingsError(
            f"there is no mutation {name!r}",
            advice=f"did you mean {near[0]}?" if near else "docs/mutations.md lists them",
        ) from None
