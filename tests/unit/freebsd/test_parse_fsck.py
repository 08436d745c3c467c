"""fsck_ffs -p."""

from __future__ import annotations

import pytest

from harness.errors import UnrecognisedOutput
from harness.freebsd import fsck
from harness.freebsd.fsck import Check, Journal, Way
from tests.unit.freebsd.recordings import recorded


def test_a_full_check_counts_the_files_and_says_what_it_mended() -> None:
    assert fsck.parse(recorded("fsck_preen_full")) == Check(
        Way.FULL,
        files=9,
        repairs=(
            "UNREF DIR I=4096  OWNER=root MODE=40755",
            "FREE BLK COUNT(S) WRONG IN SUPERBLK",
            "SUMMARY INFORMATION BAD",
            "BLK(S) MISSING IN BIT MAPS",
        ),
    )


def test_a_journal_that_was_used() -> None:
    assert fsck.parse(recorded("fsck_preen_journal")) == Check(
        Way.JOURNAL, journal=Journal(size=4 << 20, records=22, freed_inodes=4)
    )


def test_a_clean_file_system_is_skipped() -> None:
    assert fsck.parse(recorded("fsck_preen_clean")) == Check(Way.SKIPPED)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/dev/hast/mirrorp1: NO WRITE ACCESS\n",
        "/dev/hast/mirrorp1: FILE SYSTEM CLEAN; SKIPPING CHECKS\n",
        recorded("fsck_preen_full").replace("files", "file"),
        recorded("fsck_preen_journal").replace("MARKED CLEAN", "NOT CLEAN"),
        recorded("fsck_preen_journal").replace("byte journal", "bytes"),
        recorded("fsck_preen_journal").removesuffix("\n"),
    ],
)
def test_what_does_not_end_clean_is_refused(text: str) -> None:
    with pytest.raises(UnrecognisedOutput):
        fsck.parse(text)
