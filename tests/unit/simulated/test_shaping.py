"""The tools that make the model's link and disk slow, and those that measure them.

Words and statuses are those of the sources of 13.2 (sbin/ipfw, sys/geom/nop, usr.bin/kdump).
"""

from __future__ import annotations

import re
import statistics

import pytest

from harness.cluster.node import Node
from harness.errors import CommandTimedOut, NodeUnreachable
from harness.lab.simulated.geom.nop import NopDevice
from harness.lab.simulated.kernel.guest import Guest
from harness.lab.simulated.network.interfaces import Network
from harness.lab.simulated.network.tcp import Tcp
from tests.unit.simulated.hast_pair import MB, Pair

ACCEPT = "kenv net.inet.ip.fw.default_to_accept=1 >/dev/null; kldload -n ipfw dummynet"
RULE = "ipfw -q add 100 pipe 1 ip from any to any out via vtnet1"
RATE = re.compile(r"\(([0-9]+) bytes/sec\)")
TICK = 0.01


@pytest.fixture
def pair() -> Pair:
    pair = Pair()
    for number, guest in enumerate((pair.one, pair.two), start=1):
        pair.out(guest, f"ifconfig vtnet1 inet 192.168.0.{number}/24")
    return pair


def said(pair: Pair, line: str, guest: Guest | None = None) -> tuple[int | None, str, str]:
    process = pair.run(guest or pair.one, line)
    return process.status, process.stdout.decode(), process.stderr.decode()


def shape(pair: Pair, options: str, *guests: Guest) -> None:
    for guest in guests or (pair.one, pair.two):
        assert said(pair, f"{ACCEPT}; ipfw -q pipe 1 config {options} && {RULE}", guest)[0] == 0


def pings(pair: Pair, count: int = 20) -> list[float]:
    shown = pair.run(pair.one, f"ping -c {count} -i 0.053 192.168.0.2").stdout.decode()
    return [float(time) / 1000 for time in re.findall(r"time=([0-9.]+) ms", shown)]


# --- ipfw ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "status", "words"),
    [
        ("sysctl -n net.inet.ip.fw.enable", 1, "sysctl: unknown oid 'net.inet.ip.fw.enable'\n"),
        ("ipfw", 64, 'ipfw: usage: ipfw [options]\ndo "ipfw -h" or "man ipfw" for details\n'),
        (RULE, 69, "ipfw: getsockopt(IP_FW_XADD): Protocol not available\n"),
        ("ipfw -q delete 100", 0, ""),
        ("ipfw delete 7", 0, "ipfw: rule 7: setsockopt(IP_FW_XDEL): Protocol not available\n"),
        (
            "ipfw -q pipe 7 delete",
            0,
            "ipfw: rule 1: setsockopt(IP_DUMMYNET_DEL): Protocol not available\n",
        ),
        (
            "ipfw pipe 1 config delay 10ms",
            1,
            "ipfw: setsockopt(IP_DUMMYNET_CONFIGURE): Protocol not available\n",
        ),
    ],
)
def test_without_the_module(pair: Pair, line: str, status: int, words: str) -> None:
    assert said(pair, line) == (status, "", words)


def test_rules_are_added_listed_and_deleted(pair: Pair) -> None:
    said(pair, ACCEPT)
    assert said(pair, "sysctl -n net.inet.ip.fw.default_to_accept") == (0, "1\n", "")
    assert said(pair, RULE) == (0, "", "")
    shown = "00100 pipe 1 ip from any to any out via vtnet1\n"
    assert said(pair, "ipfw add deny ip from any to any in")[1] == (
        "00200 deny ip from any to any in\n"
    )
    assert said(pair, "ipfw -q delete 200") == (0, "", "")
    assert said(pair, "ipfw list")[1] == f"{shown}65535 allow ip from any to any\n"
    assert said(pair, "ipfw delete 100 300") == (0, "", "ipfw: rule 300 not found\n")
    assert said(pair, "ipfw pipe 1 delete")[2] == (
        "ipfw: rule 1: setsockopt(IP_DUMMYNET_DEL): Invalid argument\n"
    )
    assert said(pair, "ipfw pipe 1 config delay 10001")[::2] == (
        65,
        "ipfw: delay must be < 10000\n",
    )
    assert said(pair, "ipfw pipe 1 config profile x")[0] == 127


