#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
Disks of children over VMBus: stock kernels, the worker, images of every format, in one boot.

  tests/system/test_storage.py                      the short form, which guards a commit
  tests/system/test_storage.py --all                long forms, children with both kernels
  tests/system/test_storage.py boot hot             only checks whose names begin so

Logs are kept in build/storage/.
"""

import argparse
import os
import pathlib
import re
import signal
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
TREE = HERE.parents[1]
sys.path[:0] = [str(TREE / "tools"), str(HERE)]
from bh import child, debian, disk, guest, initramfs, paths, report, vhost  # noqa: E402
from machine import FAILURES, Machine, expect  # noqa: E402 (paths come first)
from workers import APPEND, Workers  # noqa: E402

OURS = paths.BUILD / "storage"
BOOT_S, GUEST_S, CHILD_S = 120, 240, 120
MEMORY_MIB = 2048
SCRATCH_GIB, SCRATCH = 8, "/scratch"
# Formats that images are made in: name, and options of bhdisk create.
FORMATS = {"raw": "--format raw", "vhd": "--format vhd", "vhdx": "--format vhdx"}
# In the child's kernel, which finds its disks by them.
MODULES = ("hv_storvsc", "sd_mod", "sr_mod")
# Of a machine that is attacked; no other one has it.
VICTIM_WEIGHT = 777
PROGRAMS = ("fio", "blkdiscard")


def section(path, **options):
    """A [disk] of a configuration."""
    lines = "".join(f"{k} = {v}\n" for k, v in options.items())
    return f"\n[disk]\npath = {path}\n{lines}"


def control(name):
    return f"\n[control]\nsocket = /tmp/{name}.ctl\n"


class Storage(Workers):
    """The parent, with what the checks have in common."""

    def image(self, name, kind, size, more=""):
        """Makes an image; its path."""
        path = f"{SCRATCH}/{name}.{kind}"
        self.machine.run(f"bhdisk create {FORMATS[kind]} --size {size} {more} {path}")
        return path

    def check_image(self, path):
        """An image that nobody has open any more must be whole."""
        status, out = self.machine.status_of(f"bhdisk check {path}")
        expect(status == 0, f"bhdisk check {path}: {status}: {out[-300:]}")

    def child(self, test, disks, **options):
        """Starts a child that does TEST with these [disk] sections; its path."""
        more = "".join(disks) + control(f"vm{self.number + 1}")
        return self.start(f"{APPEND} bh.test={test}", more=more, **options)

    def ctl(self, path, words, wanted=0):
        status, out = self.machine.status_of(f"vmwpctl {path}.ctl {words}")
        expect(status == wanted, f"vmwpctl {words}: {status}: {out[-300:]}")
        return out

    def wait(self, path, expression, timeout_s=CHILD_S):
        return self.wait_console(path, expression, timeout_s)

    def ended(self, path):
        status = self.wait_end(path)
        expect(status == 0, f"the worker ended with {status}: "
                            f"{self.machine.run(f'tail -n 3 {path}.err')}")


def check_boot(run):
    """Debian boots from its disk on the synthetic controller, by its own kernel and initrd."""
    rows = [2] if not run.full else [1, 2, 4]
    home = guest.STORE_HOME
    for processors in rows:
        run.number += 1
        path = f"/tmp/vm{run.number}"
        text = child.config(f"vm{run.number}", f"{child.GUEST_APPEND} bh.mode=marker",
                            memory="512M", processors=processors, kernel=f"{home}/vmlinuz",
                            initrd=f"{home}/initrd.img", console=f"file:{path}.log",
                            more=section(f"{home}/{guest.DISK}"))
        run.put(path, text)
        run.machine.run(f"vmwp {path}.conf > {path}.err 2>&1 & echo $! > {path}.pid")
        line = run.wait(path, r"^.*BULKHEAD-CHILD-UP (.*)$", GUEST_S).group(1)
        expect(f"cpus={processors} root=/dev/sda" in line, line)
        run.ended(path)
    run.check_image(f"{home}/{guest.DISK}")
    return f"{rows} processors"


def check_facts(run):
    """What a child sees: the version, a channel for each processor, large transfers."""
    image = run.image("facts", "raw", "64M")
    path = run.child("facts", [section(image)], processors=2)
    line = run.wait(path, r"^@facts (.*) \.").group(1)
    run.ended(path)
    facts = dict(re.findall(r"(\w+)=(\S*)", line))
    expect(facts["trouble"] == "" and facts["disks"] == "1" , line)
    expect(int(facts["transfer"]) >= 1024, line)
    return f"VMBus {facts['vmbus']}, {facts['transfer']} KiB in a transfer"


def check_verify(run):
    """Checksums of random writes, on each format, and three deep in a chain."""
    images = [run.image("verify", kind, "256M") for kind in FORMATS]
    images.append(run.image("fixed", "vhdx", "128M", "--fixed"))
    for kind in ("vhd", "vhdx"):
        parent = run.image("base", kind, "128M")
        for depth in range(2):
            name = f"{SCRATCH}/leaf{depth}.{kind}"
            run.machine.run(f"bhdisk create {FORMATS[kind]} --parent {parent} {name}")
            parent = name
        images.append(parent)
    seconds = 60 if run.full else 5
    path = run.child(f"verify bh.seconds={seconds}", [section(i, controller=n % 2) for n, i in enumerate(images)],
                     processors=2)
    found = run.wait(path, rf"(@verify sd\w+ status=\d+ \d+ \.[^@]*){{{len(images)}}}",
                     (60 + seconds) * len(images)).group(0)
    run.ended(path)
    expect(len(re.findall(r"status=0 0 \.", found)) == len(images), found)
    for image in images:
        if not image.endswith(".raw"):
            run.check_image(image)
    return f"{len(images)} images"


def check_hot(run):
    """A disk comes and goes, another one grows, while the machine runs."""
    first, second = run.image("hot", "vhdx", "64M"), run.image("added", "vhd", "64M")
    path = run.child("hot", [section(first)], processors=2)
    run.wait(path, r"@hot ready")
    run.ctl(path, f"add 0:5 {second}")
    run.ctl(path, f"add 0:5 {second}", wanted=1)
    run.wait(path, r"@hot same")
    run.ctl(path, "remove 0:5")
    run.ctl(path, "remove 0:5", wanted=1)
    run.wait(path, r"@hot gone")
    run.wait(path, r"@hot grow \.")
    run.ctl(path, "resize 0:0 96M")
    size = int(run.wait(path, r"@hot grown (\d+) \.").group(1))
    expect('"writes"' in run.ctl(path, "counters"), "no counters")
    run.ended(path)
    expect(size == 96 << 11, f"{size} sectors")
    for image in (first, second):
        run.check_image(image)


def check_dvd(run):
    """A disc is read, ejected and replaced."""
    sums = []
    for name in ("one", "two"):
        run.machine.run(f"dd if=/dev/urandom of={SCRATCH}/{name}.iso bs=2048 count=64 2>/dev/null; "
                        f"printf '\\001CD001\\001' | dd of={SCRATCH}/{name}.iso bs=1 seek=32768 "
                        "conv=notrunc 2>/dev/null")
        sums.append(run.machine.run(f"md5sum < {SCRATCH}/{name}.iso").split()[0])
    path = run.child("dvd", [section(run.image("dvd", "raw", "64M")),
                             section(f"{SCRATCH}/one.iso", type="dvd")])
    expect(run.wait(path, r"@dvd first (\w+)").group(1) == sums[0], "another disc")
    run.ctl(path, "eject 0:1 --force")
    run.wait(path, r"@dvd empty")
    run.ctl(path, f"insert 0:1 {SCRATCH}/two.iso")
    expect(run.wait(path, r"@dvd second (\w+)").group(1) == sums[1], "another disc")
    run.ended(path)


def check_kill(run):
    """The worker is killed while it writes: the image is whole, and has what was flushed."""
    rounds = 20 if run.full else 2
    for kind in ("vhd", "vhdx"):
        for n in range(rounds):
            image = run.image(f"kill{n}", kind, "64M")
            path = run.child("fill", [section(image)], memory="128M", processors=1)
            flushed = int(run.wait(path, rf"@fill flushed (\d{{{2 + n % 2}}}) \.").group(1))
            run.kill(path, "KILL")
            run.wait_end(path)
            run.check_image(image)
            run.machine.run(f"bhdisk convert --format raw {image} {SCRATCH}/kill.raw")
            last = {k * 97 % 65536: k for k in range(flushed + 1)}
            for sector, number in list(last.items())[:: max(1, len(last) // 8)]:
                got = run.machine.run(f"dd if={SCRATCH}/kill.raw bs=512 skip={sector} count=1 "
                                      "2>/dev/null").strip()
                expect(got == str(number), f"sector {sector}: {got[:40]!r} instead of {number}")
            run.machine.run(f"rm {SCRATCH}/kill.raw {image}")
    return f"{rounds} times each"


def check_bad_input(run):
    """One clear message, and nothing is left."""
    image = run.image("bad", "vhdx", "64M")
    run.machine.run(f"head -c 100 {image} > {SCRATCH}/cut.vhdx; truncate -s 3M {SCRATCH}/cut.vhdx")
    for more, wanted in ((section("/none"), "/none: No such file"),
                         (section(f"{SCRATCH}/cut.vhdx"), "cut.vhdx"),
                         (section(image) + section(image), "in use"),
                         (section(image, controller=9), "controller is a number")):
        path = run.configure(more=more)
        status, out = run.machine.status_of(f"vmwp {path}.conf 2>&1")
        expect(status == 1 and wanted in out and len(out.splitlines()) == 1,
               f"{wanted}: {status}: {out[-300:]}")


def expect_rights_gone(run, pid):
    """Each thread of a worker has given up the same rights."""
    status = run.machine.run(f"cat /proc/{pid}/task/*/status")
    threads = len(re.findall(r"^Pid:", status, re.M))
    expect(threads >= 4, f"{threads} threads")
    for line in (r"Uid:(\t65534){4}", r"Gid:(\t65534){4}", r"Groups:\s*", r"CapEff:\t0+", r"CapPrm:\t0+",
                 r"NoNewPrivs:\t1", r"Seccomp:\t2"):
        have = len(re.findall(f"^{line}$", status, re.M))
        expect(have == threads, f"{line} holds for {have} threads of {threads}")


def check_sandbox(run):
    """A worker that its guest has taken over reaches nothing, least of all the machine beside it."""
    folder, image = f"{SCRATCH}/anybody", run.image("victim", "raw", "64M")
    # Rights on files are to protect nothing here.
    run.machine.run(f"mkdir {folder}; chmod 777 {folder}; chmod 666 {image}")
    path = run.child("facts bh.end=halt", [section(image), f"\n[cpu]\nweight = {VICTIM_WEIGHT}\n"])
    run.wait(path, r"^@facts .* \.")
    keeper = run.machine.run(f"cat {path}.pid")
    pid = run.machine.run(f"cat /proc/{keeper}/task/{keeper}/children").strip()
    expect_rights_gone(run, pid)
    own = run.image("hostile", "vhdx", "64M")
    hostile = run.configure(more=section(own) + control("hostile"), initrd=None, memory="128M")
    targets = {"PID": pid, "DISK": image, "SOCKET": f"{path}.ctl", "FOLDER": folder,
               "WEIGHT": VICTIM_WEIGHT, "STRICT": 1}
    words = " ".join(f"HOSTILE_{name}={value}" for name, value in targets.items())
    status, out = run.machine.status_of(f"{words} /tests/vmwp-hostile {hostile}.conf 2>&1", CHILD_S)
    passed = re.findall(r"^PASS sandbox", out, re.M)
    expect(status == 0 and passed, "; ".join(line for line in out.splitlines()
                                             if not line.startswith("PASS"))[-400:])
    run.ctl(path, "counters")
    expect_rights_gone(run, pid)
    run.ctl(path, "quit")
    expect(run.wait_end(path) == 3, "the victim did not end by its control socket")
    return f"{len(passed)} attacks"


def check_logs(run):
    """The parent's kernel has nothing to complain of, and nothing is left."""
    left = run.machine.run("cat /sys/kernel/debug/bulkhead-vid/partitions 2>/dev/null; true")
    trouble = run.machine.run("dmesg | grep -E 'BUG:|WARNING|Oops|stall' | head -n 3; true")
    if trouble:
        print(run.machine.run("dmesg | tail -n 120"))
    expect(not trouble, trouble)
    expect(not left.strip(), left)


