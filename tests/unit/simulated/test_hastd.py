"""hastd and its workers as processes: what they log, how they end, how long things take."""

from __future__ import annotations

import copy
import re

import pytest

from harness.lab.simulated.hardware.disk import LocalDisk
from harness.lab.simulated.hast import hastd
from harness.lab.simulated.hast.hastd import Hast
from harness.lab.simulated.hast.replication.worker import Worker
from harness.lab.simulated.kernel.guest import Guest
from harness.lab.simulated.shell import interpreter as shell
from tests.unit.freebsd.recordings import recorded
from tests.unit.simulated.hast_pair import Pair, running

HOOK = b'#!/bin/sh\necho "$*" >> /var/log/hook.log\nexit 0\n'


def plain(text: str) -> list[str]:
    """Lines of a log without times, pids and ports."""
    lines = [
        re.sub(r"^[A-Z][a-z]{2} .*? hastd\[[0-9]+\]: ", "", each) for each in text.splitlines()
    ]
    return [
        re.sub(r"\b(pid=|192\.168\.0\.[12]:)(?!8457)[0-9]+", r"\1N", each)
        .replace("tcp4://0.0.0.0:8457", "192.168.0.N")
        .replace("/root/hook", "/root/hook")
        for each in lines
        if "[::]" not in each
    ]


def logged(pair: Pair, guest: Guest, since: str = "") -> list[str]:
    text = "\n".join(pair.log(guest, since))
    return [
        line.replace("address 192.168.0.1.", "address 192.168.0.N.").replace(
            "address 192.168.0.2.", "address 192.168.0.N."
        )
        for line in plain(text)
    ]


def worker(guest: Guest) -> Worker:
    """The only worker of a node."""
    return next(each for each in guest.daemons.values() if isinstance(each, Worker))


def install_hook(pair: Pair, text: bytes = HOOK) -> None:
    for guest in (pair.one, pair.two):
        guest.tree.write("/root/hook", text, mode=0o755)
        guest.tree.write("/var/log/hook.log", b"")


def hooks(pair: Pair, guest: Guest) -> list[str]:
    return pair.out(guest, "cat /var/log/hook.log").splitlines()


# --- logs -----------------------------------------------------------------------------------------


def test_nobody_listens_on_the_other_node() -> None:
    pair = Pair()
    pair.out(pair.one, "hastctl create mirror")
    pair.start(pair.one)
    pair.out(pair.one, "hastctl role primary mirror")
    pair.world.pass_time(11.0)

    assert logged(pair, pair.one)[2:] == plain(recorded("hastd_log_peer_down"))[1:]


def test_a_killed_primary_worker_is_restarted_and_takes_the_device_over() -> None:
    pair = Pair(extra="exec /root/hook")
    install_hook(pair, b"#!/bin/sh\nexit 3\n")
    pair.out(pair.one, "hastctl create mirror")
    pair.start(pair.one)
    pair.out(pair.one, "hastctl role primary mirror")
    pair.world.pass_time(3.0)
    local = pair.one.devices["vtbd1"]
    assert isinstance(local, LocalDisk)
    local.latency = 0.2
    taken, waiting = pair.write(pair.one, 3), pair.write(pair.one, 4)
    pair.world.pass_time(0.1)
    device = pair.one.devices["hast/mirror"]
    worker(pair.one).signal(9)
    assert pair.one.devices["hast/mirror"] is device
    pair.world.pass_time(28.0)
    pair.out(pair.one, "hastctl role init mirror")

    assert (taken.ended, waiting.ended) == (True, True)
    assert (taken.error, waiting.error) == (None, None)
    hook = "Hook exited"
    ours = [line for line in logged(pair, pair.one) if hook not in line]
    theirs = plain(recorded("hastd_log_primary_worker_killed"))
    assert ours == [line for line in theirs if hook not in line]
    assert next(line for line in theirs if hook in line) in logged(pair, pair.one)


def test_as_a_daemon_the_workers_say_nothing_after_dropping_privileges() -> None:
    pair = Pair()
    for guest in (pair.one, pair.two):
        pair.out(guest, "hastctl create mirror")
    pair.start(foreground=False)
    pair.out(pair.two, "hastctl role secondary mirror")
    pair.out(pair.one, "hastctl role primary mirror")
    pair.world.pass_time(3.0)
    worker(pair.two).signal(9)
    pair.world.pass_time(6.0)

    assert logged(pair, pair.one) == plain(recorded("hastd_log_syslog_skunk1"))
    assert logged(pair, pair.two) == plain(recorded("hastd_log_syslog_skunk2"))


