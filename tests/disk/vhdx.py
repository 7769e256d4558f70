# SPDX-License-Identifier: MIT
"""Damage to VHDX images as bhdisk meets it, and logs that somebody else's tool has left."""

import os
import pathlib
import shutil
import struct
import subprocess

from common import (BHDISK, KIB, MIB, bhdisk, diskio, fill, need, other, refused, run, same, sound)

HEADERS, REGIONS = (64 * KIB, 128 * KIB), (192 * KIB, 256 * KIB)
HEADER_BYTES, TABLE_BYTES = 4 * KIB, 64 * KIB
LOG, METADATA, BAT = MIB, 2 * MIB, 3 * MIB
ITEMS = METADATA + TABLE_BYTES
QUICK_S = 10


def crc_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


CRC = crc_table()


def crc(data):
    """CRC-32C."""
    value = 0xFFFFFFFF
    for byte in data:
        value = value >> 8 ^ CRC[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF


def seal(image, at, length):
    image[at + 4:at + 8] = bytes(4)
    image[at + 4:at + 8] = struct.pack("<I", crc(image[at:at + length]))


class Field:
    """
    A field: its places (one in each copy of the structure), its length, and what to expect when it
    is changed: text that the error has, "" for any error or none, None: it does not matter.
    """

    def __init__(self, name, places, length, says):
        self.name, self.places, self.length, self.says = name, places, length, says

    def values(self, old):
        most = (1 << 8 * self.length) - 1
        whole = int.from_bytes(old, "little")
        found = {0, 1, most, most >> 1, whole ^ 1, whole ^ 1 << (8 * self.length - 1), whole + 1,
                 whole + MIB, whole << 1, whole << 20} - {whole}
        return [(v & most).to_bytes(self.length, "little") for v in sorted(found)
                if v & most != whole]


def structure(bases, rows):
    """Fields that follow each other from the start of a structure."""
    at = 0
    for name, length, says in rows:
        yield Field(name, [base + at for base in bases], length, says)
        at += length


def entry(index):
    return (f"item {index}: guid", 16, "metadata item"), (f"item {index}: offset", 4, ""), \
        (f"item {index}: length", 4, ""), (f"item {index}: flags", 4, ""), \
        (f"item {index}: reserved", 4, None)


def fields(differencing):
    yield from structure([0], [("signature", 8, "does not begin with"), ("creator", 512, None)])
    yield from structure(HEADERS, [
        ("header signature", 4, "both headers"), ("header checksum", 4, "both headers"),
        ("sequence number", 8, None), ("file write guid", 16, None), ("data write guid", 16, None),
        ("log guid", 16, "the log has no valid sequence"), ("log version", 2, None),
        ("version", 2, "of VHDX is not known"), ("log length", 4, ""), ("log offset", 8, ""),
        ("reserved", 16, None)])
    yield from structure(REGIONS, [
        ("region signature", 4, "both region tables"), ("region checksum", 4, "both region tables"),
        ("region count", 4, ""), ("region reserved", 4, None),
        ("BAT guid", 16, ""), ("BAT offset", 8, ""), ("BAT length", 4, ""), ("BAT required", 4, None),
        ("metadata guid", 16, ""), ("metadata offset", 8, ""), ("metadata length", 4, ""),
        ("metadata required", 4, None)])
    rows = [("metadata signature", 8, "metadata table is damaged"), ("reserved", 2, None),
            ("metadata count", 2, ""), ("reserved", 20, None)]
    for index in range(6 if differencing else 5):
        rows += entry(index)
    yield from structure([METADATA], rows)
    yield from structure([ITEMS], [
        ("block size", 4, ""), ("flags", 4, ""), ("pad", 8, None), ("size", 8, ""), ("pad", 8, None),
        ("disk id", 16, None), ("logical sector", 4, ""), ("pad", 12, None),
        ("physical sector", 4, ""), ("pad", 12, None)])
    if differencing:
        rows = [("locator type", 16, "parent is not a file"), ("reserved", 2, None),
                ("pairs", 2, "")]
        for index in range(3):
            rows += [(f"pair {index}: key offset", 4, ""), (f"pair {index}: value offset", 4, ""),
                     (f"pair {index}: key length", 2, ""), (f"pair {index}: value length", 2, "")]
        yield from structure([ITEMS + 80], rows)
    for index in range(8):
        yield Field(f"BAT entry {index}", [BAT + 8 * index], 8, "")
    if differencing:
        yield Field("BAT entry of the bitmap", [BAT + 8 * 4096], 8, "")


def tried(argv, name):
    """bhdisk ends in time, by itself, and says in one line what is wrong with which file."""
    done = subprocess.run([BHDISK, *argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, errors="replace", timeout=QUICK_S,
                          check=False)
    need(done.returncode in (0, 1, 3, 4), f"{argv}: status {done.returncode}: {done.stderr}")
    if done.returncode == 1:
        lines = done.stderr.splitlines()
        need(len(lines) == 1 and lines[0].startswith("bhdisk: ") and name in lines[0],
             f"{argv}: it says {done.stderr!r}")
    return done.returncode, done.stderr.strip()


def log_fields():
    none = "no valid sequence"
    yield from structure([LOG], [
        ("entry signature", 4, none), ("entry checksum", 4, none), ("entry length", 4, none),
        ("entry tail", 4, ""), ("entry sequence", 8, none), ("descriptor count", 4, ""),
        ("entry reserved", 4, None), ("entry guid", 16, none), ("flushed file offset", 8, ""),
        ("last file offset", 8, ""), ("descriptor signature", 4, none), ("trailing bytes", 4, None),
        ("leading bytes", 8, ""), ("file offset", 8, ""), ("descriptor sequence", 8, none)])
    yield from structure([LOG + 4 * KIB], [("data signature", 4, none), ("sequence high", 4, none)])
    yield Field("sequence low", [LOG + 8 * KIB - 4], 4, none)


def put_into_log(image):
    """The table of blocks is in the log alone, as it is when the power goes at the right time."""
    page, guid = bytes(image[BAT:BAT + 4 * KIB]), b"\x11" * 16
    image[BAT:BAT + 4 * KIB] = bytes(4 * KIB)
    image[LOG:LOG + 64] = struct.pack("<4s4xIIQII16sQQ", b"loge", 8 * KIB, 0, 1, 1, 0, guid,
                                      len(image), len(image))
    image[LOG + 64:LOG + 96] = struct.pack("<4s4s8sQQ", b"desc", page[-4:], page[:8], BAT, 1)
    image[LOG + 4 * KIB:LOG + 8 * KIB] = b"data" + bytes(4) + page[8:-4] + struct.pack("<I", 1)
    seal(image, LOG, 8 * KIB)
    for at in HEADERS:
        image[at + 48:at + 64] = guid
        seal(image, at, HEADER_BYTES)


def log_changed(_):
    """The same for the fields of an entry of the log that is to be played."""
    fill("base.img", 4 * MIB, 5, pieces=8)
    bhdisk("convert", "--block-size", "1M", "base.img", "base.vhdx")
    image = bytearray(pathlib.Path("base.vhdx").read_bytes())
    put_into_log(image)
    pathlib.Path("base.vhdx").write_bytes(image)
    need("the log has updates" in bhdisk("check", "base.vhdx"), "the log is not seen")
    bhdisk("convert", "base.vhdx", "want.img")
    same("base.img", "want.img")
    changed = sum(try_field(image, field, "base.vhdx", "want.img") for field in log_fields())
    need(changed > 50, f"only {changed} values were refused")


def try_field(image, field, name, wanted):
    """One value after the other in a field, in all copies; how many were refused."""
    good, refusals = bytes(image), 0
    for value in field.values(good[field.places[0]:field.places[0] + field.length]):
        for place in field.places:
            image[place:place + field.length] = value
        if field.places[0] in range(HEADERS[0], REGIONS[1] + TABLE_BYTES) and (
                "checksum" not in field.name):
            for base in HEADERS:
                seal(image, base, HEADER_BYTES)
            if field.places[0] >= REGIONS[0]:
                for base in REGIONS:
                    seal(image, base, TABLE_BYTES)
        if field.places[0] in range(LOG, METADATA) and "checksum" not in field.name:
            seal(image, LOG, 8 * KIB)
        pathlib.Path(name).write_bytes(image)
        try:
            refusals += try_image(field, name, wanted)
        except Exception as problem:
            raise type(problem)(f"{field.name} = {value[::-1].hex()}: {problem}") from problem
        finally:
            image[:] = good
    return refusals


def try_image(field, name, wanted):
    status, said = tried(("convert", "--force", "--format", "raw", "--from-format", "vhdx", name,
                          "got.img"), name)
    tried(("check", name), name)
    if field.says is None:
        need(status == 0, f"refused: {said}")
    elif field.says:
        need(status == 1 and field.says in said, f"status {status}, it says '{said}'")
    if field.says is None:
        same("got.img", wanted)
    shutil.copyfile(name, "mend.vhdx")
    mended, _ = tried(("check", "--repair", "mend.vhdx"), "mend.vhdx")
    if mended in (0, 4):
        sound("mend.vhdx")
    return status == 1


def fields_changed(_):
    """Each field of an image, with several values: an error that is precise, or no harm."""
    fill("base.img", 8 * MIB, 5, pieces=8)
    bhdisk("convert", "--block-size", "1M", "base.img", "base.vhdx")
    bhdisk("create", "--parent", "base.vhdx", "--block-size", "1M", "child.vhdx")
    diskio("child.vhdx", "write", 64 * KIB, 8 * KIB, 3)
    diskio("child.vhdx", "write", 2 * MIB, MIB, 4)
    for name, differencing in (("base.vhdx", False), ("child.vhdx", True)):
        bhdisk("convert", "--force", "--format", "raw", name, "want.img")
        image = bytearray(pathlib.Path(name).read_bytes())
        changed = sum(try_field(image, field, name, "want.img") for field in fields(differencing))
        need(changed > 50, f"only {changed} values were refused")
        pathlib.Path(name).write_bytes(image)


def cut_files(_):
    """A file that ends early, at any place: it is refused, or nothing that is gone is needed."""
    fill("a.img", 6 * MIB, 4)
    bhdisk("convert", "--block-size", "1M", "a.img", "a.vhdx")
    good = pathlib.Path("a.vhdx").read_bytes()
    lengths = {0, 1, 8, 512, 64 * KIB, 68 * KIB, 320 * KIB}
    for at in range(MIB, len(good) + 1, MIB // 2):
        lengths |= {at - 1, at, at + 512}
    for length in sorted(n for n in lengths if n < len(good)):
        pathlib.Path("a.vhdx").write_bytes(good[:length])
        status, said = tried(("convert", "--force", "--format", "raw", "a.vhdx", "b.img"), "a.vhdx")
        # Who does not find the signature takes it for a raw file.
        if length >= 8:
            need(status == 1 and said, f"cut at {length}: status {status}")
        tried(("check", "--repair", "a.vhdx"), "a.vhdx")


def loops(_):
    """Images that are their own parents."""
    bhdisk("create", "--size", "4M", "--block-size", "1M", "a.vhdx")
    bhdisk("create", "--parent", "a.vhdx", "b.vhdx")
    bhdisk("create", "--parent", "b.vhdx", "c.vhdx")
    # b's identity is what c wants. A copy of c in a's place that is taken for a: its guid is a's.
    image = bytearray(pathlib.Path("c.vhdx").read_bytes())
    parent = pathlib.Path("a.vhdx").read_bytes()
    newest = max(HEADERS, key=lambda at: parent[at + 8:at + 16][::-1])
    for at in HEADERS:
        image[at + 32:at + 48] = parent[newest + 32:newest + 48]
        seal(image, at, HEADER_BYTES)
    pathlib.Path("a.vhdx").write_bytes(image)
    refused("it is its own ancestor", "convert", "c.vhdx", "x.img")
    need(not os.path.exists("x.img"), "there is a copy")


def foreign_log(_):
    """
    An image as qemu leaves it if it is killed between its log and its table: the entry that it has
    written counts, and the table is as before.
    """
    qemu, tool = other("qemu-img"), other("qemu-io")
    run(qemu, "create", "-f", "vhdx", "-o", "subformat=dynamic,block_size=1M", "q.vhdx", "64M")
    run(tool, "-f", "vhdx", "-c", "write -P 7 5M 1M", "-c", "flush", "-c", "abort", "q.vhdx",
        status=-6)
    image = bytearray(pathlib.Path("q.vhdx").read_bytes())
    need(image[LOG:LOG + 4] == b"loge", "qemu has written no log")
    table = int.from_bytes(image[LOG + 80:LOG + 88], "little")
    image[table:table + 4 * KIB] = bytes(4 * KIB)
    for at in HEADERS:
        image[at + 48:at + 64] = image[LOG + 32:LOG + 48]
        seal(image, at, HEADER_BYTES)
    pathlib.Path("q.vhdx").write_bytes(image)
    bhdisk("convert", "q.vhdx", "q.img")
    need("the log has updates" in bhdisk("check", "q.vhdx"), "there was no log to play")
    need(pathlib.Path("q.vhdx").read_bytes() == image, "reading has changed it")
    need(diskio("q.img", "read", 5 * MIB, MIB) == "\7" * MIB, "the update is not played")
    shutil.copyfile("q.vhdx", "r.vhdx")
    run(qemu, "check", "-f", "vhdx", "-r", "all", "r.vhdx")
    run(qemu, "compare", "-f", "vhdx", "-F", "raw", "r.vhdx", "q.img")
    diskio("q.vhdx", "write", 63 * MIB, 4 * KIB, 9)
    sound("q.vhdx")
    run(qemu, "check", "-f", "vhdx", "q.vhdx")
    need(diskio("q.vhdx", "read", 5 * MIB, 4 * KIB) == "\7" * 4 * KIB, "it is gone")
