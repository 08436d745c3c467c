"""The documented session with a pair, on real machines: who asks what of which node.

The guest knows no HAST, so hastctl(8) and zpool(8) are stand-ins that note what they are told.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.config import paths
from harness.config.settings import Settings
from harness.lab.qemu import prepare
from harness.operate.kept import Kept
from tests import keepers, needs
from tests.documented import COMMAND_LINE, Reader, examples
from tests.plumbing import guest
from tests.plumbing.test_qemu_lab import processes

SESSION = examples(COMMAND_LINE)["A pair to play with"]

STAND_INS = """for program in hastctl zpool; do
    printf '#!/bin/sh\\necho "$0" "$@" >>/root/told\\n' >/usr/bin/$program
    chmod +x /usr/bin/$program
done
sync"""


@pytest.fixture
def ready_image(own_state: None) -> Iterator[Path]:
    """The guest, which SSH reaches as it is: nothing has to be prepared on its console."""
    image = guest.cached()
    prepared = prepare.target_of(image)
    prepared.parent.mkdir(parents=True, exist_ok=True)
    prepared.unlink(missing_ok=True)
    prepared.symlink_to(image)
    yield image
    prepared.unlink()
    Path(f"{prepared}.lock").unlink(missing_ok=True)


@needs.programs("ssh")
def test_the_documented_session_on_the_qemu_lab(
    ready_image: Path, small: Settings, tmp_path: Path
) -> None:
    """Word for word, and a look at both nodes by every way after each cut and each heal."""
    settings = tmp_path / "lab.yaml"
    settings.write_text(small.model_dump_json())
    reader = Reader({"SKUNK_STATE_DIR": str(paths.state_dir())})
    kept = Kept("qemu", "default")
    with keepers.ended():
        reader.types(f"skunk up --lab qemu --bare --image '{ready_image}' --settings '{settings}'")
        both = ["skunk1", "skunk2"]
        for node in both:
            reader.types(f"skunk ssh {node} {shlex.quote(STAND_INS)}")
        for line in SESSION[1:-1]:
            reader.types(line)
            if line.startswith("skunk cut power skunk1"):
                assert "Linux version" in reader.types("skunk console skunk1")
                assert reader.types("skunk ssh skunk2 hostname") == "skunk2\n"
        for node in both:
            assert reader.types(f"ssh -F '{kept.folder.path}/ssh_config' {node} hostname") == (
                f"{node}\n"
            ), "the port of a node that has booted anew is another one"
        told = [reader.types(f"skunk ssh {node} cat /root/told").splitlines() for node in both]
        assert "/usr/bin/hastctl role secondary mirror" in told[0]
        assert "/usr/bin/hastctl role primary mirror" in told[1]
        assert "/usr/bin/zpool import -f failover" in told[1]
        reader.types(SESSION[-1])
    assert not kept.folder.path.exists()
    assert processes("default") == []
