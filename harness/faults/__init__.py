"""Faults: values that break one thing, heal it, and tell whether it is left; one register of all.

What a machine can do by itself (power, link, pause) is in `harness.cluster.hardware_faults`, and
methods of `Node` make blocks of it; here is what needs FreeBSD's help. A module of this folder is
found by itself: its faults are in the register as soon as the folder is imported.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

from harness.cluster import hardware_faults  # noqa: F401 - they register themselves, first
from harness.cluster.fault import REGISTER, Fault

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")


def every() -> tuple[Fault[Any], ...]:
    """All faults that are registered now, those of the machine first."""
    return tuple(REGISTER.values())


def cuttable() -> tuple[Fault[Any], ...]:
    """Those that `skunk cut` offers."""
    return tuple(fault for fault in every() if fault.cut)
