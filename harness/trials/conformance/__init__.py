"""Holding the simulated lab to what real FreeBSD printed: a recorder, a replay, a number."""