def test_ipfw_denies_everything_unless_told_otherwise_before(pair: Pair) -> None:
    pair.out(pair.one, "ifconfig vtnet0 inet 10.0.2.15/24")
    assert pings(pair, 1)
    said(pair, "kldload -n ipfw")
    assert said(pair, "ipfw list")[1] == "65535 deny ip from any to any\n"
    assert not pair.one.part(Network).reachable
    assert not pings(pair, 1)
    said(pair, "ipfw -q add allow all from any to any")
    assert pair.one.part(Network).reachable
    assert pings(pair, 1)


def test_who_loads_ipfw_as_it_comes_is_cut_off(nodes: tuple[Node, Node]) -> None:
    nodes[0].run("kldload", "-n", "geom_nop")
    with pytest.raises((NodeUnreachable, CommandTimedOut)):
        nodes[0].run("kldload", "-n", "ipfw")
    assert nodes[1].run("true").ok


def test_a_rule_to_a_pipe_that_is_not_there_drops(pair: Pair) -> None:
    said(pair, f"{ACCEPT}; {RULE}")
    assert not pings(pair, 1)
    said(pair, "ipfw -q pipe 1 config bw 1Gbit/s")
    assert pings(pair, 1)


# --- the link -----------------------------------------------------------------------------------


def test_a_delay_is_whole_ticks_and_the_first_has_begun(pair: Pair) -> None:
    received, sent = counted(pair, pair.one)
    assert max(pings(pair, 20)) < 0.002
    assert counted(pair, pair.one) == (received + 20 * 98, sent + 20 * 98)
    shape(pair, "delay 25ms")  # two ticks of 10 ms
    times = pings(pair)
    assert 2 * TICK < min(times) < max(times) < 4 * TICK + 0.002
    assert max(times) > min(times)
    shape(pair, "delay 9ms")
    assert max(pings(pair)) < 0.002, "less than a tick is nothing"
    said(pair, "ipfw -q delete 100")
    said(pair, "ipfw -q delete 100", pair.two)
    assert max(pings(pair)) < 0.002


def test_what_is_lost_is_not_answered(pair: Pair) -> None:
    shape(pair, "plr 0.3", pair.one)
    assert 50 < len(pings(pair, 100)) < 90


def test_who_comes_to_a_full_pipe_waits(pair: Pair) -> None:
    shape(pair, "bw 8Mbit/s delay 10ms", pair.one)
    pipe = pair.one.part(Network).interfaces["vtnet1"].pipe()
    assert pipe is not None
    now = pair.world.now
    assert pipe.take(now, 100_000)[1] == pytest.approx(now + 0.1 + 2 * TICK, abs=TICK)
    first, last = pipe.take(now, 100_000)
    assert first == pytest.approx(now + 0.1 + 2 * TICK, abs=TICK)
    assert last == pytest.approx(now + 0.2 + 2 * TICK, abs=TICK)


def nc_rate(pair: Pair, mib: int = 4) -> float:
    pair.out(pair.two, "nc -l 192.168.0.2 5001 >/dev/null 2>&1 & sleep 1")
    send = f"dd if=/dev/zero bs=64k count={mib * 16} | nc -N 192.168.0.2 5001"
    status, _, errors = said(pair, send)
    assert status == 0
    assert 5001 not in pair.two.part(Tcp).listeners
    found = RATE.search(errors)
    assert found is not None
    return float(found[1])


def test_nc_feels_rate_delay_and_loss(pair: Pair) -> None:
    plain = nc_rate(pair)
    assert 60e6 < plain < 140e6
    shape(pair, "bw 50Mbit/s")
    assert 4e6 < nc_rate(pair) < 6.9e6
    shape(pair, "delay 20ms")
    assert nc_rate(pair) < plain / 3
    shape(pair, "plr 0.2")
    assert nc_rate(pair) < plain / 2


def test_nc_hands_on_what_comes(pair: Pair) -> None:
    pair.out(pair.two, "nc -l 192.168.0.2 5001 >/tmp/came 2>&1 & sleep 1")
    pair.out(pair.one, "echo hello | nc -N 192.168.0.2 5001")
    assert pair.out(pair.two, "cat /tmp/came") == "hello\n"
    pair.out(pair.two, "nc -l 192.168.0.2 5001 >/tmp/came 2>&1 & sleep 1")
    pair.out(pair.one, "dd if=/dev/random of=/tmp/data bs=1m count=1 2>/dev/null")
    pair.out(pair.one, "dd if=/tmp/data bs=64k | nc -N 192.168.0.2 5001")
    pair.world.pass_time(1)
    assert pair.two.tree.read("/tmp/came") == pair.one.tree.read("/tmp/data")
    assert said(pair, "echo hello | nc -N 192.168.0.2 5001") == (1, "", ""), "nobody listens"
    assert said(pair, "nc -l 192.168.0.9 5001 </dev/null")[::2] == (
        1,
        "nc: Can't assign requested address\n",
    )
    broken = "dd if=/dev/zero bs=64k count=64 | nc -N 192.168.0.2 5001"
    assert said(pair, broken) == (1, "", ""), "dd gets SIGPIPE and says nothing"


