#!/bin/sh
# Runs inside the new root file system, once per image: makes a package set a machine that many guests can start as.
set -eu

systemctl --quiet enable open-vm-tools.service ssh-host-keys.service ssh.service nginx.service

# Each of these would ask for hardware that a container has not, and leave the system "degraded" from its first minute.
systemctl --quiet mask systemd-udevd.service systemd-udevd-control.socket systemd-udevd-kernel.socket \
    systemd-modules-load.service sys-kernel-debug.mount sys-kernel-tracing.mount dev-hugepages.mount \
    e2scrub_all.timer fstrim.timer

# A guest makes its own identity at its first start; shared ones would make all guests one machine.
rm -f /etc/ssh/ssh_host_*
: > /etc/machine-id

# A shell that asks for a user's name must not wait for a password that nobody set: root gets its own per guest.
passwd --quiet --lock root

mkdir -p /var/log/journal
apt-get clean
rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/dpkg.log /var/log/bootstrap.log /var/cache/debconf/*-old
