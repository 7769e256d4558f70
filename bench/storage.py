# SPDX-License-Identifier: MIT
"""
Suite: disks of children. The same file in the same virtual host, read and written by fio in the same
guest kernel: over our synthetic SCSI controller, over QEMU's virtio-blk and virtio-scsi on KVM, and
by the parent itself, which is the limit.
"""

import dataclasses
import os
import pathlib
import re
import subprocess
import tempfile

from bh import child, debian, disk, guest, initramfs, paths, stream, vhost

import machines
import table

# Of both hosts and both children. Its cloud flavour has kvm-amd and asks for little else.
KERNEL = "6.1-cloud"
OUTER_MIB = 1536
HERE = paths.TREE / "bench" / "child"
CHILD_MIB, PROCESSORS = 256, 2
DATA_MIB, DISK_MIB = 512, 1536
BOOT_BOUND_S, ANSWER_BOUND_S = 120, 60
CHILD_MODULES = ("virtio_pci", "virtio_blk", "virtio_scsi", "hv_storvsc", "sd_mod")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
BLK, SCSI = "virtio-blk", "virtio-scsi"
CHILD_APPEND = "console=ttyS0 quiet panic=-1 bh.mode=test"
CPU_TARGET, HYPERCALL_TARGET, VHDX_TARGET = 0.8, 0.1, 0.9


@dataclasses.dataclass(frozen=True)
class Workload:
    """One run of fio, and the least that is wanted of ours over virtio-blk."""

    name: str
    direction: str
    block: str
    depth: int
    target: float


WORKLOADS = tuple(
    Workload(f"disk-{name}-{depth}", direction, block, depth, target)
    for name, direction, block, targets in (
        ("randread", "randread", "4k", (1.2, 1.5)), ("randwrite", "randwrite", "4k", (1.2, 1.5)),
        ("read-1m", "read", "1m", (1.3, 1.3)), ("write-1m", "write", "1m", (1.3, 1.3)))
    for depth, target in zip((1, 32), targets))
# Those whose cost by operation counts: deep queues of small blocks.
COSTED = tuple(w.name for w in WORKLOADS if w.block == "4k" and w.depth == 32)

# What is loaded in the hosts; the KVM of ours is never asked for.
HOST_MODULES = ("virtio_pci", "virtio_blk", "ext4")
QEMU_PACKAGE, QEMU = "qemu-system-x86", "/usr/bin/qemu-system-x86_64"
QEMU_DATA = {"bios-256k.bin": "seabios", "linuxboot_dma.bin": "qemu", "kvmvapic.bin": "qemu"}
QEMU_DISKS = {BLK: ("virtio-blk-pci,drive=d,iothread=io",),
              SCSI: ("virtio-scsi-pci,iothread=io", "scsi-hd,drive=d")}


def build_programs():
    built = subprocess.run(["ninja", "-C", str(paths.BUILD), "vmwp/vmwp", "disk/bhdisk"], text=True,
                           check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if built.returncode != 0:
        raise initramfs.ImageError(f"the worker is not built:\n{built.stdout}")


def build_disk():
    """The hosts' disk: one file full of data, raw and as a dynamic VHDX with all its blocks."""
    path = machines.SCRATCH / "storage.img"
    path.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="bulkhead-", dir=machines.SCRATCH) as scratch:
        raw, vhdx = pathlib.Path(scratch) / "data.raw", pathlib.Path(scratch) / "data.vhdx"
        raw.write_bytes(bytes(range(256)) * (DATA_MIB << 12))
        disk.run(guest.BHDISK, "convert", "--format", "vhdx", raw, vhdx)
        disk.run("mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-d", scratch, "-E",
                 "lazy_itable_init=1", path, f"{DISK_MIB}M")
    return path


def tools_root():
    return debian.Cache().root("storage-bench", ["fio", QEMU_PACKAGE])


def build_initrd():
    """The child's: fio, and the drivers of all three disks."""
    path = machines.SCRATCH / "storage-child.img"
    paths.write_whole(path, initramfs.build(
        KERNEL, modules=CHILD_MODULES, wished=(), programs=("fio",), root=tools_root(),
        files=[("/tests/run.sh", HERE / "storage.sh"), ("/tests/fio.sh", HERE / "fio.sh")]))
    return path


