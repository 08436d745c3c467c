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

BY_FILE = {
    "test_set_up.py": 1,
    "test_reboot_of_primary.py": 2,
    "test_planned_failover.py": 3,
}
"""For results from before scenarios carried their claim's number."""
