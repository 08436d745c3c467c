"""How a run's process ends."""

from __future__ import annotations

HELD = 0
"""Exit status: every claim held."""

FAILED = 1
"""Exit status: FreeBSD broke a claim."""

BROKE = 3
"""Exit status: the lab, the host or a scenario broke, and no claim did."""

MET_GAPS = 6
"""Exit status: nothing failed, and a scenario met a gap in the model."""

INTERRUPTED = 130
"""Exit status: Ctrl-C or SIGTERM, and nothing failed or broke before."""
