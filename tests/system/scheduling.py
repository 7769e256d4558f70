# SPDX-License-Identifier: MIT
"""
Checks of how processors are shared: each takes the Run of test_child.py and returns a remark.
Children have as many VPs as there are LPs that run VPs, so that all LPs are shared alike.
"""

import re

from machine import expect

SHARES_S, SHORT_SHARES_S = 30, 12
START_S = 120
# What the scheduler must keep: of a share, relative; of a cap and a reserve, in points.
SHARE_ERROR, CAP_ERROR, RESERVE_ERROR = 0.03, 1, 1
# cyclictest: the time between two wakes, and the bound of the 99th percentile.
INTERVAL_US, LATENCY_MS, LATENCY_MAX_MS = 5000, 20, 200
SHELL_MS = 1000
# Tests of the flat kernel that do not end, and what it says when they begin.
BUSY, STORM = ("spin", "# spinning"), ("storm", "# storming")
CALLS = ("hostile case=random_hypercalls n=1000000000", "# guest tests")


def run_times(machine):
    """{partition: ms that its VPs ran}, and the time in ms."""
    times = {}
    for partition, ran in re.findall(r"^VP (\d+)\.\d+: .* ran (\d+) ms", machine.dump("r"), re.M):
        times[int(partition)] = times.get(int(partition), 0) + int(ran)
    now_us = re.search(r"^time_us=(\d+)", machine.dump("c"), re.M)
    return times, int(now_us.group(1)) / 1000


def processors(machine):
    """How many LPs run VPs; in an emulator the first one may run none."""
    return len(re.findall(r"^LP \d+: apic \d+, (?!runs nothing, last 0)", machine.dump("l"), re.M))


class Children:
    """Flat kernels in children, as long as a `with` lasts; each with its section [cpu]."""

    def __init__(self, run, sections, tests=BUSY):
        self.run, self.sections = run, sections
        self.tests, self.says = tests
        self.processors = processors(run.machine)
        self.paths, self.partitions = [], []

    def __enter__(self):
        try:
            for section in self.sections:
                self._start(section)
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self, section):
        before = set(run_times(self.run.machine)[0])
        path = self.run.start(f"test={self.tests} cpus={self.processors}",
                              kernel="/tests/guest-tests.bin", initrd=None,
                              processors=self.processors, memory="64M",
                              more=f"\n[cpu]\n{section}\n")
        self.paths.append(path)
        self.run.wait_console(path, f"^{self.says}", START_S)
        self.partitions.append((set(run_times(self.run.machine)[0]) - before).pop())

    def __exit__(self, *_):
        for path in self.paths:
            self.run.machine.run(f"kill -KILL $(cat {path}.pid) 2>/dev/null; true")
        for path in self.paths:
            self.run.wait_end(path)

    def shares(self):
        """What each had of the processors over the time of a measurement, in percent of them all."""
        seconds = SHARES_S if self.run.full else SHORT_SHARES_S
        old, begun = run_times(self.run.machine)
        self.run.machine.run(f"sleep {seconds}", 2 * seconds + 60)
        new, ended = run_times(self.run.machine)
        expect(set(self.partitions) <= set(new), "a measured child has ended")
        return [100 * (new[p] - old[p]) / (ended - begun) / self.processors
                for p in self.partitions]


def told(shares):
    return ", ".join(f"{s:.1f} %" for s in shares)


def check_shares(run):
    """Weights 1:2:4 give shares in that ratio."""
    with Children(run, ["weight = 100", "weight = 200", "weight = 400"]) as children:
        shares = children.shares()
    for share, weight in zip(shares, (1, 2, 4)):
        error = share / sum(shares) * 7 / weight - 1
        expect(abs(error) <= SHARE_ERROR, f"weights 1:2:4 gave {told(shares)}")
    return told(shares)


def check_cap(run):
    """A cap of 25 % holds, with processors that are idle and with busy ones."""
    with Children(run, ["cap = 25%"]) as children:
        alone = children.shares()[0]
    with Children(run, ["cap = 25%", "weight = 1"]) as children:
        beside = children.shares()[0]
    for share in (alone, beside):
        expect(abs(share - 25) <= CAP_ERROR, f"a cap of 25 % gave {told([alone, beside])}")
    return told([alone, beside])


def check_reserve(run):
    """A reserve of 50 % is met beside three busy neighbours of more weight."""
    with Children(run, ["weight = 1\nreserve = 50%", *["weight = 10000"] * 3]) as children:
        shares = children.shares()
    expect(shares[0] >= 50 - RESERVE_ERROR, f"a reserve of 50 % gave {told(shares)}")
    return told(shares)


def check_hostile(run):
    """Two children that attack, by storms and by random calls, do not take a third one's reserve."""
    with Children(run, ["reserve = 50%"]) as measured:
        with Children(run, [""], STORM), Children(run, [""], CALLS):
            shares = measured.shares()
    expect(shares[0] >= 50 - RESERVE_ERROR, f"a reserve of 50 % gave {told(shares)}")
    return told(shares)


def check_latency(run):
    """The parent answers a timer in time while children take all they get, and its shell too."""
    seconds = SHARES_S if run.full else SHORT_SHARES_S
    with Children(run, ["", ""]):
        shell_ms = int(run.machine.run(
            "read a _ < /proc/uptime; for i in 1 2 3 4 5 6 7 8 9 10; do ls /proc > /dev/null; done; "
            "read b _ < /proc/uptime; echo $((${b%.*}${b#*.} - ${a%.*}${a#*.}))"))
        counts = run.machine.run(f"wakes {INTERVAL_US} {seconds} {LATENCY_MAX_MS * 1000}",
                                 4 * seconds + 60).split()
    wakes, half_ms, most_ms = int(counts[0]), int(counts[1]) / 1000, int(counts[2]) / 1000
    expect(wakes > seconds * 50, f"only {wakes} wakes in {seconds} s")
    text = (f"half {half_ms:.2f} ms, 99 % {most_ms:.2f} ms of {wakes} wakes; "
            f"a command of the shell {shell_ms} ms")
    expect(most_ms <= LATENCY_MS and shell_ms <= SHELL_MS, text)
    return text


CHECKS = {"shares": check_shares, "cap": check_cap, "reserve": check_reserve,
          "hostile": check_hostile, "latency": check_latency}
