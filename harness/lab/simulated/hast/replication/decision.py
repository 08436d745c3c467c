"""Who is out of date: what a secondary decides from two sets of counters (secondary.c, 13.2)."""

from __future__ import annotations

from dataclasses import dataclass

SPLIT_BRAIN = "Split-brain condition!"


@dataclass(frozen=True)
class Hello:
    """What a primary says of itself in the second step of the handshake."""

    resource: str
    token: int
    resuid: int
    localcnt: int
    remotecnt: int
    virgin: bool = False
    """Whether the resource never had an ID before: no write was counted."""


@dataclass(frozen=True)
class Decision:
    """The outcome.

    `source` is who has the newer data, primary or secondary. `map` is what the secondary sends of
    its map: nothing, all extents, or the one on its disk. `log` is a line (level, text) of its own,
    `error` what the primary is told instead of a connection; then the worker exits with 78.
    """

    source: str = "primary"
    map: str = "disk"
    virgin: bool = False
    log: tuple[str, str] | None = None
    error: str | None = None


def decide(primary: Hello, resuid: int, localcnt: int, remotecnt: int) -> Decision:
    """What follows for a secondary with these metadata when a primary with those connects."""
    if resuid == 0:
        return Decision(map="none" if primary.virgin else "all", virgin=True)
    if resuid != primary.resuid:
        text = f"Resource unique ID mismatch (primary={primary.resuid}, secondary={resuid})."
        return Decision(log=("error", text), error=text)
    newer_here = localcnt - primary.remotecnt
    newer_there = primary.localcnt - remotecnt
    if newer_here > 0 and newer_there > 0:
        return Decision(log=("error", "Split-brain detected, exiting."), error=SPLIT_BRAIN)
    if newer_here > 0 and newer_there == 0:
        return Decision(source="secondary")
    if newer_here == 0 and newer_there >= 0:
        return Decision()
    text = (
        "This should never happen, asking for full synchronization "
        f"(primary(local={primary.localcnt}, remote={primary.remotecnt}), "
        f"secondary(local={localcnt}, remote={remotecnt}))."
    )
    source = "secondary" if newer_here > 0 else "primary"
    return Decision(source=source, map="all", log=("warning", text))
