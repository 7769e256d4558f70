#!/bin/sh
# SPDX-License-Identifier: MIT
# A child of the network tests: its first card gets the address of bh.address=, and then it does
# what comes over the network, a command on a connection. The card may have other addresses by and
# by; this one is what the test talks through.
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

ip link set lo up
wait_for '[ -e /sys/class/net/eth0 ]'
ip link set eth0 up
ip address add "$(word bh.address)/24" dev eth0
iperf3 -s -D
socat TCP-LISTEN:7,reuseaddr,fork EXEC:sh,stderr &
echo "@up $(cat /sys/class/net/eth0/address) ."
while [ ! -e /tmp/end ]; do
    sleep 1
done
dmesg | grep -E 'BUG:|WARNING|Oops|stall|lockup|blocked for|hv_netvsc.*(rror|nvalid|ail)|Ring buffer not' |
    head -n 3
echo "@end ."
