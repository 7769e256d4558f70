# SPDX-License-Identifier: MIT
# Commands of the system tests that are longer than a line. HOST is an address and a port.

# card_of DRIVER: the network card that a driver runs. disk_of BUS: the block device on a bus.
card_of() {
    local card
    for card in /sys/class/net/*; do
        [ "$(basename "$(readlink "$card/device/driver")")" != "$1" ] || basename "$card"
    done
}

disk_of() {
    local disk
    for disk in /sys/block/*; do
        case $1:$(readlink "$disk") in
        virtio:*/virtio*/block/*) basename "$disk" ;;
        ahci:*/ata*/host*) basename "$disk" ;;
        esac
    done
}

# card_up DRIVER ADDRESS
card_up() {
    local card=$(card_of "$1")
    [ -n "$card" ] && ip link set "$card" up && ip address add "$2/24" dev "$card"
}

# disk_sum BUS MIB: the checksum of the disk's first MIB, read from the disk and not from memory.
disk_sum() {
    local disk=$(disk_of "$1")
    [ -n "$disk" ] || return 1
    blockdev --flushbufs "/dev/$disk"
    dd if="/dev/$disk" bs=1M count="$2" 2>/dev/null | md5sum
}

# net_get HOST MIB: the checksum of what the host sends.
net_get() {
    echo "get $2" | nc "${1%:*}" "${1#*:}" | md5sum
}

# net_put HOST MIB: sends the host as much; it answers with the checksum of what arrived.
net_put() {
    { echo put; dd if=/dev/zero bs=1M count="$2" 2>/dev/null; } | nc "${1%:*}" "${1#*:}"
}

# together COMMAND…: runs them at once. For each a line: number, status, last line of its output.
together() {
    local job=0 pids= command
    for command; do
        job=$((job + 1))
        (
            eval "$command" > "/tmp/together.$job" 2>&1
            echo "$job $? $(tail -n 1 "/tmp/together.$job")"
        ) &
        pids="$pids $!"
    done
    wait $pids
}

# repeat WANTED COMMAND…: again and again until the file /tmp/enough is there, at least once. The
# output of each must be WANTED. Says how often it was.
repeat() {
    local wanted=$1 count=0 got
    shift
    while :; do
        got=$("$@" | cut -d' ' -f1)
        [ "$got" = "$wanted" ] || { echo "round $count gave $got"; return 1; }
        count=$((count + 1))
        [ ! -e /tmp/enough ] || break
    done
    echo "$count rounds"
}

# load SECONDS: work of many kinds on all processors.
load() {
    local n=$(nproc) status
    (cd /tmp && stress-ng --cpu "$n" --vm "$n" --vm-bytes 96M --fork 2 --switch "$n" \
        --timer 1 --membarrier 1 --tlb-shootdown 1 --mprotect 1 --verify --timeout "$1" \
        --oomable --log-brief) > /tmp/load.log 2>&1
    status=$?
    touch /tmp/enough
    grep -E '(fail|error): |unsuccessful|failed: [1-9]' /tmp/load.log && return 1
    tail -n 1 /tmp/load.log
    return $status
}

# interrupts: for each processor the sum of the interrupts that the kernel took. Left out are
# lines that count something else: exceptions, polls, NMIs, and flushes that are part of a call.
interrupts() {
    awk 'NR == 1 { n = NF; next }
         $1 ~ /^(NMI|TLB|TRM|THR|DFR|MCE|MCP|ERR|MIS|PIN|NPI|PIW|PMN|PMI):$/ { next }
         { for (i = 0; i < n; i++) sum[i] += $(i + 2) }
         END { for (i = 0; i < n; i++) printf "%d ", sum[i]; print "" }' /proc/interrupts
}

# timer_ticks N: waits until the timer of each of the N processors has fired again.
timer_ticks() {
    local i
    for i in $(seq 0 $(($1 - 1))); do
        local before=$(timer_count "$i") tries=0
        while [ "$(timer_count "$i")" = "$before" ]; do
            tries=$((tries + 1))
            [ $tries -lt 100 ] || { echo "no timer interrupt on processor $i"; return 1; }
            taskset -c "$i" usleep 5000
        done
    done
}

timer_count() {
    awk -v column=$(($1 + 2)) '$1 == "HVS:" { print $column }' /proc/interrupts
}

# problems: what the kernel says with a level of "error" or worse, and all that sounds like it.
problems() {
    dmesg -r | grep -E -e '^<[0-3]>' -e 'BUG|WARNING|Oops|Call Trace|[Uu]nhandled|lockup|stall' \
        -e 'lost interrupt|timed out|NETDEV WATCHDOG|blocked for more|unstable|[Ss]purious' \
        -e 'irq [0-9]+: nobody|Unknown .*MSR|unchecked MSR|not responding|marking.*bad'
    true
}

# wakes INTERVAL_US SECONDS WORST_US: threads on all processors wake and sleep again. How many wakes,
# and the latency of half and of 99 % of them in us; WORST_US stands for more.
wakes() {
    cyclictest -q -a -t -p 50 -i "$1" -D "$2" -h "$3" 2>/dev/null | awk -v worst="$3" '
        /^# Histogram Overflows/ { for (i = 4; i <= NF; i++) all += $i }
        /^[0-9]/ { for (i = 2; i <= NF; i++) { at[$1 + 0] += $i; all += $i } }
        END {
            half = most = worst
            for (us = 0; us < worst && sum < all * 0.99; us++) {
                sum += at[us]
                if (half == worst && sum >= all / 2) half = us
                if (sum >= all * 0.99) most = us
            }
            print all + 0, half, most
        }'
}
