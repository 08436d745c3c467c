"""Where things are on the host: one place for every path outside the project.

Each can be moved by an environment variable, which CI runners and tests use.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import platformdirs

_CHECKOUT = Path(__file__).resolve().parents[2]
_INSTALLED = "share/hast-lab/lab.yaml"


def _project() -> Path:
    """The checkout that this is part of, or the folder where `pip install` has put its files."""
    if (_CHECKOUT / "lab.yaml").exists():
        return _CHECKOUT
    import importlib.metadata  # noqa: PLC0415 - a checkout needs none

    files = importlib.metadata.files("hast-lab") or ()
    found = (Path(str(file.locate())) for file in files if file.match(_INSTALLED))
    return next(found, _CHECKOUT / "lab.yaml").resolve().parent


PROJECT = _project()
PROVISION = PROJECT / "provision"
SETTINGS = PROJECT / "lab.yaml"
KNOWN_BUGS = PROJECT / "known-bugs.yaml"
BENCH_PLAN = PROJECT / "bench.yaml"
COMPARE_PLAN = PROJECT / "compare.yaml"
NIGHTLY_PLAN = PROJECT / "nightly.yaml"


def home() -> Path:
    """The checkout; the current folder where `pip install` has put the harness."""
    return PROJECT if PROJECT == _CHECKOUT else Path.cwd()


def cache_dir() -> Path:
    """Images and boxes: large, kept between runs, safe to delete. `SKUNK_CACHE_DIR` moves it."""
    return _moved("SKUNK_CACHE_DIR") or _of_user().user_cache_path


def images_dir() -> Path:
    """Where `make image` puts FreeBSD images and where the qemu lab looks for one."""
    return cache_dir() / "images"


def state_dir() -> Path:
    """Running pairs: overlays, keys, sockets, consoles. `SKUNK_STATE_DIR` moves it."""
    return _moved("SKUNK_STATE_DIR") or _of_user().user_state_path


def results_dir() -> Path:
    """Evidence and JUnit of every run, a folder each. `SKUNK_RESULTS_DIR` moves it."""
    return _moved("SKUNK_RESULTS_DIR") or home() / "results"


def _moved(variable: str) -> Path | None:
    given = os.environ.get(variable)
    return Path(given) if given else None


def _of_user() -> platformdirs.PlatformDirs:
    import platformdirs  # noqa: PLC0415 - `--help` needs none

    return platformdirs.PlatformDirs("skunk")


def existing_part(folder: Path) -> Path:
    """`folder`, or the nearest folder above it that exists."""
    return folder if folder.exists() else existing_part(folder.parent)