CHECKS = {name.removeprefix("check_").replace("_", "-"): function
          for name, function in list(globals().items()) if name.startswith("check_")}


def build_image(child_kernel):
    """The parent's image, with a child's that holds the tests."""
    tools = debian.Cache().root("storage-tests", ["fio", "util-linux"])
    inner = initramfs.build(child_kernel, modules=MODULES, wished=(), programs=PROGRAMS, root=tools,
                            files=[("/tests/run.sh", HERE / "guest/storage.sh")])
    initrd = OURS / f"child-{child_kernel}.img"
    paths.write_whole(initrd, inner)
    pairs = dict(child.files("6.1-cloud", child_kernel))
    pairs[f"{child.HOME}/initrd.img"] = initrd
    for name in ("run.sh", "checks.sh"):
        pairs[f"/tests/{name}"] = HERE / "guest" / name
    pairs["/tests/vmwp-hostile"] = paths.BUILD / "tests/vmwp/vmwp-hostile"
    image = OURS / f"parent-{child_kernel}.img"
    paths.write_whole(image, initramfs.build("6.1-cloud", modules=("ext4",), compress=False,
                                             files=list(pairs.items())))
    return image


def scratch():
    """A disk for images, empty each time."""
    path = OURS / "scratch.img"
    path.unlink(missing_ok=True)
    disk.run("mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-E", "lazy_itable_init=1", path,
             f"{SCRATCH_GIB << 10}M")
    return path


