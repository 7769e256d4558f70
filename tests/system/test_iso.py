#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
The disc of image/iso under BIOS and UEFI: to the parent and through a clean end; and what it says
where it cannot start. Logs are kept in build/iso/.
"""

import argparse
import pathlib
import re
import subprocess
import sys

TREE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE / "tools"))
from bh import initramfs, paths, report, stream, vhost  # noqa: E402 (the path comes first)

LOGS = paths.BUILD / "iso"
DISC = LOGS / "test.iso"
CPUS = vhost.Config.smp
BOOT_S = 150
FATAL_S = 90
END_S = 30
TROUBLE = re.compile(r"WARNING|BUG:|Oops|stall|PANIC|cannot start")


def make_disc():
    initrd = LOGS / "test.img"
    script = TREE / "tests" / "system" / "guest" / "firmware.sh"
    paths.write_whole(initrd, initramfs.build(modules=("efivarfs",),
                                              files=[("/tests/run.sh", script)]))
    done = subprocess.run([TREE / "image" / "iso", "-o", DISC, "--initrd", initrd, "--timeout", "0",
                           "--append", "bh.mode=test"], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    return [done.stdout] if done.returncode else []


def run_boot(name, wanted, **machine):
    """Boots the disc; problems is empty when the parent's line is as wanted and it powered off."""
    config = vhost.Config(iso=DISC, vga=True, **machine)
    problems = []
    try:
        with vhost.VirtualHost(config, LOGS / name) as host:
            line = host.console.wait(r"^FIRMWARE (.*)\n", BOOT_S).group(1)
            host.console.wait(r"^BULKHEAD-TEST-EXIT 0\n", END_S)
            host.wait_exit(END_S)
            if not re.fullmatch(wanted, line):
                problems.append(f"the parent says: {line}")
            if host.shutdown_reason != "guest-shutdown":
                problems.append(f"the machine ended by {host.shutdown_reason}")
            for text in (host.console.text, host.debug.text):
                problems += [l for l in text.splitlines() if TROUBLE.search(l)][:5]
    except (stream.StreamError, vhost.VhostError) as problem:
        problems.append(str(problem))
    return problems


def run_iso_bios():
    return run_boot("bios", rf"bios variables=0 screen=\S+ cpus={CPUS} hypervisor=Microsoft Hyper-V")


def run_iso_uefi():
    return run_boot("uefi", rf"efi64 variables=[1-9]\d* screen=efi-framebuffer\.0 cpus={CPUS} "
                    r"hypervisor=Microsoft Hyper-V", uefi=True)


def run_fatal(name, wanted, **machine):
    """Boots where nothing can run: one line says why, and the machine stays as it is."""
    config = vhost.Config(iso=DISC, vga=True, **machine)
    problems = []
    try:
        with vhost.VirtualHost(config, LOGS / name) as host:
            host.debug.wait(rf"^bulkhead: cannot start: {wanted}.*The machine is halted\.$", FATAL_S)
            if host.qmp("query-status")["status"] != "running":
                problems.append("the machine ended")
            if host.debug.text.count("cannot start") != 1:
                problems.append("said more than once")
    except (stream.StreamError, vhost.VhostError) as problem:
        problems.append(str(problem))
    return problems


def main():
    argparse.ArgumentParser(description=__doc__,
                            formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    said = report.Report()
    LOGS.mkdir(parents=True, exist_ok=True)
    problems = make_disc()
    said.result("iso/build", problems)
    if not problems:
        said.result("iso/bios", run_iso_bios())
        said.result("iso/uefi", run_iso_uefi())
        said.result("iso/bios no SVM", run_fatal("bios-no-svm", "the processor has no AMD-V",
                                                 cpu="max,svm=off"))
        said.result("iso/uefi no SVM", run_fatal("uefi-no-svm", "the processor has no AMD-V",
                                                 cpu="max,svm=off", uefi=True))
        said.result("iso/bios little memory", run_fatal("bios-memory", "too little memory",
                                                        memory_mib=64))
    print(said.closing())
    return 1 if said.failed else 0


if __name__ == "__main__":
    sys.exit(main())
