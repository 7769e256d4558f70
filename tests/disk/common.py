# SPDX-License-Identifier: MIT
"""What the tests of disk images share: bhdisk, diskio, and files to compare."""

import json
import os
import pathlib
import random
import shutil
import subprocess
import sys

TREE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE / "tools"))
from bh import paths  # noqa: E402 (the path comes first)

BHDISK = paths.BUILD / "disk" / "bhdisk"
DISKIO = paths.BUILD / "tests" / "disk" / "diskio"
KEPT = paths.BUILD / "disk-test"
BOUND_S = 120
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
SECTOR = 512


class Failed(Exception):
    """A check did not hold; the text says which."""


class Skipped(Exception):
    """Something that the test needs is not on this machine."""


def need(condition, text):
    if not condition:
        raise Failed(text)


def run(*argv, status=0, **more):
    """Runs a command and wants its exit status; what it printed, both streams."""
    done = subprocess.run([*map(str, argv)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", timeout=BOUND_S,
                          check=False, **more)
    wanted = (status,) if isinstance(status, int) else status
    need(done.returncode in wanted,
         f"{' '.join(map(str, argv))}: status {done.returncode}: {done.stdout.strip()[-400:]}")
    return done.stdout


def bhdisk(*argv, **more):
    return run(BHDISK, *argv, **more)


def refused(part, *argv, status=1):
    out = bhdisk(*argv, status=status)
    need(part in out, f"bhdisk {' '.join(map(str, argv))} does not say '{part}': {out.strip()}")


def info(path, *more):
    return json.loads(bhdisk("info", "--json", *more, path))


def diskio(*argv, **more):
    return run(DISKIO, *argv, **more)


def other(name):
    """The path of somebody else's tool."""
    found = shutil.which(name)
    if not found:
        raise Skipped(f"{name} is not installed")
    return found


def fill(path, size, seed, pieces=24):
    """A raw file of so many bytes with random pieces in it, and zeros and holes between."""
    rng = random.Random(seed)
    with open(path, "wb") as handle:
        handle.truncate(size)
        for _ in range(pieces):
            at = rng.randrange(size // SECTOR) * SECTOR
            length = min(rng.choice((SECTOR, 4 * KIB, 100 * KIB, MIB)), size - at)
            handle.seek(at)
            handle.write(rng.randbytes(length) if rng.random() < .8 else bytes(length))
    return path


def same(a, b):
    with open(a, "rb") as one, open(b, "rb") as two:
        at = 0
        while True:
            x, y = one.read(MIB), two.read(MIB)
            need(x == y, f"{a} and {b} differ in the MiB at {at}")
            if not x:
                return
            at += len(x)


def host_bytes(path):
    return os.stat(path).st_blocks * 512


def sound(path):
    bhdisk("check", path)
