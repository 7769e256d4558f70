#!/bin/sh
# SPDX-License-Identifier: MIT
# What a child of the tests of integration services does: it runs Debian's daemons, and then what the
# host puts into its pool of keys, "do" = WORD-NUMBER; one line "@WORD ..." each.
#   facts    the drivers that are bound, and what the kernel complains of
#   tell     puts "told" = "by-guest" into the guest's pool
#   sum      the checksum of /in/file
#   clock    the time, sixty times
#   leave    takes the driver of the heartbeat off its device
#   back     puts it back
#   load     writes to the disk from now on
pool=/var/lib/hyperv/.kvp_pool_

# The kernel's own names for what it runs when the host asks.
printf '#!/bin/sh\nexec busybox poweroff -f\n' > /usr/sbin/poweroff
printf '#!/bin/sh\nexec busybox reboot -f\n' > /usr/sbin/reboot
chmod 755 /usr/sbin/poweroff /usr/sbin/reboot
hostname child
mkdir -p /var/lib /in /disk
[ ! -e /dev/sda ] || mount -t ext4 /dev/sda /disk

daemon() {
    [ ! -e "/usr/sbin/$1" ] || "/usr/sbin/$1" -n > "/tmp/$1.log" 2>&1 &
}

# A device that no driver of the kernel wants: it is for a program.
copy_by_program() {
    [ -e /usr/sbin/hv_fcopy_uio_daemon ] || return
    echo 34d14be3-dee4-41c8-9ae7-6b174977c192 > /sys/bus/vmbus/drivers/uio_hv_generic/new_id
}

trouble() {
    dmesg | grep -E 'BUG:|WARNING|Oops|stall|lockup|blocked for|hv_.*(rror|ail)' | head -n 1 | tr ' ' -
}

facts() {
    echo "@facts bound=$(find /sys/bus/vmbus/drivers/hv_utils/ /sys/bus/vmbus/drivers/uio_hv_generic/ \
        -name '*-*-*-*-*' 2>/dev/null | wc -l) trouble=$(trouble) ."
}

# A record is 512 bytes of key and 2048 of value.
record() {
    printf '%s' "$1" | dd bs=512 count=1 conv=sync 2>/dev/null
    printf '%s' "$2" | dd bs=2048 count=1 conv=sync 2>/dev/null
}

tell() {
    record told by-guest > "${pool}1"
    echo "@tell ."
}

sum() {
    echo "@sum $(md5sum < /in/file | cut -d' ' -f1) ."
}

clock() {
    /tests/clock say 60
    echo "@clock ."
}

heartbeat=fd149e91-82e0-4a7d-afa6-2a4166cbd7c0

leave() {
    echo "$heartbeat" > /sys/bus/vmbus/drivers/hv_utils/unbind
    echo "@leave ."
}

back() {
    echo "$heartbeat" > /sys/bus/vmbus/drivers/hv_utils/bind
    echo "@back ."
}

load() {
    (n=0; while :; do
        n=$((n + 1))
        dd if=/dev/zero of="/disk/f$((n % 50))" bs=4k count=16 conv=fsync 2>/dev/null
    done) &
    echo "@load ."
}

copy_by_program
for name in hv_kvp_daemon hv_vss_daemon hv_fcopy_daemon hv_fcopy_uio_daemon; do
    daemon "$name"
done
dmesg -n 1
echo "@up ."
last=
while :; do
    word=$(head -c 2560 "${pool}0" 2>/dev/null | tail -c 2048 | tr -d '\0')
    if [ "$word" != "$last" ]; then
        last=$word
        "${word%-*}"
    fi
    usleep 100000
done