def counted(pair: Pair, guest: Guest) -> tuple[int, int]:
    """Bytes received and sent, by netstat."""
    words = pair.out(guest, "netstat -I vtnet1 -bn -f link").splitlines()[1].split()
    return int(words[7]), int(words[10])


def test_netstat_counts_what_a_resync_sends(pair: Pair) -> None:
    pair.connect()
    pair.out(pair.two, "hastctl role init mirror")
    pair.fill(pair.one, 1)  # the one that is lost
    pair.fill(pair.one, 24, "a")
    before = counted(pair, pair.one), counted(pair, pair.two)
    pair.out(pair.two, "hastctl role secondary mirror")
    pair.world.pass_time(30)
    assert "dirty: 0 (0B)" in pair.out(pair.one, "hastctl list mirror")
    after = counted(pair, pair.one), counted(pair, pair.two)
    received, sent = (after[0][side] - before[0][side] for side in (0, 1))
    assert 24 * MB < sent < 26.5 * MB
    assert 0.01 * sent < received < 0.05 * sent
    assert after[1] == after[0][::-1], "what one sends the other receives"
    pair.up(pair.two)
    assert counted(pair, pair.two) == (0, 0), "since the boot"


def resync_time(pair: Pair, megabytes: int = 8) -> float:
    """Seconds until a secondary that comes back has everything."""
    pair.out(pair.two, "hastctl role init mirror")
    pair.fill(pair.one, 1)
    pair.fill(pair.one, megabytes, str(pair.world.now))
    before = len(pair.log(pair.one))
    pair.out(pair.two, "hastctl role secondary mirror")
    begin = 0.0
    while not any("complete" in line for line in pair.log(pair.one)[before:]):
        assert pair.world.next_at() is not None
        pair.world.step()
        if not begin and any("started" in line for line in pair.log(pair.one)[before:]):
            begin = pair.world.now
    return pair.world.now - begin


def test_hastd_feels_delay_and_rate(pair: Pair) -> None:
    pair.connect()
    plain = resync_time(pair)
    shape(pair, "delay 20ms")
    assert plain + 8 * 2 * TICK < resync_time(pair) < plain + 8 * 4 * TICK + 0.5
    shape(pair, "bw 50Mbit/s")
    assert resync_time(pair) > 8 * MB * 8 / 50e6


# --- the disk -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "status", "words"),
    [
        ("gnop configure -d 5 /dev/vtbd1.nop", 1, 'gnop: Class not found: "NOP"\n'),
        ("gnop create /dev/nosuch", 1, 'gnop: Provider not found: "/dev/nosuch"\n'),
        ("gnop create vtbd1; gnop create vtbd1", 1, "gnop: Provider vtbd1.nop already exists.\n"),
        (
            "gnop create vtbd1; gnop configure -d 0 -q 0 -x 0 /dev/vtbd1.nop",
            1,
            "gnop: Invalid 'delaymsec' argument\n",
        ),
        (
            "gnop create vtbd1; gnop configure -d 2.5 vtbd1.nop",
            1,
            "gnop: Invalid value for 'd' argument: Invalid argument\n",
        ),
        ("gnop create vtbd1; gnop configure -d 5 vtbd1", 1, "gnop: Provider vtbd1 is invalid.\n"),
        ("gnop create vtbd1; gnop destroy vtbd1.nop; ls /dev/vtbd1*", 0, ""),
        ("gnop destroy vtbd1.nop", 1, 'gnop: Class not found: "NOP"\n'),
        ("gnop create vtbd1; gnop configure -r 50 vtbd1.nop", 127, None),
    ],
)
def test_gnop_says_little(pair: Pair, line: str, status: int, words: str | None) -> None:
    got, _, errors = said(pair, line)
    assert got == status
    assert words is None or errors == words


def read_time(pair: Pair, count: int = 20, disk: str = "vtbd1.nop", size: str = "64k") -> float:
    """Seconds of each of some reads by dd."""
    errors = said(pair, f"dd if=/dev/{disk} of=/dev/null bs={size} count={count}")[2]
    found = re.search(r" in ([0-9.]+) secs", errors)
    assert found is not None
    return float(found[1]) / count


