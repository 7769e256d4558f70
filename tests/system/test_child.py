#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
Children of a stock parent: the kernel module and the worker in one boot of the virtual host.

  tests/system/test_child.py                      the short form, which guards a commit
  tests/system/test_child.py --all                long forms, on all kernels
  tests/system/test_child.py --kernel 7.3-cloud   with this parent
  tests/system/test_child.py shares kill          only checks whose names begin so

Logs are kept in build/child/KERNEL/.
"""

import pathlib
import re
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
TREE = HERE.parents[1]
sys.path[:0] = [str(TREE / "tools"), str(HERE)]
from bh import debian, initramfs, paths, vhost  # noqa: E402
from machine import Machine, Trouble, expect  # noqa: E402 (paths come first)
import scheduling  # noqa: E402
import suite  # noqa: E402
from workers import APPEND, Workers  # noqa: E402

OURS = paths.BUILD / "child"
BOOT_S, CHILD_S = 120, 120
FLAT_S = 240
MEMORY_MIB, FULL_MEMORY_MIB = 2048, 6144
# Cases of the flat kernel that a child may skip, or that are not its affair.
FLAT_GROUPS = "smoke,hypercall,synic,smp,apic,hostile"
# Cases that measure one clock against another want a processor of their own for a moment: their
# group runs in the long form, and there not the one against a PIT that answers from user space.
FLAT_LONG_GROUPS = ",stimer"
FLAT_IGNORED = ("stimer.tsc_frequency",)
LOAD_S, SHORT_LOAD_S = 60, 10
KILLS, SHORT_KILLS = 500, 8
DEBUG_FOLDER = "/sys/kernel/debug/bulkhead-vid"
FAIL_DEPOSIT = f"{DEBUG_FOLDER}/fail_deposit"
DEPOSITS_MAX = 400
# What is left when all is well, and how long that may take.
NOTHING, LEFT_S = "0 partitions, 0 pages", 30


def facts_of(line):
    return dict(re.findall(r"(\w+)=(\S*)", line))


def check_facts(facts, processors):
    wanted = {"seen": "Microsoft-Hyper-V", "cpus": str(processors), "source": "tsc", "page": "1",
              "timers": str(processors), "trouble": ""}
    wrong = {k: facts.get(k) for k, v in wanted.items() if facts.get(k) != v}
    expect(not wrong, f"{wrong} instead of {wanted}")


def one_child(run, processors, memory):
    path = run.start(f"{APPEND} bh.test=facts", processors=processors, memory=memory)
    line = run.wait_console(path, r"^@child (.*) \.$", CHILD_S).group(1)
    status = run.wait_end(path)
    check_facts(facts_of(line), processors)
    expect(status == 0, f"the worker ended with {status}")
    return f"{memory}: {facts_of(line)['memory']} MiB"


def check_children(run):
    """Each number of processors boots, sees what it should, and powers off."""
    rows = [(1, "128M"), (4, "256M")]
    if run.full:
        rows += [(2, "1G"), (1, "4G"), (4, "4G")]
    return ", ".join(one_child(run, *row) for row in rows)


def check_reboot(run):
    """A child's reset builds its machine anew; the worker goes on."""
    path = run.start(f"{APPEND} bh.test=facts bh.end=reboot")
    run.wait_console(path, r"@child [^@]*@child ", 2 * CHILD_S)
    run.kill(path)
    status = run.wait_end(path)
    expect(status == 3, f"the worker ended with {status}")


def stressed_child(run, processors, seconds):
    path = run.start(f"{APPEND} bh.test=stress bh.seconds={seconds}", processors=processors,
                     memory="512M")
    line = run.wait_console(path, r"^@stress (.*)$", CHILD_S + 6 * seconds).group(1)
    facts = run.wait_console(path, r"^@child (.*) \.$", CHILD_S).group(1)
    expect(run.wait_end(path) == 0, "the worker did not end well")
    expect("status=0" in line, line)
    check_facts(facts_of(facts), processors)
    return f"{processors} VPs: {line}"


