# SPDX-License-Identifier: MIT
"""Checks that nothing is lost: what a child writes is there, in every format, whatever happens."""

import re

from machine import expect
from storage import FORMATS, SCRATCH, section


def check_verify(run):
    """Checksums of random writes, on each format, and three deep in a chain."""
    images = [run.image("verify", kind, "256M") for kind in FORMATS]
    images.append(run.image("fixed", "vhdx", "128M", "--fixed"))
    images += [run.chain("verify-chain", kind, "128M") for kind in ("vhd", "vhdx")]
    seconds = 60 if run.full else 5
    path = run.child(f"verify bh.seconds={seconds}",
                     [section(i, controller=n % 2) for n, i in enumerate(images)], processors=2)
    found = run.wait(path, rf"(@verify sd\w+ status=\d+ \d+ \.[^@]*){{{len(images)}}}",
                     (60 + seconds) * len(images)).group(0)
    run.ended(path)
    expect(len(re.findall(r"status=0 0 \.", found)) == len(images), found)
    for image in images:
        if not image.endswith(".raw"):
            run.check_image(image)
    return f"{len(images)} images"


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


def check_soak(run):
    """Every format under load at once: small, large, deep, flushed and discarded, while disks grow."""
    seconds = 1800 if run.full else 10
    images = [(name, run.image(f"soak-{name}", kind, "160M", more))
              for name, kind, more in (("raw", "raw", ""), ("vhd", "vhd", ""), ("vhdx", "vhdx", ""),
                                       ("vhd-fixed", "vhd", "--fixed"),
                                       ("vhdx-fixed", "vhdx", "--fixed"),
                                       ("vhdx-4k", "vhdx", "--sector-size 4096"))]
    images += [(f"{kind}-chain", run.chain("soak", kind, "160M")) for kind in ("vhd", "vhdx")]
    path = run.child(f"soak bh.seconds={seconds}",
                     [section(i, controller=n % 4) for n, (_, i) in enumerate(images)],
                     memory="768M", processors=4 if run.full else 2)
    run.wait(path, r"@soak begins \.")
    for n, (name, _) in enumerate(images):
        if "chain" not in name:
            run.ctl(path, f"resize {n % 4}:{n // 4} {192 << 20}")
    found = run.wait(path, rf"(@soak sd\w+ status=\d+ size=\d+ \.[^@]*){{{len(images)}}}",
                     seconds + 600).group(0)
    run.ended(path)
    good = re.findall(r"status=0 size=(\d+) \.", found)
    expect(len(good) == len(images) and good.count(str(192 << 11)) == len(images) - 2, found)
    for _, image in images:
        if not image.endswith(".raw"):
            run.check_image(image)
        run.machine.run(f"rm {image}")
    return f"{len(images)} images, {seconds} s"


def check_discard(run):
    """What the guest discards is given back to the parent's file system."""
    images = [run.image("discard", kind, "64M") for kind in FORMATS]
    path = run.child("discard", [section(i) for i in images], processors=1)
    run.wait(path, r"@discard full \.")
    full = [run.used_kib(i) for i in images]
    run.go(path)
    run.wait(path, r"@discard done \.")
    run.ended(path)
    left = [run.used_kib(i) for i in images]
    expect(min(full) >= 64 << 10 and max(left) < 8 << 10, f"KiB used: {full}, then {left}")
    for image in images[1:]:
        run.check_image(image)
    return f"KiB used: {full}, then {left}"
