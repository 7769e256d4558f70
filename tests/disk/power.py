# SPDX-License-Identifier: MIT
"""
Losses of power in the middle of bhdisk. A bhdisk that writes down what it does to files (recorder.c)
runs to its end; then its folder gets what a medium may hold that lost its power at some place of the
record: what was flushed by then, and any part of the rest.
"""

import os
import pathlib
import random
import shutil
import struct
import tempfile

from common import KIB, MIB, SECTOR, bhdisk, diskio, fill, need, paths, run, same, sound

RECORDED = paths.BUILD / "tests" / "disk" / "bhdisk-recorded"
HEADER = struct.Struct("<5Q")
MEMORY = "/dev/shm"
# Changes of names; the others are of bytes.
NAMES = ("c", "r", "l", "u")


class Medium:
    """What is durable of the files in a folder, and what was done since."""

    def __init__(self):
        self.names, self.data, self.pending = {}, {}, []
        self.touched = set()  # files that are not as they are to be
        for entry in os.scandir("."):
            if entry.is_file():
                self.names[entry.name] = entry.inode()
                self.data[entry.inode()] = bytearray(pathlib.Path(entry.name).read_bytes())

    def play(self, records):
        for one in records:
            kind, inode = one[:2]
            if kind == "f":
                self.settle(lambda op, i=inode: op[0] not in NAMES and op[1] == i)
            elif kind == "d":
                self.settle(lambda op: op[0] in NAMES)
            else:
                self.pending.append(one)

    def settle(self, belongs):
        for op in self.pending:
            if belongs(op):
                self.apply(op)
        self.pending = [op for op in self.pending if not belongs(op)]

    def apply(self, op):
        kind, inode, offset, length, data = op
        if kind in NAMES:
            self.rename(kind, inode, [os.path.basename(n) for n in data.decode().split("\0")])
            return
        file = self.data.setdefault(inode, bytearray())
        if kind == "s":
            del file[offset:]
            file.extend(bytes(offset - len(file)))
        elif kind == "p":
            end = min(offset + length, len(file))
            file[offset:end] = bytes(max(0, end - offset))
        elif data:
            file.extend(bytes(max(0, offset + len(data) - len(file))))
            file[offset:offset + len(data)] = data

    def rename(self, kind, inode, names):
        """One change of names. If what it needs has not come through, it has not either."""
        if kind == "c":
            self.names[names[0]] = inode
            self.data.setdefault(inode, bytearray())
        elif kind == "u":
            self.names.pop(names[0], None)
        elif names[0] in self.names:
            self.names[names[1]] = self.names[names[0]]
            if kind == "r":
                del self.names[names[0]]

    def cut(self, rng):
        """Nothing of what is pending comes through, or all, a prefix, any part, or torn writes."""
        how, stop = rng.randrange(5), rng.randrange(len(self.pending) + 1)
        for n, op in enumerate(self.pending):
            if how == 1 or (how == 2 and n < stop) or (how == 3 and rng.random() < .5):
                self.apply(op)
            elif how == 4 or (how == 2 and n == stop) or (how == 3 and rng.random() < .25):
                self.tear(op, rng)
        self.pending = []

    def tear(self, op, rng):
        kind, inode, offset, _, data = op
        if kind != "w":
            if rng.random() < .5:
                self.apply(op)
            return
        way, edge, at = rng.randrange(3), rng.randrange(len(data) // SECTOR + 2), 0
        for n in range(len(data) // SECTOR + 2):
            end = min((offset // SECTOR + n + 1) * SECTOR - offset, len(data))
            if at < end and (n < edge, n >= edge, rng.random() < .5)[way]:
                self.apply(("w", inode, offset + at, 0, data[at:end]))
            at = end

    def write_out(self):
        """The folder becomes what is durable."""
        here = {e.name: e.inode() for e in os.scandir(".") if e.is_file()}
        for name in here.keys() - self.names.keys():
            os.unlink(name)
        for name, inode in self.names.items():
            if here.get(name) != inode or inode in self.touched:
                if name in here:
                    os.unlink(name)
                pathlib.Path(name).write_bytes(self.data[inode])


def read_record(path):
    raw, at, found = pathlib.Path(path).read_bytes(), 0, []
    while at < len(raw):
        kind, inode, offset, length, more = HEADER.unpack_from(raw, at)
        at += HEADER.size
        data = raw[at:at + more]
        at += more
        found.append((chr(kind), inode, offset, length,
                      data.rstrip(b"\0") if chr(kind) in NAMES else data))
    return found


def lose_power(argv, rng):
    """Runs bhdisk here, with the power lost after some change that it makes: which, of how many."""
    medium = Medium()
    with_record = os.environ | {"DISK_RECORD": "record/log"}
    os.makedirs("record", exist_ok=True)
    run(RECORDED, *argv, status=(0, 1), env=with_record)
    records = read_record("record/log")
    stop = rng.randrange(len(records) + 1)
    medium.touched = {one[1] for one in records}
    medium.play(records[:stop])
    medium.cut(rng)
    medium.write_out()
    return stop, len(records)


# ---- what is done, and what must be there afterwards ----

def contents(image, wanted):
    """The disk holds what a raw file has."""
    bhdisk("convert", "--force", "--format", "raw", image, "record/got.img")
    same("record/got.img", wanted)


class Convert:
    """The new image has its name only when it is whole."""

    def __init__(self, end, options):
        self.argv = ("convert", *options, "a.img", f"b{end}")

    def make(self):
        fill("a.img", 6 * MIB, 3)

    def look(self):
        same("a.img", "../start/a.img")
        if os.path.exists(self.argv[-1]):
            sound(self.argv[-1])
            contents(self.argv[-1], "a.img")

    def resume(self):
        if not os.path.exists(self.argv[-1]):
            bhdisk(*self.argv)


class Compact:
    def __init__(self, end, options):
        self.options, self.image = options, f"a{end}"
        self.argv = ("compact", self.image)

    def make(self):
        bhdisk("create", "--size", "8M", *self.options, self.image)
        for k in range(8):
            diskio(self.image, "write", k * MIB + 64 * KIB, 8 * KIB, k + 1)
        for k in (0, 2, 3, 5):
            diskio(self.image, "zero", k * MIB, MIB)
        bhdisk("convert", self.image, "want.img")

    def look(self):
        sound(self.image)
        contents(self.image, "want.img")

    def resume(self):
        bhdisk(*self.argv)


class Resize(Compact):
    """The size is the old one or the new one, and what both have is there."""

    def __init__(self, end, options, sizes):
        super().__init__(end, options)
        self.before, self.size = sizes
        self.argv = ("resize", "--shrink", self.image, str(self.size))

    def make(self):
        bhdisk("create", "--size", str(self.before), *self.options, self.image)
        for at in range(0, self.before, MIB):
            diskio(self.image, "write", at + 64 * KIB, 8 * KIB, at // MIB + 1)
        bhdisk("convert", self.image, "want.img")

    def contents(self, sizes):
        bhdisk("convert", "--force", "--format", "raw", self.image, "record/got.img")
        size = os.path.getsize("record/got.img")
        need(size in sizes, f"a disk of {size} bytes")
        if size == self.size:
            self.forgive()
        # What is to be cut off may be gone already.
        os.truncate("record/got.img", min(size, self.size))
        shutil.copyfile("want.img", "record/want.img")
        os.truncate("record/want.img", min(size, self.size))
        same("record/got.img", "record/want.img")

    def forgive(self):
        """The old footer of a fixed VHD is data, where there was none, from the new one's on."""
        if self.options != ("--fixed",) or self.image != "a.vhd" or self.size < self.before:
            return
        with open("record/got.img", "r+b") as handle:
            handle.seek(self.before)
            if handle.read(8) == b"conectix":
                handle.seek(self.before)
                handle.write(bytes(SECTOR))

    def look(self):
        sound(self.image)
        self.contents((self.before, self.size))

    def resume(self):
        bhdisk(*self.argv)
        self.contents((self.size,))


class Merge:
    """Before the end, running it again does it; whether that was the end or not, all is there."""

    def __init__(self, end, options, more=(), child_size="6M"):
        self.end, self.options, self.child_size = end, options, child_size
        self.argv = ("merge", *more, f"child{end}")

    def make(self):
        fill("base.img", 6 * MIB, 5)
        bhdisk("convert", *self.options, "base.img", f"base{self.end}")
        os.unlink("base.img")
        bhdisk("create", "--parent", f"base{self.end}", "--size", self.child_size,
               f"child{self.end}")
        diskio(f"child{self.end}", "write", MIB + 64 * KIB, 128 * KIB, 9)
        diskio(f"child{self.end}", "zero", 3 * MIB, 8 * KIB)
        bhdisk("convert", f"child{self.end}", "want.img")

    def look(self):
        sound(f"base{self.end}")
        if os.path.exists(f"child{self.end}"):
            # Alone: it may be that the parent is no more what it was made from.
            bhdisk("info", f"child{self.end}", status=(0, 1))

    def resume(self):
        """Twice: a run that only finds that all is done may say so."""
        bhdisk(*self.argv, status=(0, 1))
        sound(f"base{self.end}")
        contents(f"base{self.end}", "want.img")
        left = [n for n in os.listdir(".") if n.endswith(".merge")]
        need(not left, f"{left} is left")
        if "--delete" in self.argv:
            need(not os.path.exists(self.argv[-1]), "the child is still there")


class SetParent(Merge):
    def __init__(self, end, options):
        super().__init__(end, options)
        self.argv = ("set-parent", f"child{end}", f"moved{end}")

    def make(self):
        super().make()
        shutil.copyfile(f"base{self.end}", f"moved{self.end}")

    def look(self):
        sound(f"child{self.end}")
        contents(f"child{self.end}", "want.img")

    def resume(self):
        bhdisk(*self.argv)
        os.unlink(f"base{self.end}")
        self.look()


def works():
    """A row: what is done to which image."""
    small = ("--block-size", "64K")
    for end, options in ((".vhd", small), (".vhdx", ("--block-size", "1M")),
                         (".vhdx", ("--block-size", "1M", "--sector-size", "4096"))):
        yield Convert(end, options)
        yield Compact(end, options)
        yield Resize(end, options, (4 * MIB, 9 * MIB))
        yield Resize(end, options, (9 * MIB, 4 * MIB))
        yield Merge(end, options)
        yield Merge(end, options, ("--delete",))
        yield Merge(end, options, (), "9M")
        yield SetParent(end, options)
    for end in (".vhd", ".vhdx"):
        yield Convert(end, ("--fixed",))
        yield Resize(end, ("--fixed",), (3 * MIB, 5 * MIB))
        yield Resize(end, ("--fixed",), (5 * MIB, 3 * MIB))
    yield Convert(".img", ())


def one_loss(work, rng):
    """One or two losses of power, the second one while what is left is worked on again."""
    at = []
    os.makedirs("now")
    os.chdir("now")
    try:
        for name in os.listdir("../start"):
            shutil.copy2(f"../start/{name}", name)
        at.append(lose_power(work.argv, rng))
        work.look()
        if rng.random() < .3:
            at.append(lose_power(work.argv, rng))
            work.look()
        work.resume()
        work.look()
    except Exception:
        print(f"# bhdisk {' '.join(work.argv)}: cut at {at}", flush=True)
        raise
    finally:
        os.chdir("..")
    shutil.rmtree("now")


def all_losses(args):
    """So many losses of power, all works in turn."""
    rows = list(works())
    rng = random.Random(args.seed)
    for n, work in enumerate(rows):
        os.makedirs("start")
        os.chdir("start")
        work.make()
        os.chdir("..")
        for _ in range(args.cuts // len(rows) + (n < args.cuts % len(rows))):
            one_loss(work, rng)
        shutil.rmtree("start")


def cuts(args):
    """In memory: what a medium does is played here, and nobody need wait for a real one."""
    home = os.getcwd()
    folder = tempfile.mkdtemp(prefix="bulkhead-cuts-", dir=MEMORY if os.path.isdir(MEMORY) else home)
    os.chdir(folder)
    try:
        all_losses(args)
    except Exception:
        shutil.copytree(folder, f"{home}/left")
        raise
    finally:
        os.chdir(home)
        shutil.rmtree(folder)
