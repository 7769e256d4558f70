#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
A client that nobody here wrote: Debian's QEMU with -accel mshv, in the parent, unmodified, in a
Debian root of its own on a disk.

  tests/system/test_qemu.py           boots a kernel directly, which guards a commit
  tests/system/test_qemu.py --all     also firmware: SeaBIOS with a disk, OVMF to its shell
  tests/system/test_qemu.py uefi      only checks whose names begin so

Logs are kept in build/qemu/.
"""

import argparse
import hashlib
import os
import pathlib
import shutil
import signal
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
TREE = HERE.parents[1]
sys.path[:0] = [str(TREE / "tools"), str(HERE)]
from bh import child, debian, disk, initramfs, paths, report, vhost  # noqa: E402
from machine import FAILURES, Machine, expect, expect_known  # noqa: E402 (paths come first)
import traffic  # noqa: E402

OURS = paths.BUILD / "qemu"
KERNEL, DISK_KERNEL = "6.1-cloud", "6.1"
SUITE = "trixie-backports"
PACKAGES = ("qemu-system-x86", "seabios", "ovmf")
# What no run of QEMU reads.
USELESS = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/perl5",
           "usr/share/lintian", "usr/share/icons", "usr/share/alsa", "usr/bin/qemu-system-i386",
           "usr/bin/qemu-system-x86_64-microvm")
MOUNT_POINTS = ("proc", "sys", "dev", "tmp", "run", "tests", "var/tmp")
BOOT_S, DIRECT_S, FIRMWARE_S = 120, 120, 300
MEMORY_MIB = 1536
MARKER = r"BULKHEAD-PARENT-UP kernel=\S+ cpus={cpus} hypervisor=Microsoft Hyper-V"
APPEND = "console=ttyS0 quiet bh.mode=marker panic=-1"
# The guest that a disk holds: what it needs for any machine that QEMU emulates, and its test.
GUEST_MODULES = ("ahci", "sd_mod", "crc32c_generic", "ext4", "e1000")
GUEST_APPEND = "console=ttyS0 quiet bh.mode=test bh.net=user panic=-1"
DATA_MIB, PORT = 8, 5001
QEMU = ("qemu-system-x86_64 -accel mshv -cpu max -m 256 -nodefaults -no-user-config -no-reboot "
        "-display none -monitor none")


def qemu_root():
    """The folder of the cache that holds QEMU with all that it needs."""
    def finish(root):
        for name in USELESS:
            path = root / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        for name in MOUNT_POINTS:
            (root / name).mkdir(parents=True, exist_ok=True)

    return debian.Cache().chosen("qemu", [SUITE, *PACKAGES],
                                 lambda apt: apt.closure(PACKAGES, SUITE), SUITE, finish=finish)


def qemu_disk():
    """The disk with QEMU's root, made anew when the packages are not those that it was made of."""
    root, image, stamp = qemu_root(), OURS / "root.img", OURS / "root.json"
    packages = (root / ".packages.json").read_bytes()
    if not image.exists() or not stamp.exists() or stamp.read_bytes() != packages:
        stamp.unlink(missing_ok=True)
        disk.filesystem(image, root)
        paths.write_whole(stamp, packages)
    return image


def guest_disk():
    """The disk that a guest boots from by BIOS."""
    image = OURS / "guest.img"
    initrd = initramfs.build(DISK_KERNEL, modules=GUEST_MODULES, wished=(),
                             files=[("/tests/run.sh", HERE / "guest/emulated.sh")])
    disk.bios_disk(image, debian.Cache().kernel(DISK_KERNEL)["vmlinuz"], initrd,
                   f"{GUEST_APPEND} bh.port={PORT}", [("data", data())])
    return image


def data():
    """What the guest's disk holds and the parent sends it."""
    return b"".join(traffic.block("qemu", n) for n in range(DATA_MIB))


def parent_image(full):
    files = child.files(KERNEL)
    files += [(f"/tests/{n}", HERE / "guest" / n) for n in ("run.sh", "checks.sh")]
    if full:
        paths.write_whole(OURS / "data", data())
        paths.write_whole(OURS / "startup.nsh", b"echo SHELL-UP %uefishellversion%\r\nreset -s\r\n")
        files += [("/tests/guest.img", guest_disk()), ("/tests/data", OURS / "data"),
                  ("/tests/efi/startup.nsh", OURS / "startup.nsh")]
    path = OURS / "parent.img"
    paths.write_whole(path, initramfs.build(KERNEL, modules=("ext4",), files=files, compress=False))
    return path


