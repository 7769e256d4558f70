# SPDX-License-Identifier: MIT
"""The check of a worker that its guest has taken over; tests/vmwp/hostile.h has the attacks."""

import re

from machine import expect
from storage import CHILD_S, SCRATCH, control, section

# Of the machine that is attacked; no other one has it.
VICTIM_WEIGHT = 777


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
