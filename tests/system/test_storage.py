#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
Disks of children over VMBus: stock kernels, the worker, images of every format, in one boot.

  tests/system/test_storage.py                      the short form, which guards a commit
  tests/system/test_storage.py --all                long forms, children with both kernels
  tests/system/test_storage.py boot hot             only checks whose names begin so

Logs are kept in build/storage/.
"""

import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
TREE = HERE.parents[1]
sys.path[:0] = [str(TREE / "tools"), str(HERE)]
from bh import child, debian, disk, guest, initramfs, paths, vhost  # noqa: E402
import storage_data  # noqa: E402
import storage_life  # noqa: E402
import storage_sandbox  # noqa: E402
from machine import Machine, expect  # noqa: E402 (paths come first)
import suite  # noqa: E402
from storage import SCRATCH, Storage, section  # noqa: E402

OURS = paths.BUILD / "storage"
BOOT_S, GUEST_S = 120, 240
MEMORY_MIB = 2048
SCRATCH_GIB = 8
# In the child's kernel, which finds its disks by them.
MODULES = ("hv_storvsc", "sd_mod", "sr_mod", "ext4")
PROGRAMS = ("fio", "blkdiscard", "kexec")


def check_boot(run):
    """
    Debian boots from its disk on the synthetic controller, by its own kernel and initrd; or, if the
    children's kernel is another than Debian's own, by that and an image that goes on with the disk.
    """
    rows = [2] if not run.full else [1, 2, 4]
    home = boots = guest.STORE_HOME
    append = f"{child.GUEST_APPEND} {child.MARKER_APPEND}"
    if run.kernel != "6.1-cloud":
        boots, append = child.HOME, f"{append} bh.root={guest.LABEL}"
    for processors in rows:
        path = run.start(append, memory="512M", processors=processors, kernel=f"{boots}/vmlinuz",
                         initrd=f"{boots}/initrd.img", more=section(f"{home}/{guest.DISK}"))
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
    expect(facts["trouble"] == "" and facts["disks"] == "1" and facts["channels"] == "2", line)
    expect(int(facts["transfer"]) >= 1024, line)
    return f"VMBus {facts['vmbus']}, {facts['transfer']} KiB in a transfer"


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


def check_logs(run):
    """The parent's kernel has nothing to complain of, and nothing is left."""
    left = run.machine.run("cat /sys/kernel/debug/bulkhead-vid/partitions 2>/dev/null; true")
    trouble = run.machine.run("dmesg | grep -E 'BUG:|WARNING|Oops|stall' | head -n 3; true")
    if trouble:
        print(run.machine.run("dmesg | tail -n 120"))
    expect(not trouble, trouble)
    expect(not left.strip(), left)


def checks_of(names):
    """{name: function} of a module's checks, in its order."""
    return {name.removeprefix("check_").replace("_", "-"): function
            for name, function in list(names.items()) if name.startswith("check_")}


CHECKS = {"boot": check_boot, "facts": check_facts, **checks_of(vars(storage_data)),
          **checks_of(vars(storage_life)), **checks_of(vars(storage_sandbox)),
          "bad-input": check_bad_input, "logs": check_logs}


def build_image(child_kernel):
    """The parent's image, with a child's that holds the tests."""
    tools = debian.Cache().root("storage-tests", ["fio", "util-linux", "kexec-tools"])
    inner = initramfs.build(child_kernel, modules=MODULES, wished=(), programs=PROGRAMS, root=tools,
                            files=[("/tests/run.sh", HERE / "guest/storage.sh")])
    hostile = paths.BUILD / "tests/vmwp/vmwp-hostile"
    return suite.parent_image(OURS, "6.1-cloud", child_kernel, inner,
                              {"/tests/vmwp-hostile": hostile}, modules=("ext4",))


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
        run = Storage(machine, args.all, child_kernel)
        suite.run_checks(machine, f"storage/{child_kernel}", CHECKS, args.checks, run, said,
                         clean_up=run.kill_all)


if __name__ == "__main__":
    suite.main("storage", __doc__, CHECKS, run_parent)
