"""Two sets of counters: who syncs from whom, which extents, which lines and exit codes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.lab.simulated.hardware.disk import Content
from harness.lab.simulated.hast.replication import metadata as hast_metadata
from harness.lab.simulated.kernel.guest import Guest
from tests.unit.simulated.hast_pair import Pair

ID = 6738131601019503000
OTHER = 12786906115267774721

NOTHING = "[INFO] [mirror] (primary) Nodes are in sync."
DIRTY = "[INFO] [mirror] (primary) Synchronization started. 2.0MB to go."
ALL = "[INFO] [mirror] (primary) Synchronization started. 512MB to go."
SPLIT = "[WARNING] [mirror] (primary) Split-brain condition!"
SPLIT_THERE = "[ERROR] [mirror] (secondary) Split-brain detected, exiting."
NEVER = (
    "[WARNING] [mirror] (secondary) This should never happen, asking for full synchronization "
    "(primary(local={}, remote={}), secondary(local={}, remote={}))."
)

# secondary.c has the table of local=3 remote=3 in a comment; the rest is what leads there
AGREE = [
    # primary: resuid, local, remote; secondary: the same; a line of the primary; the newer data
    ((0, 0, 0), (0, 0, 0), NOTHING, None),  # never written, never met
    ((ID, 0, 0), (0, 0, 0), ALL, "primary"),  # the secondary was created anew
    ((ID, 1, 0), (0, 0, 0), ALL, "primary"),
    ((ID, 0, 0), (ID, 0, 0), DIRTY, "primary"),
    ((ID, 1, 0), (ID, 0, 0), DIRTY, "primary"),
    ((ID, 0, 0), (ID, 1, 0), DIRTY, "secondary"),
    ((ID, 3, 2), (ID, 3, 3), DIRTY, "secondary"),
    ((ID, 3, 3), (ID, 3, 3), DIRTY, "primary"),
    ((ID, 4, 3), (ID, 3, 3), DIRTY, "primary"),
]
SHOULD_NOT_HAPPEN = [
    ((2, 2), (3, 3), "secondary"),
    ((2, 3), (3, 3), "primary"),
    ((2, 4), (3, 3), "primary"),
    ((3, 4), (3, 3), "primary"),
    ((4, 4), (3, 3), "primary"),
]
PART = [
    ((ID, 1, 0), (ID, 1, 0), SPLIT, SPLIT_THERE),
    ((ID, 4, 2), (ID, 3, 3), SPLIT, SPLIT_THERE),
    (
        (ID, 0, 0),
        (OTHER, 0, 0),
        f"[WARNING] [mirror] (primary) Resource unique ID mismatch (primary={ID}, "
        f"secondary={OTHER}).",
        f"[ERROR] [mirror] (secondary) Resource unique ID mismatch (primary={ID}, "
        f"secondary={OTHER}).",
    ),
]

Counters = tuple[int, int, int]
IN_FIRST, IN_LAST = 0, 5000
"""Blocks in an extent that is marked dirty and in one that is not."""


def meet(primary: Counters, secondary: Counters, *, dirty: int) -> Pair:
    """Let two disks meet whose data differ in two extents; bits of `dirty` are marked so."""
    pair = Pair()
    for guest, counters in ((pair.one, primary), (pair.two, secondary)):
        pair.out(guest, "hastctl create mirror")
        resuid, localcnt, remotecnt = counters
        metadata = replace(
            pair.metadata(guest), resuid=resuid, localcnt=localcnt, remotecnt=remotecnt
        )
        hast_metadata.write(guest.devices["vtbd1"], metadata)
        for at in (IN_FIRST, IN_LAST):
            on_disk = at + hast_metadata.DATA
            guest.disks["vtbd1"].write(on_disk, 1, {on_disk: Content(guest.name)})
    # It does not matter which of the two knows that an extent is dirty.
    hast_metadata.write_map(pair.two.devices["vtbd1"], dirty)
    pair.start()
    pair.out(pair.two, "hastctl role secondary mirror")
    pair.out(pair.one, "hastctl role primary mirror")
    pair.world.pass_time(9.0)
    return pair


def owner(pair: Pair, guest: Guest, at: int) -> str:
    """Whose block a node has."""
    return {"skunk1": "primary", "skunk2": "secondary"}[pair.data(guest)[at].label]


@pytest.mark.parametrize(("primary", "secondary", "line", "newer"), AGREE)
def test_they_agree(primary: Counters, secondary: Counters, line: str, newer: str | None) -> None:
    pair = meet(primary, secondary, dirty=1 if line == DIRTY else 0)

    assert line in pair.log(pair.one)
    copied = [at for at in (IN_FIRST, IN_LAST) if line == ALL or (line == DIRTY and not at)]
    for at in (IN_FIRST, IN_LAST):
        both = (owner(pair, pair.one, at), owner(pair, pair.two, at))
        assert both == ((newer, newer) if at in copied else ("primary", "secondary"))
    one, two = pair.metadata(pair.one), pair.metadata(pair.two)
    assert (one.localcnt, one.remotecnt) == (two.remotecnt, two.localcnt)
    assert one.resuid == two.resuid != 0
    if line == DIRTY:  # with the first request the primary has taken the secondary's map over
        assert hast_metadata.read(pair.two.devices["vtbd1"], "mirror", "").map == 0
    assert "complete primary" in pair.out(pair.one, "hastctl status")
    assert not any("exitcode" in each for each in pair.log(pair.two))


@pytest.mark.parametrize(("primary", "secondary", "newer"), SHOULD_NOT_HAPPEN)
def test_what_should_never_happen(
    primary: tuple[int, int], secondary: tuple[int, int], newer: str
) -> None:
    pair = meet((ID, *primary), (ID, *secondary), dirty=0)

    assert NEVER.format(*primary, *secondary) in pair.log(pair.two)
    assert ALL in pair.log(pair.one)
    for at in (IN_FIRST, IN_LAST):
        assert owner(pair, pair.one, at) == owner(pair, pair.two, at) == newer


@pytest.mark.parametrize(("primary", "secondary", "here", "there"), PART)
def test_they_part(primary: Counters, secondary: Counters, here: str, there: str) -> None:
    pair = meet(primary, secondary, dirty=1)

    assert here in pair.log(pair.one)
    after = pair.log(pair.two, since=there)
    assert "Worker process exited ungracefully" in after[0]
    assert after[0].endswith("exitcode=78).")
    assert "degraded primary" in pair.out(pair.one, "hastctl status")
    assert pair.out(pair.two, "hastctl status").splitlines()[1].startswith("mirror\t-  ")
    for at in (IN_FIRST, IN_LAST):
        assert owner(pair, pair.one, at) == "primary"
        assert owner(pair, pair.two, at) == "secondary"


def test_a_split_brain_is_reported_every_ten_seconds() -> None:
    pair = meet((ID, 1, 0), (ID, 1, 0), dirty=1)

    pair.world.pass_time(60.0)

    assert 6 <= pair.log(pair.one).count(SPLIT) <= 8
