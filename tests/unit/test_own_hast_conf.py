"""hast.conf files as the handbook, the manual and blogs have them, on the nodes of the lab."""

from __future__ import annotations

import pytest

from harness.cluster.own_hast_conf import Place, adapt
from harness.errors import SettingsError

PLACES = {
    "skunk1": Place("192.168.0.1", ("/dev/vtbd1p1", "/dev/vtbd1p2")),
    "skunk2": Place("192.168.0.2", ("/dev/vtbd1p1", "/dev/vtbd1p2")),
}

HANDBOOK = """\
resource test {
    on hasta {
        local /dev/ad6
        remote 172.16.0.2
    }
    on hastb {
        local /dev/ad6
        remote 172.16.0.1
    }
}
"""

MANUAL = """\
# The example of hast.conf(5).
listen tcp://0.0.0.0

on hasta {
	listen tcp://2001:db8::1/64
}
on hastb {
	listen tcp://2001:db8::2/64
}

resource shared {
	local /dev/da0

	on hasta {
		remote tcp://10.0.0.2
	}
	on hastb {
		remote tcp://10.0.0.1
	}
}
resource tank {
	on hasta {
		local /dev/mirror/tanka
		source tcp://10.0.0.1
		remote tcp://10.0.0.2
	} # a comment after a brace, on hasta
	on hastb {
		local /dev/mirror/tankb
		source tcp://10.0.0.2
		remote tcp://10.0.0.1
	}
}
"""


def test_the_handbook() -> None:
    own = adapt(HANDBOOK, PLACES)

    assert own.text == (
        HANDBOOK.replace("hasta", "skunk1")
        .replace("hastb", "skunk2")
        .replace("/dev/ad6", "/dev/vtbd1p1")
        .replace("172.16", "192.168")
    )
    assert (own.resources, own.timeout) == (("test",), None)
    assert own.changes == (
        "on hasta -> skunk1",
        "local /dev/ad6 -> /dev/vtbd1p1",
        "remote 172.16.0.2 -> 192.168.0.2",
        "on hastb -> skunk2",
        "remote 172.16.0.1 -> 192.168.0.1",
    )


def test_the_manual_keeps_its_fault() -> None:
    own = adapt(MANUAL, PLACES)

    assert "listen tcp://2001:db8::1/64" in own.text, "hastd refuses it, here as there"
    assert "listen tcp://0.0.0.0" in own.text
    assert "\tlocal /dev/vtbd1p1\n\n\ton skunk1 {\n\t\tremote tcp://192.168.0.2\n" in own.text
    assert "\t\tlocal /dev/vtbd1p2\n\t\tsource tcp://192.168.0.1\n" in own.text
    assert "} # a comment after a brace, on hasta\n" in own.text


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("on hasta.example.org { listen 10.1.1.1:9000 }", "on skunk1 { listen 192.168.0.1:9000 }"),
        (
            "on hasta { listen tcp6://[fd00::1]:8457 }",
            "on skunk1 { listen tcp4://192.168.0.1:8457 }",
        ),
        ("listen 10.1.1.1", "listen 0.0.0.0"),
        ("listen tcp6://[::]:8457", "listen tcp6://[::]:8457"),
        ("listen /var/run/hast.sock", "listen /var/run/hast.sock"),
        ("metaflush on timeout 5", "metaflush on timeout 5"),
        ("control uds:///var/run/hastctl", "control uds:///var/run/hastctl"),
    ],
)
def test_other_lines(old: str, new: str) -> None:
    assert adapt(f"{old}\n{HANDBOOK}", PLACES).text.startswith(f"{new}\n")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("remote hastb", "remote skunk2"),
        ("remote tcp://hastb.example.org:8457", "remote tcp://skunk2:8457"),
        ("remote storage2-int", "remote 192.168.0.2"),
        ("remote none", "remote none"),
        ("remote hastb:0", "remote hastb:0"),
        ("remote 172.16.0.2; source 172.16.0.1;", "remote 192.168.0.2; source 192.168.0.1;"),
        ('remote "172.16.0.2"', 'remote "192.168.0.2"'),
        ("remote 172.16.0.2\n local /root/disk.img", "remote 192.168.0.2\n local /root/disk.img"),
    ],
)
def test_another_remote(old: str, new: str) -> None:
    text = adapt(HANDBOOK.replace("remote 172.16.0.2", old), PLACES).text

    assert f"        {new}\n    }}\n    on skunk2" in text


def test_a_file_for_the_lab_stays_as_it_is() -> None:
    text = HANDBOOK.replace("hasta", "skunk2").replace("hastb", "skunk1")
    own = adapt(text, PLACES)

    assert own.changes[0] == "local /dev/ad6 -> /dev/vtbd1p1", "no name has changed"
    assert adapt(own.text, PLACES).changes == ()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (HANDBOOK.replace("hastb", "hasta"), r"is for 1 nodes \(hasta\), and a pair has two"),
        (HANDBOOK + "on hastc { listen 1.2.3.4 }", r"is for 3 nodes \(hasta, hastb, hastc\)"),
        ("", r"is for 0 nodes \(none\)"),
        (
            "".join(HANDBOOK.replace("test", f"disk{n}") for n in range(3)),
            r"has 3 resources \(disk0, disk1, disk2\), and a node's data disk has room for 2",
        ),
    ],
)
def test_a_file_that_is_for_no_pair(text: str, complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint):
        adapt(text, PLACES)


def test_one_local_for_disks_of_different_names() -> None:
    places = PLACES | {"skunk2": Place("192.168.0.2", ("/dev/ada1", "/dev/ada2"))}
    with pytest.raises(SettingsError, match="is for both nodes, whose data disks have different"):
        adapt(MANUAL, places)