def test_gnop_delays_each_request_by_ticks(pair: Pair) -> None:
    said(pair, "gnop create vtbd1")
    assert "vtbd1.nop" in pair.one.devices
    assert pair.one.devices["vtbd1.nop"].mediasize == pair.one.devices["vtbd1"].mediasize
    assert read_time(pair) < 0.001
    assert said(pair, "gnop configure -d 35 -q 100 -x 100 /dev/vtbd1.nop") == (0, "", "")
    assert 2.9 * TICK < read_time(pair) <= 3 * TICK
    assert read_time(pair, disk="vtbd1") < 0.001, "the disk itself is as fast as before"
    said(pair, "gnop configure -d 1 -q 0 vtbd1.nop")
    assert read_time(pair) < 0.001
    said(pair, "gnop configure -q 50 vtbd1.nop")
    assert 0.2 * TICK < read_time(pair, 40) < 0.8 * TICK
    pair.up(pair.one)
    assert "vtbd1.nop" not in pair.one.devices, "it is gone after a reboot"


def test_hastd_works_on_a_delayed_disk(pair: Pair) -> None:
    for guest in (pair.one, pair.two):
        pair.out(guest, "gnop create vtbd1")
        text = guest.tree.read("/etc/hast.conf").replace(b"/dev/vtbd1", b"/dev/vtbd1.nop")
        guest.tree.write("/etc/hast.conf", text)
    pair.connect()
    fast = pair.wait_for(pair.write(pair.one, 0))
    pair.out(pair.two, "gnop configure -d 30 -x 100 vtbd1.nop")
    pair.out(pair.one, "sed -i '' s/memsync/fullsync/ /etc/hast.conf && pkill -HUP hastd")
    pair.world.pass_time(1)
    assert pair.wait_for(pair.write(pair.one, 0)) > fast + 0.02
    assert pair.data(pair.one) == pair.data(pair.two)
    assert isinstance(pair.two.devices["vtbd1.nop"], NopDevice)
    assert said(pair, "gnop destroy vtbd1.nop")[2] == (
        "gnop: Cannot destroy device vtbd1.nop (error=16).\n"
    )


def test_a_limit_of_the_hypervisor_ends_with_the_power(pair: Pair) -> None:
    said(pair, "gnop create vtbd1")
    pair.one.limit_data_disk(10e6)
    for disk in ("vtbd1", "vtbd1.nop"):
        assert read_time(pair, disk=disk, size="1m") == pytest.approx(MB / 10e6, rel=0.02)
    assert read_time(pair, disk="vtbd0", size="1m") < 0.01
    pair.one.power_cut()
    pair.up(pair.one)
    assert read_time(pair, disk="vtbd1", size="1m") < 0.01


# --- ktrace -------------------------------------------------------------------------------------


def test_kdump_shows_each_write_and_when(pair: Pair) -> None:
    pair.out(pair.one, "dd if=/dev/random of=/tmp/data bs=16k count=3 2>/dev/null")
    pair.one.limit_data_disk(1e6)
    trace = "ktrace -t c -f /tmp/trace dd if=/tmp/data of=/dev/vtbd1 bs=16k count=3 2>/dev/null"
    assert said(pair, f"{trace} && stat -f %Lp /tmp/trace") == (0, "600\n", "")
    lines = pair.out(pair.one, "kdump -T -f /tmp/trace | grep -E 'write'").splitlines()
    assert len(lines) == 10, "three to the disk, and dd's two last words"
    call = r" *[0-9]+ dd       [0-9]{10}\.[0-9]{6} CALL  write\(0x4,0x[0-9a-f]+,0x4000\)"
    back = r" *[0-9]+ dd       [0-9]{10}\.[0-9]{6} RET   write 16384/0x4000"
    assert re.fullmatch(call, lines[0])
    assert re.fullmatch(back, lines[1])
    times = [float(line.split()[2]) for line in lines[:6]]
    took = [end - begin for begin, end in zip(times[::2], times[1::2], strict=True)]
    assert statistics.median(took) == pytest.approx(0.0005 + 16384 / 1e6, rel=0.01)
    assert said(pair, "kdump -f /tmp/no") == (1, "", "kdump: /tmp/no: No such file or directory\n")
    assert said(pair, "ktrace -t c ls")[0] == 127


def test_kdump_shows_the_error_of_a_write(pair: Pair) -> None:
    trace = "ktrace -t c -f /tmp/trace dd if=/dev/zero of=/dev/vtbd1 bs=1m seek=512 count=1"
    assert said(pair, trace)[0] == 1
    shown = pair.out(pair.one, "kdump -f /tmp/trace").splitlines()
    assert shown[3].endswith("RET   write -1 errno 28 No space left on device")
