"""A tour through the programs of the base system, as scripts of administrators use them.

It claims nothing: each command line below `lines/` is asked, for recordings (`make record`), to
which the simulated lab is then held. `<NL>` in a line is a newline.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cluster.node import Node
from harness.cluster.pair import Pair

HERE = Path(__file__).parent
FOLDER = "/tmp/tour"
FILES = {
    "words": "one two\nthree\nfour five six\n\nseven\teight  nine\n",
    "table": "name:role:dirty\nmirror:primary:0\nbackup:secondary:512\nscratch:init:2097152\n",
    "status": "Name\tStatus\t Role\t\tComponents\n"
    "mirror\tcomplete primary        /dev/vtbd1\t192.168.0.2\n"
    "second\tdegraded secondary      /dev/vtbd2\t192.168.0.2\n",
    "interfaces": "vtnet0: flags=8843<UP,BROADCAST,RUNNING> metric 0 mtu 1500\n"
    "\tinet 10.0.2.15 netmask 0xffffff00 broadcast 10.0.2.255\n"
    "\tcarp: MASTER vhid 1 advbase 1 advskew 0\n"
    "\tcarp: BACKUP vhid 12 advbase 1 advskew 100\n"
    "\tstatus: active\n",
    "numbers": "3\n10\n-2\n0\n1e3\n0x1f\n+7\nabc\n3.50\n",
}
"""What lies in the folder where the lines are asked."""

SCRIPTS = {"toggle": "rc-toggle", "sleeper": "rc-sleeper"}
"""Scripts in that folder, by their name there, and in `scripts/`."""


def lines_of(path: Path) -> list[str]:
    """The command lines of a file."""
    text = path.read_text(encoding="utf-8")
    return [line.replace("<NL>", "\n") for line in text.split("\n") if line and line[:2] != "# "]


def prepare(node: Node) -> None:
    """Make the folder anew."""
    node.sh(f"rm -rf {FOLDER}; mkdir {FOLDER}")
    for name, text in FILES.items():
        node.put(f"{FOLDER}/{name}", text.encode())
    for name, source in SCRIPTS.items():
        script = (HERE / "scripts" / source).read_bytes()
        node.put(f"{FOLDER}/{name}", script, mode="755")


@pytest.mark.parametrize(
    "path", sorted((HERE / "lines" / "alone").glob("*.txt")), ids=lambda path: path.stem
)
def test_without_hast(provisioned_pair: Pair, path: Path) -> None:
    """What each program answers on a node that has no HAST yet."""
    node = provisioned_pair.nodes[1]
    prepare(node)
    for line in lines_of(path):
        node.sh(f"cd {FOLDER}; {line}", check=False)


@pytest.mark.parametrize(
    "path", sorted((HERE / "lines" / "pair").glob("*.txt")), ids=lambda path: path.stem
)
def test_on_a_pair(pair: Pair, path: Path) -> None:
    """What they answer on the primary, with a pool, and on the secondary."""
    for node in pair:
        prepare(node)
        for line in lines_of(path):
            node.sh(f"cd {FOLDER}; {line}", check=False)