def test_link_cut_and_split_brain_are_logged_as_recorded() -> None:
    """The end of the recorded run: link cut, both promoted and written, link back, made anew."""
    pair = Pair()
    pair.connect()
    pair.wait_for(pair.write(pair.one, 0))
    pair.world.plug("skunk1", plugged=False)
    pair.wait_for(pair.write(pair.one, 1))
    pair.wait_for(pair.write(pair.one, 2))
    pair.out(pair.two, "sleep 6; hastctl role primary mirror; sleep 24")
    pair.wait_for(pair.write(pair.two, 3))
    pair.out(pair.two, "hastctl role secondary mirror")
    pair.world.plug("skunk1", plugged=True)
    pair.world.pass_time(16.0)
    pair.out(pair.two, "hastctl role init mirror; hastctl create mirror")
    pair.out(pair.two, "hastctl role secondary mirror")
    pair.world.pass_time(40.0)

    start = "[ERROR] [mirror] (primary) Unable to receive reply header: Operation timed out."
    theirs = plain(recorded("hastd_log_skunk1"))
    theirs = theirs[theirs.index(start) :]
    ours = logged(pair, pair.one)
    assert once(ours[ours.index(start) :]) == once(theirs)
    start = "[ERROR] [mirror] (secondary) Unable to receive request header: Operation timed out."
    theirs = plain(recorded("hastd_log_skunk2"))
    theirs = [line for line in theirs[theirs.index(start) :] if "Unable to connect" not in line]
    ours = logged(pair, pair.two)
    ours = [line for line in ours[ours.index(start) :] if "Unable to connect" not in line]
    assert once(ours) == once(theirs)


def once(lines: list[str]) -> list[str]:
    """Without repetitions, and without the time and the rate of a synchronisation."""
    lines = [re.sub(r" in \S+ \(.*", "", line) for line in lines]
    found: list[str] = []
    for line in lines:
        if line not in found[-6:]:
            found.append(line)
    return found


def test_another_resources_disk() -> None:
    pair = Pair()
    pair.connect()
    pair.out(pair.one, "hastctl role init mirror; hastctl create mirror")
    pair.out(pair.one, "hastctl role primary mirror")
    pair.world.pass_time(1.0)

    mismatch = re.compile(r"Resource unique ID mismatch \(primary=[0-9]+, secondary=[0-9]+\)\.$")
    assert mismatch.search(pair.log(pair.one)[-1])
    assert any(mismatch.search(line) for line in pair.log(pair.two))


# --- time -----------------------------------------------------------------------------------------


def test_a_promotion_waits_for_the_other_node_before_it_serves() -> None:
    """13.2: with the peer's NIC down a read took 20 s; with the own cable out none at all."""
    pair = Pair()
    pair.connect()
    pair.out(pair.two, "hastctl role init mirror")
    pair.one.nics["vtnet1"].plugged = False
    pair.out(pair.two, "hastctl role primary mirror; sleep 0.3")
    assert pair.wait_for(pair.write(pair.two, 0)) == pytest.approx(20.0, abs=0.5)
    assert pair.log(pair.two)[-1] == (
        "[WARNING] [mirror] (primary) Unable to connect to 192.168.0.1: Operation timed out."
    )

    pair.out(pair.two, "hastctl role init mirror")
    pair.one.nics["vtnet1"].plugged, pair.two.nics["vtnet1"].plugged = True, False
    pair.out(pair.two, "hastctl role primary mirror; sleep 0.3")
    assert pair.wait_for(pair.write(pair.two, 0)) < 0.1
    assert pair.log(pair.two)[-2:] == 2 * [
        "[WARNING] [mirror] (primary) Unable to connect to 192.168.0.1: No route to host."
    ]


def test_an_idle_secondary_gives_up_after_twenty_seconds_and_the_primary_believes_on() -> None:
    pair = Pair()
    pair.connect()
    pair.two.nics["vtnet1"].plugged = False
    pair.world.pass_time(60.0)

    assert "degraded" not in pair.out(pair.one, "hastctl status")
    assert logged(pair, pair.two)[-2:] == [
        "[ERROR] [mirror] (secondary) Unable to receive request header: Operation timed out.",
        "[ERROR] [mirror] (secondary) Worker process exited ungracefully (pid=N, exitcode=75).",
    ]
    pair.world.pass_time(400.0)
    assert "degraded" in pair.out(pair.one, "hastctl status")


