"""A third network of both nodes and a client, made of data alone; and what it has in common."""

from __future__ import annotations

import copy
import ipaddress
from collections.abc import Iterable
from functools import cache

import pytest

from harness.lab.simulated import features
from harness.lab.simulated.hardware.segment import BROADCAST, Nic, Segment
from harness.lab.simulated.kernel.devctl import Notice
from harness.lab.simulated.kernel.guest import Console, Guest, Part, World
from harness.lab.simulated.kernel.modules import Kernel
from harness.lab.simulated.network.arp import Arp
from harness.lab.simulated.network.commands.ifconfig import PARAMETERS, Wish
from harness.lab.simulated.network.interfaces import Interface, Network, Virtual
from harness.lab.simulated.network.ip import Ip, Packet
from harness.lab.simulated.network.tcp import Listener, Socket, Tcp
from harness.lab.simulated.network.udp import Udp
from harness.lab.simulated.shell import interpreter as shell
from tests.unit.simulated.client import Client
from tests.unit.simulated.storage import Lost, console, nics

SERVICE, GROUP = "203.0.113.10", "224.0.0.18"
VIRTUAL = "00:00:5e:00:01:01"
CLIENT_MAC = "52:54:00:cb:00:99"
CARP = 112


class Lan:
    """Both nodes up, on vtnet2 with 203.0.113.1 and .2, and a client with .99."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.one, self.two = world.guests["skunk1"], world.guests["skunk2"]
        segment = self.one.nics["vtnet2"].segment
        assert segment is not None
        client = segment.stations[-1].owner
        assert isinstance(client, Client)
        self.segment, self.client = segment, client
        self.came: list[tuple[str, str, object]] = []
        """Who got what from whom."""
        self.accepted: list[tuple[str, Socket]] = []

    def out(self, guest: Guest, line: str) -> str:
        process = shell.spawn(guest, line)
        while process.status is None:
            self.world.step()
        assert process.failure is None
        return (process.stdout + process.stderr).decode()

    def listen(self, guest: Guest) -> None:
        """Note what comes over UDP port 9, as protocol 112, and by connections to TCP port 80."""

        def note(packet: Packet) -> None:
            what = packet.payload.data if packet.protocol == 17 else packet.payload
            self.came.append((guest.name, packet.source, what))

        guest.part(Udp).listeners[9] = note
        guest.part(Ip).protocols[CARP] = lambda _, packet: note(packet)
        guest.part(Tcp).listeners[80] = Listener(
            80, lambda socket: self.accepted.append((guest.name, socket)), lambda _: True
        )

    def got(self) -> list[tuple[str, str, object]]:
        """What came since the last look."""
        self.world.pass_time(0.1)
        came, self.came = self.came, []
        return came

    def vtnet2(self, guest: Guest) -> Interface:
        return guest.part(Network).interfaces["vtnet2"]

    def share(self, guest: Guest, *, is_master: bool) -> None:
        """Have a node answer for the service's address with the virtual MAC address, or not."""
        interface = self.vtnet2(guest)
        assert interface.nic is not None
        interface.virtual[SERVICE] = Virtual(VIRTUAL if is_master else None, "vhid 1")
        guest.part(Network).add("vtnet2", ipaddress.IPv4Interface(f"{SERVICE}/32"), alias=True)
        interface.nic.also -= {VIRTUAL}
        if is_master:
            interface.nic.also |= {VIRTUAL}
            guest.part(Arp).announce(interface, SERVICE, VIRTUAL)
        self.world.pass_time(0.1)


@cache
def _booted() -> World:
    features.load_all()
    world = make(features.parts())
    for guest in world.guests.values():
        guest.power_on()
    world.pass_time(60)
    return world


def make(parts: Iterable[type[Part]]) -> World:
    """Both nodes before their first boot, with a third NIC each, and a client beside it."""
    world = World(1)
    public = Segment(world)
    for number in (1, 2):
        guest = Guest(
            world,
            f"skunk{number}",
            number=number,
            parts=parts,
            data_disk_bytes=512 << 20,
            data_disk_serial=f"skunk{number}-data",
            nics=(*nics(world, number), Nic(f"52:54:00:cb:00:0{number}", public)),
            console=Console(Lost().append),
        )
        guest.tree.mounts = {"/": guest.root}
        text = (
            f'ifconfig_vtnet1="inet 192.168.0.{number}/24"\n'
            f'ifconfig_vtnet2="inet 203.0.113.{number}/24"\n'
        )
        guest.tree.write("/etc/rc.conf", text.encode(), append=True)
        guest.root.write_all()
    Client(world, public, "203.0.113.99", CLIENT_MAC)
    return world