def check_stress(run):
    """stress-ng on all processors of a child."""
    seconds = LOAD_S if run.full else SHORT_LOAD_S
    return "; ".join(stressed_child(run, n, seconds) for n in ((1, 2, 4) if run.full else (2,)))


def check_flat(run):
    """The flat test kernel as a child: calls without privilege, MSRs, APIC, SynIC, random ones."""
    n = 100000 if run.full else 2000
    groups = FLAT_GROUPS + (FLAT_LONG_GROUPS if run.full else "")
    path = run.start(f"test={groups} cpus=4 n={n}", kernel="/tests/guest-tests.bin",
                     initrd=None, processors=4)
    run.wait_console(path, r"^END pass=(\d+) fail=(\d+) skip=(\d+)$",
                     FLAT_S * (10 if run.full else 1))
    text = run.console(path)
    failed = [line for line in re.findall(r"^FAIL (.*)$", text, re.M)
              if not line.startswith(FLAT_IGNORED)]
    passed = len(re.findall(r"^PASS ", text, re.M))
    run.wait_end(path)
    expect(not failed, "; ".join(failed[:5]))
    expect(passed > 60, f"only {passed} cases passed")
    return f"{passed} cases"


def check_four(run):
    """Four children at once, beside a parent that answers."""
    vms = [run.start(f"{APPEND} bh.test=facts bh.end=halt", processors=n, memory="128M")
           for n in (1, 2, 1, 2)]
    for path, processors in zip(vms, (1, 2, 1, 2)):
        line = run.wait_console(path, r"^@child (.*) \.$", 3 * CHILD_S).group(1)
        check_facts(facts_of(line), processors)
    partitions = re.findall(r"^partition \d+: child", run.machine.dump("p"), re.M)
    expect(len(partitions) == 4, f"{len(partitions)} partitions")
    expect(run.machine.run("nproc") != "", "the parent does not answer")
    for path in vms:
        run.kill(path)
        run.wait_end(path)


def left_overs(run):
    """What is still there of children: partitions and pages."""
    partitions = re.findall(r"^partition \d+: child", run.machine.dump("p"), re.M)
    counters = dict(re.findall(r"^(\w+) (\d+)$",
                               run.machine.run(f"cat {DEBUG_FOLDER}/memory"), re.M))
    kept = int(counters["deposited"]) - int(counters["withdrawn"])
    return f"{len(partitions)} partitions, {kept} pages"


def expect_nothing_left(run, after):
    """Ends take a moment: waits, with a bound, until nothing is left of children."""
    end = time.monotonic() + LEFT_S
    while left_overs(run) != NOTHING:
        expect(time.monotonic() < end, f"{after}: {left_overs(run)}")


def check_kill(run):
    """kill -9 of the worker at many moments leaves nothing."""
    count = KILLS if run.full else SHORT_KILLS
    for n in range(count):
        path = run.start(f"{APPEND} bh.test=facts", processors=1 + n % 3, memory="128M")
        run.machine.run(f"usleep {n * 7919 % 60 * 20000 + 1000}")
        # The keeper's child is the one with the partition.
        run.machine.run(f"pkill -KILL -P $(cat {path}.pid) || kill -KILL $(cat {path}.pid); true")
        run.wait_end(path)
        run.machine.run(f"rm -f {path}.*")
    expect_nothing_left(run, f"{count} workers were killed")
    return f"{count} workers"


def check_deposits(run):
    """A machine whose nth deposit of memory fails ends with one line and leaves nothing, for all n."""
    for n in range(1, DEPOSITS_MAX):
        run.machine.run(f"echo {n} > {FAIL_DEPOSIT}")
        path = run.start("test=smoke cpus=2", kernel="/tests/guest-tests.bin", initrd=None,
                         processors=2, memory="32M")
        status = run.wait_end(path)
        said = run.machine.run(f"cat {path}.err")
        if run.machine.run(f"cat {FAIL_DEPOSIT}") != "0":
            run.machine.run(f"echo 0 > {FAIL_DEPOSIT}")
            expect(status == 0, f"with all deposits: status {status}, {said}")
            expect(n > 1, "a machine needs no deposit")
            return f"{n - 1} deposits"
        expect(status == 1 and len(said.splitlines()) == 1,
               f"deposit {n} failed: status {status}, {said}")
        expect_nothing_left(run, f"deposit {n} failed")
    raise Trouble(f"after {DEPOSITS_MAX} failed deposits there are still more")


