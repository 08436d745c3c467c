"""Typed views of what FreeBSD prints: one parser a command, raw text never leaves it."""