def test_a_primary_notices_an_idle_secondarys_end_with_the_second_keepalive() -> None:
    pair = Pair()
    pair.connect()
    worker(pair.two).signal(9)
    start = pair.world.now
    pair.world.pass_time(8.0)
    assert "complete" in pair.out(pair.one, "hastctl status")
    while "Disconnected" not in pair.log(pair.one)[-1]:
        pair.world.step()
    assert 9.0 < pair.world.now - start < 21.0
    pair.world.pass_time(11.0)
    assert pair.log(pair.one)[-1] == "[INFO] [mirror] (primary) Nodes are in sync."


def test_both_primaries_wait_for_each_other() -> None:
    pair = Pair()
    pair.connect()
    pair.out(pair.two, "hastctl role primary mirror; sleep 30")
    lines = pair.log(pair.two)

    refused = (
        "[WARNING] [mirror] (primary) Remote node acts as primary for the resource and not as "
        "secondary."
    )
    waiting = "[WARNING] [mirror] (primary) Waiting for remote node to become secondary for 20s."
    starting = "[WARNING] [mirror] (primary) Remote node is still primary, starting anyway."
    at = lines.index(waiting)
    assert lines[at - 1] == refused
    assert 20 <= lines[at:].index(starting) <= 24
    assert lines[at + 1 : at + lines[at:].index(starting)].count(refused) >= 18


def test_an_idle_hastd_takes_up_to_five_seconds_to_obey() -> None:
    """13.2: signals are looked for when something else wakes it up, or every five seconds."""
    pair = Pair()
    pair.connect()
    pair.out(pair.one, "hastctl role init all")
    start = pair.world.now
    running(pair.one).signal(15)
    while pair.one.part(Hast).hastd is not None:
        pair.world.step()
    assert 4.5 < pair.world.now - start <= 5.0


# --- signals --------------------------------------------------------------------------------------


def test_a_killed_hastd_takes_its_workers_along() -> None:
    pair = Pair()
    pair.connect()
    running(pair.one).signal(9)
    pair.world.pass_time(1.0)

    assert pair.log(pair.one)[-2:] == [
        "[ERROR] [mirror] (primary) Unable to receive control message: Socket is not connected.",
        "[INFO] [mirror] (primary) Termination signal received, exiting.",
    ]
    assert "hast/mirror" not in pair.one.devices
    assert not pair.one.daemons
    result = pair.run(pair.one, "hastctl status")
    assert result.stderr.decode() == (
        "[ERROR] Unable to connect to hastd via /var/run/hastctl: Connection refused.\n"
    )
    assert result.status == 71
    pair.start(pair.one)
    assert pair.out(pair.one, "hastctl status").splitlines()[1].startswith("mirror\t-  ")


def test_a_stopped_worker_holds_hastd_up_until_it_goes_on() -> None:
    pair = Pair()
    pair.connect()
    stopped = worker(pair.two)
    stopped.signal(17)
    change = shell.spawn(pair.two, "hastctl role init mirror")
    pair.world.pass_time(1.0)
    question = shell.spawn(pair.two, "hastctl status")
    pair.world.pass_time(30.0)
    assert (change.status, question.status) == (None, None)

    pair.out(pair.two, f"kill -CONT {stopped.pid}")
    pair.world.pass_time(0.5)
    assert (change.status, question.status) == (0, 0)
    assert b"init" in question.stdout


def test_a_stopped_secondary_is_dropped_after_the_timeout() -> None:
    pair = Pair()
    pair.connect()
    worker(pair.two).signal(17)

    assert pair.wait_for(pair.write(pair.one, 0)) == pytest.approx(20.0, abs=0.1)
    assert pair.log(pair.one, since="Nodes are in sync")[0] == (
        "[ERROR] [mirror] (primary) Unable to receive reply header: Operation timed out."
    )