def check_bad_input(run):
    """One clear line and a status for what cannot run; nothing is left."""
    cases = [("memory", {"memory": "13M"}, "memory"),
             ("kernel", {"kernel": "/nowhere"}, "/nowhere"),
             ("much", {"memory": "64G"}, "memory"),
             ("image", {"kernel": "/init", "initrd": None}, "kernel")]
    for name, options, word in cases:
        path = run.configure(**options)
        status, out = run.machine.status_of(f"vmwp {path}.conf")
        lines = out.splitlines()
        expect(status == 1 and len(lines) == 1 and word in lines[0],
               f"{name}: status {status}, {out}")
    expect(run.machine.status_of("vmwp /nowhere.conf")[0] == 1, "a missing file is taken")


def check_unload(run):
    """The module goes when nobody uses it, and the worker says what is missing without it."""
    run.machine.run("rmmod bulkhead_vid")
    path = run.configure()
    status, out = run.machine.status_of(f"vmwp {path}.conf")
    expect(status == 1 and "/dev/mshv" in out, f"status {status}: {out}")
    run.machine.run("insmod /usr/lib/bulkhead/bulkhead-vid.ko")
    expect(left_overs(run) == NOTHING, left_overs(run))


def check_logs(run):
    """Neither kernel nor hypervisor complains."""
    trouble = run.machine.run("dmesg | grep -E 'BUG:|WARNING|Oops|Call Trace|unchecked' | head -5; "
                              "true")
    expect(not trouble, trouble)
    found = re.findall(r"^bulkhead: (?:error|PANIC).*$", run.machine.debug.text, re.M)
    expect(not found, "; ".join(found[:5]))


# In the short form, which guards a commit; the others take minutes.
SHORT = ("children", "flat", "kill", "bad-input", "unload", "logs")
CHECKS = {"children": check_children, "reboot": check_reboot, "stress": check_stress,
          "flat": check_flat, "four": check_four, **scheduling.CHECKS, "kill": check_kill,
          "deposits": check_deposits, "bad-input": check_bad_input, "unload": check_unload,
          "logs": check_logs}


def build_image(kernel):
    """The parent's image, with a child's that holds the tests."""
    stress = debian.Cache().root("stress", ["stress-ng"])
    guest = initramfs.build(kernel, wished=(), files=[("/tests/run.sh", HERE / "guest/child.sh")],
                            programs=("stress-ng",), root=stress)
    clocks = debian.Cache().root("cyclictest", ["rt-tests", "libnuma1", "libc6"], closure=False)
    flat = paths.BUILD / "tests/guest/guest-tests.bin"
    return suite.parent_image(OURS, kernel, kernel, guest, {"/tests/guest-tests.bin": flat},
                              programs=("cyclictest",), root=clocks)


def run_parent(kernel, args, said):
    config = vhost.Config(kernel=kernel, initrd=build_image(kernel), append="bh.mode=test",
                          memory_mib=FULL_MEMORY_MIB if args.all else MEMORY_MIB, smp=args.smp,
                          hv_options=args.hv_options)
    with Machine(config, OURS / kernel) as machine:
        machine.start(BOOT_S)
        machine.run("insmod /usr/lib/bulkhead/bulkhead-vid.ko")
        run = Workers(machine, args.all)
        wanted = args.checks or (() if args.all else SHORT)
        suite.run_checks(machine, f"child/{kernel}", CHECKS, wanted, run, said,
                         clean_up=run.kill_all)


if __name__ == "__main__":
    suite.main("child", __doc__, CHECKS, run_parent, kernel_option="--kernel",
               more=lambda parser: parser.add_argument("--hv-options", default="", metavar="TEXT"))
