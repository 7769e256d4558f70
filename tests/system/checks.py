# SPDX-License-Identifier: MIT
"""
The checks of a running parent. Each takes the Run and returns a remark for its result line;
Trouble, or any other of FAILURES, fails the check.
"""

import re
import time

from machine import Trouble, expect
import traffic

# Exits by kind; each exit counts in one of them, and before that in "exits".
EXIT_KINDS = ("interrupt", "cpuid", "msr", "hypercall", "hlt", "io", "fault", "other")
# The vector of the kernel's paravirtual spinlocks, which /proc/interrupts does not list.
SPINLOCK_KICK = "f7"
CLOCK_TRIPS = 100
CLOCK_LIMIT_PPM = 100
IO_TIMEOUT_BASE_S, IO_TIMEOUT_S_PER_MIB = 90, 6
LOAD_ROUND_MIB = 16
BOOT_TIMEOUT_S = 120
END_TIMEOUT_S = 30
HYPERVISOR_RANGES = re.compile(r"(\d+) KiB at 0x([0-9a-f]+)")
PROBE_PATTERN = b"BulkheadProbe!?."


def check_identity(run):
    """Hyper-V is seen, all processors are there, clock source and timer are the expected ones."""
    machine, smp = run.machine, run.row["smp"]
    seen = machine.run("dmesg | sed -n 's/.*Hypervisor detected: //p'")
    expect(seen == "Microsoft Hyper-V", f"hypervisor: {seen}")
    online = machine.run("nproc; cat /sys/devices/system/cpu/online").split()
    expect(online == [str(smp), "0" if smp == 1 else f"0-{smp - 1}"], f"processors: {online}")
    folder = "/sys/devices/system/clocksource/clocksource0"
    source, *offered = machine.run(
        f"cat {folder}/current_clocksource {folder}/available_clocksource").split()
    expect(source == "tsc", f"clock source: {source}")
    expect("hyperv_clocksource_tsc_page" in offered, f"clock sources on offer: {offered}")
    events = machine.run("grep -c 'Clock Event Device: Hyper-V clockevent' /proc/timer_list")
    expect(events == str(smp), f"{events} processors have Hyper-V's timer")
    machine.run(f"timer_ticks {smp}")
    return f"{machine.run('uname -r')}, {smp} processors"


def clock_offset(machine):
    """
    Bounds in seconds of the parent's time minus the host's. Each answer was stamped between
    question and arrival; all of them together narrow it down.
    """
    low, high = float("-inf"), float("inf")
    for _ in range(CLOCK_TRIPS):
        asked = time.monotonic()
        stamp = float(machine.run("echo $EPOCHREALTIME"))
        low, high = max(low, stamp - time.monotonic()), min(high, stamp - asked)
    return low, high


def check_clock_start(run):
    """The first of two looks at the clock."""
    run.clock = (time.monotonic(), *clock_offset(run.machine))
    return f"known to {(run.clock[2] - run.clock[1]) * 1e3:.2f} ms"


def check_clock_end(run):
    """The parent's clock went as fast as the host's since the first look, within 100 ppm."""
    begun, low, high = run.clock
    while time.monotonic() < begun + run.clock_s:
        time.sleep(max(0, begun + run.clock_s - time.monotonic()))
    span = time.monotonic() - begun
    new_low, new_high = clock_offset(run.machine)
    least, most = (new_low - high) / span * 1e6, (new_high - low) / span * 1e6
    text = f"{(least + most) / 2:+.0f} ppm, known to {(most - least) / 2:.0f}, over {span:.0f} s"
    if run.clock_s >= 60:
        expect(-CLOCK_LIMIT_PPM <= least and most <= CLOCK_LIMIT_PPM, text)
    else:  # the short form does not look closely enough to exclude it, but sees a clock that is off
        expect(least <= CLOCK_LIMIT_PPM and -CLOCK_LIMIT_PPM <= most, text)
    return text