def test_a_frozen_primary_wakes_up_and_knows_of_nothing() -> None:
    """Paused for a minute, while the other node was promoted and written to: a split-brain."""
    pair = Pair()
    pair.connect()
    pair.wait_for(pair.write(pair.one, 0))
    pair.one.pause()
    pair.world.pass_time(30.0)
    pair.out(pair.two, "hastctl role primary mirror")
    pair.world.pass_time(21.0)
    pair.wait_for(pair.write(pair.two, 1, 1, "two/"))
    pair.one.resume()
    pair.world.pass_time(30.0)

    assert "hast/mirror" in pair.one.devices
    assert "degraded primary" in pair.out(pair.one, "hastctl status")
    pair.wait_for(pair.write(pair.one, 2, 1, "one/"))
    pair.out(pair.two, "hastctl role secondary mirror")
    pair.world.pass_time(15.0)
    assert "[WARNING] [mirror] (primary) Split-brain condition!" in pair.log(pair.one)


def test_a_primary_that_connects_again_takes_no_signal() -> None:
    """Recorded: `hastctl role secondary` waited until the attempt had ended."""
    pair = Pair()
    pair.connect()
    pair.world.plug("skunk1", plugged=False)
    pair.out(pair.two, "hastctl role primary mirror; sleep 32")
    start = pair.world.now
    pair.out(pair.two, "hastctl role secondary mirror")

    assert 5.0 < pair.world.now - start < 20.0
    assert pair.log(pair.two)[-3:] == [
        "[INFO] [mirror] (primary) Role changed to secondary.",
        "[WARNING] [mirror] (primary) Unable to connect to 192.168.0.1: Operation timed out.",
        "[INFO] [mirror] (primary) Termination signal received, exiting.",
    ]


# --- hooks ----------------------------------------------------------------------------------------


def test_hooks_get_the_recorded_arguments() -> None:
    pair = Pair(extra="exec /root/hook")
    install_hook(pair)
    pair.connect()
    pair.fill(pair.one, 20)
    pair.out(pair.two, "hastctl role init mirror; hastctl create mirror")
    pair.out(pair.two, "hastctl role secondary mirror")
    pair.world.pass_time(60.0)

    one, two = hooks(pair, pair.one), hooks(pair, pair.two)
    assert one[:3] == ["role mirror init primary", "connect mirror", "disconnect mirror"]
    assert sorted(one[3:]) == ["connect mirror", "syncdone mirror", "syncstart mirror"]
    assert two == [
        "role mirror init secondary",
        "connect mirror",
        "role mirror secondary init",
        "role mirror init secondary",
        "connect mirror",
    ]
    assert {*one, *two} <= set((recorded("hooks_skunk1") + recorded("hooks_skunk2")).splitlines())


def test_a_split_brain_is_told_on_both_sides() -> None:
    pair = Pair(extra="exec /root/hook")
    install_hook(pair)
    pair.connect()
    pair.out(pair.two, "hastctl role init mirror; hastctl role primary mirror; sleep 30")
    pair.wait_for(pair.write(pair.two, 0))
    pair.wait_for(pair.write(pair.one, 0))
    pair.out(pair.two, "hastctl role secondary mirror; sleep 15")

    assert hooks(pair, pair.one)[-1] == "split-brain mirror"
    assert hooks(pair, pair.two)[-1] == "split-brain mirror"


def test_hooks_can_overtake_each_other() -> None:
    orders = set()
    for seed in range(12):
        pair = Pair(seed=seed, extra="exec /root/hook")
        install_hook(pair)
        pair.out(pair.one, "hastctl create mirror")
        pair.out(pair.two, "hastctl create mirror")
        pair.start()
        pair.out(pair.one, "hastctl role primary mirror")
        pair.world.pass_time(1.0)
        pair.fill(pair.one, 3)
        pair.out(pair.two, "hastctl role secondary mirror")
        pair.world.pass_time(15.0)
        lines = hooks(pair, pair.one)
        orders.add(lines.index("connect mirror") < lines.index("syncstart mirror"))
    assert orders == {True, False}


def test_an_interrupted_synchronisation() -> None:
    """Both first lines were seen on 13.2: the chunk is being sent, or waits for its answer."""
    first = set()
    for seed in range(8):
        pair = Pair(seed=seed, extra="exec /root/hook")
        install_hook(pair)
        pair.connect()
        pair.fill(pair.one, 100)
        pair.out(pair.two, "hastctl role init mirror; hastctl create mirror")
        pair.out(pair.two, "hastctl role secondary mirror")
        while not any("started. 512MB" in line for line in pair.log(pair.one)):
            pair.world.step()
        pair.world.pass_time(0.7)
        pair.out(pair.two, "hastctl role init mirror")
        pair.world.pass_time(1.0)

        lines = [shape(line) for line in pair.log(pair.one, since="Synchronization started")]
        first.add(lines[0])
        recording = recorded("hastd_log_skunk1").splitlines()
        at = next(number for number, line in enumerate(recording) if "Unable to send" in line)
        assert lines[1:] == [shape(line) for line in recording[at + 1 : at + 4]]
        assert sorted(hooks(pair, pair.one)[-2:]) == ["disconnect mirror", "syncintr mirror"]
    assert first == {
        shape(recording[at]),
        "[ERROR] [mirror] (primary) Unable to receive reply header: Socket is not connectedN",
    }
    pair.out(pair.two, "hastctl role secondary mirror; sleep 30")
    assert pair.data(pair.one) == pair.data(pair.two)


