"""route(8) with -reject: a peer that is out of reach at once, as recorded on 13.2."""

from __future__ import annotations

import pytest

from harness.lab.simulated.network.tcp import Socket, Tcp, connect
from tests.unit.simulated.hast_pair import Pair
from tests.unit.simulated.test_segments import Lan, lan

__all__ = ["lan"]

PEER = "192.168.0.2"


def test_a_peer_is_out_of_reach_at_once_and_back_again(lan: Lan) -> None:
    lan.out(lan.two, f"nc -l {PEER} 5001 >/tmp/came & sleep 1")
    assert "1 packets received" in lan.out(lan.one, f"ping -c 1 {PEER}")
    add = f"route add -host {PEER} 127.0.0.1 -reject; echo $?"
    assert lan.out(lan.one, add) == f"add host {PEER}: gateway 127.0.0.1\n0\n"
    again = f"add host {PEER}: gateway 127.0.0.1 fib 0: route already in table\n1\n"
    assert lan.out(lan.one, add) == again
    assert lan.out(lan.one, f"ping -c 1 -t 1 {PEER}").endswith("ping: sendto: No route to host\n")
    assert lan.one.part(Tcp).way_to(PEER) == "EHOSTUNREACH"
    began = lan.world.now
    assert lan.out(lan.one, f"nc -zv {PEER} 5001").endswith(" failed: No route to host\n")
    assert lan.world.now - began < 0.1, "instead of waiting for it"
    assert "1 packets received" in lan.out(lan.one, "ping -c 1 203.0.113.2")
    lan.out(lan.one, f"route -q delete -host {PEER}")
    assert "succeeded" in lan.out(lan.one, f"nc -zv {PEER} 5001")
    gone = f"delete host {PEER} fib 0: not in table\n1\nroute: route has not been found\n"
    assert lan.out(lan.one, f"route delete -host {PEER}; echo $?") == gone


def test_a_connection_that_is_there_carries_nothing(lan: Lan) -> None:
    lan.listen(lan.two)
    made: list[Socket | None] = []
    connect(lan.one.part(Tcp), PEER, 80, 5.0, lambda socket, _: made.append(socket))
    lan.world.pass_time(1)
    near, came = made[0], list[object]()
    assert near is not None
    lan.accepted[0][1].listen_to(came.append, came.append)
    near.send("early")
    lan.world.pass_time(1)
    lan.out(lan.one, f"route -q add -host {PEER} 127.0.0.1 -reject")
    near.send("late")
    lan.world.pass_time(5)
    assert came == ["early"]
    lan.out(lan.one, f"route -q delete {PEER}")
    lan.world.pass_time(3)
    assert came == ["early", "late"], "TCP has tried again"


def test_the_table(lan: Lan) -> None:
    lan.out(lan.one, "route -q add -host 192.168.0.9 127.0.0.1 -reject")
    assert lan.out(lan.one, "netstat -rn -f inet").splitlines() == [
        *("Routing tables", "", "Internet:"),
        "Destination        Gateway            Flags     Netif Expire",
        "10.0.2.0/24        link#1             U        vtnet0",
        "10.0.2.15          link#1             UHS         lo0",
        "127.0.0.1          link#4             UH          lo0",
        "192.168.0.0/24     link#2             U        vtnet1",
        "192.168.0.1        link#2             UHS         lo0",
        "192.168.0.9        127.0.0.1          UHRS        lo0",
        "203.0.113.0/24     link#3             U        vtnet2",
        "203.0.113.1        link#3             UHS         lo0",
    ]
    lan.out(lan.one, "kldload carp; ifconfig vtnet2 inet vhid 1 203.0.113.10/32 alias")
    assert "113.10" not in lan.out(lan.one, "netstat -rn -f inet")
    line = "203.0.113.10       link#3             UH          lo0\n"
    assert lan.out(lan.one, "sleep 4; netstat -rn -f inet").endswith(line)


@pytest.mark.parametrize(("rejects", "least", "most"), [(True, 0.0, 1.0), (False, 19.0, 22.0)])
def test_a_promotion_need_not_wait_for_a_peer_that_is_dead(
    rejects: bool, least: float, most: float
) -> None:
    """hastd calls its peer before the device can be used: by hand on 13.2 21 s, and 1 s with it."""
    pair = Pair()
    pair.connect()
    pair.one.power_cut()
    pair.world.pass_time(1)
    if rejects:
        pair.run(pair.two, "route add -host 192.168.0.1 127.0.0.1 -reject")
    began = pair.world.now
    reads = "until dd if=/dev/hast/mirror of=/dev/null count=1 2>/dev/null; do sleep 0.1; done"
    assert pair.run(pair.two, f"hastctl role primary mirror; {reads}").status == 0
    assert least <= pair.world.now - began <= most