@pytest.fixture
def lan() -> Lan:
    return Lan(copy.deepcopy(_booted()))


# --- the third NIC ------------------------------------------------------------------------------


def test_the_third_nic_is_there(lan: Lan) -> None:
    assert not lan.world.gaps
    assert lan.out(lan.one, "ifconfig -l") == "vtnet0 vtnet1 vtnet2 lo0\n"
    assert lan.out(lan.one, "ifconfig vtnet2").splitlines() == [
        "vtnet2: flags=8863<UP,BROADCAST,RUNNING,SIMPLEX,MULTICAST> metric 0 mtu 1500",
        "\toptions=80028<VLAN_MTU,JUMBO_MTU,LINKSTATE>",
        "\tether 52:54:00:cb:00:01",
        "\tinet 203.0.113.1 netmask 0xffffff00 broadcast 203.0.113.255",
        "\tmedia: Ethernet autoselect (10Gbase-T <full-duplex>)",
        "\tstatus: active",
        "\tnd6 options=29<PERFORMNUD,IFDISABLED,AUTO_LINKLOCAL>",
    ]
    assert "fe80::1%lo0 prefixlen 64 scopeid 0x4" in lan.out(lan.one, "ifconfig lo0")
    said = console(lan.one)
    assert "vtnet2: Ethernet address: 52:54:00:cb:00:01\n" in said
    assert "Starting Network: lo0 vtnet0 vtnet1 vtnet2.\n" in said
    assert "<Link#3>" in lan.out(lan.one, "netstat -I vtnet2 -bn -f link")
    lan.out(lan.one, "service netif restart vtnet2")
    assert lan.vtnet2(lan.one).has("203.0.113.1")


@pytest.mark.parametrize("cut", ["vtnet1", "vtnet2"])
def test_each_link_is_cut_by_itself(lan: Lan, cut: str) -> None:
    addresses = {"vtnet1": "192.168.0.2", "vtnet2": "203.0.113.2"}
    heard: list[Notice] = []
    lan.one.devctl.listen(heard.append)
    lan.world.plug("skunk1", cut, plugged=False)
    for name, address in addresses.items():
        answered = "1 packets received" in lan.out(lan.one, f"ping -c 1 -t 1 {address}")
        assert answered is (name != cut)
        status = "no carrier" if name == cut else "active"
        assert f"status: {status}\n" in lan.out(lan.one, f"ifconfig {name}")
    assert lan.out(lan.one, f"nc -vz -w 1 {addresses[cut]} 80").endswith("No route to host\n")
    lan.world.plug("skunk1", cut, plugged=True)
    assert heard == [Notice("IFNET", cut, "LINK_DOWN"), Notice("IFNET", cut, "LINK_UP")]
    assert console(lan.one).endswith(
        f"{cut}: link state changed to DOWN\n{cut}: link state changed to UP\n"
    )


# --- datagrams ----------------------------------------------------------------------------------


def test_udp_and_raw_datagrams_go_to_their_address(lan: Lan) -> None:
    for guest in (lan.one, lan.two):
        lan.listen(guest)
    assert lan.one.part(Udp).send(("203.0.113.2", 9), b"hello", 1000) is None
    assert lan.two.part(Ip).send(Packet("203.0.113.1", CARP, "raw", 56)) is None
    assert lan.one.part(Udp).send(("203.0.113.1", 9), b"me", 1000) is None
    assert lan.one.part(Udp).send(("203.0.113.255", 9), b"all", 1000) is None
    assert lan.one.part(Udp).send(("203.0.113.2", 10), b"nobody listens", 1000) is None
    assert sorted(lan.got(), key=str) == [
        ("skunk1", "203.0.113.1", b"me"),
        ("skunk1", "203.0.113.2", "raw"),
        ("skunk2", "203.0.113.1", b"all"),
        ("skunk2", "203.0.113.1", b"hello"),
    ]
    assert [frame.target for frame in lan.client.frames] == [BROADCAST]
    lan.one.part(Udp).send(("203.0.113.99", 9), b"hello", 1000)
    lan.world.pass_time(0.1)
    assert lan.client.frames[-1].size == 14 + 20 + 8 + 5
    assert lan.client.table.entries["203.0.113.1"].mac == "52:54:00:cb:00:01"


