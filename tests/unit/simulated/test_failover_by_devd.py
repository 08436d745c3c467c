"""CARP moves the address, devd(8) sees it, a script moves HAST and the pool: all together."""

from __future__ import annotations

import pytest

from tests.unit.simulated.hast_pair import HAST_CONF
from tests.unit.simulated.test_segments import SERVICE, Lan, lan

__all__ = ["lan"]

RULE = """\
notify 100 {
	match "system" "CARP";
	match "subsystem" "1@vtnet2";
	match "type" "(MASTER|BACKUP)";
	action "/root/failover $type";
};
"""
SCRIPT = """\
#!/bin/sh
# Acts on the state of now, one at a time.
exec lockf -k -s /var/run/failover.lock sh -c '
state=$(ifconfig vtnet2 | sed -n "s/^.*carp: \\([A-Z]*\\) vhid 1 .*/\\1/p")
peer=192.168.0.$((3 - $(ifconfig vtnet1 | sed -n "s/.*inet 192.168.0.\\([12]\\) .*/\\1/p")))
logger -t failover -p daemon.notice "$1, now $state"
case $state in
MASTER)
	ping -c 1 -t 1 -q $peer >/dev/null || route -q add -host $peer 127.0.0.1 -reject
	hastctl role primary mirror
	until [ -c /dev/hast/mirror ]; do sleep 0.1; done
	zpool import -f failover
	;;
BACKUP)
	zpool export -f failover 2>/dev/null
	hastctl role secondary mirror
	;;
esac' sh "$1"
"""
SERVE = """\
#!/bin/sh
read -r number
echo "$number" >>/failover/ledger && fsync /failover/ledger && echo "$(uname -n) $number"
"""


@pytest.fixture
def pair(lan: Lan) -> Lan:
    """skunk1 with the pool, the address and the better skew, served by inetd on both."""
    for number, guest in enumerate((lan.one, lan.two)):
        conf = HAST_CONF.format(replication="memsync", extra="")
        files = {
            "/etc/hast.conf": conf,
            "/root/failover": SCRIPT,
            "/root/serve": SERVE,
            "/usr/local/etc/devd/failover.conf": RULE,
        }
        name = f"skunk{number + 1}"
        lan.out(guest, f"mkdir -p /usr/local/etc/devd; kldload zfs carp; hostname {name}")
        for path, text in files.items():
            guest.tree.write(path, text.encode(), mode=0o755)
        lan.out(guest, "hastctl create mirror; service hastd onestart; : >/var/log/messages")
        lan.out(guest, "echo 'ledger 7777/tcp' >>/etc/services")
        lan.out(guest, "echo 'ledger stream tcp nowait root /root/serve serve' >>/etc/inetd.conf")
        lan.out(guest, "service inetd onestart; service hastd onestatus")
    lan.out(lan.two, "hastctl role secondary mirror")
    lan.out(
        lan.one,
        "hastctl role primary mirror; until [ -c /dev/hast/mirror ]; do sleep 0.1; done; "
        "zpool create failover /dev/hast/mirror",
    )
    for number, guest in enumerate((lan.one, lan.two)):
        lan.out(
            guest, f"ifconfig vtnet2 inet vhid 1 advskew {number * 100} pass x {SERVICE}/32 alias"
        )
        lan.world.pass_time(5)
    for guest in (lan.one, lan.two):
        lan.out(guest, "service devd restart")
    lan.world.pass_time(5)
    return lan


def write(lan: Lan, number: int, patience: float = 1.0) -> str | None:
    """Who acknowledges a write to the service address, None when nobody does in time."""
    client = lan.client
    client.said.clear()
    client.connect(SERVICE, 7777, timeout=patience)
    end = lan.world.now + patience
    while client.socket is None and lan.world.now < end:
        lan.world.pass_time(0.01)
    if client.socket is None:
        return None
    client.socket.send(f"{number}\n".encode(), 8)
    while not client.said and client.socket.open and lan.world.now < end:
        lan.world.pass_time(0.01)
    answer = client.said[0] if client.said else b""
    assert isinstance(answer, bytes)
    name, _, said = answer.decode().strip().partition(" ")
    return name if said == str(number) else None


def until_served(lan: Lan, most: float) -> float:
    """Seconds until a write is acknowledged."""
    began = lan.world.now
    while write(lan, 99) is None:
        assert lan.world.now < began + most
        lan.world.pass_time(0.1)
    return lan.world.now - began


def test_a_power_cut_moves_the_service(pair: Lan) -> None:
    assert [write(pair, number) for number in range(3)] == ["skunk1"] * 3
    pair.one.power_cut()
    assert 3 < until_served(pair, 10) < 6
    assert write(pair, 100) == "skunk2"
    ledger = pair.out(pair.two, "cat /failover/ledger").split()
    assert ledger[:3] == ["0", "1", "2"]
    assert not pair.world.gaps


def test_demotion_hands_it_over(pair: Lan) -> None:
    assert write(pair, 1) == "skunk1"
    for guest in (pair.one, pair.two):
        pair.out(guest, "sysctl net.inet.carp.preempt=1")
    pair.out(pair.one, "sysctl net.inet.carp.demotion=240")
    assert until_served(pair, 10) < 4
    assert write(pair, 2) == "skunk2"
    assert pair.out(pair.one, "hastctl list mirror | awk '$1 == \"role:\" { print $2 }'") == (
        "secondary\n"
    )
    assert "BACKUP, now BACKUP\n" in pair.out(pair.one, "cat /var/log/messages")
    assert not pair.world.gaps
