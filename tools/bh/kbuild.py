# SPDX-License-Identifier: MIT
"""
Debian's kernel headers as material for building a module: unpacked, not installed, with Debian's
build programs made runnable on a system that is older than they are.
"""

import json
import os
import re
import subprocess

from . import debian, paths

# What was decided for the kernel's own compiler, and means something that an older gcc lacks.
COMPILER_ONLY = ("CONFIG_CC_HAS_MIN_FUNCTION_ALIGNMENT",)
LOADER = "usr/lib64/ld-linux-x86-64.so.2"
LIBRARIES = "usr/lib/x86_64-linux-gnu"


def headers(cache, nickname, refresh=False):
    """
    {'release', 'build', 'source'} for the kernel that the cache has under NICKNAME: its release,
    the configured tree, and the tree that it was configured from.
    """
    kernel = cache.kernel(nickname, refresh)
    release, _, suite = debian.KERNELS[nickname]
    package = kernel["package"].replace("linux-image-", "linux-headers-")

    def choose(apt):
        rows = [(package, kernel["version"])]
        for name in apt.depends(package, kernel["version"]):
            if re.match("linux-headers-.*-common$", name):
                rows.append((name, kernel["version"]))
            elif name.startswith("linux-kbuild-"):
                rows.append((name, apt.newest(name, suite)))
                needs = apt.depends(*rows[-1])
        return rows + apt.closure([n for n in needs if re.match("lib|zlib", n)])

    entry = cache.chosen(f"headers-{nickname}", [package, kernel["version"]], choose, release,
                         _make_runnable, refresh)
    common = next(entry.glob("usr/src/linux-headers-*-common"))
    build = entry / "usr/src" / package
    return {"release": kernel["release"], "build": build, "source": common}


def _make_runnable(root):
    """
    Programs of linux-kbuild are linked against the release's own libraries: each is renamed, and
    a script in its place starts it with these, wherever the folder is.
    """
    for path in sorted(root.glob("usr/lib/linux-kbuild-*/**/*")):
        if path.is_symlink() or not path.is_file() or not os.access(path, os.X_OK):
            continue
        with open(path, "rb") as handle:
            if handle.read(4) != b"\x7fELF":
                continue
        up = "/.." * (len(path.relative_to(root).parts) - 1)
        # Some only choose between programs for several architectures, by their own name.
        real = next((name for name in (f"{path.name}.real-lsb-64", f"{path.name}.real-x86")
                     if path.with_name(name).exists() or path.with_name(f"{name}.elf").exists()),
                    path.name)
        path.rename(path.with_name(f"{path.name}.elf"))
        path.write_text('#!/bin/sh\nhere=${0%/*}\n'
                        f'exec "$here{up}/{LOADER}" --library-path "$here{up}/{LIBRARIES}" '
                        f'"$here/{real}.elf" "$@"\n')
        path.chmod(0o755)


def build(kernel, folder, log, jobs=None):
    """
    Builds the module whose Kbuild is in FOLDER against what headers() gave, with all warnings as
    errors. The output goes to LOG; FetchError tells of a failure.
    """
    argv = ["make", f"-j{jobs or os.cpu_count()}", "-C", str(kernel["source"]),
            f"O={kernel['build']}", f"M={folder}", "W=1", "KCFLAGS=-Werror",
            # Debian's names for compilers are those of the kernel's release, not of this system's.
            "CC=gcc", "HOSTCC=gcc", "CROSS_COMPILE=",
            # Neither pahole nor a vmlinux is here, and a module may go without its types.
            "CONFIG_DEBUG_INFO_BTF_MODULES=", *(f"{name}=" for name in COMPILER_ONLY), "modules"]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    paths.write_whole(log, done.stdout.encode())
    if done.returncode != 0:
        problems = [l for l in done.stdout.splitlines() if re.search(r"error|ERROR|Error", l)]
        raise debian.FetchError("the build failed:\n" + "\n".join(problems[:12]))
