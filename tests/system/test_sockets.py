#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
Sockets between a child and its parent: echoes both ways, what is not allowed, and resets.

  tests/system/test_sockets.py                   the short form
  tests/system/test_sockets.py --all             children with both kernels
  tests/system/test_sockets.py host              only checks whose names begin so

Logs are kept in build/sockets/.
"""

import json
import pathlib
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
TREE = HERE.parents[1]
sys.path[:0] = [str(TREE / "tools"), str(HERE)]
from bh import child, initramfs, paths, vhost  # noqa: E402 (the path comes first)
from machine import Machine, expect, wait_until  # noqa: E402
from storage import control  # noqa: E402
import suite  # noqa: E402
from workers import APPEND, Workers  # noqa: E402

OURS = paths.BUILD / "sockets"
BOOT_S, CHILD_S = 120, 120
MEMORY_MIB = 2048
KERNELS = ("6.1-cloud", "7.3-cloud")
SOCKET, SERVICE = "/tmp/guest.sock", "/tmp/service.sock"
SECTION = (f"\n[hvsocket]\npath = {SOCKET}\n"
           f"services = 6000:{SERVICE} 00001771-facb-11e6-bd58-64006a7986d3:/tmp/nobody.sock\n")


class Sockets(Workers):
    """The parent and one child, which runs for all checks."""

    def __init__(self, machine, full):
        super().__init__(machine, full)
        self.path = None

    def begin(self):
        # An owner who is not root: only the process beside the worker may reach the service.
        self.machine.run(f"/tests/talk echo unix {SERVICE} > /dev/null 2>&1 &")
        wait_until(lambda: self.machine.run(f"chmod 600 {SERVICE}") == "", "the service is not there")
        self.path = self.start(APPEND, memory="512M", processors=2,
                               more=SECTION + control(f"vm{self.number + 1}"))

    def line(self, word):
        return self.wait_console(self.path, rf"^@{word} (.*?) ?\.\r?$", CHILD_S).group(1)

    def counters(self):
        out = self.machine.run(f"vmwpctl {self.path}.ctl counters")
        return json.loads(out)["sockets"]

    def talk(self, port, size, wanted=0):
        status, out = self.machine.status_of(f"/tests/talk to unix {SOCKET} {port} {size}", 60)
        expect(status == wanted, f"talk to {port}: {status}: {out.strip()}")
        return out.strip()

    def idle(self):
        """All connections have ended."""
        wait_until(lambda: not self.counters()["connections"], "connections are left")


def check_guest(run):
    """The child reaches what is allowed, and nothing else."""
    expect(run.line("out") == "same 3000000", run.line("out"))
    for word in ("nobody", "refused"):
        expect(run.line(word).startswith("connect: "), run.line(word))
    expect(run.line("many") == "8", f"{run.line('many')} of 8 at once")
    expect(run.line("facts") == "", run.line("facts"))
    c = run.counters()
    expect(c["from_guest"] == 11 and c["refused"] == 2, json.dumps(c))


def check_host(run):
    """The host reaches the child; where nobody listens it is told."""
    run.line("up")
    begun = time.monotonic()
    expect(run.talk(5000, 8000000) == "same 8000000", "less")
    took = time.monotonic() - begun
    run.talk(5001, 10, wanted=1)
    out = run.machine.run(f"pids=; for i in 1 2 3 4 5 6 7 8; do /tests/talk to unix {SOCKET} 5000 "
                          f"500000 & pids=\"$pids $!\"; done; wait $pids", 120)
    expect(out.count("same 500000") == 8, out)
    run.idle()
    return f"{8 / took:.0f} MB/s there and back"


def check_pause(run):
    """A connection outlives a pause."""
    run.line("up")
    run.machine.run(f"/tests/talk to unix {SOCKET} 5000 30000000 > /tmp/long 2>&1 & "
                    f"echo $! > /tmp/long.pid; usleep 200000; vmwpctl {run.path}.ctl pause; "
                    f"sleep 6; vmwpctl {run.path}.ctl resume")
    out = run.machine.run("wait $(cat /tmp/long.pid); cat /tmp/long", 120)
    expect("same 30000000" in out, out)
    run.idle()


def check_end(run):
    """With the worker everything goes, also under load."""
    run.line("up")
    run.machine.run(f"/tests/talk to unix {SOCKET} 5000 900000000 > /tmp/cut 2>&1 & usleep 300000; "
                    f"vmwpctl {run.path}.ctl quit")
    run.wait_end(run.path)
    errors = run.machine.run(f"cat {run.path}.err")
    expect(not errors.strip(), errors[-300:])
    wait_until(lambda: not run.machine.run(f"ls {SOCKET} 2>/dev/null; pidof vmwp; true").strip(),
               "a process or its socket is left behind")
    trouble = run.machine.run("dmesg | grep -E 'BUG:|WARNING|Oops|stall' | head -n 3; true")
    expect(not trouble, trouble)


CHECKS = {name.removeprefix("check_"): function for name, function in list(globals().items())
          if name.startswith("check_")}


def build_image(child_kernel):
    """The parent's image, with a child's."""
    OURS.mkdir(parents=True, exist_ok=True)
    program = OURS / "talk"
    subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-o", program,
                    HERE / "guest/talk.c"], check=True)
    inner = initramfs.build(child_kernel, modules=("hv_sock",), wished=(),
                            files=[("/tests/run.sh", HERE / "guest/sockets.sh"),
                                   ("/tests/talk", program)])
    return suite.parent_image(OURS, "6.1-cloud", child_kernel, inner, {"/tests/talk": program})


def run_parent(child_kernel, args, said):
    config = vhost.Config(initrd=build_image(child_kernel), smp=args.smp, memory_mib=MEMORY_MIB,
                          append="bh.mode=test")
    with Machine(config, OURS / child_kernel) as machine:
        machine.start(BOOT_S)
        machine.run(f"insmod {child.HOME}/bulkhead-vid.ko")
        run = Sockets(machine, args.all)
        run.begin()
        suite.run_checks(machine, f"sockets/{child_kernel}", CHECKS, args.checks, run, said)


if __name__ == "__main__":
    suite.main("sockets", __doc__, CHECKS, run_parent, choices=suite.KERNELS)
