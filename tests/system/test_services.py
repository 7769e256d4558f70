#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
Integration services: a child with Debian's kernel and daemons, asked by vmwpctl.

  tests/system/test_services.py                   the short form
  tests/system/test_services.py --all             long forms, children with both kernels
  tests/system/test_services.py freeze copy       only checks whose names begin so

Logs are kept in build/services/.
"""

import json
import pathlib
import re
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
TREE = HERE.parents[1]
sys.path[:0] = [str(TREE / "tools"), str(HERE)]
from bh import child, debian, disk, initramfs, paths, vhost  # noqa: E402
from machine import Machine, expect, wait_until  # noqa: E402 (paths come first)
from storage import control, section  # noqa: E402
import suite  # noqa: E402
from workers import APPEND, Workers  # noqa: E402

OURS = paths.BUILD / "services"
BOOT_S, CHILD_S, ASK_S = 120, 120, 30
MEMORY_MIB = 2048
CLOCK_MS = 50
MODULES = ("hv_utils", "uio_hv_generic", "hv_storvsc", "sd_mod", "ext4")
# The daemons of a kernel's own release. Newer ones have another for files.
DAEMONS = {"6.1-cloud": ("hv_kvp_daemon", "hv_vss_daemon", "hv_fcopy_daemon"),
           "7.3-cloud": ("hv_kvp_daemon", "hv_vss_daemon", "hv_fcopy_uio_daemon")}


class Services(Workers):
    """The parent and one child, which runs for all checks."""

    def __init__(self, machine, full, kernel):
        super().__init__(machine, full)
        self.kernel = kernel
        self.path = None
        self.words = 0
        self.seen = {}

    def ctl(self, words, wanted=0, timeout_s=ASK_S):
        status, out = self.machine.status_of(f"vmwpctl {self.path}.ctl {words}", timeout_s + 30)
        expect(status == wanted, f"vmwpctl {words}: {status}: {out[-300:]}")
        return out

    def begin(self):
        """The child is up, and its daemons answer."""
        services = "\n[services]\ncopy = yes\n"
        self.path = self.start(f"{APPEND}", memory="512M", processors=2,
                               more=section("/tmp/disk.img") + services +
                               control(f"vm{self.number + 1}"))
        self.up()

    def up(self):
        self.wait_more(r"@up \.")
        end = time.monotonic() + ASK_S * 2
        while self.machine.status_of(f"vmwpctl {self.path}.ctl kvp list auto")[0] != 0:
            expect(time.monotonic() < end, "no daemon for keys and values")

    def wait_more(self, expression, timeout_s=CHILD_S):
        """Waits for one more of these lines than were seen."""
        count = self.seen.get(expression, 0) + 1
        found = self.wait_console(self.path, f"(?s:.*?{expression}){{{count}}}", timeout_s)
        self.seen[expression] = count
        return re.findall(expression, found.group(0))[-1]

    def do(self, word, expression=r"\."):
        """Tells the child to do something, and waits for its line."""
        self.tell(word)
        return self.wait_more(f"@{word} {expression}")

    def tell(self, word):
        self.words += 1
        self.ctl(f"kvp set external do {word}-{self.words}")


def check_facts(run):
    """What is bound, and that nobody complains."""
    bound, trouble = run.do("facts", r"bound=(\d+) trouble=(\S*) \.")
    expect(bound == "6" and not trouble, f"bound={bound} trouble={trouble}")
    counters = json.loads(run.ctl("counters"))["services"]
    ready = {name: c["version"] for name, c in counters.items() if c["state"] == "ready"}
    expect(len(ready) == 6, json.dumps(counters))
    return ", ".join(f"{name} {version}" for name, version in ready.items())


def check_heartbeat(run):
    """It lives, and stands still while paused."""
    expect(run.ctl("heartbeat").strip() == "ok", "not ok")
    run.ctl("pause")
    expect(run.ctl("heartbeat").strip() == "paused", "not paused")
    run.ctl("kvp list auto", wanted=1)
    run.ctl("resume")
    expect(run.ctl("heartbeat").strip() == "ok", "not ok after a pause")
    run.do("leave")
    expect(run.ctl("heartbeat").strip() == "none", "nobody noticed that the driver has gone")
    run.do("back")
    wait_until(lambda: run.ctl("heartbeat").strip() == "ok", "not ok with a driver again")


def check_kvp(run):
    """Both ways in all pools."""
    auto = run.ctl("kvp list auto")
    expect("OSName=" in auto and "ProcessorArchitecture=x86_64" in auto, auto)
    run.do("tell")
    expect(run.ctl("kvp get guest told").strip() == "by-guest", "another value")
    for pool in ("external", "guest", "auto-external", "auto-internal"):
        run.ctl(f"kvp set {pool} key 'a long value, with \u00e4 and =;'")
        expect(run.ctl(f"kvp get {pool} key").strip().startswith("a long value"), pool)
        expect("key=a long" in run.ctl(f"kvp list {pool}"), pool)
        run.ctl(f"kvp delete {pool} key")
        run.ctl(f"kvp get {pool} key", wanted=1)
    run.ctl("ip")
    run.ctl("ip get 00:00:00:00:00:99", wanted=1)
    run.ctl("ip dhcp '{00000000-0000-0000-0000-000000000000}'", wanted=1)


def check_copy(run):
    """A file comes with the right sum; it is not replaced unasked, and a full disk is told."""
    size = 20 << 20 if run.full else 1 << 20
    run.machine.run(f"dd if=/dev/urandom of=/tmp/file bs={size + 5} count=1 2>/dev/null")
    wanted = run.machine.run("md5sum < /tmp/file").split()[0]
    begun = time.monotonic()
    run.ctl("copy /tmp/file /in/", timeout_s=240)
    took = time.monotonic() - begun
    expect(run.do("sum", r"(\w+) \.") == wanted, "another sum")
    run.ctl("copy /tmp/file /in/", wanted=1)
    run.ctl("copy /tmp/file /in/ --force", timeout_s=240)
    run.ctl("copy /tmp/file /none/there", wanted=1)
    run.ctl("copy /tmp/file /made/there/ --create", timeout_s=240)
    run.ctl("copy /tmp /in/", wanted=1)
    return f"{size / took / 1024:.0f} KiB/s"


def clock_of(run):
    """How far the parent's clock is ahead of the child's, in ms."""
    run.tell("clock")
    out = run.machine.run(f"/tests/clock hear {run.path}.log 30", 60)
    run.wait_more(r"@clock \.")
    return float(re.search(r"least=(-?[\d.]+)", out).group(1))


def check_time(run):
    """The child's clock is right, also after a pause."""
    before = clock_of(run)
    seconds = 300 if run.full else 5
    run.ctl("pause")
    time.sleep(seconds)
    run.ctl("resume")
    after = clock_of(run)
    expect(abs(before) < CLOCK_MS and abs(after) < CLOCK_MS, f"{before} ms, {after} ms")
    return f"{before} ms, after {seconds} s of pause {after} ms"


