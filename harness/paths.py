"""Where things are on the host: one place for every path outside the project.

Each can be moved by an environment variable, which CI runners and tests use.
"""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

PROJECT = Path(__file__).resolve().parent.parent
PROVISION = PROJECT / "provision"
SETTINGS = PROJECT / "lab.yaml"
KNOWN_BUGS = PROJECT / "known-bugs.yaml"
BENCH_PLAN = PROJECT / "bench.yaml"
COMPARE_PLAN = PROJECT / "compare.yaml"
NIGHTLY_PLAN = PROJECT / "nightly.yaml"


def cache_dir() -> Path:
    """Images and boxes: large, kept between runs, safe to delete. `SKUNK_CACHE_DIR` moves it."""
    return Path(os.environ.get("SKUNK_CACHE_DIR") or platformdirs.user_cache_path("skunk"))


def images_dir() -> Path:
    """Where `make image` puts FreeBSD images and where the qemu lab looks for one."""
    return cache_dir() / "images"


def state_dir() -> Path:
    """Running pairs: overlays, keys, sockets, consoles. `SKUNK_STATE_DIR` moves it."""
    return Path(os.environ.get("SKUNK_STATE_DIR") or platformdirs.user_state_path("skunk"))


def results_dir() -> Path:
    """Evidence and JUnit of every run, a folder each. `SKUNK_RESULTS_DIR` moves it."""
    return Path(os.environ.get("SKUNK_RESULTS_DIR") or PROJECT / "results")


def existing_part(folder: Path) -> Path:
    """`folder`, or the nearest folder above it that exists."""
    return folder if folder.exists() else existing_part(folder.parent)