class Run:
    """The parent while it runs."""

    def __init__(self, machine):
        self.machine = machine
        self.number = 0

    def prepare(self):
        self.machine.run(
            f"grep -q ^bulkhead_vid /proc/modules || insmod {child.HOME}/bulkhead-vid.ko; "
            "[ -c /dev/mshv ]")
        self.machine.run(
            "mount -t ext4 -o ro /dev/vda /mnt && mount -t devtmpfs dev /mnt/dev && "
            "mount -t proc proc /mnt/proc && mount -t tmpfs tmp /mnt/tmp && "
            "mount --bind /mnt/tmp /mnt/var/tmp && "
            f"mount --bind /tests /mnt/tests && cp {child.HOME}/vmlinuz {child.HOME}/initrd.img /tests")

    def version(self):
        return self.machine.run("chroot /mnt qemu-system-x86_64 --version").splitlines()[0]

    def boot(self, options, wanted, timeout_s):
        """Runs QEMU to its end; the line of its serial line that has an expression."""
        self.number += 1
        log = f"/mnt/tmp/{self.number}"
        self.machine.run(
            f"timeout -s KILL {timeout_s} chroot /mnt env TMPDIR=/tmp {QEMU} {options} "
            f"-serial file:/tmp/{self.number}.log > {log}.err 2>&1 < /dev/null & echo $! > {log}.pid")
        self.machine.run(
            f"for i in $(seq {5 * timeout_s}); do kill -0 $(cat {log}.pid) 2>/dev/null || break; "
            "usleep 200000; done", timeout_s + 30)
        found = self.machine.status_of(self.seen(wanted, log) + f" && grep -aoE '{wanted}' {log}.log")
        status = self.machine.run(f"wait $(cat {log}.pid); echo $?").split()[-1]
        said = self.machine.run(f"cat {log}.err; tail -c 600 {log}.log | cat -v")
        expect(found[0] == 0, f"no {wanted}; QEMU ended with {status}: {said}")
        expect(status == "0", f"QEMU ended with {status}: {said}")
        return found[1].splitlines()[-1].strip()

    @staticmethod
    def seen(wanted, log):
        return f"grep -aqE '{wanted}' {log}.log 2>/dev/null"


def marker(cpus=1):
    return MARKER.format(cpus=cpus).replace("\\S", "[^ ]")


def check_direct(run):
    """QEMU loads a kernel itself; it comes up and powers off."""
    return run.boot(f"-kernel /tests/vmlinuz -initrd /tests/initrd.img -append '{APPEND}'", marker(),
                    DIRECT_S)


def check_smp(run):
    """Two processors."""
    return run.boot(f"-smp 2 -kernel /tests/vmlinuz -initrd /tests/initrd.img "
                    f"-append '{APPEND}'", marker(2), DIRECT_S)


def check_bios(run):
    """
    SeaBIOS, GRUB on an emulated disk, a kernel from there, which reads the disk and the network. The
    disk is AHCI: from IDE, SeaBIOS reads by string instructions, and QEMU asks the hypervisor for
    the address of each word, two million times for a kernel.
    """
    run.machine.run(f"nc -l -p {PORT} < /tests/data > /dev/null 2>&1 & echo $! > /tmp/nc.pid")
    try:
        line = run.boot("-drive file=/tests/guest.img,format=raw,if=none,id=disk,snapshot=on "
                        "-device ich9-ahci,id=ahci -device ide-hd,drive=disk,bus=ahci.0 "
                        "-netdev user,id=net -device e1000,netdev=net", "@guest .* [.]", FIRMWARE_S)
    finally:
        run.machine.run("kill $(cat /tmp/nc.pid) 2>/dev/null; true")
    wanted = hashlib.md5(data()).hexdigest()
    expect(line.count(wanted) == 2, f"not twice {wanted}: {line}")
    return f"{DATA_MIB} MiB each from disk and network"


def check_uefi(run):
    """OVMF as firmware comes to its shell, which runs what it finds on a disk, and powers off."""
    return run.boot("-M q35,smm=off -bios /usr/share/ovmf/OVMF.fd "
                    "-drive file=fat:/tests/efi,format=raw,snapshot=on", "SHELL-UP [0-9.]+",
                    FIRMWARE_S)


def check_clean(run):
    """Nothing is left of the machines: no deposited page, no use of the module."""
    run.machine.run("rmmod bulkhead_vid")


SHORT = ("direct", "clean")
CHECKS = {name.removeprefix("check_"): function for name, function in list(globals().items())
          if name.startswith("check_")}


def run_checks(machine, names, said):
    run = Run(machine)
    machine.start(BOOT_S)
    run.prepare()
    print(run.version())
    for name in names:
        begun = time.monotonic()
        try:
            remark = CHECKS[name](run)
        except FAILURES as problem:
            print(problem)
            for key in "lvrc":
                print(machine.dump(key))
            said.say("FAIL", f"qemu/{name}")
            continue
        said.passed(f"qemu/{name}", time.monotonic() - begun, remark)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checks", nargs="*", metavar="CHECK")
    parser.add_argument("--all", action="store_true", help="with firmware")
    args = parser.parse_args()
    expect_known(parser, args.checks, CHECKS)
    names = [n for n in CHECKS if any(n.startswith(c) for c in args.checks)] or \
        (list(CHECKS) if args.all else list(SHORT))
    said = report.Report()
    OURS.mkdir(parents=True, exist_ok=True)
    try:
        config = vhost.Config(kernel=KERNEL, initrd=parent_image({"bios", "uefi"} & set(names)),
                              append="bh.mode=test", memory_mib=MEMORY_MIB,
                              disks=(f"{qemu_disk()},ro",))
        with Machine(config, OURS / "logs") as machine:
            run_checks(machine, names, said)
    except (*FAILURES, debian.FetchError, disk.DiskError, initramfs.ImageError) as problem:
        said.result("qemu", [str(problem)])
    print(said.closing())
    return 1 if said.failed else 0


if __name__ == "__main__":
    os.chdir(TREE)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