def writes(run):
    return json.loads(run.ctl("counters"))["disks"][0]["writes"]


def check_freeze(run):
    """Nothing is written while it is frozen, and what is on the disk then is whole."""
    run.do("load")
    first = writes(run)
    wait_until(lambda: writes(run) > first, "no load")
    run.ctl("thaw", wanted=1)
    run.ctl("freeze --hold 30")
    run.ctl("freeze", wanted=1)
    first = writes(run)
    run.machine.run("cp /tmp/disk.img /tmp/copy.img", 60)
    expect(writes(run) == first, "it was written to")
    run.ctl("thaw")
    wait_until(lambda: writes(run) > first, "no load after it")
    run.machine.run("e2fsck -fn /tmp/copy.img", 60)
    run.ctl("freeze --hold 1")
    first = writes(run)
    wait_until(lambda: writes(run) > first, "it stands still for ever")
    expect("by itself" in run.ctl("thaw", wanted=1), "nobody was told")


def check_reboot(run):
    """It starts anew when asked to."""
    run.ctl("reboot")
    run.up()
    expect(run.ctl("heartbeat").strip() == "ok", "not ok")


def check_off(run):
    """It switches itself off when asked to, and the parent has nothing to complain of."""
    run.ctl("shutdown")
    status = run.wait_end(run.path)
    errors = run.machine.run(f"cat {run.path}.err")
    expect(status == 0 and not errors.strip(), f"{status}: {errors[-300:]}")
    trouble = run.machine.run("dmesg | grep -E 'BUG:|WARNING|Oops|stall' | head -n 3; true")
    expect(not trouble, trouble)


CHECKS = {name.removeprefix("check_"): function for name, function in list(globals().items())
          if name.startswith("check_")}


def build_clock():
    """The program that compares clocks, for both sides."""
    program, source = OURS / "clock", HERE / "guest" / "clock.c"
    subprocess.run(["cc", "-O1", "-Wall", "-Wextra", "-Werror", "-static", "-o", program, source],
                   check=True)
    return program


def build_image(child_kernel):
    """The parent's image, with a child's that holds the daemons."""
    release, _, backports = debian.KERNELS[child_kernel]
    clock = build_clock()
    cache = debian.Cache()
    tools = cache.chosen("services-daemons", ["hyperv-daemons", backports or release],
                         lambda apt: apt.closure(["hyperv-daemons"], backports), release)
    inner = initramfs.build(child_kernel, modules=MODULES, wished=(),
                            programs=DAEMONS[child_kernel], root=tools,
                            files=[("/tests/run.sh", HERE / "guest/services.sh"),
                                   ("/tests/clock", clock)])
    return suite.parent_image(OURS, "6.1-cloud", child_kernel, inner,
                              {"/tests/clock": clock, "/tests/disk.img": empty_disk()},
                              programs=("e2fsck",),
                              root=cache.root("services-tools", ["e2fsprogs"]))


def empty_disk():
    """A small file system for the child."""
    path = OURS / "disk.img"
    path.unlink(missing_ok=True)
    disk.run("mke2fs", "-q", "-F", "-t", "ext4", path, "32M")
    return path


def run_parent(child_kernel, args, said):
    OURS.mkdir(parents=True, exist_ok=True)
    config = vhost.Config(initrd=build_image(child_kernel), smp=args.smp, memory_mib=MEMORY_MIB,
                          append="bh.mode=test")
    with Machine(config, OURS / child_kernel) as machine:
        machine.start(BOOT_S)
        machine.run(f"insmod {child.HOME}/bulkhead-vid.ko; cp /tests/disk.img /tmp/")
        run = Services(machine, args.all, child_kernel)
        run.begin()
        suite.run_checks(machine, f"services/{child_kernel}", CHECKS, args.checks, run, said)


if __name__ == "__main__":
    suite.main("services", __doc__, CHECKS, run_parent, choices=DAEMONS)
