"""carp(4) between two booted nodes and a client: who has the address, and for how long nobody."""

from __future__ import annotations

import copy
from functools import cache

import pytest

from harness.lab.simulated import features
from harness.lab.simulated.kernel.guest import Guest, World
from harness.lab.simulated.network.carp import Carp
from harness.lab.simulated.network.carp_group import State
from harness.lab.simulated.network.tcp import Listener, Tcp
from tests.unit.simulated.test_segments import CLIENT_MAC, SERVICE, VIRTUAL, Lan, make


@cache
def _booted() -> World:
    """Both nodes booted from files that have CARP, skunk1 with the better skew."""
    features.load_all()
    world = make(features.parts())
    for number, guest in enumerate(world.guests.values()):
        setting = (
            f'ifconfig_vtnet2_alias0="inet vhid 1 advskew {number * 100} pass x {SERVICE}/32"\n'
        )
        guest.tree.write("/boot/loader.conf", b'carp_load="YES"\n', append=True)
        guest.tree.write("/etc/rc.conf", setting.encode(), append=True)
        guest.tree.write("/etc/sysctl.conf", b"net.inet.carp.preempt=1\n", append=True)
        guest.root.write_all()
        guest.power_on()
    world.pass_time(70)
    return world


@pytest.fixture
def lan() -> Lan:
    lan = Lan(copy.deepcopy(_booted()))
    assert not lan.world.gaps
    for guest in (lan.one, lan.two):
        _serve(lan, guest)
    return lan


def _serve(lan: Lan, guest: Guest) -> None:
    guest.part(Tcp).listeners[80] = Listener(
        80, lambda socket: lan.accepted.append((guest.name, socket)), lambda _: True
    )


def state(guest: Guest) -> State:
    return guest.part(Carp).groups["vtnet2"][1].state


def until_master(lan: Lan, guest: Guest, most: float) -> float:
    """Seconds until a node is MASTER."""
    began = lan.world.now
    while state(guest) is not State.MASTER:
        assert lan.world.now < began + most, "never"
        lan.world.step()
    return lan.world.now - began


def answers(lan: Lan) -> str | None:
    """Who answers the client at the service's address, if anybody does."""
    lan.accepted.clear()
    lan.client.connect(SERVICE, 80, timeout=1)
    lan.world.pass_time(1.5)
    return lan.accepted[0][0] if lan.accepted else None


def test_the_better_node_is_master_after_both_have_booted(lan: Lan) -> None:
    assert (state(lan.one), state(lan.two)) == (State.MASTER, State.BACKUP)
    assert answers(lan) == "skunk1"
    assert lan.client.table.entries[SERVICE].mac == VIRTUAL
    assert "1 packets received" in lan.out(lan.two, f"ping -c 1 {SERVICE}")


@pytest.mark.parametrize("how", ["power cut", "pause", "cable out"])
def test_the_backup_takes_over_within_its_three_intervals(lan: Lan, how: str) -> None:
    assert answers(lan) == "skunk1"
    if how == "power cut":
        lan.one.power_cut()
    elif how == "pause":
        lan.one.pause()
    else:
        lan.world.plug("skunk1", "vtnet2", plugged=False)
    assert 2.3 < until_master(lan, lan.two, 4) < 3.5, "3 + 100/256 s after the last one heard"
    assert answers(lan) == "skunk2"


def test_a_node_that_was_frozen_wakes_up_as_master_and_has_it_back(lan: Lan) -> None:
    """It has the better skew: the other one steps down when it hears of it."""
    lan.one.pause()
    until_master(lan, lan.two, 4)
    lan.one.resume()
    assert (state(lan.one), state(lan.two)) == (State.MASTER, State.MASTER)
    lan.world.pass_time(1.5)
    assert (state(lan.one), state(lan.two)) == (State.MASTER, State.BACKUP)
    lan.out(lan.two, "ifconfig vtnet2 vhid 1 advskew 0")
    lan.one.pause()
    until_master(lan, lan.two, 4)
    lan.one.resume()
    lan.world.pass_time(1.5)
    states = {state(lan.one), state(lan.two)}
    assert states == {State.MASTER, State.BACKUP}, "with the same skew one of them steps down"


@pytest.mark.parametrize("preempt", [True, False])
def test_the_old_master_that_boots_gets_it_back_only_with_preempt(lan: Lan, preempt: bool) -> None:
    if not preempt:
        for guest in (lan.one, lan.two):
            lan.out(guest, "sed -i '' /preempt/d /etc/sysctl.conf; sync")
            lan.out(guest, "sysctl net.inet.carp.preempt=0")
    lan.one.power_cut()
    until_master(lan, lan.two, 4)
    lan.one.power_on()
    lan.world.pass_time(70)
    expected = (State.MASTER, State.BACKUP) if preempt else (State.BACKUP, State.MASTER)
    assert (state(lan.one), state(lan.two)) == expected
    booted = lan.out(lan.one, "dmesg | grep carp: ")
    assert booted.startswith("carp: 1@vtnet2: INIT -> BACKUP (initialization complete)\n")


def test_demotion_gives_the_address_away_and_takes_it_back(lan: Lan) -> None:
    lan.out(lan.one, "sysctl net.inet.carp.demotion=240")
    lan.world.pass_time(0.5)
    assert (state(lan.one), state(lan.two)) == (State.BACKUP, State.MASTER), "at once"
    assert answers(lan) == "skunk2"
    lan.out(lan.one, "sysctl net.inet.carp.demotion=-240")
    lan.world.pass_time(2)
    assert state(lan.one) is State.MASTER, "it preempts the next one that it hears"


def test_a_client_with_both_masters_is_answered_by_one(lan: Lan) -> None:
    lan.out(lan.two, "ifconfig vtnet2 vhid 1 advskew 100 pass y")
    lan.world.pass_time(5)
    assert (state(lan.one), state(lan.two)) == (State.MASTER, State.MASTER)
    assert answers(lan) in {"skunk1", "skunk2"}


def test_a_firewall_that_drops_what_it_sends_demotes_it(lan: Lan) -> None:
    lan.out(lan.one, "kldload pf; echo 'block out on vtnet2 all' | pfctl -q -e -f -")
    lan.world.pass_time(4)
    assert lan.out(lan.one, "sysctl -n net.inet.carp.demotion") == "240\n"
    assert "carp: demoted by 240 to 240 (send error 13 on vtnet2)" in lan.out(lan.one, "dmesg")
    assert state(lan.two) is State.MASTER
    lan.out(lan.one, "pfctl -q -d")
    lan.world.pass_time(5)
    assert state(lan.one) is State.BACKUP or lan.out(lan.one, "sysctl -n net.inet.carp.demotion")


def test_the_backup_answers_an_announcement_and_only_the_master_notes_it(lan: Lan) -> None:
    """As 13.2 does, by in_arpinput: a switch takes that answer to the MASTER alone."""
    lan.out(lan.one, "sysctl net.inet.carp.demotion=240")
    lan.world.pass_time(1)
    assert state(lan.two) is State.MASTER
    assert f"({SERVICE}) at 52:54:00:cb:00:01 on vtnet2" in lan.out(lan.two, "arp -an")
    assert f"({SERVICE}) at {VIRTUAL} on vtnet2" in lan.out(lan.one, "arp -an")
    assert answers(lan) == "skunk2"
    assert lan.client.table.entries[SERVICE].mac == VIRTUAL
    assert CLIENT_MAC not in lan.out(lan.one, f"arp {SERVICE}")
