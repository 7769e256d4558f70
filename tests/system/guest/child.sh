#!/bin/sh
# SPDX-License-Identifier: MIT
# What a child of the system tests does, by bh.test= on its command line.
#   facts     one line of what it is
#   stress    stress-ng on all processors for bh.seconds=, then facts
word() {
    read -r words < /proc/cmdline
    for w in $words; do
        case $w in
        "$1="*) echo "${w#*=}" ;;
        esac
    done
}

facts() {
    folder=/sys/devices/system/clocksource/clocksource0
    echo "@child seen=$(dmesg | sed -n 's/.*Hypervisor detected: //p' | tr ' ' -)" \
        "cpus=$(nproc) source=$(cat $folder/current_clocksource)" \
        "page=$(grep -c hyperv_clocksource_tsc_page $folder/available_clocksource)" \
        "timers=$(grep -c 'Clock Event Device: Hyper-V clockevent' /proc/timer_list)" \
        "hints=$(dmesg | grep -cE 'Hyper-V: Using (IPI hypercalls|hypercall for remote TLB flush)|Hyper-V: PV spinlocks')" \
        "trouble=$(dmesg | grep -cE 'BUG:|WARNING|Oops|stall|unhandled')" \
        "memory=$(awk '$1 == "MemTotal:" { print int($2 / 1024) }' /proc/meminfo)" .
}

stress() {
    stress-ng --cpu "$(nproc)" --vm 1 --vm-bytes 32M --fork 1 --switch 1 --timer 1 --verify \
        --timeout "$(word bh.seconds)" --oomable --log-brief > /tmp/stress.log 2>&1
    echo "@stress status=$? $(tail -n 1 /tmp/stress.log)"
    facts
}

# The kernel's small talk ends before the line begins.
dmesg -n 1
"$(word bh.test)"
