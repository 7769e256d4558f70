# SPDX-License-Identifier: MIT
"""Builds initial RAM disks for parents and children: busybox, our init, modules, extra programs."""

import gzip
import lzma
import os
import pathlib
import re
import subprocess

from . import cpio, debian, paths

# Loaded when the kernel has them: the disks and network cards that a virtual host offers.
DEFAULT_MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "ahci", "sd_mod", "e1000")
LIBRARY_FOLDERS = ("usr/lib/x86_64-linux-gnu", "usr/lib64", "usr/lib")
MAX_LIBRARIES = 200


class ImageError(Exception):
    """An image cannot be built; the text says why."""


def _module_name(path):
    return re.sub(r"\.ko(\.\w+)?$", "", os.path.basename(path)).replace("-", "_")


def _plain_module(path):
    """A module's bytes, decompressed; the kernel in the guest may lack the decompressor."""
    if path.suffix == ".xz":
        return lzma.decompress(path.read_bytes())
    if path.suffix == ".zst":
        return subprocess.run(["zstd", "-dcq", path], stdout=subprocess.PIPE, check=True).stdout
    return path.read_bytes()


class ModuleTree:
    """The modules of one kernel and what they depend on, out of modules.dep."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.files, self.needs = {}, {}
        for line in (self.folder / "modules.dep").read_text().splitlines():
            path, _, needs = line.partition(":")
            name = _module_name(path)
            self.files[name] = path
            self.needs[name] = [_module_name(n) for n in needs.split()]
        builtin = (self.folder / "modules.builtin").read_text().splitlines()
        self.builtin = {_module_name(path) for path in builtin}

    def load_order(self, names):
        """The named modules and their dependencies, each after what it needs."""
        order = []

        def visit(name):
            if name in order or name in self.builtin:
                return
            for need in reversed(self.needs[name]):
                visit(need)
            order.append(name)

        for name in names:
            name = name.replace("-", "_")
            if name not in self.files and name not in self.builtin:
                raise ImageError(f"{self.folder.name} has no module {name}")
            visit(name)
        return order

    def has(self, name):
        return name in self.files


class Image:
    """One image under construction."""

    def __init__(self):
        self.archive = cpio.Archive()
        for name in ("bin", "sbin", "lib", "lib64"):
            self.archive.directory(f"usr/{name}")
            self.archive.symlink(name, f"usr/{name}")
        for name in ("proc", "sys", "dev", "run", "tmp", "root", "mnt", "etc"):
            self.archive.directory(name)
        # The kernel opens /dev/console for init before anything is mounted.
        self.archive.char_device("dev/console", 5, 1)
        self.archive.char_device("dev/null", 1, 3, 0o666)

    def add_busybox(self, binary):
        binary = pathlib.Path(binary)
        self.archive.file("usr/bin/busybox", binary.read_bytes(), 0o755)
        applets = subprocess.run([binary, "--list"], stdout=subprocess.PIPE, text=True, check=True)
        for name in applets.stdout.split():
            if name != "busybox":
                self.archive.symlink(f"usr/bin/{name}", "busybox")

    def add_init(self, script):
        self.archive.file("init", pathlib.Path(script).read_bytes(), 0o755)

    def add_modules(self, folder, required=(), wished=DEFAULT_MODULES):
        """Adds modules with their dependencies; init loads them in this order."""
        tree = ModuleTree(folder)
        order = tree.load_order([n for n in wished if tree.has(n)] + list(required))
        home = f"lib/modules/{tree.folder.name}"
        usr_home = f"usr/{home}"
        where = {n: re.sub(r"\.ko\.\w+$", ".ko", tree.files[n]) for n in order}
        for name in order:
            self.archive.file(f"{usr_home}/{where[name]}",
                              _plain_module(tree.folder / tree.files[name]))
        dep = "".join(f"{where[n]}: {' '.join(where[d] for d in tree.needs[n] if d in where)}\n"
                      for n in order)
        self.archive.file(f"{usr_home}/modules.dep", dep.encode())
        self.archive.file("etc/modules", "".join(f"/{home}/{where[n]}\n" for n in order).encode())

    def add_file(self, target, source):
        """Adds a file or a whole folder; the mode is kept."""
        source = pathlib.Path(source)
        if source.is_symlink():
            self.archive.symlink(target, os.readlink(source))
        elif source.is_dir():
            self.archive.directory(target)
            for child in sorted(source.iterdir()):
                self.add_file(f"{target}/{child.name}", child)
        else:
            mode = 0o755 if os.access(source, os.X_OK) else 0o644
            self.archive.file(target, source.read_bytes(), mode)

    def add_program(self, name, root):
        """Adds a program of an unpacked root with the shared libraries it is linked to."""
        root = pathlib.Path(root)
        places = [name.lstrip("/")] if "/" in name else [f"usr/{d}/{name}" for d in ("bin", "sbin")]
        found = next((p for p in places if (root / p).exists()), None)
        if found is None:
            raise ImageError(f"{root} has no program {name}")
        todo, seen = [found], set()
        while todo:
            path = todo.pop()
            if path in seen:
                continue
            seen.add(path)
            if len(seen) > MAX_LIBRARIES:
                raise ImageError(f"{name} needs more than {MAX_LIBRARIES} libraries")
            self.archive.file(path, (root / path).read_bytes(), 0o755)
            todo += [_find_library(root, need) for need in _needed(root / path)]

    def bytes(self, compress=True):
        data = self.archive.bytes()
        return gzip.compress(data, 6, mtime=0) if compress else data


def _needed(path):
    """Shared libraries and interpreter that an ELF file names; none for scripts."""
    with open(path, "rb") as handle:
        if handle.read(4) != b"\x7fELF":
            return []
    out = subprocess.run(["readelf", "-dlW", path], stdout=subprocess.PIPE, text=True,
                         check=True).stdout
    names = re.findall(r"\(NEEDED\).*\[(.+)\]", out)
    return names + re.findall(r"program interpreter: (\S+)\]", out)


def _find_library(root, need):
    """The path inside ROOT of a library's name or of an interpreter's path."""
    if "/" in need:
        real = (root / need.lstrip("/"))
        places = [need.lstrip("/")] if real.exists() else []
    else:
        places = [f"{d}/{need}" for d in LIBRARY_FOLDERS if (root / d / need).exists()]
        if not places:
            places = [str(p.relative_to(root)) for p in sorted((root / "usr/lib").rglob(need))]
    if not places:
        raise ImageError(f"library {need} is not in {root}")
    return re.sub(r"^(lib|lib64|bin|sbin)/", r"usr/\1/", places[0])


def build(kernel="6.1-cloud", modules=(), files=(), programs=(), root=None, compress=True,
          wished=DEFAULT_MODULES):
    """
    The bytes of an image for one kernel of the cache. FILES: (path in the image, source) pairs;
    PROGRAMS: names of programs taken with their libraries from ROOT, an unpacked package root.
    """
    cache = debian.Cache()
    image = Image()
    image.add_busybox(cache.package("busybox-static") / "usr/bin/busybox")
    image.add_init(paths.TREE / "image" / "init")
    image.add_modules(cache.kernel(kernel)["modules"], modules, wished)
    for name in programs:
        image.add_program(name, root)
    for target, source in files:
        image.add_file(target, source)
    return image.bytes(compress)
