# SPDX-License-Identifier: MIT
"""
Suites of checks that share a parent: their arguments, the round over kernels, a line for each check.

    def run_parent(kernel, args, said):
        with Machine(config, logs) as machine:
            ...
            suite.run_checks(machine, f"disks/{kernel}", CHECKS, args.checks, run, said)

    if __name__ == "__main__":
        suite.main("disks", __doc__, CHECKS, run_parent)
"""

import argparse
import os
import pathlib
import signal
import sys
import time

from bh import child, debian, disk, initramfs, paths, report, vhost
from machine import FAILURES, expect_known

KERNELS = ("6.1-cloud", "7.3-cloud")
GUEST = pathlib.Path(__file__).resolve().parent / "guest"


def parent_image(folder, kernel, child_kernel, inner, files=None, **options):
    """
    Builds the image of a parent that takes commands and has a child's initial RAM disk, INNER, with
    its kernel; its path. FILES: {path in the image: source}; OPTIONS are those of initramfs.build().
    """
    initrd = folder / f"child-{child_kernel}.img"
    paths.write_whole(initrd, inner)
    pairs = dict(child.files(kernel, child_kernel))
    pairs[f"{child.HOME}/initrd.img"] = initrd
    for name in ("run.sh", "checks.sh"):
        pairs[f"/tests/{name}"] = GUEST / name
    pairs.update(files or {})
    image = folder / f"parent-{child_kernel}.img"
    paths.write_whole(image, initramfs.build(kernel, compress=False, files=list(pairs.items()),
                                             **options))
    return image


def run_checks(machine, prefix, checks, wanted, run, said, clean_up=lambda: None):
    """
    Those of {name: function} whose names begin like one that is wanted (none: all), on RUN. What
    does not hold is said with where the processors are, and CLEAN_UP follows.
    """
    for name, check in checks.items():
        if wanted and not any(name.startswith(w) for w in wanted):
            continue
        begun = time.monotonic()
        try:
            remark = check(run)
        except FAILURES as problem:
            said.say("FAIL", f"{prefix}/{name}", machine.told(problem))
            clean_up()
            continue
        said.passed(f"{prefix}/{name}", time.monotonic() - begun, remark)


def _rounds(name, args, run_parent):
    said = report.Report()
    for kernel in args.kernels or (KERNELS if args.all else KERNELS[:1]):
        try:
            run_parent(kernel, args, said)
        except FAILURES as problem:
            said.say("FAIL", f"{name}/{kernel}", str(problem).splitlines()[0])
    print(said.closing())
    return 1 if said.failed else 0


def main(name, doc, checks, run_parent, kernel_option="--child", choices=None, more=None):
    """
    Runs a suite as a program and does not return. RUN_PARENT is called with each kernel, the
    arguments and the report; KERNEL_OPTION names whose kernel it is, MORE adds arguments.
    """
    parser = argparse.ArgumentParser(description=doc,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checks", nargs="*", metavar="CHECK", help=", ".join(checks))
    parser.add_argument("--all", action="store_true", help="the long form, on all kernels")
    parser.add_argument(kernel_option, action="append", dest="kernels",
                        choices=sorted(choices or debian.KERNELS))
    parser.add_argument("--smp", type=int, default=vhost.Config.smp, metavar="N")
    if more:
        more(parser)
    args = parser.parse_args()
    expect_known(parser, args.checks, checks)
    os.chdir(paths.TREE)
    # Ends like by Ctrl-C, so that no machine is left behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(_rounds(name, args, run_parent))
    except (debian.FetchError, initramfs.ImageError, disk.DiskError) as problem:
        sys.exit(f"{name}: {problem}")
    except KeyboardInterrupt:
        sys.exit(130)
