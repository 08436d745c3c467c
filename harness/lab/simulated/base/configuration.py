"""What files of configuration ask of FreeBSD, and the model does not do: each is a gap.

It is noted when the part of FreeBSD that reads the file would do so: the loader, rc(8) at boot, the
start of a service, cron(8) within a minute. A file that nobody reads asks for nothing.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping

from harness.lab.simulated.base.rc import local_scripts
from harness.lab.simulated.base.rc.rc_conf import read_conf
from harness.lab.simulated.base.rc.services import honoured
from harness.lab.simulated.engine.signal import NotModelled
from harness.lab.simulated.kernel.files import Entry, Unseen
from harness.lab.simulated.kernel.guest import Guest
from harness.lab.simulated.kernel.modules import Kernel
from harness.lab.simulated.kernel.release import Release
from harness.lab.simulated.network.interfaces import Network

WITHOUT_EFFECT = frozenset(
    {
        *("allscreens_flags", "allscreens_kbdflags", "background_fsck", "background_fsck_delay"),
        *("blanktime", "crashinfo_enable", "cursor", "defaultroute_carrier_delay"),
        *("defaultroute_delay", "devmatch_blacklist", "dumpdev", "dumpdir", "font8x14", "font8x16"),
        *("font8x8", "fsck_y_enable", "fsck_y_flags", "keybell", "keychange", "keymap", "keyrate"),
        *(
            "mousechar_start",
            "moused_flags",
            "moused_port",
            "moused_type",
            "saver",
            "savecore_flags",
        ),
        *("scrnmap", "sshd_dsa_enable", "sshd_ecdsa_enable", "sshd_ed25519_enable"),
        *("sshd_rsa_enable", "vidhistory"),
    }
)
"""Those that change nothing that the model has. Of fsck(8) it prints the preening of a small disk;
host keys are those of the lab."""

_STEPS = frozenset({"cleanvar_enable", "netif_enable", "root_rw_mount"})
"""What rc(8) does in the model whatever these say."""

_OFF = frozenset({"no", "false", "off", "0", "none"})

_INTERFACE = re.compile(r"(?:ifconfig|ipv4_addrs|create_args|vlans|wlans)_([a-z]+\d+)(?:_(.*))?")
_ALSO_KNOWN = re.compile(
    r"(?:cloned_interfaces|static_routes|ipv6_static_routes|gif|gre|jail|mdconfig|geli|route"
    r"|ipv6_route|ipv6_prefix|static_arp|static_ndp|autobridge|defaultrouter|ifconfig_DEFAULT"
    r"|background_dhclient|dhclient_flags|create_args|vlans|wlans)(?:_.+)?"
)
"""Variables of rc.conf(5) whose names are made of the name of an interface, a jail, a route."""

_READ_AT_BOOT = (
    *("/boot/defaults/loader.conf", "/boot/device.hints", "/etc/defaults/rc.conf"),
    *("/etc/devfs.conf", "/etc/defaults/devfs.rules", "/etc/network.subr", "/etc/rc"),
    *("/etc/rc.subr", "/etc/rc.shutdown", "/etc/ttys"),
)
"""Files of the base system that a boot reads; the model knows what they do as they come."""

_NEW_AT_BOOT = (
    *("/boot/nextboot.conf", "/etc/defaults/vendor.conf", "/etc/devfs.rules", "/etc/rc.early"),
    *("/etc/rc.local",),
)
"""Files that are not there as it comes, and that a boot obeys."""

_DEVD = ("/etc/devd/",)
_CRON = ("/etc/cron.d/", "/usr/local/etc/cron.d/", "/var/cron/tabs/")
_CRONTAB = "/etc/crontab"
CRON_SECONDS = 60.0
"""How often cron(8) looks whether its files have changed."""


def _note(guest: Guest, command: str, what: str) -> None:
    guest.world.note_gap(guest.name, command, what)


# --- what is there ------------------------------------------------------------------------------


def _text(entry: Entry) -> str:
    """A file without its comments and empty lines; of one of FreeBSD's what was added to it."""
    data = entry.more if isinstance(entry, Unseen) else entry.data
    lines = (line.strip() for line in data.decode(errors="replace").splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("#"))


def _below(guest: Guest, *folders: str) -> Iterator[tuple[str, Entry]]:
    """The files of a few folders that did not come with FreeBSD."""
    entries, came = guest.root.entries, guest.release.entries
    paths = [path for path in entries.keys() - came.keys() if path.startswith(folders)]
    paths += [path for path in _released(guest.release, folders) if path in entries]
    for path in sorted(paths):
        entry = entries[path]
        if entry.kind != "dir" and not (isinstance(entry, Unseen) and not entry.more):
            yield path, entry


@functools.cache
def _released(release: Release, folders: tuple[str, ...]) -> tuple[str, ...]:
    """The files of a few folders that came with FreeBSD."""
    return tuple(path for path in release.entries if path.startswith(folders))


def _changed(guest: Guest, path: str) -> bool:
    """Whether a file that came with FreeBSD is another one now, or gone."""
    entry = guest.root.entries.get(path)
    came = guest.release.entries.get(path)
    return isinstance(came, Unseen) and entry is not came


