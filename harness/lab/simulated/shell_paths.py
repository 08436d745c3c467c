"""Where FreeBSD 13.2 keeps its programs, as ls(1) listed them on a running one."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from harness.lab.simulated.files import Entry, FileError, normal

if TYPE_CHECKING:
    from harness.lab.simulated.guest import Guest

_PLACES = {
    "/bin": """
    [ cat chflags chio chmod cp csh date dd df domainname echo ed expr freebsd-version getfacl
    hostname kenv kill link ln ls mkdir mv nproc pax pgrep pkill ps pwait pwd realpath red rm
    rmail rmdir setfacl sh sleep stty sync tcsh test timeout unlink uuidgen
    """,
    "/sbin": """
    adjkerntz bectl bsdlabel camcontrol ccdconfig clri comcontrol conscontrol ddb decryptcore devd
    devfs devmatch dhclient dhclient-script disklabel dmesg dnctl dump dumpfs dumpon
    etherswitchcfg fastboot fasthalt fdisk ffsinfo fsck fsck_4.2bsd fsck_ffs fsck_msdosfs fsck_ufs
    fsdb fsirand gbde gcache gconcat geli geom ggatec ggated ggatel gjournal glabel gmirror
    gmountver gmultipath gnop gpart graid graid3 growfs gshsec gstripe gvinum gvirstor halt
    hastctl hastd ifconfig init ipfw kldconfig kldload kldstat kldunload ldconfig md5 md5sum
    mdconfig mdmfs mknod mksnap_ffs mount mount_cd9660 mount_fusefs mount_mfs mount_msdosfs
    mount_nfs mount_nullfs mount_udf mount_unionfs natd newfs newfs_msdos nextboot nfsiod nologin
    nos-tun nvmecontrol pfctl pfilctl pflogd ping ping6 poweroff quotacheck rcorder rdump reboot
    recoverdisk resolvconf restore rmd160 rmd160sum route rrestore rtsol savecore setkey sha1
    sha1sum sha224 sha224sum sha256 sha256sum sha384 sha384sum sha512 sha512sum sha512t224
    sha512t224sum sha512t256 sha512t256sum shutdown skein1024 skein1024sum skein256 skein256sum
    skein512 skein512sum spppcontrol swapctl swapoff swapon sysctl tunefs umount zfs zfsbootcfg
    zpool
    """,
    "/usr/bin": """
    Mail alias apply asa at atq atrm awk b64decode b64encode backlight banner basename batch bc
    beep bg biff bmake brandelf bsdcat bsdcpio bsdiff bsdtar bspatch bunzip2 bzcat bzegrep bzfgrep
    bzgrep bzip2 bzip2recover bzless cal cap_mkdb cd chat chfn chgrp chkey chpass chsh cksum clear
    cmp col colrm column comm command compress cpio cpuset crontab crypt csplit ctfconvert ctfdump
    ctfmerge ctlstat cu cut dc diff diff3 dirname drill dtc du edit ee egrep elfctl elfdump enigma
    env etdump ex expand false fc fetch fg fgrep file find fmt fold from fstat fsync ftp fuser
    gate-ftp gcore gencat getaddrinfo getconf getent getopt getopts grep groups gunzip gzcat gzexe
    gzip hash hd head hexdump host iconv id ident install ipcrm ipcs jobs join jot kdump keylogin
    keylogout killall ktrace ktrdump lam last lastcomm ldd leave less lessecho lesskey lesspipe.sh
    limits locale localedef locate lock lockf logger login logins logname look lorder lsvfs lzcat
    lzdec lzegrep lzfgrep lzgrep lzless lzma lzmainfo m4 mail mailq mailx make mandoc mesg
    minigzip ministat mkcsmapper mkdep mkesdb mkfifo mkimg mktemp mkuzip more msgs mt nawk nc ncal
    netstat newaliases newgrp newkey nex nfsstat nice nl nohup nvi nview od openssl opieinfo
    opiekey opiepasswd otp-md4 otp-md5 otp-sha1 pagesize pargs passwd paste patch pathchk penv
    perror pftp pgrep pkill posixshmcontrol pr printenv printf proccontrol procstat protect pwdx
    quota rctl read readlink ree renice reset resizewin rev revoke rgrep rpcinfo rs rup ruptime
    rusers rwall rwho scp script sdiff sed seq sftp shar showmount slogin smbutil sockstat soelim
    sort split ssh ssh-add ssh-agent ssh-copy-id ssh-keygen ssh-keyscan stat stdbuf strings su sum
    systat tabs tail tar tcopy tee telnet tftp time timeout tip top touch tput tr true truncate
    truss tset tsort tty type ul ulimit umask unalias uname uncompress unexpand uniq units unlzma
    unvis unxz unzip unzstd uptime usbhidaction usbhidctl users uudecode uuencode vi view vis
    vmstat vtfontcvt w wait wall wc wg what whereis which who whoami whois write xargs xo xz xzcat
    xzdec xzdiff xzegrep xzfgrep xzgrep xzless yes ypcat ypchfn ypchpass ypchsh ypmatch yppasswd
    ypwhich zcat zcmp zdiff zegrep zfgrep zforce zgrep zinject zless zmore znew zstd zstdcat
    zstdegrep zstdfgrep zstdgrep zstdless zstdmt zstream zstreamdump ztest
    """,
    "/usr/sbin": """
    ac accton acpiconf acpidb acpidump adduser apm arp audit auditd auditdistd auditreduce authpf
    authpf-noip binmiscctl blacklistctl blacklistd boot0cfg bsdconfig camdd cdcontrol certctl
    chkgrp chown chroot ckdist clear_locks cpucontrol crashinfo cron daemon dconschat devctl
    devinfo diskinfo dtrace dumpcis dwatch edquota efibootmgr efidp efivar etcupdate extattrctl
    fifolog_create fifolog_reader fifolog_writer flowctl fmtree fstyp ftp-proxy fwcontrol
    getextattr getfmac getpmac gstat hoststat i2c iasl idprio ifmcstat inetd iostat iovctl
    ip6addrctl ipfwpcap jail jexec jls kbdcontrol kbdmap keyserv kgmon kldxref lastlogin lockstat
    lptcontrol lsextattr mailwrapper makefs memcontrol mergemaster mfiutil mixer mld6query
    mlxcontrol mount_smbfs mountd moused mprutil mpsutil mptable mptutil mtest mtree ndp newsyslog
    nfscbd nfsd nfsdumpstate nfsrevoke nfsuserd ngctl nghook nmtree nologin nscd pciconf periodic
    pkg plockstat pnfsdscopymr pnfsdsfile pnfsdskill powerd praudit prometheus_sysctl_exporter
    pstat purgestat pw pwd_mkdb pwm quot quotaoff quotaon rarpd repquota rip6query rmextattr rmt
    rmuser route6d rpc.lockd rpc.statd rpc.tlsclntd rpc.tlsservd rpc.umntall rpc.yppasswdd
    rpc.ypupdated rpc.ypxfrd rpcbind rrenumd rtadvctl rtadvd rtprio rtsold rwhod sa sendmail
    service services_mkdb sesutil setextattr setfib setfmac setfsmac setpmac smbmsg snapinfo spi
    spkrtest spray sshd swapinfo syslogd sysrc tcpdchk tcpdmatch tcpdrop tcpdump traceroute
    traceroute6 trim trpt tzsetup uathload uefisign ugidfw uhsoctl usbconfig usbdump utx valectl
    vidcontrol vidfont vigr vipw wake watch watchdog watchdogd yp_mkdb ypbind ypinit ypldap yppoll
    yppush ypserv ypset zdb zdump zfsd zhack zic zonectl zzz
    """,
}
_WHERE: dict[str, str] = {}
for _place, _names in _PLACES.items():
    for _name in _names.split():
        _WHERE.setdefault(_name, _place)

_PROGRAM = Entry("file", b"", 0o555)


def directory_of(name: str) -> str:
    """The directory of a program of the base system."""
    return _WHERE.get(name, "/usr/sbin")


def is_program(path: str) -> bool:
    """Whether a program of the base system is at this path."""
    place, name = posixpath.split(path)
    return _WHERE.get(name) == place


def entry_or_none(guest: Guest, path: str) -> Entry | None:
    """What is at an absolute path; nothing either where symbolic links go in circles."""
    try:
        return guest.tree.entry(path)
    except FileError:
        return None


def entry_at(guest: Guest, path: str, *, follow: bool = True) -> Entry | None:
    """What is at an absolute path, the programs of the base system among it, or None.

    Raises `FileError` ELOOP.
    """
    entry = guest.tree.entry(path, follow=follow)
    if entry is None and is_program(normal(path)):
        return _PROGRAM
    return entry
