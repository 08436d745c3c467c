"""Tests that need a program of the host: skipped by name where it is not there."""

from __future__ import annotations

import shutil

import pytest


def programs(*names: str) -> pytest.MarkDecorator:
    """Mark a test, or with `pytestmark` a file, that needs all of these programs on PATH."""
    missing = [name for name in names if shutil.which(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not on this host: {', '.join(missing)}")
