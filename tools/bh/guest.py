# SPDX-License-Identifier: MIT
"""
The disk of a Debian guest: a whole system with its own kernel, made once by mmdebstrap and cached.

The image is one ext4 file system without a partition table, as a raw sparse file. Root has no
password and is logged in on the serial line.
"""

import json
import pathlib
import shutil
import subprocess
import tempfile

from . import debian, disk, initramfs, paths

BHDISK = paths.BUILD / "disk" / "bhdisk"
DISK = "disk.vhdx"
# Where the parent mounts its store, and how large that may grow.
STORE_HOME = "/var/lib/bulkhead"
STORE_GIB = 8

PACKAGES = ("linux-image-cloud-amd64", "initramfs-tools", "zstd", "systemd-sysv", "udev", "dbus",
            "iproute2", "ifupdown", "isc-dhcp-client", "ca-certificates", "hyperv-daemons", "fio",
            "kexec-tools", "sg3-utils", "e2fsprogs", "util-linux", "less", "vim-tiny")
LABEL = "bulkhead-root"
SIZE_GIB = 4
# What is changed in the new system, by a shell with the system's folder as $1.
CUSTOMIZE = f'''
echo debian > "$1/etc/hostname"
echo "LABEL={LABEL} / ext4 errors=remount-ro 0 1" > "$1/etc/fstab"
printf "auto lo\\niface lo inet loopback\\nallow-hotplug eth0\\niface eth0 inet dhcp\\n" > "$1/etc/network/interfaces"
chroot "$1" passwd -d root > /dev/null
mkdir -p "$1/etc/systemd/system/serial-getty@ttyS0.service.d"
printf "[Service]\\nExecStart=\\nExecStart=-/sbin/agetty -o \\"-p -- \\\\\\\\u\\" --autologin root --noclear %%I 115200 vt220\\n" \\
    > "$1/etc/systemd/system/serial-getty@ttyS0.service.d/autologin.conf"
cat > "$1/etc/systemd/system/bulkhead-marker.service" <<'END'
[Unit]
Description=Says that the system is up, and switches off
ConditionKernelCommandLine=bh.mode=marker
After=multi-user.target
[Service]
Type=oneshot
StandardOutput=journal+console
ExecStart=/bin/sh -c 'echo "BULKHEAD-CHILD-UP kernel=$(uname -r) cpus=$(nproc) root=$(findmnt -no SOURCE /)"; systemctl poweroff'
[Install]
WantedBy=multi-user.target
END
chroot "$1" systemctl enable bulkhead-marker.service > /dev/null 2>&1
'''


def _mmdebstrap(apt, out):
    """Debian's newest packages, with the sources and settings of the private apt root, as ext2."""
    options = [f"--aptopt={line}" for line in debian.transport_settings().splitlines() if line]
    debian.run(["mmdebstrap", "--quiet", "--mode=auto", "--variant=minbase",
                "--architectures=amd64", f"--include={','.join(PACKAGES)}", *options,
                f"--customize-hook={CUSTOMIZE}", "--format=ext2", apt.release, str(out),
                str(apt.root / "sources.list")])


def _extract(image, pattern, target):
    """Copies the one file in the image's /boot whose name begins so."""
    names = subprocess.run(["/usr/sbin/debugfs", "-R", "ls -p /boot", image], text=True, check=True,
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.split("/")
    name = next((n for n in names if n.startswith(pattern)), None)
    if name is None:
        raise debian.FetchError(f"the guest's /boot has no {pattern}")
    disk.run("debugfs", "-R", f"dump /boot/{name} {target}", image)


def _finish(image):
    """ext2 becomes ext4 with a journal, of the size that the guest sees."""
    disk.run("tune2fs", "-O", "extents,dir_index,has_journal", "-L", LABEL, image)
    subprocess.run(["/usr/sbin/e2fsck", "-fyD", image], stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, check=False)  # status 1: it has changed something
    with open(image, "r+b") as handle:
        handle.truncate(SIZE_GIB << 30)
    disk.run("resize2fs", image)
    disk.run("e2fsck", "-fn", image)


def debian_guest(release="bookworm", refresh=False):
    """{'disk', 'vmlinuz', 'initrd'}: paths of a guest's disk and of what starts it."""
    cache = paths.cache_dir()
    final = cache / "guests" / release
    asked = [*PACKAGES, CUSTOMIZE, str(SIZE_GIB)]
    record = final / "guest.json"
    with paths.locked(cache / "lock"):
        if refresh or not record.exists() or json.loads(record.read_text())["asked"] != asked:
            apt = debian.AptRoot(cache, release)
            apt.update(force=refresh)
            debian.say(f"guest: installing Debian {release} into a disk image; this takes a minute")
            with paths.staged_dir(final) as stage:
                image = stage / "disk.raw"
                _mmdebstrap(apt, image)
                _finish(image)
                _extract(image, "vmlinuz-", stage / "vmlinuz")
                _extract(image, "initrd.img-", stage / "initrd.img")
                (stage / "guest.json").write_text(json.dumps({"asked": asked}, indent=1))
    return {"disk": final / "disk.raw", "vmlinuz": final / "vmlinuz",
            "initrd": final / "initrd.img"}


def store():
    """
    The parent's disk with the guest on it: an ext4 file system that holds DISK, vmlinuz and
    initrd.img. It is kept, and what guests write to it as well, until what it was made of changes.
    """
    guest = debian_guest()
    image, stamp = paths.BUILD / "image" / "store.img", paths.BUILD / "image" / "store.json"
    made_of = json.dumps([guest["disk"].stat().st_mtime, STORE_GIB, DISK])
    if image.exists() and stamp.exists() and stamp.read_text() == made_of:
        return image
    if not BHDISK.exists():
        raise initramfs.ImageError(f"{BHDISK} is not built")
    stamp.unlink(missing_ok=True)
    image.unlink(missing_ok=True)
    image.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bulkhead-", dir=image.parent) as scratch:
        folder = pathlib.Path(scratch)
        print("making the guest's disk", flush=True)
        disk.run(BHDISK, "convert", "--format", "vhdx", guest["disk"], folder / DISK)
        for name in ("vmlinuz", "initrd"):
            shutil.copyfile(guest[name], folder / guest[name].name)
        disk.run("mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-d", folder, "-E",
                 "root_owner=0:0,lazy_itable_init=1", image, f"{STORE_GIB << 10}M")
    stamp.write_text(made_of)
    return image
