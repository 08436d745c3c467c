"""The report: one HTML file that tells a reader what a run found, made from its results folder."""

from harness.report.read import read_run
from harness.report.render import write_report

__all__ = ["read_run", "write_report"]
