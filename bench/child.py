# SPDX-License-Identifier: MIT
"""
Suite: a child of our stack against a guest of KVM with QEMU, in the same virtual host with the same
kernel: Bulkhead with its parent and vmwp, and Debian's kernel with kvm-amd and Debian's QEMU.
"""

import dataclasses
import re
import subprocess

from bh import cpio, debian, initramfs, paths, stream, vhost

import machines
import table

# Of both hosts and both children. Its cloud flavour has kvm-amd and asks for little else.
KERNEL = "6.1-cloud"
OUTER_MIB = 1536
CHILD_MIB = 256
TARGET = "bench-child"
PROGRAMS = paths.BUILD / "bench" / "child"
MODULE = paths.BUILD / "vid" / KERNEL / "bulkhead-vid.ko"
HERE = paths.TREE / "bench" / "child"

QEMU_PACKAGE, QEMU_PROGRAM = "qemu-system-x86", "qemu-system-x86_64"
QEMU_DATA = {"bios-256k.bin": "seabios", "bios-microvm.bin": "qemu", "qboot.rom": "qemu",
             "linuxboot_dma.bin": "qemu", "kvmvapic.bin": "qemu"}
# What Linux and Windows see of Hyper-V in KVM, as far as the flat kernel asks for it.
QEMU_HYPERV = ("hv-relaxed,hv-vpindex,hv-runtime,hv-time,hv-frequencies,hv-synic,hv-stimer,"
               "hv-stimer-direct,hv-tlbflush,hv-ipi")

LINUX_ARGUMENTS = "console=ttyS0 panic=-1"
START_MARKER, INIT_MARKER, END_MARKER = "BENCH START", "BENCH INIT", "BENCH END"
LAUNCH_BOUND_S = 120
ANSWER_BOUND_S = 30


@dataclasses.dataclass(frozen=True)
class Operation:
    """One thing that the flat kernel measures: its row, the name there, and the target."""

    name: str
    guest_name: str
    target: float = None
    in_user_space: bool = False


OPERATIONS = (
    Operation("child-cpuid", "cpuid"),
    Operation("child-hypercall", "hypercall", 1.0),
    Operation("child-msr-read", "msr-read"),
    Operation("child-msr-write", "msr-write"),
    Operation("child-port-read", "port-read", 1.5, True),
    Operation("child-port-write", "port-write", 1.5, True),
    Operation("child-ipi", "ipi", 1.0),
    Operation("child-ipi-halted", "ipi-halted", 1.0),
    Operation("child-timer", "timer", 1.0),
    Operation("child-stimer", "stimer", 1.0),
)
BOOT_TARGET = 1.0
MEMORY_TARGET_MIB = 8
NAMES = ("child-boot", "child-boot-log", "child-create", "child-cpu",
         *(o.name for o in OPERATIONS), "child-memory")
FLAT_NAMES = {"child-cpu", *(o.name for o in OPERATIONS)}


def build_programs():
    """The flat kernel, the child's init and the launcher; and the parent's module."""
    for argv in (["ninja", "-C", str(paths.BUILD), TARGET, "vmwp/vmwp"],
                 [str(paths.TREE / "tools" / "vid"), KERNEL]):
        built = subprocess.run(argv, check=False, text=True, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT)
        if built.returncode != 0:
            raise initramfs.ImageError(f"{argv[0]} failed:\n{built.stdout}")


def build_child_initrd():
    """The child's whole file system: one program."""
    archive = cpio.Archive()
    archive.directory("dev")
    archive.char_device("dev/console", 5, 1)
    archive.file("init", (PROGRAMS / "init").read_bytes(), 0o755)
    path = machines.SCRATCH / "child.img"
    paths.write_whole(path, archive.bytes())
    return path


def build_image(name, initrd, files, **kwargs):
    common = [("/tests/run.sh", HERE / "run.sh"), ("/tests/launch", PROGRAMS / "launch"),
              ("/tests/bench-child.bin", PROGRAMS / "bench-child.bin"),
              ("/tests/child.img", initrd),
              ("/tests/vmlinuz", debian.Cache().kernel(KERNEL)["vmlinuz"])]
    path = machines.SCRATCH / f"{name}.img"
    paths.write_whole(path, initramfs.build(KERNEL, files=common + files, compress=False,
                                            wished=(), **kwargs))
    return path


@dataclasses.dataclass
class Child:
    """What to run: the flat kernel or, with an initrd, Linux."""

    arguments: str
    processors: int = 1
    linux: bool = False

    @property
    def kernel(self):
        return "/tests/vmlinuz" if self.linux else "/tests/bench-child.bin"


