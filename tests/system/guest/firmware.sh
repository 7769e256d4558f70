#!/bin/sh
# SPDX-License-Identifier: MIT
# What the parent knows of the firmware that it was booted by, one line; run as /tests/run.sh.
seen=$(dmesg | sed -n 's/.*Hypervisor detected: //p' | head -n 1)
screen=none
for driver in /sys/bus/platform/devices/*-framebuffer.*; do
    [ -e "$driver" ] && screen=${driver##*/}
done
firmware=bios variables=0
if [ -d /sys/firmware/efi/runtime-map ]; then
    firmware=efi$(cat /sys/firmware/efi/fw_platform_size)
    # Each of these names comes from a call of the runtime services.
    mount -t efivarfs efivarfs /mnt
    for name in /mnt/*; do
        cat "$name" > /dev/null && variables=$((variables + 1))
    done
fi
dmesg | grep -E 'WARNING|BUG:|Oops|stall'
echo "FIRMWARE $firmware variables=$variables screen=$screen cpus=$(nproc) hypervisor=$seen"