def test_what_a_group_gets(lan: Lan) -> None:
    for guest in (lan.one, lan.two):
        lan.listen(guest)
    advertisement = Packet(GROUP, CARP, "master", 56, ttl=255)

    def send() -> None:
        assert lan.one.part(Ip).send(advertisement, by=lan.vtnet2(lan.one)) is None

    send()
    assert lan.got() == [], "nobody has joined"
    lan.two.part(Ip).join(lan.vtnet2(lan.two), GROUP)
    send()
    assert lan.got() == [("skunk2", "203.0.113.1", "master")]
    lan.two.part(Ip).leave(lan.vtnet2(lan.two), GROUP)
    lan.two.part(Ip).join(lan.vtnet2(lan.two), "224.128.0.18")
    send()
    assert lan.got() == [], "another group with the same MAC address"
    lan.two.part(Ip).join(lan.two.part(Network).interfaces["vtnet1"], GROUP)
    send()
    assert lan.got() == [], "joined on another interface"
    assert lan.client.frames == [], "no group of the client's"


def test_what_is_in_the_way_of_a_datagram(lan: Lan) -> None:
    lan.listen(lan.two)
    to = ("203.0.113.2", 9)
    send = lan.one.part(Udp).send
    lan.out(lan.two, "kldload pf; echo 'block in on vtnet1 all' | pfctl -q -e -f -")
    send(to, b"1", 1)
    assert lan.got() == [("skunk2", "203.0.113.1", b"1")], "of the other interface"
    lan.out(lan.two, "echo 'block in on vtnet2 all' | pfctl -q -f -")
    send(to, b"2", 1)
    assert lan.got() == []
    lan.out(lan.two, "pfctl -q -d")
    lan.out(lan.one, "kldload pf; echo 'block out on vtnet2 all' | pfctl -q -e -f -")
    assert send(to, b"3", 1) == "EACCES"
    lan.out(lan.one, "pfctl -q -d")
    lan.out(lan.one, "ifconfig vtnet2 down")
    assert send(to, b"4", 1) == "ENETDOWN"
    lan.out(lan.one, "ifconfig vtnet2 up")
    lan.two.pause()
    send(to, b"5", 1)
    lan.world.pass_time(1)
    lan.two.resume()
    assert lan.got() == []
    lan.segment.loss = 1.0
    send(to, b"6", 1)
    assert lan.got() == []


def test_a_datagram_takes_its_time_and_a_snapshot_has_it(lan: Lan) -> None:
    lan.segment.rate, lan.segment.delay = 1e3, 0.5
    lan.one.part(Udp).send(("203.0.113.99", 9), bytes(58), 1)
    lan.one.part(Udp).send(("203.0.113.99", 9), bytes(58), 1)
    saved = Lan(copy.deepcopy(lan.world))
    for one in (lan, saved):
        counts = []
        for _ in range(6):
            one.world.pass_time(0.13)
            counts.append(len(one.client.frames))
        assert counts == [0, 0, 0, 0, 1, 2], "100 bytes each, half a second after the last one"


# --- ARP ----------------------------------------------------------------------------------------


def test_arp_shows_who_was_asked(lan: Lan) -> None:
    lan.out(lan.one, "ping -c 1 203.0.113.2; ping -c 1 192.168.0.2; ping -c 1 -t 1 203.0.113.7")
    lan.world.pass_time(10)
    lan.out(lan.one, "echo 203.0.113.2 peer >>/etc/hosts")
    peer, own, nobody, link, link_peer, host = lan.out(lan.one, "arp -an").splitlines()
    assert own == "? (203.0.113.1) at 52:54:00:cb:00:01 on vtnet2 permanent [ethernet]"
    assert peer.startswith("? (203.0.113.2) at 52:54:00:cb:00:02 on vtnet2 expires in 11")
    assert peer.endswith(" seconds [ethernet]")
    assert nobody == "? (203.0.113.7) at (incomplete) on vtnet2 expired [ethernet]"
    assert link.endswith("on vtnet1 permanent [ethernet]")
    assert link_peer.startswith("? (192.168.0.2) at 52:54:00:c0:a8:02 on vtnet1 expires in 11")
    assert host == "? (10.0.2.15) at 52:54:00:a0:00:01 on vtnet0 permanent [ethernet]"
    assert lan.out(lan.two, "arp -n 203.0.113.1").startswith("? (203.0.113.1) at 52:54:00:cb:00:01")

    assert lan.out(lan.one, "arp -a -i vtnet2").splitlines()[0].startswith("peer (203.0.113.2) at")
    assert lan.out(lan.one, "arp 203.0.113.9") == "203.0.113.9 (203.0.113.9) -- no entry\n"
    assert lan.out(lan.one, "arp -d peer") == "peer (203.0.113.2) deleted\n"
    assert "113.2" not in lan.out(lan.one, "arp -an")
    lan.world.pass_time(1300)
    assert "expires" not in lan.out(lan.one, "arp -an")


