"""Runs of before: found again, compared, kept in an SQLite history."""
