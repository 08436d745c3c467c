"""hast.conf from its template, and files with known content."""

import hashlib
from typing import Any, cast

import pytest

from harness.cluster.node import Node
from harness.cluster.provision import render_hast_conf
from harness.config import settings
from harness.errors import ClaimFailed, SettingsError
from harness.workload.files import Files


def test_hast_conf_is_one_file_for_both_nodes() -> None:
    text = render_hast_conf(settings.load(), {"skunk1": "/dev/vtbd1", "skunk2": "/dev/ada1"})
    assert text == (
        "# /etc/hast.conf, the same on both nodes. See hast.conf(5).\n"
        "replication memsync\n"
        "timeout 20\n"
        "\n"
        "on skunk1 {\n"
        "\t# HAST has no authentication: it listens on the crossover cable only.\n"
        "\tlisten 192.168.0.1\n"
        "}\n"
        "\n"
        "on skunk2 {\n"
        "\t# HAST has no authentication: it listens on the crossover cable only.\n"
        "\tlisten 192.168.0.2\n"
        "}\n"
        "\n"
        "resource mirror {\n"
        "\ton skunk1 {\n\t\tlocal /dev/vtbd1\n\t\tremote 192.168.0.2\n\t}\n"
        "\ton skunk2 {\n\t\tlocal /dev/ada1\n\t\tremote 192.168.0.1\n\t}\n"
        "}\n"
    )


def test_a_second_resource_is_on_the_second_partition() -> None:
    loaded = settings.load()
    hast = loaded.hast.but(local="partition", second="spare")
    text = render_hast_conf(
        loaded.with_hast(hast), {"skunk1": "/dev/vtbd1p1", "skunk2": "/dev/ada1p1"}
    )
    assert text.endswith(
        "\n"
        "resource spare {\n"
        "\ton skunk1 {\n\t\tlocal /dev/vtbd1p2\n\t\tremote 192.168.0.2\n\t}\n"
        "\ton skunk2 {\n\t\tlocal /dev/ada1p2\n\t\tremote 192.168.0.1\n\t}\n"
        "}\n"
    )
    for wrong in ({"second": "spare"}, {"local": "partition", "second": "mirror"}):
        with pytest.raises(SettingsError):
            loaded.hast.but(**wrong)


class _Folder:
    """A node that has one folder and does not always keep what it was given."""

    name = "skunk1"

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def put(self, path: str, content: bytes) -> None:
        self.files[path.rsplit("/", 1)[1]] = content

    def run(self, *_: str) -> None:
        """Nothing to fsync."""

    def sh(self, *_: str, check: bool) -> Any:
        class Printed:
            stdout = "".join(
                f"{hashlib.sha256(content).hexdigest()} ./{name}\n"
                for name, content in self.files.items()
            )

        return Printed


def test_files_that_changed_went_away_or_appeared_are_told_apart() -> None:
    folder = _Folder()
    node = cast(Node, folder)
    files = Files.write(node, "/failover", seed=1) | Files.write(node, "/failover", seed=2)
    assert len(files.sha256) == 10
    files.check(node)

    lost, changed, *_ = sorted(name for name, content in folder.files.items() if content)
    del folder.files[lost]
    folder.files[changed] = b"!" + folder.files[changed][1:]
    folder.files["stranger"] = b""
    with pytest.raises(ClaimFailed) as failed:
        files.check(node)
    assert str(failed.value).startswith("skunk1: ")
    assert [line.split(":")[0] for line in str(failed.value).splitlines()[1:]] == [
        "lost",
        "not written by the test",
        "changed",
    ]