class Ours:
    """Bulkhead, with vmwp in its parent partition."""

    def __init__(self, args, initrd):
        self.machine = machines.ours(args.hypervisor, args.hv_options)
        self.image = build_image("child-ours", initrd, [
            ("/tests/bulkhead-vid.ko", MODULE), ("/tests/vmwp", paths.BUILD / "vmwp" / "vmwp")])
        self.prepare = "insmod /tests/bulkhead-vid.ko"

    @staticmethod
    def command(child):
        lines = ["[machine]", f"memory = {CHILD_MIB}M", f"processors = {child.processors}",
                 "[boot]", f"kernel = {child.kernel}", f"cmdline = {child.arguments}"]
        lines += ["initrd = /tests/child.img"] if child.linux else []
        text = " ".join(f"'{line}'" for line in lines)
        return f"printf '%s\\n' {text} > /tmp/child.conf", "/tests/vmwp /tmp/child.conf"


class Kvm:
    """Debian's kernel with kvm-amd, and Debian's QEMU."""

    def __init__(self, model, initrd):
        self.model = model
        self.machine = dataclasses.replace(machines.bare(), name=f"KVM, QEMU {model}")
        root = debian.Cache().root("qemu-guest", [QEMU_PACKAGE])
        self.image = build_image("child-kvm", initrd, [
            (f"/usr/share/qemu/{name}", (root / "usr/share" / home / name).resolve())
            for name, home in QEMU_DATA.items()],
            modules=("kvm-amd",), programs=(QEMU_PROGRAM,), root=root)
        self.prepare = "test -c /dev/kvm"

    def command(self, child):
        # Linux gets what suits it best, KVM's own interface; the flat kernel speaks Hyper-V's.
        cpu = "host" if child.linux else f"host,{QEMU_HYPERV}"
        argv = ["/usr/bin/qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot",
                "-accel", "kvm", "-cpu", cpu, "-M", self.model, "-smp", str(child.processors),
                "-m", f"{CHILD_MIB}M", "-display", "none", "-serial", "stdio",
                "-kernel", child.kernel]
        argv += ["-initrd", "/tests/child.img"] if child.linux else []
        return "true", f"{' '.join(argv)} -append '{child.arguments}'"


class Run:
    """One boot of one host: commands on its console, and what they print."""

    def __init__(self, host, session):
        self.host, self.session = host, session

    def launch(self, child, marker, memory=False):
        """Starts a child and waits for the marker; ({key: number} of the launcher, its console)."""
        before, command = self.host.command(child)
        self.session.must(before, ANSWER_BOUND_S)
        status, text = self.session.say(
            f"launch '{marker}' {LAUNCH_BOUND_S} {CHILD_MIB if memory else 0} {command}",
            LAUNCH_BOUND_S + ANSWER_BOUND_S)
        line = re.search(r"^LAUNCH (.*)$", text, re.M)
        if status or not line:
            raise stream.StreamError(f"the child did not say {marker}: {text[-300:]}")
        return {key: int(value) for key, value in re.findall(r"(\w+)=(-?\d+)", line.group(1))}, text


def flat_results(text):
    """{name: (nanoseconds, operations)} of the flat kernel's lines."""
    return {name: (int(value) / 1000, int(count)) for name, value, count in
            re.findall(r"^RESULT (\S+) (\d+) (\d+)$", text, re.M)}


def own_memory_mib(found):
    """
    What a child costs besides its RAM: the worker's pages outside of it, the hypervisor's pages, and
    by how much slabs, stacks and page tables of the kernel have grown.
    """
    kernel = sum(max(0, found[f"{key}_kib"]) for key in ("Slab", "KernelStack", "PageTables",
                                                         "SecPageTables"))
    return (found["outside_kib"] + found["pool_kib"] + kernel) / 1024


