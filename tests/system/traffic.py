# SPDX-License-Identifier: MIT
"""The data that disks hold and network cards move, and the host's end of the network."""

import hashlib
import re
import socket
import threading

from bh import paths

MIB = 1 << 20
PUT_LIMIT_MIB = 4096


def block(seed, number):
    """One MiB of data: always the same for the same seed and number, and no two alike."""
    return hashlib.shake_128(f"bulkhead {seed} {number}".encode()).digest(MIB)


def data_sum(seed, mib):
    """The checksum of the first MIB of data."""
    total = hashlib.md5()
    for number in range(mib):
        total.update(block(seed, number))
    return total.hexdigest()


def disk_file(seed, mib):
    """
    The path of a disk image with MIB of data. What is there already is checked, for a broken guest
    may have written to it.
    """
    path = paths.BUILD / "system" / f"{seed}-{mib}.img"
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+b") as image:
        for number in range(mib):
            data = block(seed, number)
            image.seek(number * MIB)
            if image.read(MIB) != data:
                image.truncate(number * MIB)
                image.write(data)
        image.truncate(mib * MIB)
    return path


def zeros_sum(mib):
    """The checksum of so many zeros, which is what the guest sends."""
    total = hashlib.md5()
    for _ in range(mib):
        total.update(bytes(MIB))
    return total.hexdigest()


class Server:
    """
    Listens on the loopback address, which guests see as their gateway. A client says "get N" and
    receives the first N MiB of the file, or "put" and then sends; the answer is the checksum.
    """

    def __init__(self, path):
        self._path = path
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        try:
            with client, client.makefile("rb") as lines:
                word = lines.readline(100).decode("ascii", "replace")
                asked = re.fullmatch(r"get (\d+)\n", word)
                if asked:
                    self._send(client, int(asked.group(1)))
                elif word == "put\n":
                    client.sendall(f"{self._receive(lines)}\n".encode())
        except OSError:
            pass  # the guest went away; its own checks say so

    def _send(self, client, mib):
        with open(self._path, "rb") as source:
            for _ in range(mib):
                client.sendall(source.read(MIB))

    @staticmethod
    def _receive(lines):
        total = hashlib.md5()
        for _ in range(PUT_LIMIT_MIB * 16):
            data = lines.read(MIB // 16)
            if not data:
                break
            total.update(data)
        return total.hexdigest()

    def close(self):
        self._listener.close()
