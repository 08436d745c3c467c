"""The ten claims of the field notes of 2011, and which scenario file tests which."""

from __future__ import annotations

TITLES = {
    1: "Set-up: two roles, a pool on the primary",
    2: "Reboot of the primary: the role is forgotten",
    3: "Planned failover",
    4: "Reboot of the secondary while the primary writes",
    5: "Power cut on the primary",
    6: "Split-brain and how it is resolved",
    7: "What a resync costs",
    8: "CARP moves the address and HAST follows",
    9: "ucarp and UFS as alternatives, with figures",
    10: "pfsync on HAST's private link",
}

UNTESTED = {
    8: "no scenario tests this claim: CARP and devd are not part of any",
    9: "no scenario tests ucarp: what is said here is of UFS",
    10: "no scenario tests this claim: pfsync is not part of any",
}
"""What no scenario of this repository tests. A verdict over the claim says nothing of that."""

NOBODY_TESTS = frozenset({8, 10})
"""The claims of which that is all: they have no verdict, whatever a scenario says it tests."""

BY_FILE = {
    "test_set_up.py": 1,
    "test_reboot_of_primary.py": 2,
    "test_planned_failover.py": 3,
}
"""For results from before scenarios carried their claim's number."""
