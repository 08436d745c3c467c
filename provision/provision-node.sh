#!/bin/sh
# Makes a FreeBSD host (13, 14 or 15) one node of a HAST pair. Run as root; safe to repeat.
#
# By hand on metal: copy this folder to the host, write /etc/hast.conf from hast.conf.j2, then
#   sh provision-node.sh skunk1 vtnet1 192.168.0.1/24 "192.168.0.1 skunk1" "192.168.0.2 skunk2"
#
# usage: provision-node.sh [-p PUBLIC_NIC=ADDRESS/PREFIX] NAME PRIVATE_NIC PRIVATE_ADDRESS/PREFIX HOSTS_LINE...
set -eu
here=$(cd "$(dirname "$0")" && pwd)
public=
if [ "$1" = -p ]; then
    public=$2
    shift 2
fi
name=$1 nic=$2 address=$3
shift 3

# sysrc(8) costs a second on an emulated machine, so all settings go through one call.
# fsck_y_enable: a node that lost power comes back without somebody to answer fsck(8).
# -s: no log comes in from the network. -c -c: no "last message repeated". RFC 5424 has microseconds.
sysrc -q "hostname=$name" "ifconfig_$nic=inet $address" zfs_enable="YES" hastd_enable="YES" \
    kld_list+="zfs" kld_list+="geom_gate" syslogd_flags="-s -c -c -O rfc5424" \
    fsck_y_enable="YES" ${public:+"ifconfig_${public%%=*}=inet ${public#*=}"} >/dev/null

# --- who it is: hast.conf's `on NAME` matches the host name -----------------------------------------
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
ifconfig "$nic" inet | grep -qF "inet ${address%/*} " || ifconfig "$nic" inet "$address" up

# --- where clients are: the addresses that a failover moves are not set here ------------------------
if [ -n "$public" ]; then
    ifconfig "${public%%=*}" inet "${public#*=}" up
fi

# --- ZFS and the GEOM gate, which makes /dev/hast ---------------------------------------------------
kldload -n zfs geom_gate

# --- hastd and its whole log ------------------------------------------------------------------------
install -d /etc/rc.conf.d /etc/syslog.d
install -m 644 "$here/hastd.rc.conf" /etc/rc.conf.d/hastd
touch /var/log/hastd.log
if ! cmp -s "$here/syslog-hastd.conf" /etc/syslog.d/hastd.conf; then
    install -m 644 "$here/syslog-hastd.conf" /etc/syslog.d/hastd.conf
    service syslogd restart >/dev/null
fi

# --- all of this on the disk, now -------------------------------------------------------------------
# UFS writes within half a minute, and not at all while a suspended pool holds up the syncer. A node
# that is reset before that comes back with an empty rc.conf (seen on 13.2). sync(8) only starts the
# writes; fsync(1) waits for them.
fsync /etc/rc.conf /etc/hosts /etc/hostid /etc/hostid.owner /etc/hast.conf \
    /etc/rc.conf.d/hastd /etc/syslog.d/hastd.conf /var/log/hastd.log