# --- the boot -----------------------------------------------------------------------------------


def of_boot(guest: Guest) -> None:
    """Note what the files ask that rc(8) reads on its way."""
    for path in _READ_AT_BOOT:
        if _changed(guest, path):
            _note(guest, "boot", f"another {path} than FreeBSD's")
    for path in _NEW_AT_BOOT:
        entry = guest.root.entries.get(path)
        if entry is not None and _text(entry):
            _note(guest, "boot", path)
    for script in guest.release.rc_scripts:
        if _changed(guest, f"/etc/rc.d/{script}"):
            _note(guest, "boot", f"another /etc/rc.d/{script} than FreeBSD's")
    for path, entry in _below(guest, "/etc/rc.d/"):
        came = path in guest.release.entries
        if not came and entry.kind == "file" and entry.mode & 0o111:
            _note(guest, "boot", path)
    for path in local_scripts.old_style(guest):
        _note(guest, "boot", path)
    if "/firstboot" in guest.root.entries:
        _note(guest, "boot", "/firstboot")
    for path, _ in _below(guest, "/etc/start_if."):
        _note(guest, "boot", path)
    _of_rc_conf(guest)
    _of_fstab(guest)


def _of_rc_conf(guest: Guest) -> None:
    files = ["/etc/rc.conf", "/etc/rc.conf.local"]
    files += [path for path, _ in _below(guest, "/etc/rc.conf.d/", "/usr/local/etc/rc.conf.d/")]
    for path in files:
        entry = guest.root.entries.get(path)
        if entry is None or entry.kind != "file":
            continue
        found, others = read_conf(entry.data.decode(errors="replace"))
        for line in others:
            _note(guest, path, f"a line that is more than a value: {line}")
        for name, value in found.items():
            if not _harmless(guest, name, value):
                _note(guest, path, f"{name}={value}")


def _harmless(guest: Guest, name: str, value: str) -> bool:
    """Whether the model does what FreeBSD does by a variable of rc.conf, which may be nothing."""
    names = guest.release
    default = names.rc_conf.get(name, names.rc_scripts_conf.get(name))
    if name in honoured() or name in WITHOUT_EFFECT or value == default:
        return True
    if interface := _INTERFACE.fullmatch(name):
        return _of_interface(guest, name, interface[1], interface[2] or "")
    return _unknown(names, name, value) if default is None else _alike(name, value, default)


def _of_interface(guest: Guest, name: str, interface: str, what: str) -> bool:
    """Whether the network does what a variable of an interface says. It looks at most of them."""
    if interface not in guest.part(Network).interfaces:
        return name.startswith(("ifconfig_", "ipv4_addrs_"))  # such a one is not looked for
    return name.startswith("ifconfig_") and re.fullmatch(r"(alias\d+)?", what) is not None


def _unknown(release: Release, name: str, value: str) -> bool:
    """Whether nothing of FreeBSD reads a variable that has no default."""
    if _ALSO_KNOWN.fullmatch(name):
        return not value
    stem, _, last = name.rpartition("_")
    is_service = last == "enable" and f"/etc/rc.d/{stem}" in release.entries
    return not is_service or value.lower() in _OFF


def _alike(name: str, value: str, default: str) -> bool:
    """Whether a value is as good as the default, or turns off what the model has not."""
    if not name.endswith(("_enable", "update_motd")):
        return False
    if value.lower() in _OFF:
        return name not in _STEPS
    return value.lower() in {"yes", "true", "on", "1"} and default.upper() == "YES"


_FSTAB = frozenset({"/", "none", "/boot/efi"})


def _of_fstab(guest: Guest) -> None:
    """What rc(8) would mount besides the disk of the system."""
    entry = guest.root.entries.get("/etc/fstab")
    for line in _text(entry).splitlines() if entry is not None else ():
        words = line.split()
        if len(words) < 4 or words[1] not in _FSTAB:
            options = words[3].split(",") if len(words) > 3 else []
            if "noauto" not in options:
                _note(guest, "/etc/fstab", line)


def of_end_of_rc(guest: Guest, how: str) -> None:
    """Note what rc.shutdown(8) would read."""
    entry = guest.root.entries.get("/etc/rc.shutdown.local")
    if entry is not None and _text(entry):
        _note(guest, how, "/etc/rc.shutdown.local")
    for path in local_scripts.old_style(guest):
        _note(guest, how, path)


# --- services -----------------------------------------------------------------------------------


def check_program(guest: Guest, conf: Mapping[str, str], name: str, program: str) -> None:
    """Note that rc.conf has another program for a service."""
    if conf.get(f"{name}_program", "") != program:
        _note(guest, f"service {name} start", f"{name}_program={conf[f'{name}_program']}")


def check_flags(guest: Guest, conf: Mapping[str, str], name: str) -> None:
    """Note that rc.conf has arguments for a service that takes none here."""
    if conf.get(f"{name}_flags"):
        _note(guest, f"service {name} start", f"{name}_flags={conf[f'{name}_flags']}")


