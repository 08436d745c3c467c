"""Scenarios by pytest: verdicts, the live line, several pairs, what follows a failure."""