def test_a_link_cut_in_a_synchronisation() -> None:
    """Seen on 13.2: after the timeout, and only what is left is sent later."""
    pair = Pair()
    pair.connect()
    pair.out(pair.two, "hastctl role init mirror")
    pair.world.pass_time(21.0)
    pair.fill(pair.one, 500)
    pair.out(pair.two, "hastctl role secondary mirror")
    while not any("started. 500MB" in line for line in pair.log(pair.one)):
        pair.world.step()
    pair.world.pass_time(1.5)
    pair.world.plug("skunk2", plugged=False)
    pair.world.pass_time(30.0)
    pair.world.plug("skunk2", plugged=True)
    pair.world.pass_time(20.0)

    lines = pair.log(pair.one, since="started. 500MB")
    assert [shape(line) for line in lines] == [
        "[ERROR] [mirror] (primary) Unable to receive reply header: Operation timed outN",
        "[WARNING] [mirror] (primary) Disconnected from N",
        "[ERROR] [mirror] (primary) Unable to write synchronization data: Socket is not connectedN",
        "[INFO] [mirror] (primary) Synchronization interrupted after NsN N synchronized so farN",
        "[INFO] [mirror] (primary) Connected to N",
        "[INFO] [mirror] (primary) Successfully reconnected to N",
        "[INFO] [mirror] (primary) Synchronization startedN N to goN",
        "[INFO] [mirror] (primary) Synchronization completeN N synchronized in Ns (N/sec)N",
    ]
    assert pair.data(pair.one) == pair.data(pair.two)


def shape(line: str) -> str:
    """A line without its numbers."""
    return re.sub(r"[0-9.]+(MB)?", "N", line)


# --- the rest -------------------------------------------------------------------------------------


def test_roles_are_lost_at_a_restart_and_the_device_goes() -> None:
    pair = Pair()
    pair.connect()
    running(pair.one).signal(15)
    pair.world.pass_time(6.0)

    assert pair.one.part(Hast).hastd is None
    assert "hast/mirror" not in pair.one.devices
    assert pair.log(pair.one)[-3:-1] == [
        "[INFO] Termination signal received, exiting.",
        f"[INFO] Terminating worker process (resource=mirror, role=primary, pid={_pid(pair)}).",
    ]
    pair.start(pair.one)
    assert "init" in pair.out(pair.one, "hastctl status")


def _pid(pair: Pair) -> str:
    found = re.search(r"role=primary, pid=([0-9]+)", "\n".join(pair.log(pair.one)))
    assert found is not None
    return found[1]


def test_reload_takes_over_what_is_different() -> None:
    pair = Pair()
    pair.connect()
    text = pair.one.tree.read("/etc/hast.conf")
    pair.one.tree.write("/etc/hast.conf", text.replace(b"memsync", b"fullsync"))
    pair.two.tree.write("/etc/hast.conf", text.replace(b"timeout 20", b"timeout 5"))
    for guest in (pair.one, pair.two):
        running(guest).signal(1)
    pair.world.pass_time(40.0)

    assert pair.log(pair.one)[7:] == [
        "[INFO] Reloading configuration...",
        "[INFO] Keep listening on address 192.168.0.1.",
        "[INFO] Resource mirror configuration was modified, reloading it.",
        "[INFO] [mirror] (primary) Reloading configuration...",
        "[INFO] [mirror] (primary) Configuration reloaded successfully.",
        "[INFO] Configuration reloaded successfully.",
        *pair.log(pair.one)[13:],
    ]
    assert "[INFO] Resource mirror configuration was modified, restarting it." in pair.log(pair.two)
    assert "  replication: fullsync" in pair.out(pair.one, "hastctl list").splitlines()
    assert "complete secondary" in pair.out(pair.two, "hastctl status")


