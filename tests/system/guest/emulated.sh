#!/bin/sh
# SPDX-License-Identifier: MIT
# What a guest of QEMU does that has come up by firmware and boot loader: it reads its disk, and what
# the host of QEMU's user network sends.
port=$(sed 's/.*bh.port=\([0-9]*\).*/\1/' /proc/cmdline)
# The kernel looks for disks on its own time.
for _ in $(seq 100); do
    [ ! -b /dev/sda1 ] || break
    usleep 100000
done
mount -t ext2 -o ro /dev/sda1 /mnt || dmesg | tail
disk=$(md5sum < /mnt/boot/data)
net=$(nc 10.0.2.2 "$port" | md5sum)
echo "@guest disk=${disk%% *} net=${net%% *} ."