class Suite:
    """Samples of both hosts, gathered round by round."""

    NAMES = NAMES

    def __init__(self, args):
        self.args = args
        self.wanted = set(args.only or NAMES) & set(NAMES)
        build_programs()
        initrd = build_child_initrd()
        self.ours = Ours(args, initrd)
        self.peers = [Kvm(model, initrd) for model in args.qemu_machines] \
            if "kvm" in args.machines else []
        self.samples, self.notes, self.why = {}, [], {}

    def measure(self):
        for n in range(self.args.rounds):
            for host in (self.ours, *self.peers):
                print(f"bench: children, round {n + 1} of {self.args.rounds}: {host.machine.name}",
                      flush=True)
                self._measure_one(host, n + 1 == self.args.rounds)

    def _measure_one(self, host, is_last):
        """A host that fails leaves a note and no samples of what was to come."""
        base = {"kernel": KERNEL, "initrd": host.image, "append": "bh.mode=test",
                "smp": self.args.smp, "memory_mib": OUTER_MIB}
        logs = machines.SCRATCH / "logs" / re.sub(r"\W+", "-", f"child {host.machine.name}")
        try:
            with machines.Session(host.machine, base, logs) as session:
                run = Run(host, session)
                session.must(host.prepare, ANSWER_BOUND_S)
                self._measure_in(run)
                if is_last and host is self.ours:
                    self._explain(run)
                session.end()
        except (stream.StreamError, vhost.VhostError, OSError) as problem:
            self.notes.append(f"{host.machine.name}: {' '.join(str(problem).split())[:300]}")

    def _add(self, run, name, value):
        self.samples.setdefault((run.host.machine.name, name), []).append(value)

    def _measure_in(self, run):
        if "child-create" in self.wanted:
            found, _ = run.launch(Child("only=none"), START_MARKER)
            self._add(run, "child-create", found["first_us"] / 1e3)
        for name, quiet in (("child-boot", " quiet"), ("child-boot-log", "")):
            if name in self.wanted or (quiet and "child-memory" in self.wanted):
                self._measure_boot(run, name, quiet)
        if self.wanted & FLAT_NAMES:
            self._measure_flat(run)

    def _measure_boot(self, run, name, quiet):
        found, _ = run.launch(Child(LINUX_ARGUMENTS + quiet, linux=True), INIT_MARKER, memory=True)
        self._add(run, name, found["marker_us"] / 1e6)
        if quiet:
            self._add(run, "child-memory", own_memory_mib(found))
            self._add(run, "free", (-found["MemFree_kib"] - found["ram_kib"]) / 1024)

    def _flat(self, run, only=None, processors=2):
        ms = int(self.args.seconds * 200)
        options = f"cpus={processors} ms={ms}" + (f" only={only}" if only else "")
        _, text = run.launch(Child(options, processors), END_MARKER)
        return flat_results(text)

    def _measure_flat(self, run):
        results = self._flat(run)
        for operation in OPERATIONS:
            if operation.guest_name in results and operation.name in self.wanted:
                self._add(run, operation.name, results[operation.guest_name][0] / 1000)
        if "hypercall-kvm" in results:
            self._add(run, "hypercall-kvm", results["hypercall-kvm"][0] / 1000)
        if "child-cpu" in self.wanted and "loop" in results:
            _, text = run.session.say(f"launch loop {int(self.args.seconds * 1000)}", ANSWER_BOUND_S)
            found = re.search(r"^LOOP (\d+)$", text, re.M)
            # Speed of the child over that of its parent: both are time for one turn.
            self._add(run, "child-cpu", int(found.group(1)) / (results["loop"][0] * 1000))

    def _explain(self, run):
        """How many exits an operation costs, for those whose target may be missed."""
        operations = [o for o in OPERATIONS if o.target and o.name in self.wanted]
        if not operations:
            return
        idle, _ = self._exits(run, "none")
        for operation in operations:
            exits, results = self._exits(run, operation.guest_name)
            count = results.get(operation.guest_name, (0, 0))[1]
            if count:
                parts = ((kind, (n - idle.get(kind, 0)) / count) for kind, n in exits.items())
                self.why[operation.name] = "exits of the parent for each: " + ", ".join(
                    f"{kind} {value:.1f}" for kind, value in parts if value >= 0.1)

    def _exits(self, run, only):
        before = run.session.counters()
        results = self._flat(run, only)
        after = run.session.counters()
        return {kind: count - before.get(kind, 0) for kind, count in after.items()
                if kind != "time_us"}, results

    def _samples(self, host, name):
        return self.samples.get((host.machine.name, name), [])

    def _row(self, name, unit, peer, target=None, bound="most"):
        return table.Row(name, unit, self._samples(self.ours, name), self._samples(peer, name),
                         peer.machine.name, target, bound, self.why.get(name, ""))

    def rows(self):
        out = []
        for peer in self.peers:
            out += [self._row("child-boot", "s", peer, BOOT_TARGET),
                    self._row("child-boot-log", "s", peer, BOOT_TARGET),
                    self._row("child-create", "ms", peer),
                    self._row("child-cpu", "of parent", peer, bound="least")]
            out += [self._row(o.name, "us", peer, o.target) for o in OPERATIONS]
            out.append(self._row("child-memory", "MiB", peer))
        out = [row for row in out if row.name in self.wanted]
        if "child-memory" in self.wanted:
            out.append(table.Row("child-overhead", "MiB", self._samples(self.ours, "child-memory"),
                                 target=MEMORY_TARGET_MIB, bound="most"))
        return out

    def show(self):
        return table.show_suite(self.rows(), self.notes)
