"""The run: known states of the pair, another hast.conf, and a pair that cannot be brought back."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, cast

import pytest

from harness.cluster.pair import Pair, UnknownCharacters
from harness.errors import LabError, SettingsError
from harness.freebsd.hast.hastctl import ReplicationMode, Role
from harness.freebsd.zpool import Health
from harness.lab.base import Gap
from harness.lab.simulated.lab import SimulatedLab
from harness.record.entry import PROVISIONED, SET_UP
from harness.run import known_states
from harness.run.audit import audit
from harness.run.known_states import KnownState
from harness.run.session import Session


def wipe(session: Session) -> None:
    """What a scenario might leave behind."""
    session.pair.skunk1.run("sysrc", "hastd_enable=NO")
    session.used()


def test_a_scenario_gets_the_pair_as_it_was(session: Session) -> None:
    session.set_up()
    wipe(session)
    pair = session.set_up()
    assert pair.skunk1.run("sysrc", "-n", "hastd_enable").stdout.strip() == "YES"
    assert pair.role(pair.skunk1) is Role.PRIMARY


def test_another_hast_conf_is_another_state(session: Session) -> None:
    other = session.settings.hast.but(replication="async", timeout=5, media_mib=192)
    pair = session.set_up(other)
    assert pair.info(pair.skunk1).replication is ReplicationMode.ASYNC
    assert pair.metadata(pair.skunk1).datasize < 192 << 20
    session.used()
    assert session.set_up().info(session.pair.skunk1).replication is ReplicationMode.MEMSYNC
    session.used()
    assert session.set_up(other).settings.hast.timeout == 5
    assert f"{SET_UP}.replication-async.timeout-5.media_mib-192" in session._snapshots


def test_a_pair_that_cannot_be_brought_back_is_replaced(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next scenario has a new pair, with no snapshot of the old one, and all is well again."""
    session.set_up(session.settings.hast.but(timeout=7))
    wipe(session)
    restore = session.lab.restore
    broken = ["once"]

    def break_once(tag: str) -> None:
        if broken:
            broken.clear()
            raise LabError(f"cannot restore {tag!r}: the hypervisor went away")
        restore(tag)

    monkeypatch.setattr(session.lab, "restore", break_once)
    folder = session.evidence.open("replaced")
    pair = session.set_up()
    session.evidence.close(folder, pair.nodes)
    assert not broken
    assert pair.role(pair.skunk1) is Role.PRIMARY
    assert pair.skunk1.run("sysrc", "-n", "hastd_enable").stdout.strip() == "YES"
    assert session._snapshots == {"provisioned", SET_UP}
    assert "the hypervisor went away" in (folder / "transcript.txt").read_text()


def test_waits_are_in_the_transcript(session: Session) -> None:
    pair = session.set_up()
    folder = session.evidence.open("waits")
    with pair.skunk2.powered_off():
        pair.skunk1.run("touch", f"{pair.mountpoint}/x")
        pair.wait_until_degraded(pair.skunk1)
    session.evidence.close(folder, pair.nodes)
    session.used()
    entries = [json.loads(line) for line in (folder / "transcript.jsonl").open()]
    waits = {entry["text"]: entry for entry in entries if entry["kind"] == "wait"}
    assert waits["skunk1 to say degraded"]["duration"] > 15
    assert waits["skunk2 to answer over SSH"]["duration"] > 15


def test_gaps_of_a_state_travel_with_its_snapshot_and_with_no_other(
    session: Session, tmp_path: Path
) -> None:
    session.provisioned()
    assert session.lab.gaps() == ()
    assert isinstance(session.lab, SimulatedLab)
    before = Gap("skunk1", "ls -U /", "ls -U")
    session.lab.world.note_gap(before.node, before.command, before.what)
    assert session.lab.gaps() == (before,)
    session.lab.save("after a gap")
    session.restore(PROVISIONED)
    assert session.lab.gaps() == ()
    session.lab.world.note_gap("skunk2", "ls -W", "ls -W")
    session.restore("after a gap")
    assert session.lab.gaps() == (before,)
    session.lab.leave_notes(tmp_path)
    kept = json.loads((tmp_path / "gaps.json").read_text())
    assert [(gap["node"], gap["what"]) for gap in kept] == [
        ("skunk1", "ls -U"),
        ("skunk2", "ls -W"),
    ]


def test_a_started_hastd_answers_hastctl(session: Session) -> None:
    """`service hastd start; hastctl role` as an administrator types them, in one line."""
    node = session.provisioned().skunk1
    node.run("hastctl", "create", "mirror")
    said = node.sh("service hastd start; hastctl role primary mirror")
    assert said.stdout == "Starting hastd.\n"
    assert node.sh("service hastd restart && hastctl status").stdout.endswith("192.168.0.2\n")
    session.used()


def test_a_hastd_that_ends_fails_its_start(session: Session) -> None:
    node = session.provisioned().skunk1
    node.put("/etc/hast.conf", b"listen 10.9.9.9\n")
    said = node.run("service", "hastd", "start", check=False)
    assert said.status == 1
    assert said.stderr.startswith("hastd has ended at once. Its log, /var/log/hastd.log, ends")
    assert "Unable to listen on address 10.9.9.9: Can't assign requested address." in said.stderr
    session.used()


