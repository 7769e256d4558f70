# SPDX-License-Identifier: MIT
"""Disk images, made without root's rights: a file system out of a folder, a disk that boots by BIOS."""

import os
import pathlib
import shutil
import struct
import subprocess
import tempfile

GRUB = pathlib.Path("/usr/lib/grub/i386-pc")
GRUB_MODULES = ("biosdisk", "part_msdos", "ext2", "linux", "serial", "boot")
SECTOR, MIB = 512, 1 << 20
PARTITION = MIB // SECTOR
BOOT_CODE = 440  # bytes of the master boot record before the disk's signature
SLACK_MIB = 8


class DiskError(Exception):
    """An image cannot be made; the text says why."""


def run(*argv):
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    done = subprocess.run([*map(str, argv)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", check=False,
                          env=dict(os.environ, PATH=path))
    if done.returncode != 0:
        raise DiskError(f"{argv[0]}: {done.stdout.strip()[-400:]}")


def size_mib(folder):
    """MiB that a file system needs for a folder."""
    pages = sum((path.lstat().st_size + 4095) // 4096 + 1 for path in pathlib.Path(folder).rglob("*"))
    return pages * 4096 * 21 // 20 // MIB + SLACK_MIB


def filesystem(path, folder, offset=0, kind="ext4"):
    """Writes a file system that holds FOLDER into PATH at a byte offset; its size in MiB."""
    mib = size_mib(folder)
    options = ("-O", "^has_journal") if kind == "ext4" else ()
    run("mke2fs", "-q", "-F", "-t", kind, *options, "-m", "0", "-b", "4096", "-d", folder,
        "-E", f"offset={offset},root_owner=0:0", path, f"{mib}M")
    return mib


def bios_disk(path, kernel, initrd, append, files=()):
    """
    A disk with one partition from which GRUB boots Linux; GRUB speaks by the first serial line.
    FILES: (name, bytes) pairs that stand in /boot beside the kernel.
    GRUB's core stands right behind the master boot record, where its boot sector looks for it.
    """
    path.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="bulkhead-") as scratch:
        boot = pathlib.Path(scratch) / "root" / "boot"
        boot.mkdir(parents=True)
        shutil.copyfile(kernel, boot / "vmlinuz")
        for name, data in (("initrd.img", initrd), *files):
            (boot / name).write_bytes(data)
        menu = pathlib.Path(scratch) / "grub.cfg"
        menu.write_text("serial --unit=0 --speed=115200\nterminal_input serial\n"
                        "terminal_output serial\nset root=(hd0,msdos1)\n"
                        f"linux /boot/vmlinuz {append}\ninitrd /boot/initrd.img\nboot\n")
        core = pathlib.Path(scratch) / "core.img"
        run("grub-mkimage", "-O", "i386-pc", "-p", "(hd0,msdos1)/boot", "-c", menu, "-o", core,
            *GRUB_MODULES)
        if core.stat().st_size > (PARTITION - 1) * SECTOR:
            raise DiskError("GRUB's core is larger than the gap before the partition")
        sectors = filesystem(path, boot.parent, PARTITION * SECTOR, "ext2") * MIB // SECTOR
        code = (GRUB / "boot.img").read_bytes()[:BOOT_CODE].ljust(BOOT_CODE, b"\0")
        entry = struct.pack("<B3sB3sII", 0x80, b"\0\2\0", 0x83, b"\xff\xff\xff", PARTITION, sectors)
        record = code + bytes(6) + entry + bytes(48) + b"\x55\xaa"
        with open(path, "r+b") as handle:
            handle.truncate((PARTITION + sectors) * SECTOR)
            handle.write(record + core.read_bytes())