def test_an_address_that_moves_is_announced(lan: Lan) -> None:
    alias = f"ifconfig vtnet2 inet {SERVICE}/32 alias"
    lan.out(lan.one, alias)
    lan.out(lan.two, f"ping -c 1 {SERVICE}")
    lan.client.connect(SERVICE, 80)
    lan.world.pass_time(1)
    assert lan.client.errors == ["ECONNREFUSED"]
    lan.out(lan.one, f"ifconfig vtnet2 inet {SERVICE} -alias")
    lan.client.nic.plug(plugged=False)
    lan.out(lan.two, f"sleep 1; {alias}; sleep 1")
    lan.client.nic.plug(plugged=True)
    lan.client.connect(SERVICE, 80, timeout=3)
    lan.world.pass_time(10)
    assert lan.client.errors[1:] == ["ETIMEDOUT"], "it has not heard of it"
    lan.world.pass_time(1200)
    lan.client.connect(SERVICE, 80, timeout=3)
    lan.world.pass_time(1)
    assert lan.client.errors[2:] == ["ECONNREFUSED"], "it has asked again"

    lan.out(lan.one, f"{alias}; sleep 1")
    warning = f"arp: 52:54:00:cb:00:0%d is using my IP address {SERVICE} on vtnet2!\n"
    assert console(lan.two).endswith(warning % 1)
    assert console(lan.one).endswith(warning % 2)


def test_another_node_that_is_moved_to_is_noted(lan: Lan) -> None:
    lan.out(lan.one, f"ifconfig vtnet2 inet {SERVICE}/32 alias")
    lan.out(lan.two, "ping -c 1 203.0.113.99")
    lan.two.part(Arp).tables["vtnet2"].learn(SERVICE, CLIENT_MAC)
    lan.out(lan.one, f"ifconfig vtnet2 inet {SERVICE}/32 alias; sleep 1")
    assert console(lan.two).endswith(
        f"arp: {SERVICE} moved from {CLIENT_MAC} to 52:54:00:cb:00:01 on vtnet2\n"
    )


# --- a protocol that is added -------------------------------------------------------------------


