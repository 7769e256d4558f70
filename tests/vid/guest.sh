#!/bin/sh
# SPDX-License-Identifier: MIT
# In the parent: loads the module, runs the test program over it, unloads it. Words on the kernel's
# command line: vid.refused=1: the module must stay away; vid.cases=A,B: only such cases.
result() { # VERDICT NAME
    echo "$1 vid $2"
}

check() { # NAME COMMAND…
    name=$1
    shift
    if "$@"; then result PASS "$name"; else result FAIL "$name"; fi
}

refused=
cases=
read -r words < /proc/cmdline
for word in $words; do
    case $word in
    vid.refused=*) refused=1 ;;
    vid.cases=*) cases=$(echo "${word#*=}" | tr , ' ') ;;
    esac
done

# complaints: what the kernel says of trouble.
complaints() {
    ! dmesg | grep -B 3 -A 12 -E 'unchecked|WARNING|BUG:|Oops|general protection|lockup|stall|not returned'
}

# One line for each try: busybox has two system calls for it, and tries the second after the first.
said_once() {
    case $(dmesg | grep -c 'bulkhead-vid: not loaded: ') in
    1 | 2) ;;
    *) false ;;
    esac
}

gone() {
    [ ! -e /dev/mshv ] && [ ! -e /sys/kernel/debug/bulkhead-vid ]
}

if [ -n "$refused" ]; then
    if insmod /tests/bulkhead-vid.ko 2>/tmp/insmod; then
        result FAIL "refused: it was loaded"
    else
        check "refused: no such device" grep -q 'No such device' /tmp/insmod
    fi
    dmesg | grep bulkhead-vid
    check "refused: one line" said_once
    check "refused: nothing is left" gone
    check "refused: no complaints" complaints
    exit 0
fi

if [ -e /sys/block/zram0 ]; then
    echo 128M > /sys/block/zram0/disksize
    mkswap /dev/zram0 && swapon /dev/zram0
fi
check "load" insmod /tests/bulkhead-vid.ko
dmesg | grep bulkhead-vid
# shellcheck disable=SC2086 # a list of words
/tests/mshv_test $cases
cat /sys/kernel/debug/bulkhead-vid/memory
[ ! -e /sys/block/zram0 ] || swapoff /dev/zram0
check "unload" rmmod bulkhead_vid
check "nothing is left" gone
check "load again" insmod /tests/bulkhead-vid.ko
check "unload again" rmmod bulkhead_vid
check "no complaints" complaints
