# SPDX-License-Identifier: MIT
"""What the image of a parent needs to run children: module, worker, and a child's kernel."""

import subprocess

from . import debian, guest, initramfs, paths, switch

SCRATCH = paths.BUILD / "image"
WORKER = paths.BUILD / "vmwp" / "vmwp"
HOME = "/usr/lib/bulkhead"
CHILD_APPEND = "console=ttyS0 quiet panic=-1 bh.role=child"
# A child with a disk of its own, in the parent's store.
GUEST_APPEND = f"root=LABEL={guest.LABEL} console=ttyS0 quiet panic=-1"
# Its network card; the parent's init puts the tap of a port of its switch into the configuration.
GUEST_SECTIONS = """
[network]
tap = bhp0
mac = 00:15:5d:00:00:01

[control]
socket = /run/bulkhead/debian.sock
"""
# It says its one line and ends. A getty would hang the terminal up, and with it lose that line.
MARKER_APPEND = "bh.mode=marker systemd.mask=serial-getty@ttyS0.service"
# Changes of these make the module old.
MODULE_SOURCES = ("vid", "abi", "tools/vid", "tools/bh/kbuild.py")


def module(kernel):
    """The path of the module for a kernel, built when it is missing or older than its sources."""
    built = paths.BUILD / "vid" / kernel / "bulkhead-vid.ko"
    sources = [p for name in MODULE_SOURCES for p in
               ([paths.TREE / name] if (paths.TREE / name).is_file()
                else (paths.TREE / name).rglob("*")) if p.is_file()]
    if not built.exists() or any(p.stat().st_mtime > built.stat().st_mtime for p in sources):
        print(f"building the kernel module for {kernel}", flush=True)
        done = subprocess.run([paths.TREE / "tools" / "vid", kernel], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode != 0:
            raise initramfs.ImageError(f"the module for {kernel} is not built:\n{done.stdout}")
    return built


def config(name, append, memory="256M", processors=2, kernel=f"{HOME}/vmlinuz",
           initrd=f"{HOME}/initrd.img", console="terminal", more=""):
    """The text of a worker's configuration; MORE: further sections."""
    initrd_line = f"initrd = {initrd}\n" if initrd else ""
    return (f"[machine]\nname = {name}\nmemory = {memory}\nprocessors = {processors}\n\n"
            f"[boot]\nkernel = {kernel}\n{initrd_line}cmdline = {append}\n\n"
            f"[serial]\nconsole = {console}\n{more}")


def guest_config(more_append=""):
    """The configuration of the Debian guest in the store."""
    home = guest.STORE_HOME
    return config("debian", f"{GUEST_APPEND} {more_append}".strip(), memory="512M",
                  kernel=f"{home}/vmlinuz", initrd=f"{home}/initrd.img",
                  more=f"\n[disk]\npath = {home}/{guest.DISK}\n{GUEST_SECTIONS}")


def _written(name, text):
    path = SCRATCH / name
    paths.write_whole(path, text if isinstance(text, bytes) else text.encode())
    return path


def files(kernel, child_kernel=None):
    """(path in the image, source) pairs for a parent with KERNEL."""
    child_kernel = child_kernel or kernel
    if not WORKER.exists():
        raise initramfs.ImageError(f"{WORKER} is not built")
    initrd = _written(f"child-{child_kernel}.img", initramfs.build(child_kernel, wished=()))
    return [(f"{HOME}/bulkhead-vid.ko", module(kernel)),
            (f"{HOME}/vmlinuz", debian.Cache().kernel(child_kernel)["vmlinuz"]),
            (f"{HOME}/initrd.img", initrd),
            ("/usr/bin/vmwp", WORKER),
            ("/usr/bin/vmwpctl", WORKER.parent / "vmwpctl"),
            ("/usr/bin/bhdisk", guest.BHDISK),
            ("/etc/bulkhead/child.conf",
             _written("child.conf", config("child", CHILD_APPEND))),
            ("/etc/bulkhead/debian.conf", _written("debian.conf", guest_config())),
            ("/etc/bulkhead/marker.conf",
             _written("marker.conf", guest_config(MARKER_APPEND)))]


def parent_image(kernel, child_kernel=None):
    """Builds the image of a parent that can run children and has switches for them; its path."""
    path = SCRATCH / f"parent-{kernel}-child.img"
    paths.write_whole(path, initramfs.build(kernel, modules=("ext4", *switch.MODULES),
                                            files=files(kernel, child_kernel) + switch.files(),
                                            programs=switch.PROGRAMS, root=switch.root()))
    return path