class Sharing(Part):
    """What a protocol that shares addresses needs, as carp(4) would: all of it from outside."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self._preempt = "0"
        self.masters: dict[str, str] = {}
        """Advertisements by who sent them."""
        kernel = guest.part(Kernel)
        kernel.when_loaded["carp"] = kernel.when_loaded["pfsync"] = self._load
        kernel.trees["net.inet.carp."] = self._show
        kernel.setters["net.inet.carp."] = self._set

    def _load(self) -> None:
        self._guest.part(Ip).protocols[CARP] = self._receive

    def _show(self, name: str) -> str | None:
        return self._preempt if name.endswith(".preempt") else None

    def _set(self, _: str, value: str) -> None:
        self._preempt = value

    def _receive(self, _: Interface, packet: Packet) -> None:
        self.masters[packet.source] = packet.payload

    def share(self, interface: Interface, wish: Wish) -> str | None:
        """Have the address as a shared one, and tell the group of it."""
        assert wish.address is not None
        assert interface.nic is not None
        vhid = wish.parameters["vhid"]
        interface.virtual[str(wish.address.ip)] = Virtual(VIRTUAL, f"vhid {vhid}")
        interface.promiscuous = True
        interface.shown.append(self._line)
        self._guest.part(Ip).join(interface, GROUP)
        self._guest.world.schedule(self._guest, 1.0, self._advertise, interface.name)
        self._guest.devctl.post("CARP", f"{vhid}@{interface.name}", "MASTER")
        return None

    def _advertise(self, name: str) -> None:
        by = self._guest.part(Network).interfaces[name]
        self._guest.part(Ip).send(Packet(GROUP, CARP, "alive", 56), by=by, source_mac=VIRTUAL)

    def _line(self, _: Interface) -> list[str]:
        return ["\tcarp: MASTER vhid 1 advbase 1 advskew 0"]


def test_a_protocol_is_added_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    def set_group(guest: Guest, interface: Interface, wish: Wish) -> str | None:
        return guest.part(Sharing).share(interface, wish)

    monkeypatch.setitem(PARAMETERS, "vhid", set_group)
    world = make((*features.parts(), Sharing))
    for guest in world.guests.values():
        guest.tree.mounts = {"/": guest.root}
        setting = f'ifconfig_vtnet2_alias0="inet vhid 1 {SERVICE}/32"\n'
        guest.tree.write("/boot/loader.conf", b'carp_load="YES"\n', append=True)
        guest.tree.write("/etc/rc.conf", setting.encode(), append=True)
        guest.tree.write("/etc/sysctl.conf", b"net.inet.carp.preempt=1\n", append=True)
        guest.root.write_all()
        guest.power_on()
    world.pass_time(60)
    lan = Lan(copy.deepcopy(world))
    assert not lan.world.gaps
    assert lan.out(lan.one, "sysctl -n net.inet.carp.preempt; kldstat -q -m carp && echo yes") == (
        "1\nyes\n"
    )
    assert lan.out(lan.one, "kldload pfsync && kldstat -q -m pfsync && echo yes") == "yes\n"
    assert lan.out(lan.one, "ifconfig vtnet2").splitlines()[:6:5] == [
        "vtnet2: flags=8963<UP,BROADCAST,RUNNING,PROMISC,SIMPLEX,MULTICAST> metric 0 mtu 1500",
        "\tcarp: MASTER vhid 1 advbase 1 advskew 0",
    ]
    assert len(lan.one.part(Sharing).masters) + len(lan.two.part(Sharing).masters) >= 1
    lan.client.connect(SERVICE, 80)
    lan.world.pass_time(1)
    assert lan.client.table.entries[SERVICE].mac == VIRTUAL


# --- TCP ----------------------------------------------------------------------------------------


def test_a_client_follows_a_shared_address(lan: Lan) -> None:
    for guest, is_master in ((lan.one, True), (lan.two, False)):
        lan.listen(guest)
        lan.share(guest, is_master=is_master)
    assert f"inet {SERVICE} netmask 0xffffffff broadcast {SERVICE} vhid 1" in lan.out(
        lan.two, "ifconfig vtnet2"
    )
    lan.client.connect(SERVICE, 80)
    lan.world.pass_time(1)
    assert lan.client.table.entries[SERVICE].mac == VIRTUAL
    assert [name for name, _ in lan.accepted] == ["skunk1"]
    lan.accepted[0][1].send("welcome")
    lan.world.pass_time(1)
    assert lan.client.said == ["welcome"]
    sent = lan.two.nics["vtnet2"].sent
    assert "1 packets received" in lan.out(lan.two, f"ping -c 1 {SERVICE}")
    assert lan.two.nics["vtnet2"].sent == sent + 98, "it is not the backup's own"

    lan.share(lan.one, is_master=False)
    lan.share(lan.two, is_master=True)
    assert lan.client.socket is not None
    lan.client.socket.send("still there?")
    lan.world.pass_time(1)
    assert lan.client.errors == ["ECONNRESET"], "the other node knows no such connection"
    lan.client.connect(SERVICE, 80)
    lan.world.pass_time(1)
    assert [name for name, _ in lan.accepted] == ["skunk1", "skunk2"]
    lan.two.power_cut()
    lan.client.connect(SERVICE, 80, timeout=3)
    lan.world.pass_time(5)
    assert lan.client.errors[1:] == ["ETIMEDOUT"]


def test_nodes_connect_over_either_network(lan: Lan) -> None:
    for address in ("203.0.113.2", "192.168.0.2"):
        lan.out(lan.two, f"nc -l {address} 5001 >/tmp/came 2>&1 & sleep 1")
        sent = lan.one.nics["vtnet2"].sent
        lan.out(lan.one, f"echo {address} | nc -N {address} 5001")
        lan.world.pass_time(1)
        assert lan.two.tree.read("/tmp/came").decode() == f"{address}\n"
        assert (lan.one.nics["vtnet2"].sent > sent) is (address == "203.0.113.2")
