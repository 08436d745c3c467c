"""hastctl(8) (sbin/hastctl/hastctl.c, 13.2)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.lab.simulated.engine.signal import NotModelled, Program
from harness.lab.simulated.hast import conf as hast_conf
from harness.lab.simulated.hast.address import AddressError, UnixAddress, resolve
from harness.lab.simulated.hast.conf import Config, ConfigError, ResourceConfig
from harness.lab.simulated.hast.control import Row
from harness.lab.simulated.hast.hastd import Hast
from harness.lab.simulated.hast.replication import metadata as hast_metadata
from harness.lab.simulated.hast.text import humanize
from harness.lab.simulated.kernel.files import STRERROR, FileError
from harness.lab.simulated.shell.options import BadOption, getopt
from harness.lab.simulated.shell.programs import Context, command

if TYPE_CHECKING:
    from harness.lab.simulated.hast.hastd import Hastd

EX_USAGE = 64
EX_DATAERR = 65
EX_NOINPUT = 66
EX_UNAVAILABLE = 69
EX_OSERR = 71

_USAGE = """\
usage: hastctl create [-d] [-c config] [-e extentsize] [-k keepdirty]
\t\t[-m mediasize] name ...
       hastctl role [-d] [-c config] <init | primary | secondary> all | name ...
       hastctl list [-d] [-c config] [all | name ...]
       hastctl status [-d] [-c config] [all | name ...]
       hastctl dump [-d] [-c config] [all | name ...]"""

_OPTIONS = {
    "create": ("dh", "cekm"),
    **dict.fromkeys(("role", "list", "status", "dump"), ("dh", "c")),
}
"""The letters without an argument, and those with one."""
_SIZES = {"e": "extentsize", "k": "keepdirty", "m": "mediasize"}


class _Usage(Exception):
    """Print the usage and exit; `text` is a line before it, or alone when `alone`."""

    def __init__(self, text: str = "", *, alone: bool = False) -> None:
        super().__init__(text)
        self.text = text
        self.alone = alone


@command("hastctl")
def hastctl(context: Context, arguments: list[str]) -> Program:
    """Control hastd and the local components."""
    try:
        subcommand, options, names = _options(arguments)
    except _Usage as usage:
        if usage.text:
            context.complain(usage.text)
        if not usage.alone:
            context.complain(_USAGE)
        return EX_USAGE
    if "d" in options:
        raise NotModelled(f"hastctl {subcommand} -d")
    yield context.guest.rng.uniform(0.01, 0.03)
    try:
        config = hast_conf.load(context.guest, context.path(options.get("c", "/etc/hast.conf")))
    except ConfigError as error:
        context.stdout += error.echoed.encode("latin-1")
        context.complain(f"[ERROR] {error.text}")
        return error.status
    context.stdout += config.echoed.encode("latin-1")
    if subcommand == "create":
        return _create(context, config, options, names)
    if subcommand == "dump":
        return _dump(context, config, names)
    return (yield from _ask(context, config, subcommand, names))


# --- the command line -----------------------------------------------------------------------------


def _options(arguments: list[str]) -> tuple[str, dict[str, str], list[str]]:
    """The subcommand, its options, and the rest, as getopt(3) finds them."""
    if not arguments or arguments[0] not in _OPTIONS:
        raise _Usage
    subcommand, *rest = arguments
    flags, valued = _OPTIONS[subcommand]
    options: dict[str, str] = {}
    try:
        for letter, value in getopt(rest, flags, valued):
            if letter == "h":
                raise _Usage
            options[letter] = value
            if letter in _SIZES and expand_number(value) is None:
                raise _Usage(f"hastctl: Invalid {_SIZES[letter]}", alone=True)
    except BadOption as bad:
        what = "option requires an argument" if bad.missing else "illegal option"
        raise _Usage(f"hastctl: {what} -- {bad.letter}") from None
    if (subcommand in {"create", "role"} and not rest) or (
        subcommand == "role" and (len(rest) < 2 or rest[0] not in {"init", "primary", "secondary"})
    ):
        raise _Usage
    return subcommand, options, rest


def expand_number(text: str) -> int | None:
    """A number with a unit as expand_number(3) reads it, None when it is none."""
    match = re.fullmatch(r"\s*([0-9]+)([bkmgtpe]?)b?", text, re.IGNORECASE | re.ASCII)
    if match is None:
        return None
    return int(match[1]) << 10 * "bkmgtpe".find(match[2].lower()) if match[2] else int(match[1])


def _choose(context: Context, config: Config, names: list[str]) -> tuple[list[ResourceConfig], int]:
    """The resources of these names, and the status after complaints about unknown ones."""
    found, status = [], 0
    for name in names:
        match = [each for each in config.resources if each.name == name]
        if not match:
            context.complain(f"[ERROR] Unknown resource {name}.")
            status = EX_DATAERR
        found += match
    return found, status


# --- the local component --------------------------------------------------------------------------


def _create(context: Context, config: Config, options: dict[str, str], names: list[str]) -> int:
    status = 0
    for name in names:
        chosen, failed = _choose(context, config, [name])
        for resource in chosen:
            failed = _create_one(context, resource, options)
        status = status or failed
    return status


def _create_one(context: Context, resource: ResourceConfig, options: dict[str, str]) -> int:
    def complain(text: str) -> None:
        context.complain(f"[ERROR] [{resource.name}] {text}")

    sizes = {letter: expand_number(options.get(letter, "0")) or 0 for letter in _SIZES}
    path = resource.localpath
    try:
        device = hast_metadata.open_component(context.guest, path)
    except hast_metadata.MetadataError as error:
        complain(str(error))
        return EX_NOINPUT
    disk = hast_metadata.disk_of(device)
    if sizes["m"] > device.mediasize:
        complain(f"Provided mediasize is larger than provider {path} size.")
        return EX_DATAERR
    extentsize = sizes["e"] or hast_metadata.EXTENT_SIZE
    sector = hast_metadata.SECTOR
    if extentsize < sector:
        complain(f"Extent size ({extentsize}) is less than sector size ({sector}).")
        return EX_DATAERR
    if extentsize % sector:
        complain(f"Extent size ({extentsize}) is not multiple of sector size ({sector}).")
        return EX_DATAERR
    data = (sizes["m"] or device.mediasize) - hast_metadata.METADATA_SIZE
    if data < 0:
        raise NotModelled(f"a media size of {sizes['m']}")
    for line, holds, assertion in (
        (550, data > 0, "(mediasize > 0)"),
        (552, not extentsize & (extentsize - 1), "(((((extentsize)-1)&(extentsize))==0))"),
    ):
        if not holds:
            where = "activemap_calc_ondisk_size, file /usr/src/sbin/hastd/activemap.c"
            return _abort(
                context, f"[{resource.name}] Assertion failed: {assertion}, function {where}", line
            )
    if extentsize % hast_metadata.METADATA_SIZE:
        raise NotModelled(f"an extent size of {extentsize}")
    metadata = hast_metadata.new(
        resource.name,
        sizes["m"] or device.mediasize,
        extentsize,
        sizes["k"] or hast_metadata.KEEP_DIRTY,
    )
    disk.write(0, 1, {})
    disk.reserved = hast_metadata.OnDisk(metadata)
    return 0


def _dump(context: Context, config: Config, names: list[str]) -> int:
    everything = not names or names == ["all"]
    status = 0
    for name in [each.name for each in config.resources] if everything else names:
        chosen, failed = _choose(context, config, [name])
        for resource in chosen:
            failed = _dump_one(context, resource)
        status = status or failed
    return status


def _dump_one(context: Context, resource: ResourceConfig) -> int:
    try:
        device = hast_metadata.open_component(context.guest, resource.localpath)
        metadata = hast_metadata.read(device, resource.name, resource.localpath).metadata
    except hast_metadata.MetadataError as error:
        context.complain(f"[ERROR] {error}")
        return 255
    context.print(
        f"resource: {metadata.resource}\n"
        f"    datasize: {metadata.datasize} ({humanize(metadata.datasize)}B)\n"
        f"    extentsize: {metadata.extentsize} ({humanize(metadata.extentsize)}B)\n"
        f"    keepdirty: {metadata.keepdirty}\n"
        f"    localoff: {metadata.localoff}\n"
        f"    resuid: {metadata.resuid}\n"
        f"    localcnt: {metadata.localcnt}\n"
        f"    remotecnt: {metadata.remotecnt}\n"
        f"    prevrole: {metadata.prevrole}"
    )
    return 0


# --- hastd ----------------------------------------------------------------------------------------


def _ask(context: Context, config: Config, subcommand: str, names: list[str]) -> Program:
    hastd = _connect(context, config.control)
    if hastd is None:
        return EX_OSERR
    if subcommand == "role":
        reply = hastd.ask_role(names[0], names[1:])
    else:
        reply = hastd.ask_status(names or ["all"])
    while not reply.done.fired:
        yield 0.01
        if not _lives(hastd):
            context.complain(
                f"[ERROR] cannot receive reply from hastd via {config.control}: "
                f"{STRERROR['ENOTCONN']}."
            )
            return EX_UNAVAILABLE
    yield context.guest.rng.uniform(0.002, 0.01)
    if not reply.rows:
        # What becomes of it when hastd has no resource, and so an empty answer (13.2).
        where = "hast_proto_recv_hdr, file /usr/src/sbin/hastd/hast_proto.c"
        what = f"Assertion failed: (hptr != ((void *)0)), function {where}"
        return _abort(context, what, 158)
    return _print(context, subcommand, reply.rows)


def _abort(context: Context, what: str, line: int) -> int:
    """An assertion that does not hold ends it with SIGABRT."""
    context.complain(f"[CRIT] {what}, line {line}.")
    context.complain("Abort trap")
    pid = context.process.pid
    context.guest.say(f"pid {pid} (hastctl), jid 0, uid 0: exited on signal 6")
    return 128 + 6


def _lives(hastd: Hastd) -> bool:
    return hastd.alive


def _connect(context: Context, control: str) -> Hastd | None:
    """The hastd that listens on the control address, or None after a complaint."""
    guest = context.guest
    try:
        where = resolve(guest, control)
    except AddressError as error:
        context.complain(f"[ERROR] Unable to setup control connection to {control}: {error}.")
        return None
    if not isinstance(where, UnixAddress):
        raise NotModelled(f"control {control}: hastctl over TCP")
    try:
        entry = guest.tree.entry(where.path)
    except FileError:
        entry = None
    hastd = guest.part(Hast).hastd
    if entry is None:
        errno = "ENOENT"
    elif entry.kind != "sock":
        errno = "ENOTSOCK"
    elif hastd is None or entry.target != hastd.socket_id:
        errno = "ECONNREFUSED"  # nobody listens any more on a socket whose hastd was killed
    else:
        return hastd
    context.complain(f"[ERROR] Unable to connect to hastd via {control}: {STRERROR[errno]}.")
    return None


def _print(context: Context, subcommand: str, rows: list[Row]) -> int:
    status = 0
    if subcommand == "status" and rows:
        context.print("Name\tStatus\t Role\t\tComponents")
    for row in rows:
        status = status or row.error
        if subcommand == "list":
            context.print("\n".join(row.lines()))
        elif subcommand == "status":
            context.print(row.line())
        elif row.error:
            context.complain(f"[WARNING] [{row.name}] Received error {row.error} from hastd.")
    return status
