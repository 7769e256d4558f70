# SPDX-License-Identifier: MIT
# Commands of the system tests that are longer than a line.

# card_of DRIVER: the network card that a driver runs; disk_of BUS: the block device on a bus.
card_of() {
    for card in /sys/class/net/*; do
        [ "$(basename "$(readlink "$card/device/driver")")" != "$1" ] || basename "$card"
    done
}

disk_of() {
    for disk in /sys/block/*; do
        case $1:$(readlink "$disk") in
        virtio:*/virtio*/block/*) basename "$disk" ;;
        ahci:*/ata*/host*) basename "$disk" ;;
        esac
    done
}

# card_up DRIVER ADDRESS
card_up() {
    card=$(card_of "$1")
    [ -n "$card" ] && ip link set "$card" up && ip address add "$2/24" dev "$card"
}

# disk_sum BUS MIB: the checksum of the disk's first MIB, read from the disk and not from memory.
disk_sum() {
    disk=$(disk_of "$1")
    [ -n "$disk" ] || return 1
    blockdev --flushbufs "/dev/$disk"
    dd if="/dev/$disk" bs=1M count="$2" 2>/dev/null | sha256sum
}

# net_get HOST PORT: the checksum of what the host sends.
net_get() {
    echo get | nc "$1" "$2" | sha256sum
}

# net_put HOST PORT MIB: sends MIB of the virtio disk; says what the host answers.
net_put() {
    { echo put; dd if="/dev/$(disk_of virtio)" bs=1M count="$3" 2>/dev/null; } | nc "$1" "$2"
}

# interrupts: for each processor the sum of the interrupts that the kernel took. Left out are
# lines that count something else: exceptions, polls, NMIs, and flushes that are part of a call.
interrupts() {
    awk 'NR == 1 { n = NF; next }
         $1 ~ /^(NMI|TLB|TRM|THR|DFR|MCE|MCP|ERR|MIS|PIN|NPI|PIW|PMN):$/ { next }
         { for (i = 0; i < n; i++) sum[i] += $(i + 2) }
         END { for (i = 0; i < n; i++) printf "%d ", sum[i]; print "" }' /proc/interrupts
}
