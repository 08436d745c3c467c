"""Figures: of the harness itself, and of what FreeBSD does under it."""
