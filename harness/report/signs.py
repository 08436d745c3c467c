"""The sign of each verdict: it is never told by a colour alone."""

from __future__ import annotations

from harness.results.run import Verdict

SIGNS = {
    Verdict.HELD: "✓",
    Verdict.FIXED_HERE: "✓",
    Verdict.FAILED: "✗",
    Verdict.BROKE: "✗",
    Verdict.KNOWN_BUG: "!",
    Verdict.GAP: "?",
    Verdict.NOT_RUN: "-",
    Verdict.SKIPPED: "-",
    Verdict.NOT_TESTED: "○",
}
