#!/bin/sh
# Makes a stock FreeBSD VM image reachable by the harness. Run once in the image, as root.
#
# It changes how a person or program gets in and how fast the node boots, and nothing about HAST,
# ZFS or the network of the pair: that is provision-node.sh, the same on every lab and on metal.
#
# usage: prepare-image.sh [authorized_keys lines]
#   Without an argument the node takes its key and host key from the seed disk at each boot.
set -eu

# --- the console: the first serial port, from the boot loader on ----------------------------------
sysrc -q -f /boot/loader.conf \
    console="comconsole" comconsole_speed="115200" \
    autoboot_delay="-1" beastie_disable="YES" loader_logo="none" >/dev/null

# --- services: SSH by key, nothing that takes time at boot or mails root ---------------------------
#
# The first NIC is the management network, which has no router: rc(8) would wait 30 s for one. The
# second is the crossover cable and stays silent until provision-node.sh gives it an address; a DHCP
# client on it would hold up the boot.
nic=$(ifconfig -l ether | cut -d ' ' -f 1)
sysrc -q "ifconfig_${nic:-vtnet0}=SYNCDHCP" defaultroute_delay="0" \
    sshd_enable="YES" sshd_rsa_enable="NO" sshd_ecdsa_enable="NO" \
    growfs_enable="NO" sendmail_enable="NONE" dumpdev="NO" devmatch_enable="NO" \
    newsyslog_enable="NO" virecover_enable="NO" update_motd="NO" mixer_enable="NO" \
    background_fsck="NO" fsck_y_enable="YES" >/dev/null
sysrc -q -x ifconfig_DEFAULT >/dev/null 2>&1 || true
rm -f /firstboot

# --- root: by key only, with sh(1) for a login shell -----------------------------------------------
# Without PAM a login takes two thirds of the time on an emulated machine.
pw usermod root -s /bin/sh
for setting in 'PermitRootLogin prohibit-password' 'PasswordAuthentication no' \
    'KbdInteractiveAuthentication no' 'UsePAM no' 'PrintMotd no' 'UseDNS no' 'MaxSessions 32'; do
    grep -qx "$setting" /etc/ssh/sshd_config || {
        # sshd takes the first value it meets, so ours goes on top.
        { echo "$setting"; cat /etc/ssh/sshd_config; } > /etc/ssh/sshd_config.new
        cat /etc/ssh/sshd_config.new > /etc/ssh/sshd_config
        rm /etc/ssh/sshd_config.new
    }
done

# --- identity: nothing that two copies of this image would share -----------------------------------
rm -f /etc/hostid /etc/machine-id /var/db/hostid /etc/ssh/ssh_host_*

if [ $# -eq 1 ]; then
    install -d -m 700 /root/.ssh
    printf '%s\n' "$1" > /root/.ssh/authorized_keys
    chmod 600 /root/.ssh/authorized_keys
fi

install -d /usr/local/etc/rc.d
cat > /usr/local/etc/rc.d/skunk_seed <<'SCRIPT'
#!/bin/sh
# PROVIDE: skunk_seed
# REQUIRE: FILESYSTEMS
# BEFORE: sshd
# KEYWORD: nojail
#
# Takes the host key and root's key from a seed disk, when there is one.
. /etc/rc.subr
name="skunk_seed"
desc="Take SSH keys from the seed disk"
start_cmd="skunk_seed_start"
stop_cmd=":"
seed="/dev/iso9660/CIDATA"

skunk_seed_start()
{
    [ -e "$seed" ] || return 0
    mount -t cd9660 -o ro "$seed" /mnt || return 1
    install -d -m 700 /root/.ssh
    install -m 600 /mnt/authorized_keys /root/.ssh/authorized_keys
    install -m 600 /mnt/ssh_host_ed25519_key /etc/ssh/
    install -m 644 /mnt/ssh_host_ed25519_key.pub /etc/ssh/
    umount /mnt
}

load_rc_config "$name"
run_rc_command "$1"
SCRIPT
chmod 555 /usr/local/etc/rc.d/skunk_seed
sync
