"""The pair for the length of a run, and its evidence; no pytest."""
