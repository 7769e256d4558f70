# SPDX-License-Identifier: MIT
"""
Suite: the parent partition against bare metal and against Xen's dom0, in the same virtual host,
with the same kernel and image, one after the other in each round.
"""

import dataclasses
import subprocess

from bh import debian, paths, stream, vhost

import machines
import table

# Counters of the hypervisor that are shown, in the order of the table; the first is their sum.
KINDS = ("exits", "interrupt", "hlt", "msr", "io", "mmio", "fault", "cpuid", "hypercall", "other")
# How far the guest's clock may be off, besides what the way over the console takes.
CLOCK_TOLERANCE = 0.05
ANSWER_LAG_S = 1.0
IDLE_TARGET = 200               # exits per second and logical processor
TEXT_DATA_TARGET_KIB = 256


@dataclasses.dataclass(frozen=True)
class Workload:
    """One row: the guest's name for it, its unit, and the target against bare metal."""

    name: str
    unit: str
    target: float = None
    network: bool = False


WORKLOADS = (
    Workload("cpu-integer", "Mop/s", 0.97),
    Workload("cpu-float", "Mflop/s", 0.97),
    Workload("cpu-openssl", "MB/s", 0.97),
    Workload("memory-copy", "MB/s", 0.90),
    Workload("memory-read", "MB/s", 0.90),
    Workload("memory-random", "Mop/s"),
    Workload("page-fault", "1/s"),
    Workload("fork-exec", "1/s", 0.75),
    Workload("switch-same", "1/s", 0.75),
    Workload("switch-cross", "1/s", 0.75),
    Workload("disk-random", "IOPS", 0.85),
    Workload("disk-sequential", "MB/s", 0.85),
    Workload("net-send", "MB/s", 0.85, network=True),
    Workload("net-receive", "MB/s", 0.85, network=True),
)
BOOT_TARGET = 1.5
NAMES = ("boot", "idle", *(w.name for w in WORKLOADS))
# Runs on ours only, always: the price of an exit, which bare metal does not have.
EXIT_WORKLOAD = "cpu-exit"


