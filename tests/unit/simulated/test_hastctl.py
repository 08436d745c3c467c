"""What hastctl prints, held to what FreeBSD 13.2 printed in the same situation."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from harness.lab.simulated.hardware.disk import Bio, Op
from harness.lab.simulated.kernel.guest import Guest
from tests.unit.freebsd.recordings import RECORDED, recorded
from tests.unit.simulated.hast_pair import Pair

COMMANDS = json.loads((RECORDED / "13.2" / "commands.json").read_text())

# What differs from run to run: pids, IDs, and counts of what ZFS wrote.
_DIRTY = re.compile(r"^  dirty: [1-9].*", re.MULTILINE)


def normal(text: str) -> str:
    """Without what differs from run to run. That a count is zero stays."""
    text = re.sub(r"(?<= )[1-9][0-9]{16,19}$", "ID", text, flags=re.MULTILINE)
    text = re.sub(r"(?<=workerpid: )[0-9]+", "PID", text)
    text = re.sub(r"(?<=(?:reads|rites|ushes): )[1-9][0-9]*$", "N", text, flags=re.MULTILINE)
    text = re.sub(r"(?<=updates: )[1-9][0-9]*$", "N", text, flags=re.MULTILINE)
    return _DIRTY.sub("  dirty: N", text)


def created(pair: Pair) -> Guest:
    pair.out(pair.one, "hastctl create mirror")
    return pair.one


def started(pair: Pair) -> Guest:
    created(pair)
    pair.start(pair.one)
    return pair.one


def alone(pair: Pair) -> Guest:
    started(pair)
    pair.start(pair.two)
    pair.out(pair.one, "hastctl role primary mirror")
    pair.world.pass_time(1.0)
    return pair.one


def alone_written(pair: Pair) -> Guest:
    alone(pair)
    pair.fill(pair.one, 20)
    pair.one.devices["hast/mirror"].submit(Bio(Op.FLUSH))
    pair.world.pass_time(1.0)
    return pair.one


def complete(pair: Pair) -> Guest:
    alone_written(pair)
    pair.out(pair.two, "hastctl create mirror; hastctl role secondary mirror")
    pair.world.pass_time(30.0)
    return pair.one


def on_secondary(pair: Pair) -> Guest:
    complete(pair)
    return pair.two


def resync(pair: Pair) -> Guest:
    complete(pair)
    pair.out(pair.two, "hastctl role init mirror; hastctl create mirror")
    pair.out(pair.two, "hastctl role secondary mirror")
    while not any("started. 512MB" in line for line in pair.log(pair.one)):
        pair.world.step()
    pair.world.pass_time(0.5)
    return pair.one


def partitioned(pair: Pair) -> Guest:
    complete(pair)
    pair.one.nics["vtnet1"].plugged = False
    pair.wait_for(pair.write(pair.one, 1))
    pair.fill(pair.one, 28)
    pair.world.pass_time(30.0)
    return pair.one


def partitioned_secondary(pair: Pair) -> Guest:
    partitioned(pair)
    return pair.two


def split(pair: Pair) -> Guest:
    partitioned(pair)
    pair.out(pair.two, "hastctl role primary mirror")
    pair.world.pass_time(25.0)
    pair.fill(pair.two, 2, "two/")
    pair.out(pair.two, "hastctl role secondary mirror")
    pair.one.nics["vtnet1"].plugged = True
    pair.world.pass_time(25.0)
    return pair.one


def split_secondary(pair: Pair) -> Guest:
    split(pair)
    return pair.two


def unconnected(pair: Pair) -> Guest:
    pair.out(pair.two, "hastctl create mirror")
    pair.start(pair.two)
    pair.out(pair.two, "hastctl role secondary mirror")
    return pair.two


def nothing(pair: Pair) -> Guest:
    return pair.one


SITUATIONS: dict[str, Callable[[Pair], Guest]] = {
    "hastctl_create_unknown_resource": nothing,
    "hastctl_dump_created": created,
    "hastctl_dump_no_metadata": nothing,
    "hastctl_dump_primary_alone": alone,
    "hastctl_dump_primary_alone_written": alone_written,
    "hastctl_dump_primary_complete": complete,
    "hastctl_dump_primary_partitioned": partitioned,
    "hastctl_dump_primary_split_brain": split,
    "hastctl_dump_secondary_complete": on_secondary,
    "hastctl_dump_secondary_split_brain": split_secondary,
    "hastctl_dump_unknown_resource": nothing,
    "hastctl_list_init": started,
    "hastctl_list_known_and_unknown_resource": started,
    "hastctl_list_no_hastd": nothing,
    "hastctl_list_primary_alone": alone,
    "hastctl_list_primary_alone_written": alone_written,
    "hastctl_list_primary_complete": complete,
    "hastctl_list_primary_partitioned": partitioned,
    "hastctl_list_primary_resync": resync,
    "hastctl_list_primary_split_brain": split,
    "hastctl_list_secondary_complete": on_secondary,
    "hastctl_list_secondary_partitioned": partitioned_secondary,
    "hastctl_list_secondary_split_brain": split_secondary,
    "hastctl_list_secondary_unconnected": unconnected,
    "hastctl_list_unknown_resource": started,
    "hastctl_role_no_hastd": nothing,
    "hastctl_role_unknown_resource": started,
    "hastctl_status_init": started,
    "hastctl_status_known_and_unknown_resource": started,
    "hastctl_status_no_hastd": nothing,
    "hastctl_status_primary_alone": alone,
    "hastctl_status_primary_complete": complete,
    "hastctl_status_primary_resync": resync,
    "hastctl_status_primary_split_brain": split,
    "hastctl_status_secondary_complete": on_secondary,
    "hastctl_status_secondary_partitioned": partitioned_secondary,
    "hastctl_status_secondary_split_brain": split_secondary,
    "hastctl_status_secondary_unconnected": unconnected,
    "hastctl_status_unknown_resource": started,
    "hastctl_usage": nothing,
}


@pytest.mark.parametrize("name", SITUATIONS)
def test_it_prints_what_freebsd_printed(name: str) -> None:
    pair = Pair()
    guest = SITUATIONS[name](pair)

    result = pair.run(guest, COMMANDS[name]["command"])

    assert normal(result.stdout.decode()) == normal(recorded(name))
    assert result.stderr.decode() == COMMANDS[name]["stderr"]
    assert result.status == COMMANDS[name]["exit_status"]


# Seen on a running 13.2 while this was written.
@pytest.mark.parametrize(
    ("line", "status", "stdout", "stderr"),
    [
        ("hastctl list -x", 64, "", "hastctl: illegal option -- x\n"),
        ("hastctl create -e", 64, "", "hastctl: option requires an argument -- e\n"),
        ("hastctl create -e foo mirror", 64, "", "hastctl: Invalid extentsize\n"),
        (
            "hastctl create -e 100 mirror",
            65,
            "",
            "[ERROR] [mirror] Extent size (100) is less than sector size (512).\n",
        ),
        (
            "hastctl create -m 1t mirror",
            65,
            "",
            "[ERROR] [mirror] Provided mediasize is larger than provider /dev/vtbd1 size.\n",
        ),
        (
            "hastctl list -c /nosuch",
            72,
            "",
            "[ERROR] Unable to open configuration file /nosuch: No such file or directory.\n",
        ),
        (
            "dd if=/dev/random of=/dev/vtbd1 bs=4k count=1 2>/dev/null; hastctl dump mirror",
            255,
            "",
            "[ERROR] Metadata read from /dev/vtbd1 is invalid: Invalid argument.\n",
        ),
    ],
)
def test_complaints(line: str, status: int, stdout: str, stderr: str) -> None:
    pair = Pair()

    result = pair.run(pair.one, line)

    usage = COMMANDS["hastctl_usage"]["stderr"]
    assert result.stdout.decode() == stdout
    assert result.stderr.decode().removesuffix(usage) == stderr
    assert result.status == status


def test_create_with_options() -> None:
    pair = Pair()

    pair.out(pair.one, "hastctl create -e 1m -k 8 -m 100m mirror")

    assert pair.out(pair.one, "hastctl dump") == (
        "resource: mirror\n    datasize: 104852992 (100MB)\n    extentsize: 1048576 (1.0MB)\n"
        "    keepdirty: 8\n    localoff: 4608\n    resuid: 0\n    localcnt: 0\n    remotecnt: 0\n"
        "    prevrole: init\n"
    )


def test_role_of_known_and_unknown() -> None:
    pair = Pair()
    started(pair)

    result = pair.run(pair.one, "hastctl role primary nosuch mirror")

    assert result.stderr == b"[WARNING] [nosuch] Received error 1 from hastd.\n"
    assert result.status == 1
    assert "degraded primary" in pair.out(pair.one, "sleep 1; hastctl status")


def test_the_device_is_not_there_yet_when_the_role_is_changed() -> None:
    """On 13.2 a program that opened it 30 ms after `role primary` did not find it."""
    too_early = 0
    for seed in range(20):
        pair = Pair(seed=seed)
        started(pair)
        process = pair.run(pair.one, "hastctl role primary mirror; test -c /dev/hast/mirror")
        too_early += process.status == 1
    assert 0 < too_early < 20


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("-e 3k", "(((((extentsize)-1)&(extentsize))==0)), function activemap_calc_ondisk_size, "),
        ("-m 4k", "(mediasize > 0), function activemap_calc_ondisk_size, "),
    ],
)
def test_create_aborts_for_sizes_that_it_does_not_look_at(options: str, said: str) -> None:
    """13.2, recorded: a size that is no power of two, and one that leaves no room for data."""
    pair = Pair()

    result = pair.run(pair.one, f"hastctl create {options} mirror")

    assert result.status == 128 + 6
    assert f"[CRIT] [mirror] Assertion failed: {said}" in result.stderr.decode()
    assert pair.run(pair.one, "hastctl dump mirror").status == 255
