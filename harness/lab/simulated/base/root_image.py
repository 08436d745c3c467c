"""What is on the root file system of a freshly installed node that was prepared for SSH.

It is what provision/prepare-image.sh leaves on a 13.2 image, as far as programs of the model read
it. Comments of the real files are left out.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from harness.lab.simulated.kernel.files import Entry, Unseen
from harness.lab.simulated.kernel.release import Release

if TYPE_CHECKING:
    from harness.lab.simulated.kernel.guest import Guest

_RC_CONF = """\
hostname="freebsd"
growfs_enable="NO"
ifconfig_vtnet0="SYNCDHCP"
defaultroute_delay="0"
sshd_enable="YES"
sshd_rsa_enable="NO"
sshd_ecdsa_enable="NO"
sendmail_enable="NONE"
dumpdev="NO"
devmatch_enable="NO"
newsyslog_enable="NO"
virecover_enable="NO"
update_motd="NO"
mixer_enable="NO"
background_fsck="NO"
fsck_y_enable="YES"
"""

_FSTAB = """\
# Custom /etc/fstab for FreeBSD VM images
/dev/gpt/rootfs   /       ufs     rw      1       1
/dev/gpt/swapfs  none    swap    sw      0       0
/dev/gpt/efiesp\t/boot/efi       msdosfs     rw      2       2
"""

_HOSTS = """\
::1\t\t\tlocalhost localhost.my.domain
127.0.0.1\t\tlocalhost localhost.my.domain
"""

_LOADER_CONF = """\
console="comconsole"
comconsole_speed="115200"
autoboot_delay="-1"
beastie_disable="YES"
loader_logo="none"
"""

_SYSLOG_CONF = """\
*.err;kern.warning;auth.notice;mail.crit\t\t/dev/console
*.notice;authpriv.none;kern.debug;lpr.info;mail.crit;news.err\t/var/log/messages
security.*\t\t\t\t\t/var/log/security
auth.info;authpriv.info\t\t\t\t/var/log/auth.log
mail.info\t\t\t\t\t/var/log/maillog
cron.*\t\t\t\t\t\t/var/log/cron
!-devd
*.=debug\t\t\t\t\t/var/log/debug.log
*.emerg\t\t\t\t\t\t*
daemon.info\t\t\t\t\t/var/log/daemon.log
!*
include\t\t\t\t\t\t/etc/syslog.d
include\t\t\t\t\t\t/usr/local/etc/syslog.d
"""

_OS_RELEASE = """\
NAME=FreeBSD
VERSION="{release.version}"
VERSION_ID="{release.name}"
ID=freebsd
ANSI_COLOR="0;31"
PRETTY_NAME="{release.title}"
CPE_NAME="cpe:/o:freebsd:freebsd:{release.name}"
HOME_URL="https://FreeBSD.org/"
BUG_REPORT_URL="https://bugs.FreeBSD.org/"
"""

SSHD_CONFIG = """\
MaxSessions 32
UseDNS no
PrintMotd no
UsePAM no
KbdInteractiveAuthentication no
PasswordAuthentication no
PermitRootLogin prohibit-password
"""

_ACCOUNTS = """\
root:*:0:0:Charlie &:/root:/bin/sh
toor:*:0:0:Bourne-again Superuser:/root:
daemon:*:1:1:Owner of many system processes:/root:/usr/sbin/nologin
operator:*:2:5:System &:/:/usr/sbin/nologin
sshd:*:22:22:Secure Shell Daemon:/var/empty:/usr/sbin/nologin
hast:*:845:845:HAST unprivileged user:/var/empty:/usr/sbin/nologin
nobody:*:65534:65534:Unprivileged user:/nonexistent:/usr/sbin/nologin
"""

_DIRECTORIES = """
/bin /boot /boot/efi /boot/kernel /etc /etc/defaults /etc/devd /etc/rc.d /etc/ssh /etc/syslog.d
/etc/zfs /lib /libexec /media /mnt /net /proc /rescue /root /root/.ssh /sbin /tmp /usr /usr/bin
/usr/home /usr/lib /usr/libexec /usr/local /usr/local/etc /usr/local/etc/rc.d /usr/sbin /usr/share
/usr/share/misc /var /var/backups /var/cache /var/crash /var/cron /var/db /var/db/entropy /var/empty
/var/log /var/mail /var/run /var/run/dhclient /var/spool /var/tmp
"""
"""As on the running guests, as far as anything of the model goes there."""

_LOCAL = {
    "/etc/machine-id": 0o444,
    "/etc/ssh/ssh_host_ed25519_key": 0o600,
    "/etc/ssh/ssh_host_ed25519_key.pub": 0o644,
    "/usr/local/etc/rc.d/skunk_seed": 0o555,
}
"""What the first boot and prepare-image.sh add; the lab gives the keys itself."""

_MODES = {
    "/tmp": 0o1777,  # noqa: S108 - of the guest
    "/var/tmp": 0o1777,  # noqa: S108
    "/root/.ssh": 0o700,
    "/var/crash": 0o750,
    "/var/backups": 0o750,
    "/var/empty": 0o555,
    "/proc": 0o555,
    "/var/log/auth.log": 0o600,
    "/var/log/cron": 0o600,
    "/var/log/debug.log": 0o600,
    "/var/log/maillog": 0o640,
    "/var/log/security": 0o600,
    "/var/log/userlog": 0o600,
    "/var/log/xferlog": 0o600,
    "/var/run/os-release": 0o444,
}

_LOGS = (
    *("auth.log", "cron", "daemon.log", "debug.log", "devd.log", "lpd-errs", "maillog"),
    *("messages", "ppp.log", "security", "userlog", "xferlog"),
)

_FILES = {
    "/boot/loader.conf": _LOADER_CONF,
    "/etc/fstab": _FSTAB,
    "/etc/hosts": _HOSTS,
    "/etc/passwd": _ACCOUNTS,
    "/etc/rc.conf": _RC_CONF,
    "/etc/shells": "/bin/sh\n/bin/csh\n/bin/tcsh\n",
    "/etc/ssh/sshd_config": SSHD_CONFIG,
    "/etc/sysctl.conf": "",
    "/etc/syslog.conf": _SYSLOG_CONF,
    "/etc/syslog.d/ftp.conf": "ftp.info\t\t\t\t\t/var/log/xferlog\n",
    "/etc/syslog.d/lpr.conf": "lpr.info\t\t\t\t\t/var/log/lpd-errs\n",
    "/etc/syslog.d/ppp.conf": "!ppp\n*.*\t\t\t\t\t\t/var/log/ppp.log\n",
    **{f"/var/log/{name}": "" for name in _LOGS},
}


@functools.cache
def _entries(release: Release, installed: float) -> dict[str, Entry]:
    """All entries; they never change, so every guest can share them.

    What the model knows more of than the name comes after the names of the release.
    """
    entries = dict(release.entries)
    for path in ("/", *_DIRECTORIES.split()):
        if not isinstance(entries.get(path), Unseen):
            entries[path] = Entry("dir", mode=_MODES.get(path, 0o755), mtime=installed)
    for path, mode in _LOCAL.items():
        entries[path] = Unseen(path, mode=mode)
    texts = {**_FILES, "/var/run/os-release": _OS_RELEASE.format(release=release)}
    for path, text in texts.items():
        entries[path] = Entry("file", text.encode(), _MODES.get(path, 0o644), installed)
    entries["/etc/os-release"] = Entry(
        "link", mode=0o755, mtime=installed, target="../var/run/os-release"
    )
    return entries


def install(guest: Guest) -> None:
    """Put the files on an empty root file system, as from before its first boot."""
    installed = guest.world.utc().timestamp() - 3600.0
    guest.root.entries.update(_entries(guest.release, installed))
    guest.root.write_all()
