# SPDX-License-Identifier: MIT
"""The machines that are compared, and one boot of one of them as a session that runs workloads."""

import dataclasses
import gzip
import pathlib
import re
import socket
import subprocess
import threading
import time

from bh import debian, initramfs, paths, stream, vhost

SCRATCH = paths.BUILD / "bench"
GUEST = paths.TREE / "bench" / "guest"
GUEST_PROGRAM = "bench/guest/bench-guest"
XEN_PACKAGE, XEN_FILE = "xen-hypervisor-4.17-amd64", "boot/xen-4.17-amd64.gz"
# smap=0: QEMU 7.2 checks SMAP at an IRET of the PV kernel, which no processor does there.
XEN_OPTIONS = "com2=115200,8n1 smap=0"
XEN_MEMORY_SHARE = 0.75
DISK_MIB = 256
BOOT_BOUND_S = 180
ANSWER_BOUND_S, READY_BOUND_S = 90, 30
# Kernels print this just before they start the first program.
INIT_LINE = r"Run /init as init process"


@dataclasses.dataclass
class Machine:
    """One column of the comparison: its name, and what differs in vhost.Config."""

    name: str
    config: dict
    counters: bool = False      # whether our hypervisor is in it, with its counters


def bare():
    return Machine("bare metal", {"bare": True})


def ours(hypervisor, options="", name="ours"):
    return Machine(name, {"hypervisor": hypervisor, "hv_options": options}, counters=True)


def xen(kernel, memory_mib, smp):
    """
    Debian's Xen with the kernel as PV dom0, which the cloud kernels are not built for (VhostError).
    Multiboot loaders of QEMU want Xen's file unpacked.
    """
    folder = pathlib.Path(debian.Cache().kernel(kernel)["vmlinuz"]).parent
    if not any("CONFIG_XEN_DOM0=y" in path.read_text().splitlines()
               for path in folder.glob("config-*")):
        raise vhost.VhostError(f"kernel {kernel} is not built for its dom0")
    packed = debian.Cache().package(XEN_PACKAGE) / XEN_FILE
    plain = SCRATCH / "xen.elf32"
    paths.write_whole(plain, gzip.decompress(packed.read_bytes()))
    dom0 = int(memory_mib * XEN_MEMORY_SHARE)
    return Machine("Xen 4.17 dom0", {
        "hypervisor": plain,
        "hv_options": f"{XEN_OPTIONS} dom0_mem={dom0}M,max:{dom0}M dom0_max_vcpus={smp}"})


def build_image(kernel):
    """Builds the workloads and the image that all machines boot from; returns its path."""
    built = subprocess.run(["ninja", "-C", str(paths.BUILD), GUEST_PROGRAM], check=False, text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if built.returncode != 0:
        raise initramfs.ImageError(f"{GUEST_PROGRAM} is not built:\n{built.stdout}")
    root = debian.Cache().root("openssl", ["openssl"])
    image = SCRATCH / f"bench-{kernel}.img"
    paths.write_whole(image, initramfs.build(
        kernel, files=[("/tests/run.sh", GUEST / "run.sh"),
                       ("/tests/bench", paths.BUILD / GUEST_PROGRAM)],
        programs=["openssl"], root=root))
    return image


def build_disk():
    """A disk without holes, small enough to stay in the host's page cache."""
    path = SCRATCH / "disk.raw"
    if not path.exists():
        paths.write_whole(path, bytes(range(256)) * (DISK_MIB << 12))
    return path


class NetPeer:
    """The other end of the TCP streams, on this machine's loopback; the guest sees 10.0.2.2."""

    def __init__(self):
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"10.0.2.2 {self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(ANSWER_BOUND_S)
                try:
                    self._stream(connection)
                except OSError:
                    pass  # the guest has enough, or is gone

    @staticmethod
    def _stream(connection):
        room = bytearray(1 << 20)
        if connection.recv(1) == b"r":
            while True:
                connection.sendall(room)
        while connection.recv_into(room):
            pass
        connection.sendall(b"k")

    def close(self):
        self._socket.close()


class Session:
    """One boot of one machine, up to the line that asks for the first workload."""

    def __init__(self, machine, base, log_dir):
        self.machine = machine
        self.host = vhost.VirtualHost(vhost.Config(**{**base, **machine.config}), log_dir=log_dir)
        self.boot_s = None
        self.boot_exits = {}

    def __enter__(self):
        self.host.__enter__()
        try:
            self.host.console.wait(INIT_LINE, BOOT_BOUND_S)
            self.boot_s = self.host.elapsed_s()
            self.boot_exits = rates({"time_us": 0}, self.counters())
            self.host.console.wait("^BENCH READY", BOOT_BOUND_S)
        except BaseException:
            self.host.close()
            raise
        return self

    def __exit__(self, *_):
        self.host.close()

    def say(self, command, bound_s):
        """Runs a command; (its status, what it printed)."""
        console = self.host.console
        start = len(console.text)
        console.send(f"{command}\n")
        status = console.wait(r"^BENCH DONE (\d+)\n", bound_s).group(1)
        console.wait("^BENCH READY", READY_BOUND_S)
        return int(status), console.text[start:]

    def must(self, command, bound_s):
        """Runs a command; StreamError when it fails."""
        status, text = self.say(command, bound_s)
        if status:
            raise stream.StreamError(f"{command} failed: {text[-200:]}")

    def counters_dump(self):
        """(microseconds, a line for each VP) of the hypervisor's counters."""
        self.host.debug.send("c")
        return self.host.debug.wait(r"^time_us=(\d+)\n((?:.*\n)*?)bulkhead: end of dump 'c'",
                                    ANSWER_BOUND_S).groups()

    def counters(self):
        """{'time_us': …, kind: count over all processors}; empty without our hypervisor."""
        if not self.machine.counters:
            return {}
        time_us, lines = self.counters_dump()
        counts = {"time_us": int(time_us)}
        for kind, count in re.findall(r" (\w+)=(\d+)", lines):
            counts[kind] = counts.get(kind, 0) + int(count)
        return counts

    def run(self, name, seconds, arguments=""):
        """
        Runs one workload. Returns (rate, exits per second by kind, the guest's seconds over
        ours); the rate is None when the guest could not do it, and says so on its console.
        """
        before, started = self.counters(), time.monotonic()
        self.host.console.send(f"run {name} {seconds} {arguments}\n")
        answer = self.host.console.wait(
            rf"^BENCH (?:RESULT {name} (\S+) \S+ (\S+)|ERROR .*)\n", seconds + ANSWER_BOUND_S)
        lasted = time.monotonic() - started
        after = self.counters()
        self.host.console.wait("^BENCH READY", ANSWER_BOUND_S)
        if answer.group(1) is None:
            return None, {}, 1.0
        return float(answer.group(1)), rates(before, after), float(answer.group(2)) / lasted

    def memory_taken_mib(self):
        """What the hypervisor says at its start that it keeps for itself."""
        line = re.search(r"^.* are the hypervisor's$", self.host.debug.text, re.M)
        kib = re.findall(r"(\d+) KiB at", line.group(0)) if line else []
        return sum(map(int, kib)) / 1024 if kib else None

    def end(self):
        self.host.console.send("quit\n")
        self.host.wait_exit(60)


def rates(before, after):
    """Counts per second between two samples, without kinds that did not happen."""
    if not after:
        return {}
    seconds = max(1, after["time_us"] - before["time_us"]) / 1e6
    return {kind: (count - before.get(kind, 0)) / seconds for kind, count in after.items()
            if kind != "time_us" and count > before.get(kind, 0)}