def io_jobs(run, mib):
    """
    [(name, command in the guest, wanted checksum)] that move MIB from each of the row's disks and
    over each of its network cards, both ways.
    """
    jobs = []
    for number, bus in enumerate(run.row.get("disks", ())):
        jobs.append((f"read-{bus}", f"disk_sum {bus} {mib}",
                     traffic.data_sum(run.seeds[number], mib)))
    for number, model in enumerate(run.row.get("nets", ())):
        host = f"10.0.{run.NET_BASE + number}.2:{run.server.port}"
        jobs.append((f"receive-{model}", f"net_get {host} {mib}",
                     traffic.data_sum(run.seeds[0], mib)))
        jobs.append((f"send-{model}", f"net_put {host} {mib}", traffic.zeros_sum(mib)))
    return jobs


def io_timeout_s(mib):
    """A bound that an emulated machine on a busy computer keeps."""
    return IO_TIMEOUT_BASE_S + IO_TIMEOUT_S_PER_MIB * mib


def cards_up(run):
    """Gives the cards their addresses, once for a boot."""
    if run.cards_are_up:
        return
    for number, model in enumerate(run.row.get("nets", ())):
        driver = {"virtio": "virtio_net"}.get(model, model)
        run.machine.run(f"card_up {driver} 10.0.{run.NET_BASE + number}.15")
    run.cards_are_up = True


def together(run, commands, timeout_s):
    """Runs commands in the guest at once; returns [(status, last line)]."""
    quoted = " ".join(f"'{command}'" for command in commands)
    out = run.machine.run(f"together {quoted}", timeout_s)
    done = {int(n): (int(status), text)
            for n, status, text in re.findall(r"^(\d+) (\d+) ?(.*)$", out, re.M)}
    expect(len(done) == len(commands), f"only {len(done)} of {len(commands)} jobs ended: {out}")
    return [done[n + 1] for n in range(len(commands))]


def check_io(run):
    """All disks are read and all cards used both ways, at once; every checksum is right."""
    cards_up(run)
    jobs = io_jobs(run, run.io_mib)
    begun = time.monotonic()
    wrong = [f"{name}: status {status}, {text[:80]}" for (name, _, wanted), (status, text) in
             zip(jobs, together(run, [command for _, command, _ in jobs], io_timeout_s(run.io_mib)))
             if status != 0 or text.split()[:1] != [wanted]]
    expect(not wrong, "; ".join(wrong))
    return (f"{run.io_mib} MiB each: {', '.join(name for name, _, _ in jobs)} "
            f"in {time.monotonic() - begun:.0f} s")


def check_load(run):
    """Work of many kinds on all processors, with disk and network traffic beside it."""
    cards_up(run)
    jobs = [f"repeat {wanted} {command}" for _, command, wanted in
            io_jobs(run, LOAD_ROUND_MIB)]
    run.machine.run("rm -f /tmp/enough")
    done = together(run, [f"load {run.load_s}", *jobs], run.load_s + 2 * io_timeout_s(LOAD_ROUND_MIB))
    wrong = [text for status, text in done if status != 0]
    expect(not wrong, "; ".join(wrong) + "\n" + run.machine.status_of("tail /tmp/load.log")[1])
    return f"{run.load_s} s; traffic: {', '.join(text for _, text in done[1:])}"