class Suite:
    """Samples of all machines, gathered round by round."""

    NAMES = NAMES

    def __init__(self, args):
        self.args = args
        self.wanted = set(args.only or NAMES)
        self.base = {"kernel": args.kernel, "initrd": machines.build_image(args.kernel),
                     "append": "bh.mode=test bh.net=user", "smp": args.smp,
                     "memory_mib": args.memory_mib, "disks": (f"{machines.build_disk()},ro",),
                     "nets": ("virtio",)}
        self.ours = machines.ours(args.hypervisor, args.hv_options)
        self.notes = []
        self.peers = self._peers()
        self.samples = {}       # (machine's name, workload's name): one rate for each round
        self.exits = {}         # the same key: {kind: per second} of the last round
        self.memory_mib = None

    def _peers(self):
        args = self.args
        peers = [machines.bare()] if "bare" in args.machines else []
        if "xen" in args.machines:
            try:
                peers.append(machines.xen(args.kernel, args.memory_mib, args.smp))
            except (debian.FetchError, vhost.VhostError) as problem:
                self.notes.append(f"Xen is left out: {problem}")
        peers += [machines.ours(args.hypervisor, f"{args.hv_options} {text}", f"ours {text}")
                  for text in args.variant]
        return peers

    def measure(self):
        net = machines.NetPeer()
        try:
            for n in range(self.args.rounds):
                for machine in (*self.peers[:1], self.ours, *self.peers[1:]):
                    print(f"bench: round {n + 1} of {self.args.rounds}: {machine.name}",
                          flush=True)
                    self._measure_one(machine, net)
        finally:
            net.close()

    def _measure_one(self, machine, net):
        """A machine that fails leaves a note and no samples; the others go on."""
        try:
            logs = machines.SCRATCH / "logs" / machine.name.replace(" ", "-")
            with machines.Session(machine, self.base, logs) as session:
                self._add(machine, "boot", session.boot_s, session.boot_exits)
                if machine is self.ours:
                    self.memory_mib = session.memory_taken_mib()
                self._run_workloads(machine, session, net)
                session.end()
        except (stream.StreamError, vhost.VhostError, OSError) as problem:
            self.notes.append(f"{machine.name}: {str(problem).splitlines()[0]}")

    def _run_workloads(self, machine, session, net):
        plan = [("idle", self.args.idle_seconds, "")]
        plan += [(w.name, self.args.seconds, net.address if w.network else "") for w in WORKLOADS]
        plan = [row for row in plan if row[0] in self.wanted]
        if machine.counters:
            plan.append((EXIT_WORKLOAD, self.args.seconds, ""))
        for name, seconds, arguments in plan:
            rate, exits, clock = session.run(name, seconds, arguments)
            self._add(machine, name, rate, exits)
            if abs(clock - 1) > CLOCK_TOLERANCE + ANSWER_LAG_S / seconds:
                self.notes.append(f"{machine.name}: {name}: the guest's clock went {clock:.2f} "
                                  "times as fast as the host's")

    def _add(self, machine, name, rate, exits):
        if rate is None:
            self.notes.append(f"{machine.name}: {name} failed; see {machines.SCRATCH}/logs")
            return
        self.samples.setdefault((machine.name, name), []).append(rate)
        self.exits[machine.name, name] = exits

    def _samples(self, machine, name):
        return self.samples.get((machine.name, name), [])

    def rows(self):
        out = []
        for peer in self.peers:
            against_bare = peer.config.get("bare", False)
            out.append(self._row("boot", "s", peer, BOOT_TARGET if against_bare else None, "most"))
            out += [self._row(w.name, w.unit, peer, w.target if against_bare else None)
                    for w in WORKLOADS]
        return [row for row in out if row.name in self.wanted] + self._own_rows()

    def _row(self, name, unit, peer, target, bound="least"):
        return table.Row(name, unit, self._samples(self.ours, name), self._samples(peer, name),
                         peer.name, target, bound, self._where(name, peer))

    def _own_rows(self):
        out = []
        if "idle" in self.wanted:
            exits = self.exits.get((self.ours.name, "idle"))
            rate = [exits.get("exits", 0) / self.args.smp] if exits is not None else []
            out.append(table.Row("idle-exits", "1/s per LP", rate, target=IDLE_TARGET,
                                 bound="most", why=self._kinds("idle")))
        out.append(table.Row("exit", "us", [1e6 / rate for rate in
                                            self._samples(self.ours, EXIT_WORKLOAD)]))
        taken = [self.memory_mib] if self.memory_mib is not None else []
        out.append(table.Row("memory-taken", "MiB", taken, bound="most",
                             target=16 + 0.005 * self.args.memory_mib))
        out.append(table.Row("text-and-data", "KiB", [text_and_data_kib(self.args.hypervisor)],
                             target=TEXT_DATA_TARGET_KIB, bound="most"))
        return out

    def _kinds(self, name):
        exits = self.exits.get((self.ours.name, name), {})
        most = sorted(((count, kind) for kind, count in exits.items() if kind in KINDS[1:]),
                      reverse=True)[:4]
        return (f"{exits.get('exits', 0):.0f} exits/s: " +
                ", ".join(f"{kind} {count:.0f}" for count, kind in most))

    def _where(self, name, peer):
        """Where the time goes that a missed target lacks, as far as the counters tell."""
        text = self._kinds(name)
        exits_per_s = table.median(self._samples(self.ours, EXIT_WORKLOAD))
        ours, theirs = (table.median(self._samples(m, name)) for m in (self.ours, peer))
        if not (exits_per_s and ours and theirs) or name == "boot":
            return text
        share = self.exits.get((self.ours.name, name), {}).get("exits", 0) / exits_per_s
        return (f"{text}; at {1e6 / exits_per_s:.0f} us each {100 * share:.0f} % of one "
                f"processor's time. Lost: {100 * (1 - ours / theirs):.0f} %; the rest lies outside "
                "of the exits: nested page walks, flushed TLBs, or the host's own noise")

    def show(self):
        rows = self.rows()
        table.show_rows(rows)
        lines = []
        for name in NAMES:
            exits = self.exits.get((self.ours.name, name))
            if exits and name in self.wanted:
                lines.append((name, *(f"{exits.get(kind, 0):.0f}" for kind in KINDS)))
        if lines:
            table.show(("exits/s, all LPs", "all", *KINDS[1:]), lines)
        for note in dict.fromkeys(self.notes):
            print(f"note: {note}")
        return rows


def text_and_data_kib(path):
    out = subprocess.run(["size", str(path)], stdout=subprocess.PIPE, text=True, check=True).stdout
    text, data = out.splitlines()[1].split()[:2]
    return (int(text) + int(data)) / 1024