def of_devd(guest: Guest, conf: Mapping[str, str]) -> None:
    """Note what devd(8) is asked for besides its rules, when it starts."""
    check_flags(guest, conf, "devd")
    for path in _released(guest.release, _DEVD):
        if _changed(guest, path):
            _note(guest, "devd", f"another {path} than FreeBSD's")


def read_by_cron(path: str) -> bool:
    """Whether cron(8) reads a file."""
    return path == _CRONTAB or path.startswith(_CRON)


def of_cron(guest: Guest) -> None:
    """Note what cron(8) would run that did not come with FreeBSD."""
    found = dict(_below(guest, *_CRON))
    entry = guest.root.entries.get(_CRONTAB)
    if entry is not None:
        found[_CRONTAB] = entry
    for path, each in found.items():
        if each.kind == "file" and _text(each):
            _note(guest, "cron", path)


def of_cron_service(guest: Guest, conf: Mapping[str, str]) -> None:
    """Note what cron(8)'s files ask for, when it starts."""
    check_program(guest, conf, "cron", "/usr/sbin/cron")
    check_flags(guest, conf, "cron")
    of_cron(guest)


def of_sshd(guest: Guest, conf: Mapping[str, str]) -> None:
    """Note what sshd(8)'s files ask for, when it starts."""
    check_program(guest, conf, "sshd", "/usr/sbin/sshd")
    check_flags(guest, conf, "sshd")
    entry = guest.root.entries.get("/etc/ssh/sshd_config")
    installed = guest.release.installed["/etc/ssh/sshd_config"]
    if entry is None or _text(entry) != installed.text.strip():
        _note(guest, "sshd", "another /etc/ssh/sshd_config than the lab's")


# --- the kernel ---------------------------------------------------------------------------------

_LOADER_WITHOUT_EFFECT = re.compile(
    r"autoboot_delay|beastie_disable|boot_multicons|boot_serial|boot_mute|comconsole_\w+|console"
    r"|loader_\w+|verbose_loading|twiddle_divisor|bootenv_autolist|kernels_autodetect|kernels"
    r"|screen\.\w+|teken\.\w+|kern\.vt\.\w+|hw\.vga\.textmode|module_path"
)
"""What changes the menu, the console's look and how long the loader waits, which the model has
not."""

_LOADER_LINE = re.compile(r'([A-Za-z_][\w.\-]*)\s*=\s*(?:"([^"]*)"|([^\s"#]*))\s*(?:#.*)?')
_KERNEL = ("compat", "debug", "dev", "hint", "hw", "kern", "kstat", "machdep", "net", "security")
_TUNABLES = (*_KERNEL, "vfs", "vm")


def of_loader(guest: Guest) -> None:
    """Do what the files of loader.conf(5) say, as far as the model can."""
    paths = ["/boot/loader.conf", "/boot/loader.conf.local"]
    paths += [path for path, _ in _below(guest, "/boot/loader.conf.d/") if path.endswith(".conf")]
    for path in paths:
        entry = guest.root.entries.get(path)
        for line in _text(entry).splitlines() if entry is not None else ():
            match = _LOADER_LINE.fullmatch(line)
            if match is None:
                _note(guest, path, line)
                continue
            name, value = match[1], match[2] if match[2] is not None else match[3] or ""
            try:
                _of_loader_variable(guest, name, value)
            except NotModelled as gap:
                _note(guest, path, f"{line}: {gap}")


def _of_loader_variable(guest: Guest, name: str, value: str) -> None:
    """Raises `NotModelled`."""
    kernel = guest.part(Kernel)
    kernel.environment[name] = value
    default = guest.release.loader_conf.get(name)
    if name == "net.inet.ip.fw.default_to_accept" or _LOADER_WITHOUT_EFFECT.fullmatch(name):
        return
    if value == default:
        return
    stem, _, last = name.rpartition("_")
    if last == "load":
        if value.upper() == "YES":
            if stem in {"cpu_microcode", "mdroot", "entropy_cache"}:
                raise NotModelled(name)
            kernel.load(stem)
    elif default is not None or name.partition(".")[0] in _TUNABLES or last in {"type", "flags"}:
        raise NotModelled("that variable of the loader")


def of_sysctl_conf(guest: Guest) -> None:
    """Do what rc.d/sysctl does with its files, as far as the model can."""
    paths = ["/etc/sysctl.conf", "/etc/sysctl.conf.local"]
    paths += [path for path, _ in _below(guest, "/etc/sysctl.kld.d/")]
    for path in paths:
        entry = guest.root.entries.get(path)
        for line in _text(entry).splitlines() if entry is not None else ():
            name, equals, value = line.partition("#")[0].strip().partition("=")
            try:
                _assign(guest, name.strip(), value.strip().strip('"') if equals else None)
            except NotModelled as gap:
                _note(guest, path, f"{line}: {gap}")


def _assign(guest: Guest, name: str, value: str | None) -> None:
    """Raises `NotModelled`."""
    kernel = guest.part(Kernel)
    before = kernel.value(name)
    if value is not None and before not in {None, value}:
        kernel.assign(name, value)