def read_values(machine, key):
    """[{name: value}] of the VPs, in their order, from a dump of the hypervisor."""
    found = re.findall(r"^VP \d+\.(\d+): (.*=.*)$", machine.dump(key), re.M)
    return [{name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", line)}
            for _, line in sorted(found, key=lambda row: int(row[0]))]


def read_counters(machine):
    """The counters of each VP, and "countable": interrupts taken that the kernel counts too."""
    counters, vectors = read_values(machine, "c"), read_values(machine, "i")
    for vp, taken in zip(counters, vectors):
        vp["countable"] = sum(taken.values()) - taken.get(SPINLOCK_KICK, 0)
    return counters


def take_sample(machine):
    """(counters, the kernel's count of interrupts for each processor, counters again)."""
    before = read_counters(machine)
    seen = [int(n) for n in machine.run("interrupts").split()]
    return before, seen, read_counters(machine)


def check_counters(run):
    """
    The hypervisor's counters agree with each other and with the kernel's. VPs run on while the
    counters are printed, so each count is held between the values before and after it.
    """
    machine, smp = run.machine, run.row["smp"]
    before, seen, after = take_sample(machine)
    expect(len(before) == len(after) == len(seen) == smp,
           f"{len(before)} VPs in the dump, {len(seen)} processors in the kernel")
    wrong = []
    for vp, (low, count, high) in enumerate(zip(before, seen, after)):
        first_count, first_high = run.first_sample[1][vp], run.first_sample[2][vp]
        kinds = sum(low[kind] for kind in EXIT_KINDS)
        took, least = count - first_count, low["countable"] - first_high["countable"]
        for holds, text in (
                (low["exits"] - 1 <= kinds <= high["exits"],
                 f"{kinds} exits by kind, {low['exits']} to {high['exits']} in all"),
                (low["mmio"] <= high["fault"], f"{low['mmio']} MMIO, {high['fault']} faults"),
                (low["eoi"] + low["lazyeoi"] <= high["injected"],
                 f"{low['eoi']} and {low['lazyeoi']} EOIs, {high['injected']} injected"),
                (low["countable"] <= high["injected"],
                 f"{low['countable']} interrupts by vector, {high['injected']} injected"),
                (count <= high["countable"],
                 f"the kernel took {count} interrupts, {high['countable']} were injected"),
                (least <= took,
                 f"since the start {least} interrupts were injected, the kernel took {took}")):
            if not holds:
                wrong.append(f"VP {vp}: {text}")
    expect(not wrong, "; ".join(wrong))
    return f"{sum(low['exits'] for low in before)} exits, {sum(seen)} interrupts"


def check_isolation(run):
    """Touching every page of the hypervisor through /dev/mem brings nothing and changes nothing."""
    machine = run.machine
    ranges = [(int(start, 16), int(start, 16) + int(kib) * 1024) for kib, start in
              HYPERVISOR_RANGES.findall(machine.debug.text.partition("are the hypervisor's")[0])]
    expect(len(ranges) == 2, "the hypervisor did not say where it is")
    words = " ".join(f"{start:x} {end:x}" for start, end in ranges)
    out = machine.run(f"/tests/memprobe {words}", 120)
    pages = sum(end - start for start, end in ranges) // 4096
    expect(out == f"mapped {pages} readable 0 writable 0", out)
    for start, end in ranges:
        expect(PROBE_PATTERN not in machine.memory(start, end - start), "a write went through")
    lines = re.findall(r".*#GP for a (?:read|write).*", machine.debug.text)
    expect(len(lines) == 1, f"{len(lines)} lines in the hypervisor's log")
    run.hv_allowed.append(re.escape(lines[0]))
    return f"{pages} pages"


def check_hv_says(run):
    """The hypervisor's log holds the lines that the row names."""
    for text in run.row["hv_says"]:
        count = run.machine.debug.text.count(text)
        expect(count == 1, f"{count} times: {text}")
        run.hv_allowed.append(re.escape(text))


def check_logs(run):
    """Neither log holds a sign of trouble."""
    wrong = run.unknown_lines(run.machine.run("problems").splitlines())
    console = re.findall(r".*(?:BUG|WARNING|Oops|Kernel panic|Call Trace).*",
                         run.machine.console.text)
    wrong += run.unknown_lines(console)
    debug = re.findall(r".*(?:error: |warning: |PANIC|unhandled).*", run.machine.debug.text)
    wrong += [line for line in debug if not any(re.search(p, line) for p in run.hv_allowed)]
    expect(not wrong, "\n".join(wrong))


def check_reboot(run):
    """The parent resets the machine through ACPI; hypervisor and parent come up again."""
    machine = run.machine
    kind = machine.run("cat /sys/kernel/reboot/type")
    expect(kind == "acpi", f"the kernel would reboot by {kind}")
    machine.console.send("0 reboot -f\n")
    machine.debug.wait(r"^bulkhead: Bulkhead hypervisor", END_TIMEOUT_S)
    expect(machine.reset_reason() == "guest-reset", f"reset by {machine.reset_reason()}")
    machine.start(BOOT_TIMEOUT_S)
    run.booted()


def check_poweroff(run):
    """The parent switches the machine off through ACPI."""
    machine = run.machine
    machine.console.send("0 poweroff -f\n")
    machine.wait_exit(END_TIMEOUT_S)
    expect(machine.shutdown_reason == "guest-shutdown", f"ended by {machine.shutdown_reason}")


CHECKS = {name.removeprefix("check_"): function for name, function in list(globals().items())
          if name.startswith("check_")}
