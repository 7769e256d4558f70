#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
Machines and configurations that leave nothing to run: each gets one line that says so, on the
serial console and on the screen, and the machine halts; it neither hangs silently nor resets. Also
options that are wrong, which are reported and ignored. Logs are kept in build/failures/.
"""

import argparse
import pathlib
import re
import struct
import sys
import time

TREE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE / "tools"))
from bh import paths, report, stream, vhost  # noqa: E402 (the path comes first)

LOGS = paths.BUILD / "failures"
SAID_S = 30
SETTLE_S = 0.5
VGA_TEXT, VGA_COLUMNS, VGA_ROWS = 0xB8000, 80, 25
HALTED = "The machine is halted."


def kernel(**change):
    """A file with just the header of a bzImage (Linux boot protocol), a field of it changed."""
    fields = {"boot_flag": 0xAA55, "magic": b"HdrS", "version": 0x020F, "loadflags": 1,
              "xloadflags": 1, "length": 4096, **change}
    image = bytearray(8192)
    image[0x1F1] = 1  # sectors of real-mode code after the first
    struct.pack_into("<I", image, 0x1F4, fields["length"] // 16)
    struct.pack_into("<H", image, 0x1FE, fields["boot_flag"])
    image[0x202:0x206] = fields["magic"]
    struct.pack_into("<H", image, 0x206, fields["version"])
    image[0x211] = fields["loadflags"]
    struct.pack_into("<I", image, 0x230, 0x200000)
    struct.pack_into("<H", image, 0x236, fields["xloadflags"])
    struct.pack_into("<I", image, 0x238, 2047)
    return bytes(image)


# Name, what is said, content of the first module (None: no module), and what is special.
FATAL = (
    ("no SVM", r"the processor has no AMD-V \(SVM\)", None, {"cpu": "max,svm=off"}),
    ("no long mode", r"the processor has no 64-bit mode", None, {"cpu": "qemu32"}),
    ("no NX", r"the processor has no 64-bit mode or no NX", None, {"cpu": "max,nx=off"}),
    ("64 MiB", r"too little memory: 63 MiB", None, {"memory_mib": 64}),
    ("4 MiB", r"too little memory: 3 MiB", None, {"memory_mib": 4}),
    ("reserve too large", r"too little memory", None, {"hv_options": "reserve=1G"}),
    ("no module", r"no parent kernel: give it as the first module", None, {}),
    ("no console", r"no parent kernel", None, {"hv_options": "console=none"}),
    ("not a kernel", r"parent kernel: not a Linux bzImage", b"\x7fELF" + bytes(4096), {}),
    ("tiny", r"parent kernel: too short for a Linux bzImage", b"MZ", {}),
    ("truncated", r"parent kernel: the file is truncated", kernel(length=65536), {}),
    ("old", r"parent kernel: too old", kernel(version=0x020B), {}),
    ("zImage", r"parent kernel: a zImage", kernel(loadflags=0), {}),
    ("32-bit kernel", r"parent kernel: no 64-bit entry point", kernel(xloadflags=0), {}),
)


def screen_text(host):
    """What stands on the VGA text screen, its lines joined as they were wrapped."""
    name = LOGS / "screen.bin"
    host.qmp("pmemsave", val=VGA_TEXT, size=2 * VGA_COLUMNS * VGA_ROWS, filename=str(name))
    return name.read_bytes()[::2].decode("latin-1")


def run_fatal(name, wanted, module, special):
    label = name.replace(" ", "-")
    modules = ()
    if module is not None:
        path = LOGS / f"{label}.module"
        path.write_bytes(module)
        modules = (f"{path} console=ttyS0",)
    special = {"memory_mib": 256, **special}
    config = vhost.Config(flat=True, vga=True, modules=modules, **special)
    problems = []
    try:
        with vhost.VirtualHost(config, LOGS / label) as host:
            pattern = re.compile(rf"bulkhead: cannot start: {wanted}.*{HALTED}")
            end = time.monotonic() + SAID_S
            while HALTED not in host.debug.text + host.console.text and time.monotonic() < end:
                time.sleep(0.1)
            time.sleep(SETTLE_S)  # a reset or a second line would come now
            said = host.debug.text + host.console.text
            if not pattern.search(said):
                problems.append(f"not said: {wanted}; but: {said[-300:]}")
            if said.count("cannot start") != 1:
                problems.append("not exactly one line")
            if not pattern.search(screen_text(host)):
                problems.append(f"the screen shows: {screen_text(host).strip()[:300]}")
            if host.process.poll() is not None or host.qmp("query-status")["status"] != "running":
                problems.append("the machine did not stay halted")
    except (stream.StreamError, vhost.VhostError) as problem:
        problems.append(str(problem))
    return problems


def run_options():
    """Wrong options are named one by one and change nothing; `help` prints the list."""
    wanted = (r"option 'colour=red' ignored: no such option", r"option 'npt=8k' ignored: no such value",
              r"option 'maxcpus=0' ignored: number out of range", r"options:$",
              r"npt=4k\|2m\|1g ", r"help  ", r"^bulkhead: cannot start: no parent kernel")
    config = vhost.Config(flat=True, hv_options="colour=red npt=8k maxcpus=0 help")
    try:
        with vhost.VirtualHost(config, LOGS / "options") as host:
            for pattern in wanted:
                host.debug.wait(pattern, SAID_S)
    except (stream.StreamError, vhost.VhostError) as problem:
        return [str(problem)]
    return []


def main():
    argparse.ArgumentParser(description=__doc__,
                            formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    said = report.Report()
    LOGS.mkdir(parents=True, exist_ok=True)
    for name, *row in FATAL:
        said.result(f"failures/{name}", run_fatal(name, *row))
    said.result("failures/options", run_options())
    print(said.closing())
    return 1 if said.failed else 0


if __name__ == "__main__":
    sys.exit(main())
