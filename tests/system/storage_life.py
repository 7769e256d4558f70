# SPDX-License-Identifier: MIT
"""Checks of what happens to a child and its disks: they come and go, it starts anew, it stands still."""

import time

from bh.child import HOME
from machine import expect
from storage import SCRATCH, section


def check_hot(run):
    """A disk comes and goes, another one grows, while the machine runs."""
    first, second = run.image("hot", "vhdx", "64M"), run.image("added", "vhd", "64M")
    path = run.child("hot", [section(first)], processors=2)
    run.wait(path, r"@hot ready \.")
    run.ctl(path, f"add 0:5 {second}")
    run.ctl(path, f"add 0:5 {second}", wanted=1)
    run.wait(path, r"@hot same \.")
    run.ctl(path, "remove 0:5")
    run.ctl(path, "remove 0:5", wanted=1)
    run.wait(path, r"@hot gone \.")
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
    expect(run.wait(path, r"@dvd first (\w+) \.").group(1) == sums[0], "another disc")
    run.ctl(path, "eject 0:1 --force")
    run.wait(path, r"@dvd empty \.")
    run.ctl(path, f"insert 0:1 {SCRATCH}/two.iso")
    expect(run.wait(path, r"@dvd second (\w+) \.").group(1) == sums[1], "another disc")
    run.ended(path)


def check_hot_many(run):
    """Fifty disks come and go under load."""
    count = 50 if run.full else 10
    images = [run.image(f"many{n}", "raw", "1M") for n in range(count)]
    path = run.child("watch", [section(run.image("many", "vhdx", "64M"))], processors=2)
    run.wait(path, r"@watch 1 \.")
    for n, image in enumerate(images):
        run.ctl(path, f"add 0:{n + 1} {image}")
    run.wait(path, rf"@watch {count + 1} \.")
    for n in range(count):
        run.ctl(path, f"remove 0:{n + 1}")
    found = run.wait(path, r"@watch end (.*) \.").group(1)
    run.ended(path)
    expect(found == "status=0 trouble=", found)
    run.machine.run(f"rm {' '.join(images)}")
    return f"{count} disks"


def check_rebind(run):
    """The driver is taken off its controller under load, and unloaded, and comes back."""
    path = run.child("rebind", [section(run.image("rebind", "vhdx", "64M"))], processors=2)
    run.wait(path, r"@rebind 3 \.")
    run.ended(path)


def check_versions(run):
    """Every older version of VMBus, by an option of the guest's driver."""
    image = run.image("versions", "raw", "64M")
    # Newer kernels do without the old ones.
    oldest = 0 if run.kernel.startswith("6.1") else 3
    versions = ("3.0", "4.0", "4.1", "5.0", "5.1", "5.2", "5.3")[oldest:]
    if not run.full:
        versions = versions[:3:2]
    for wanted in versions:
        major, minor = map(int, wanted.split("."))
        path = run.child(f"facts hv_vmbus.max_version={major << 16 | minor}", [section(image)],
                         processors=2)
        line = run.wait(path, r"^@facts (.*) \.").group(1)
        run.ended(path)
        expect(f"vmbus={wanted} disks=1" in line and line.endswith("trouble="), line)
    return " ".join(versions)


def boot_files(run):
    """The kernel and the initrd of children as disks, and the words that tell a child of them."""
    sections, words = [], []
    for name, word in (("vmlinuz", "kernel"), ("initrd.img", "initrd")):
        path = f"{SCRATCH}/{name}.raw"
        size = run.machine.run(f"dd if={HOME}/{name} of={path} bs=512 conv=sync 2>/dev/null && "
                               f"wc -c < {HOME}/{name}")
        sections.append(section(path, controller=1, read_only="yes"))
        words.append(f"bh.{word}={size.strip()}")
    return sections, " ".join(words)


def check_kexec(run):
    """A child starts another kernel under load; and one after a crash."""
    files, words = boot_files(run)
    for how in ("kexec", "crash"):
        disk = section(run.image(how, "vhdx", "64M"))
        path = run.child(f"{how} {words} crashkernel=320M", [disk, *files], memory="1G",
                         processors=2)
        line = run.wait(path, r"^@facts (.*) \.").group(1)
        run.ended(path)
        expect("@failed" not in run.console(path), run.console(path)[-300:])
        expect("trouble= " in f"{line} " and "disks=3" in line, f"{how}: {line}")


def check_pause(run):
    """A machine stands still under load, for as long as it is told to."""
    seconds = 60 if run.full else 10
    path = run.child(f"load bh.seconds={seconds // 2}",
                     [section(run.image("pause", "vhdx", "64M"))], processors=2)
    run.wait(path, r"@load begins \.")
    run.ctl(path, "pause")
    before = run.console(path)
    # Not for a condition: standing still is what is looked at.
    time.sleep(seconds)
    expect(run.console(path) == before, "it ran on")
    run.ctl(path, "resume")
    line = run.wait(path, r"@load end (.*) \.").group(1)
    run.ended(path)
    expect(line == "status=0 trouble=", line)
    return f"{seconds} s"


def check_eight(run):
    """Eight disks on four controllers under load together."""
    images = [run.image(f"eight{n}", ("vhdx", "vhd")[n % 2], "64M") for n in range(8)]
    path = run.child("eight", [section(i, controller=n % 4) for n, i in enumerate(images)],
                     memory="512M", processors=2)
    found = run.wait(path, r"@eight (.*) \.").group(1)
    run.ended(path)
    expect(found == "0 0 0 0 0 0 0 0 trouble=", found)
    for image in images:
        run.check_image(image)
