"""Mutations: the world is broken on purpose, and each scenario has to notice what it claims.

`pytest --mutate NAME` applies one for a run, `skunk mutations` runs the scenarios with each of them
(docs/mutations.md).
"""

from harness.mutations import (  # noqa: F401 - they fill the table
    config,
    faults,
    known,
    machine,
    operator,
    replication,
    roles,
    storage,
)
from harness.mutations.mutation import ALL, Mutation, find

__all__ = ["ALL", "Mutation", "find"]