def build_image(name, initrd, files=(), modules=(), programs=()):
    path = machines.SCRATCH / f"{name}.img"
    common = [("/tests/run.sh", HERE / "run.sh"), ("/tests/fio.sh", HERE / "fio.sh"),
              ("/tests/child.img", initrd),
              ("/tests/vmlinuz", debian.Cache().kernel(KERNEL)["vmlinuz"])]
    paths.write_whole(path, initramfs.build(
        KERNEL, files=common + list(files), compress=False, modules=(*HOST_MODULES, *modules),
        wished=(), programs=("fio", *programs), root=tools_root()))
    return path


class Ours:
    """Bulkhead, with vmwp in its parent partition."""

    kinds = ("raw", "vhdx")

    def __init__(self, args, initrd):
        self.machine = machines.ours(args.hypervisor, args.hv_options)
        self.image = build_image("storage-ours", initrd, [
            ("/tests/bulkhead-vid.ko", child.module(KERNEL)), ("/tests/vmwp", child.WORKER)])
        self.prepare = "insmod /tests/bulkhead-vid.ko"

    @staticmethod
    def command(kind):
        text = child.config("bench", CHILD_APPEND, f"{CHILD_MIB}M", PROCESSORS, "/tests/vmlinuz",
                            "/tests/child.img", more=f"[disk]\npath = /mnt/data.{kind}\n")
        lines = " ".join(f"'{line}'" for line in text.splitlines())
        return f"printf '%s\\n' {lines} > /tmp/child.conf && /tests/vmwp /tmp/child.conf"


class Kvm:
    """Debian's kernel with kvm-amd, and Debian's QEMU with what its users choose for speed."""

    kinds = (BLK, SCSI)

    def __init__(self, initrd):
        self.machine = dataclasses.replace(machines.bare(), name="KVM")
        self.image = build_image("storage-kvm", initrd, [
            (f"/usr/share/qemu/{name}", (tools_root() / "usr/share" / home / name).resolve())
            for name, home in QEMU_DATA.items()], ("kvm-amd",), (QEMU,))
        self.prepare = "test -c /dev/kvm"

    @staticmethod
    def command(kind):
        devices = " ".join(f"-device {device}" for device in QEMU_DISKS[kind])
        return (f"{QEMU} -nodefaults -no-user-config -no-reboot -accel kvm -cpu host -M q35 "
                f"-smp {PROCESSORS} -m {CHILD_MIB}M -display none -serial stdio "
                f"-object iothread,id=io -drive if=none,id=d,file=/mnt/data.raw,format=raw,"
                f"cache=none,aio=native {devices} "
                f"-kernel /tests/vmlinuz -initrd /tests/child.img -append '{CHILD_APPEND}'")


@dataclasses.dataclass
class Cost:
    """What was spent since the machine's start: seconds of processors, exits, hypercalls."""

    cpu_s: float
    exits: int
    hypercalls: int

    def since(self, before):
        return Cost(self.cpu_s - before.cpu_s, self.exits - before.exits,
                    self.hypercalls - before.hypercalls)


class Run:
    """One boot of one host, and the workloads in it."""

    def __init__(self, session):
        self.session, self.host, self.console = session, session.host, session.host.console

    def cost(self):
        """Of the virtual host with all that is in it; exits and hypercalls are those of children."""
        fields = pathlib.Path(f"/proc/{self.host.process.pid}/stat").read_text().rpartition(")")[2]
        user, system = fields.split()[11:13]
        exits = hypercalls = 0
        if self.session.machine.counters:
            _, lines = self.session.counters_dump()
            for found in re.finditer(r"^VP (?!1\.)\d+\.\d+: exits=(\d+).* hypercall=(\d+)", lines,
                                     re.M):
                exits, hypercalls = exits + int(found[1]), hypercalls + int(found[2])
        return Cost((int(user) + int(system)) / TICKS_PER_S, exits, hypercalls)

    def measure(self, workload, seconds, command):
        """Operations in a second, how many in all, and what they cost."""
        before = self.cost()
        self.console.send(command.format(f"{workload.direction} {workload.block} {workload.depth} "
                                         f"{seconds:g}"))
        found = self.console.wait(r"^STORAGE (?:RESULT (\S+) (\d+)|ERROR .*)\r?\n",
                                  seconds + ANSWER_BOUND_S)
        if not found[1]:
            raise stream.StreamError(found[0].strip())
        return float(found[1]), int(found[2]), self.cost().since(before)

    def in_parent(self, workload, seconds):
        result = self.measure(workload, seconds, ". /tests/fio.sh; run_fio /mnt/data.raw {}\n")
        self.console.wait("^BENCH READY", ANSWER_BOUND_S)
        return result

    def in_child(self, workload, seconds):
        result = self.measure(workload, seconds, "{}\n")
        self.console.wait("^STORAGE READY", ANSWER_BOUND_S)
        return result

    def start_child(self, command):
        self.console.send(f"{command}\n")
        self.console.wait("^STORAGE READY", BOOT_BOUND_S)

    def end_child(self):
        self.console.send("quit\n")
        self.console.wait("^BENCH READY", ANSWER_BOUND_S)


