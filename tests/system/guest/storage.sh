#!/bin/sh
# SPDX-License-Identifier: MIT
# What a child of the storage tests does, by the words of bh.test=, in order; one line "@NAME ..." each.
#   facts        VMBus, the controllers, the disks
#   verify       fio with checksums over each disk, bh.seconds= each
#   hot          a disk comes, is written to and read, and goes; another one grows
#   dvd          a disc is read, goes, and another one comes
#   fill         writes in order until the end of the machine, each sector with its number
#   discard      writes all of each disk, then discards it when one more disk comes
#   soak         everything at once on each disk, bh.seconds=
#   watch        reads and writes, and says how many disks there are until only one is left
#   rebind       the driver is unbound under load, and unloaded
#   kexec        another kernel, of bh.kernel= and bh.initrd= bytes in the second and third disk, under load
#   crash        the same after a crash
#   load         writes with checksums, bh.seconds=
#   eight        writes with checksums, to all disks at once
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

# What the kernel complains of that a test did not ask for; no blanks.
trouble() {
    dmesg | grep -E 'BUG:|WARNING|Oops|stall|lockup|blocked for|(hv_|storvsc).*(rror|ail)|I/O error' |
        head -n 1 | tr ' ' -
}

facts() {
    echo "@facts vmbus=$(dmesg | sed -n 's/.*Vmbus version:\([0-9.]*\).*/\1/p') disks=$(disks | wc -l)" \
        "channels=$(find /sys/bus/vmbus/drivers/hv_storvsc/*/channels/ -mindepth 1 -maxdepth 1 | wc -l)" \
        "transfer=$(cat /sys/block/sda/queue/max_hw_sectors_kb)" \
        "trouble=$(trouble)" .
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
    before=$(disks | wc -l)
    for d in $(disks); do
        dd if=/dev/urandom of="/dev/$d" bs=1M oflag=direct 2>/dev/null
    done
    echo "@discard full ."
    wait_for "[ \$(disks | wc -l) -gt $before ]" || return
    for d in $(disks | head -n "$before"); do
        blkdiscard "/dev/$d" || echo "@discard $d failed"
    done
    echo "@discard done ."
}

# soak_disk DISK
soak_disk() {
    block=$(cat "/sys/block/$1/queue/logical_block_size")
    trim='--name=trim --rw=randtrim --bs=64k --iodepth=4 --offset=120M --size=8M --verify=0'
    [ "$(cat "/sys/block/$1/queue/discard_max_bytes")" -gt 0 ] || trim=
    # shellcheck disable=SC2086 # several words, or none
    fio --filename="/dev/$1" --ioengine=libaio --direct=1 --verify=crc32c --verify_fatal=1 \
        --runtime="$(word bh.seconds)" --time_based --group_reporting \
        --name=small --rw=randwrite --bsrange="$block-64k" --blockalign="$block" --iodepth=64 --size=48M \
        --name=large --rw=randwrite --bsrange=1M-4M --blockalign=4k --iodepth=4 --offset=48M --size=48M \
        --name=deep --rw=randwrite --bs=4k --iodepth=256 --offset=96M --size=16M \
        --name=flush --rw=randwrite --bs=4k --fsync=4 --iodepth=1 --offset=112M --size=8M \
        $trim > "/tmp/$1.fio" 2>&1
    echo $? > "/tmp/$1.status"
}

# on_all FUNCTION: with each disk at once
on_all() {
    for d in $(disks); do
        "$1" "$d" &
    done
    wait
}

soak() {
    echo "@soak begins ."
    on_all soak_disk
    for d in $(disks); do
        echo "@soak $d status=$(cat "/tmp/$d.status") size=$(cat "/sys/block/$d/size") ."
        grep -E 'verify:|error|fio:' "/tmp/$d.fio" | head -n 3
    done
}

# load_disk DISK SECONDS: with checksums; its status is in /tmp
load_disk() {
    fio --name=l --filename="/dev/$1" --rw=randwrite --bs=4k --iodepth=32 --ioengine=libaio \
        --direct=1 --verify=crc32c --verify_fatal=1 --io_size=16M --time_based \
        --runtime="${2:-5}" > "/tmp/$1.fio" 2>&1
    echo $? > "/tmp/$1.status"
}

# begin_load DISK SECONDS: returns when the load is under way
begin_load() {
    stat=/sys/block/$1/stat
    writes=$(awk '{ print $5 }' "$stat")
    load_disk "$@" &
    wait_for "[ \$(awk '{ print \$5 }' $stat) -gt $((writes + 100)) ]"
}

watch() {
    load_disk sda 20 &
    most=0 last=0
    while :; do
        count=$(disks | wc -l)
        [ "$count" = "$last" ] || echo "@watch $count ."
        [ "$count" -le "$most" ] || most=$count
        [ "$count" -gt 1 ] || [ "$most" -le 1 ] || break
        last=$count
        usleep 100000
    done
    wait
    echo "@watch end status=$(cat /tmp/sda.status) trouble=$(trouble) ."
}

no_disk() {
    [ "$(disks)" = 'sd*' ]
}

can_read() {
    dd if="/dev/$(disks)" of=/dev/null bs=1M count=8 iflag=direct 2>/dev/null
}

rebind() {
    bus=/sys/bus/vmbus/drivers/hv_storvsc
    device=$(ls -d "$bus"/*-*-*)
    device=${device##*/}
    for n in 1 2 3; do
        begin_load "$(disks)" 30 || return
        echo "$device" > "$bus/unbind"
        wait_for no_disk || return
        wait
        [ "$n" != 2 ] || { rmmod hv_storvsc && insmod "$(grep /hv_storvsc.ko /etc/modules)"; } || echo "@failed"
        echo "$device" > "$bus/bind" 2>/dev/null
        wait_for can_read || return
        echo "@rebind $n ."
    done
}

# disk_of BYTES: the disk of so many bytes, rounded up; names come in any order
disk_of() {
    for d in $(disks); do
        [ "$(cat "/sys/block/$d/size")" != $((($1 + 511) / 512)) ] || echo "$d"
    done
}

# next_kernel OPTION WORDS: loads it for kexec
next_kernel() {
    kernel=$(word bh.kernel) initrd=$(word bh.initrd)
    wait_for "[ \$(disks | wc -l) = 3 ]" || return
    head -c "$kernel" "/dev/$(disk_of "$kernel")" > /tmp/vmlinuz
    head -c "$initrd" "/dev/$(disk_of "$initrd")" > /tmp/initrd
    kexec "$1" /tmp/vmlinuz --initrd=/tmp/initrd \
        --command-line="console=ttyS0 quiet panic=-1 bh.role=child bh.mode=test bh.test=facts $2" ||
        echo "@failed kexec $1"
}

kexec_on() {
    next_kernel -l ""
    begin_load "$(disk_of $((64 << 20)))" 30
    kexec -e
}

crash() {
    next_kernel -p "nr_cpus=1 reset_devices"
    begin_load "$(disk_of $((64 << 20)))" 30
    echo c > /proc/sysrq-trigger
}

load() {
    echo "@load begins ."
    load_disk sda "$(word bh.seconds)"
    echo "@load end status=$(cat /tmp/sda.status) trouble=$(trouble) ."
}

eight() {
    on_all load_disk
    echo "@eight $(cat /tmp/sd?.status | tr '\n' ' ')trouble=$(trouble) ."
}

dmesg -n 1
for name in $(word bh.test | tr , ' '); do
    [ "$name" != kexec ] || name=kexec_on
    "$name"
done
