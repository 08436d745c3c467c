#!/bin/sh
# Makes a FreeBSD host (13, 14 or 15) one node of a HAST pair. Run as root; safe to repeat.
#
# By hand on metal: copy this folder to the host, write /etc/hast.conf from hast.conf.j2, then
#   sh provision-node.sh skunk1 vtnet1 192.168.0.1/24 "192.168.0.1 skunk1" "192.168.0.2 skunk2"
#
# usage: provision-node.sh NAME PRIVATE_NIC PRIVATE_ADDRESS/PREFIX HOSTS_LINE...
set -eu
here=$(cd "$(dirname "$0")" && pwd)
name=$1 nic=$2 address=$3
shift 3

# --- who it is: hast.conf's `on NAME` matches the host name -----------------------------------------
sysrc -q "hostname=$name" >/dev/null
rm -f /etc/rc.conf.d/hostname
hostname "$name"
for line in "$@"; do
    grep -qxF "$line" /etc/hosts || echo "$line" >> /etc/hosts
done

# A cloned image carries its /etc/hostid along, and ZFS tells two hosts apart by it. The marker says
# that this host has made one of its own.
if ! grep -qx "$name" /etc/hostid.owner 2>/dev/null; then
    uuidgen > /etc/hostid
    service hostid onestart >/dev/null
    echo "$name" > /etc/hostid.owner
fi

# --- the crossover cable: HAST and pfsync only, no router -------------------------------------------
sysrc -q "ifconfig_$nic=inet $address" >/dev/null
ifconfig "$nic" inet | grep -qF "inet ${address%/*} " || ifconfig "$nic" inet "$address" up

# --- ZFS and the GEOM gate, which makes /dev/hast ---------------------------------------------------
sysrc -q zfs_enable="YES" >/dev/null
for module in zfs geom_gate; do
    kldstat -q -m "$module" || kldstat -q -n "$module" || kldload "$module"
    case " $(sysrc -qn kld_list) " in
    *" $module "*) ;;
    *) sysrc -q kld_list+="$module" >/dev/null ;;
    esac
done

# --- hastd and its whole log ------------------------------------------------------------------------
sysrc -q hastd_enable="YES" >/dev/null
install -d /etc/rc.conf.d /etc/syslog.d
install -m 644 "$here/hastd.rc.conf" /etc/rc.conf.d/hastd
touch /var/log/hastd.log
# -s: no log comes in from the network. -c -c: no "last message repeated". RFC 5424 has microseconds.
flags="-s -c -c -O rfc5424"
if [ "$(sysrc -qn syslogd_flags)" != "$flags" ] ||
    ! cmp -s "$here/syslog-hastd.conf" /etc/syslog.d/hastd.conf; then
    sysrc -q "syslogd_flags=$flags" >/dev/null
    install -m 644 "$here/syslog-hastd.conf" /etc/syslog.d/hastd.conf
    service syslogd restart >/dev/null
fi