def test_a_resource_whose_device_has_another_name(session: Session) -> None:
    """`name data` in hast.conf(5): the device is /dev/hast/data, whatever the resource is."""
    pair = session.provisioned()
    for node in pair:
        text = node.get("/etc/hast.conf").decode()
        node.put("/etc/hast.conf", text.replace("mirror {", "mirror {\n\tname data").encode())
    pair.set_up()
    assert pair.device == "/dev/hast/data"
    pair.fail_over(*pair.nodes)
    assert pair.has_device(pair.skunk2)
    session.used()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("\n", "\r\n", r"skunk1: hast.conf has .*: carriage return \(on \d+ lines, the"),
        (
            "/dev/vtbd1",
            '"/dev/vtbd1";',
            r"""'"' \(line \d+, \d+\); ';' \(line \d+, \d+\)\. It""",
        ),
    ],
)
def test_characters_of_hast_conf_that_hastd_does_not_know(
    session: Session, old: str, new: str, said: str
) -> None:
    """Files from Windows, and from people who know other formats: read, and not in silence."""
    pair = session.provisioned()
    for node in pair:
        node.put("/etc/hast.conf", node.get("/etc/hast.conf").replace(old.encode(), new.encode()))
    with pytest.warns(UnknownCharacters, match=said):
        pair.set_up()
    assert pair.pool_health(pair.skunk1) is Health.ONLINE
    assert audit(pair) == []
    session.used()


HANDBOOK = """\
timeout 5
resource test {
	name shared
	on hasta {
		local /dev/ad6
		remote hastb
	}
	on hastb {
		local /dev/ad6
		remote 172.16.0.1
	}
}
"""


def test_a_hast_conf_of_ones_own(session: Session) -> None:
    """As the handbook has it: other names of nodes, disks and addresses than the lab's."""
    pair = session.provisioned().use_hast_conf(HANDBOOK)
    pair.set_up()
    assert (pair.resource, pair.device, pair.settings.hast.timeout) == (
        "test",
        "/dev/hast/shared",
        5,
    )
    pair.fail_over(*pair.nodes)
    assert pair.pool_health(pair.skunk2) is Health.ONLINE
    session.used()


def test_a_hast_conf_of_ones_own_with_two_resources(session: Session) -> None:
    second = HANDBOOK.partition("\n")[2].replace("test", "tank").replace("\tname shared\n", "")
    pair = session.provisioned().use_hast_conf(HANDBOOK + second)
    pair.set_up_replication()
    assert {pair.info(pair.skunk1).localpath, pair.of("tank").info(pair.skunk1).localpath} == {
        "/dev/vtbd1p1",
        "/dev/vtbd1p2",
    }
    session.used()


def test_a_hast_conf_of_ones_own_that_hastd_refuses(session: Session) -> None:
    pair = session.provisioned()
    before = pair.skunk1.get("/etc/hast.conf")
    with pytest.raises(SettingsError, match="near 'never': syntax error"):
        pair.use_hast_conf(HANDBOOK.replace("timeout 5", "timeout never"))
    assert pair.skunk1.get("/etc/hast.conf") == before
    session.used()


@pytest.fixture
def moved(monkeypatch: pytest.MonkeyPatch) -> tuple[KnownState, list[str]]:
    """A state that rests on another one of somebody's own, and how often each has been made."""
    monkeypatch.setattr(known_states, "_declared", dict(known_states._declared))
    made: list[str] = []

    def export(pair: Pair) -> None:
        made.append("exported")
        pair.export_pool(pair.skunk1)

    def move(pair: Pair) -> None:
        made.append("moved")
        pair.demote(pair.skunk1)
        pair.promote(pair.skunk2)
        pair.wait_until_in_sync(pair.skunk2)

    known_states.declare(KnownState("exported", "set-up", export))
    return known_states.declare(KnownState("moved", "exported", move)), made


def test_a_declared_state_is_made_once_from_what_it_rests_on_and_brought_back(
    session: Session, moved: tuple[KnownState, list[str]]
) -> None:
    state, made = moved
    pair = session.in_state(state)
    assert (pair.role(pair.skunk1), pair.role(pair.skunk2)) == (Role.SECONDARY, Role.PRIMARY)
    assert made == ["exported", "moved"]
    pair.import_pool(pair.skunk2)
    session.used()
    pair = session.in_state(state)
    assert pair.role(pair.skunk2) is Role.PRIMARY
    assert pair.pool_health(pair.skunk2) is None
    assert made == ["exported", "moved"]
    session.used()
    pair = session.in_state(state, session.settings.hast.but(timeout=7))
    assert made == ["exported", "moved"] * 2
    assert pair.settings.hast.timeout == 7


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (KnownState("Carp up", "set-up", print), "cannot be called 'Carp up'"),
        (KnownState("set-up", "provisioned", print), "two known states called 'set-up'"),
        (KnownState("carp-up", None, print), "rests on nothing"),
        (KnownState("carp-up", "carp-down", print), "there is no known state 'carp-down'"),
        (KnownState("carp-up", "carp-up", print), "there is no known state 'carp-up'"),
        (KnownState("carp-up", "set-up", print, primary="skunk3"), "is called 'skunk3'"),
        (KnownState("carp-up", "set-up", cast(Any, "me")), "cannot be made by 'me'"),
        (KnownState(cast(Any, 3), "set-up", print), "cannot be called 3"),
    ],
)
def test_a_state_that_cannot_be_is_refused(state: KnownState, says: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(says)):
        known_states.declare(state)
