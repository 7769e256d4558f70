# SPDX-License-Identifier: MIT
"""Writes cpio archives in the newc form that the kernel unpacks, the same bytes for the same tree."""

import io
import stat

PAD = b"\0\0\0"


class Archive:
    """Collects entries; the order of adding does not matter, parents are made as needed."""

    def __init__(self):
        self._entries = {}

    def _put(self, path, mode, data=b"", rdev=(0, 0)):
        path = path.strip("/")
        parent, _, _ = path.rpartition("/")
        if parent and parent not in self._entries:
            self.directory(parent)
        self._entries[path] = (mode, data, rdev)

    def directory(self, path):
        self._put(path, stat.S_IFDIR | 0o755)

    def file(self, path, data, mode=0o644):
        self._put(path, stat.S_IFREG | mode, data)

    def symlink(self, path, target):
        self._put(path, stat.S_IFLNK | 0o777, target.encode())

    def char_device(self, path, major, minor, mode=0o600):
        self._put(path, stat.S_IFCHR | mode, rdev=(major, minor))

    def __contains__(self, path):
        return path.strip("/") in self._entries

    def bytes(self):
        out = io.BytesIO()
        for ino, path in enumerate(sorted(self._entries), 1):
            _write_entry(out, ino, path, *self._entries[path])
        _write_entry(out, 0, "TRAILER!!!", 0, b"", (0, 0))
        return out.getvalue()


def _write_entry(out, ino, path, mode, data, rdev):
    name = path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(mode) else 1
    # ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
    fields = (ino, mode, 0, 0, links, 0, len(data), 0, 0, *rdev, len(name), 0)
    header = b"070701" + b"".join(b"%08x" % value for value in fields) + name
    out.write(header + PAD[:-len(header) % 4] + data + PAD[:-len(data) % 4])
