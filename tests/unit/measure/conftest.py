"""A simulated pair with slow disks, so that a small resync takes many samples."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.config import settings as settings_file
from harness.run.session import Session
from tests.simulated_session import simulated_session


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    loaded = settings_file.load()
    slow = loaded.simulated.model_copy(update={"disk_mb": 6.0})
    settings = loaded.model_copy(update={"simulated": slow})
    folder = tmp_path_factory.mktemp("bench")
    with simulated_session(settings, folder) as running:
        yield running