def run_parent(child_kernel, args, said):
    OURS.mkdir(parents=True, exist_ok=True)
    config = vhost.Config(initrd=build_image(child_kernel), smp=args.smp, memory_mib=MEMORY_MIB,
                          append="bh.mode=test bh.store=/dev/vda",
                          disks=(str(guest.store()), str(scratch())))
    with Machine(config, OURS / child_kernel) as machine:
        machine.start(BOOT_S)
        machine.run(f"insmod {child.HOME}/bulkhead-vid.ko; mkdir -p {SCRATCH} && "
                    f"mount -t ext4 /dev/vdb {SCRATCH}")
        run = Storage(machine, args.all)
        for name, check in CHECKS.items():
            if args.checks and not any(name.startswith(c) for c in args.checks):
                continue
            begun = time.monotonic()
            try:
                remark = check(run)
            except FAILURES as problem:
                said.say("FAIL", f"storage/{child_kernel}/{name}", str(problem).splitlines()[0][:500])
                machine.run("killall -KILL vmwp; true")
                continue
            said.passed(f"storage/{child_kernel}/{name}", time.monotonic() - begun, remark)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checks", nargs="*", metavar="CHECK", help=", ".join(CHECKS))
    parser.add_argument("--all", action="store_true", help="the long form")
    parser.add_argument("--child", action="append", choices=sorted(debian.KERNELS),
                        help="the children's kernel")
    parser.add_argument("--smp", type=int, default=vhost.Config.smp, metavar="N")
    args = parser.parse_args()
    said = report.Report()
    for kernel in args.child or (["6.1-cloud", "7.3-cloud"] if args.all else ["6.1-cloud"]):
        try:
            run_parent(kernel, args, said)
        except FAILURES as problem:
            said.say("FAIL", f"storage/{kernel}", str(problem).splitlines()[0])
    print(said.closing())
    return 1 if said.failed else 0


if __name__ == "__main__":
    os.chdir(TREE)
    # Ends like by Ctrl-C, so that no machine is left behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(main())
    except (debian.FetchError, initramfs.ImageError, disk.DiskError) as problem:
        sys.exit(f"storage: {problem}")
    except KeyboardInterrupt:
        sys.exit(130)