class Suite:
    """Samples of both hosts, gathered round by round."""

    NAMES = tuple(w.name for w in WORKLOADS)

    def __init__(self, args):
        self.args = args
        self.wanted = [w for w in WORKLOADS if not args.only or w.name in args.only]
        self.samples, self.notes = {}, []
        build_programs()
        self.disk = build_disk()
        initrd = build_initrd()
        self.hosts = [Ours(args, initrd)] + ([Kvm(initrd)] if "kvm" in args.machines else [])

    def measure(self):
        for n in range(self.args.rounds):
            for host in self.hosts:
                print(f"bench: disks, round {n + 1} of {self.args.rounds}: {host.machine.name}",
                      flush=True)
                self._measure_one(host)

    def _measure_one(self, host):
        """A host that fails leaves a note and no samples of what was to come."""
        base = {"kernel": KERNEL, "initrd": host.image, "append": "bh.mode=test",
                "smp": self.args.smp, "memory_mib": OUTER_MIB, "disks": (str(self.disk),)}
        logs = machines.SCRATCH / "logs" / f"disks-{host.machine.name}"
        try:
            with machines.Session(host.machine, base, logs) as session:
                run = Run(session)
                session.must(f"mount -t ext4 /dev/vda /mnt && {host.prepare}", ANSWER_BOUND_S)
                if isinstance(host, Ours):
                    self._gather("parent", run.in_parent)
                for kind in host.kinds:
                    run.start_child(host.command(kind))
                    self._gather(kind, run.in_child)
                    run.end_child()
                session.end()
        except (stream.StreamError, vhost.VhostError, OSError) as problem:
            self.notes.append(f"{host.machine.name}: {' '.join(str(problem).split())[:300]}")

    def _gather(self, kind, measure):
        for workload in self.wanted:
            rate, count, cost = measure(workload, self.args.seconds)
            self._add(kind, workload.name, rate)
            if workload.name in COSTED and count:
                self._add(kind, f"{workload.name}-cpu", cost.cpu_s * 1e6 / count)
                self._add(kind, f"{workload.name}-exits", cost.exits / count)
                self._add(kind, f"{workload.name}-hypercalls", cost.hypercalls / count)

    def _add(self, kind, name, value):
        self.samples.setdefault((kind, name), []).append(value)

    def _row(self, name, unit, peer, target=None, bound="least", ours="raw"):
        return table.Row(name, unit, self.samples.get((ours, name), []),
                         self.samples.get((peer, name), []), peer, target, bound)

    def rows(self):
        out = []
        for peer in (BLK, SCSI, "parent"):
            if not any(kind == peer for kind, _ in self.samples):
                continue
            with_target = peer == BLK
            out += [self._row(w.name, "IOPS", peer, w.target if with_target else None)
                    for w in self.wanted]
            out += [self._row(f"{name}-cpu", "us", peer, CPU_TARGET if with_target else None, "most")
                    for name in COSTED]
        out += [dataclasses.replace(self._row(w.name, "IOPS", "raw", VHDX_TARGET, ours="vhdx"),
                                    name=w.name.replace("disk-", "vhdx-")) for w in self.wanted]
        for name in COSTED:
            out += [table.Row(f"{name}-hypercalls", "each", self.samples.get(
                        ("raw", f"{name}-hypercalls"), []), target=HYPERCALL_TARGET, bound="most"),
                    table.Row(f"{name}-exits", "each",
                              self.samples.get(("raw", f"{name}-exits"), []))]
        return [row for row in out if row.ours]

    def show(self):
        return table.show_suite(self.rows(), self.notes)
