"""The report: one HTML page that tells a reader what a run found, made from its results folder."""