def test_a_wrong_file_is_not_reloaded() -> None:
    pair = Pair()
    pair.connect()
    text = pair.one.tree.read("/etc/hast.conf")
    pair.one.tree.write("/etc/hast.conf", b"foo\n")
    running(pair.one).signal(1)
    pair.world.pass_time(6.0)

    assert pair.log(pair.one)[-3:] == [
        "[INFO] Reloading configuration...",
        "[ERROR] Unable to parse configuration file at line 0 near 'foo': syntax error",
        "[WARNING] Configuration not reloaded.",
    ]
    pair.one.tree.write("/etc/hast.conf", text)
    assert "complete primary" in pair.out(pair.one, "hastctl status")


def test_starting_it_wrongly() -> None:
    pair = Pair()
    errors: list[str] = []
    pair.start(pair.one, foreground=False)

    assert hastd.start(pair.one, foreground=False, errors=errors) == 75
    pair.out(pair.two, "ifconfig vtnet1 -alias")
    assert hastd.start(pair.two, foreground=False, errors=errors) == 71
    assert hastd.start(pair.two, foreground=True, errors=errors) == 0  # daemon(8) does not wait
    pair.world.pass_time(1.0)
    assert pair.two.part(Hast).hastd is None
    assert pair.log(pair.two) == [errors[-1]]
    pair.two.tree.write("/etc/hast.conf", b"foo")
    assert hastd.start(pair.two, foreground=True, errors=errors) == 78
    assert errors == [
        "[ERROR] Another hastd is already running, pidfile: /var/run/hastd.pid, "
        f"pid: {running(pair.one).pid}.",
        "[ERROR] Unable to listen on address 192.168.0.2: Can't assign requested address.",
        "[ERROR] Unable to parse configuration file at line 0 near 'foo': syntax error",
    ]


def test_under_daemon_it_cannot_be_reached_at_once() -> None:
    """13.2: right after `service hastd start` there was no control socket yet."""
    pair = Pair()
    assert hastd.start(pair.one, foreground=True) == 0

    result = pair.run(pair.one, "hastctl status; sleep 0.3; hastctl status")

    assert result.status == 0
    assert b"No such file or directory." in result.stderr


def test_a_daemon_8_whose_hastd_finds_another_one_ends_with_it() -> None:
    """daemon(8) waits for its child, whatever ended that; the other one goes on as it was."""
    pair = Pair()
    line = "daemon -f -P /var/run/{0} /sbin/hastd -F -P /var/run/hastd.pid"
    pair.out(pair.one, line.format("first"))
    pair.world.pass_time(1.0)
    before = pair.out(pair.one, "pgrep -lf hastd")

    pair.out(pair.one, line.format("second"))
    pair.world.pass_time(1.0)

    assert pair.out(pair.one, "pgrep -lf hastd") == before
    assert pair.out(pair.one, "ls /var/run").split().count("second") == 0
    assert pair.log(pair.one)[-1].startswith("[ERROR] Another hastd is already running")


def test_a_file_as_component_is_a_gap_of_the_model() -> None:
    pair = Pair()
    text = pair.one.tree.read("/etc/hast.conf").replace(b"/dev/vtbd1", b"/etc/motd", 1)
    pair.one.tree.write("/etc/hast.conf", text)
    pair.one.tree.write("/etc/motd", b"")
    pair.start(pair.one)
    pair.out(pair.one, "hastctl role primary mirror; sleep 6")

    assert [gap.what for gap in pair.world.gaps] == [
        "/etc/motd as the local component of a resource"
    ]
    assert "init" in pair.out(pair.one, "hastctl status")


def test_a_copy_of_the_world_goes_on_by_itself() -> None:
    pair = Pair()
    pair.connect()
    pair.fill(pair.one, 30)
    pair.out(pair.two, "hastctl role init mirror; hastctl create mirror")
    pair.out(pair.two, "hastctl role secondary mirror")
    while not any("started. 512MB" in line for line in pair.log(pair.one)):
        pair.world.step()
    pair.world.pass_time(1.0)

    saved = copy.deepcopy(pair)
    pair.world.pass_time(30.0)
    assert not any("complete." in line for line in saved.log(saved.one))
    saved.world.pass_time(30.0)

    assert saved.log(saved.one) == pair.log(pair.one)
    assert saved.data(saved.one) == saved.data(saved.two) == pair.data(pair.two)
