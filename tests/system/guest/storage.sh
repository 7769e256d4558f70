#!/bin/sh
# SPDX-License-Identifier: MIT
# What a child of the storage tests does, by the words of bh.test=, in order; one line "@NAME ..." each.
#   facts        VMBus, the controllers, the disks
#   verify       fio with checksums over each disk, bh.seconds= each
#   hot          a disk comes, is written to and read, and goes; another one grows
#   dvd          a disc is read, goes, and another one comes
#   fill         writes in order until the end of the machine, each sector with its number
#   discard      writes all of a disk, then discards it
word() {
    read -r words < /proc/cmdline
    for w in $words; do
        case $w in
        "$1="*) echo "${w#*=}" ;;
        esac
    done
}

wait_for() {
    for _ in $(seq 600); do
        eval "$1" && return 0
        usleep 100000
    done
    echo "@timeout $1"
    return 1
}

disks() {
    for d in /sys/block/sd*; do
        echo "${d##*/}"
    done
}

facts() {
    echo "@facts vmbus=$(dmesg | sed -n 's/.*Vmbus version:\([0-9.]*\).*/\1/p') disks=$(disks | wc -l)" \
        "channels=$(cat /sys/bus/vmbus/devices/*/channels/*/id 2>/dev/null | wc -l)" \
        "transfer=$(cat /sys/block/sda/queue/max_hw_sectors_kb)" \
        "trouble=$(dmesg | grep -E 'BUG:|WARNING|Oops|stall|hv_.*(rror|ail)|storvsc.*(rror|ail)|I/O error' |
            head -n 1 | tr ' ' -)" .
}

verify() {
    for d in $(disks); do
        fio --name=v --filename="/dev/$d" --rw=randwrite --bsrange=512-256k --blockalign=512 \
            --io_size=64M --iodepth=16 --ioengine=libaio --direct=1 --verify=crc32c \
            --verify_fatal=1 --runtime="$(word bh.seconds)" > "/tmp/$d.fio" 2>&1
        echo "@verify $d status=$? $(grep -c 'verify:' "/tmp/$d.fio") ."
        grep -E 'verify:|error|fio:' "/tmp/$d.fio" | head -n 3
    done
}

hot() {
    echo "@hot ready ."
    wait_for '[ -b /dev/sdb ]' || return
    dd if=/dev/urandom of=/tmp/data bs=1M count=8 2>/dev/null
    dd if=/tmp/data of=/dev/sdb bs=1M oflag=direct 2>/dev/null
    sum=$(dd if=/dev/sdb bs=1M count=8 iflag=direct 2>/dev/null | md5sum)
    [ "$sum" = "$(md5sum < /tmp/data)" ] && echo "@hot same ."
    wait_for '[ ! -b /dev/sdb ]' && echo "@hot gone ."
    size=$(cat /sys/block/sda/size)
    echo "@hot grow ."
    wait_for "[ \$(cat /sys/block/sda/size) -gt $size ]" && echo "@hot grown $(cat /sys/block/sda/size) ."
}

dvd() {
    wait_for '[ -b /dev/sr0 ]' || return
    echo "@dvd first $(dd if=/dev/sr0 bs=128k count=1 iflag=direct 2>/dev/null | md5sum | cut -d' ' -f1) ."
    wait_for '! dd if=/dev/sr0 of=/dev/null bs=2048 count=1 2>/dev/null' && echo "@dvd empty ."
    wait_for 'dd if=/dev/sr0 of=/dev/null bs=2048 count=1 2>/dev/null' &&
        echo "@dvd second $(dd if=/dev/sr0 bs=128k count=1 iflag=direct 2>/dev/null | md5sum | cut -d' ' -f1) ."
}

fill() {
    echo "@fill begins ."
    n=0
    while :; do
        printf '%-511s\n' "$n" | dd of=/dev/sda bs=512 seek=$((n * 97 % 65536)) oflag=direct conv=notrunc 2>/dev/null
        [ $((n % 16)) -ne 15 ] || { sync /dev/sda; echo "@fill flushed $n ."; }
        n=$((n + 1))
    done
}

discard() {
    dd if=/dev/urandom of=/dev/sda bs=1M oflag=direct 2>/dev/null
    sync
    echo "@discard full ."
    wait_for '[ -e /tmp/go ] || read -r -t 1 _' || true
    blkdiscard /dev/sda && echo "@discard done ."
    sync
}

dmesg -n 1
for name in $(word bh.test | tr , ' '); do
    "$name"
done
