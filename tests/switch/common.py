# SPDX-License-Identifier: MIT
"""What the tests of switches share: bhswitch, guests that are namespaces, frames as bytes."""

import contextlib
import ctypes
import functools
import json
import os
import pathlib
import select
import shutil
import socket
import struct
import subprocess
import sys
import time

TREE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE / "tools"))
from bh import debian, paths  # noqa: E402 (the path comes first)

BHSWITCH = paths.BUILD / "vmms" / "switch" / "bhswitch"
RELAY = paths.BUILD / "tests" / "switch" / "taprelay"
BOUND_S = 30
CLONE_NEWNET = 0x40000000
BROADCAST = "ff:ff:ff:ff:ff:ff"
LIBC = ctypes.CDLL(None, use_errno=True)


class Failed(Exception):
    """A check did not hold; the text says which."""


class Skipped(Exception):
    """Something that the test needs is not on this machine."""


def need(condition, text):
    if not condition:
        raise Failed(text)


def run(*argv, status=0):
    """Runs a command and wants its exit status (None: any); what it printed, both streams."""
    done = subprocess.run([*map(str, argv)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", timeout=BOUND_S,
                          check=False)
    need(status is None or done.returncode == status,
         f"{' '.join(map(str, argv))}: status {done.returncode}: {done.stdout.strip()[-400:]}")
    return done.stdout


def ip(*argv, **more):
    return run("ip", *argv, **more)


@functools.cache
def busybox():
    """The one that the images have: a system has one of two that exclude each other, or none."""
    return debian.Cache().package("busybox-static") / "usr/bin/busybox"


def tool(name):
    found = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if not found:
        raise Skipped(f"{name} is not installed")
    return found


class Switches:
    """A store of its own, and bhswitch on it."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, *argv, **more):
        return run(BHSWITCH, "--state", self.folder, *argv, **more)

    def json(self, *argv):
        return json.loads(self(*argv, "--json"))

    def refused(self, part, *argv, status=1):
        out = self(*argv, status=status)
        need(part in out, f"bhswitch {' '.join(argv)} does not say '{part}': {out.strip()}")

    def tables(self):
        return run(tool("nft"), "list", "ruleset")


@contextlib.contextmanager
def namespace(name):
    """This thread is in another network namespace; sockets that are made stay there."""
    with open("/proc/self/ns/net") as own, open(f"/run/netns/{name}") as other:
        need(LIBC.setns(other.fileno(), CLONE_NEWNET) == 0, f"setns {name}")
        try:
            yield
        finally:
            need(LIBC.setns(own.fileno(), CLONE_NEWNET) == 0, "setns back")


class Place:
    """A network namespace with a card eth0."""

    def __init__(self, name):
        self.name = name
        self.raw = None
        ip("netns", "add", name)
        self.ip("link", "set", "lo", "up")

    def run(self, *argv, **more):
        return ip("netns", "exec", self.name, *argv, **more)

    def ip(self, *argv, **more):
        return ip("-n", self.name, *argv, **more)

    def listen(self):
        """Frames from and to eth0."""
        with namespace(self.name):
            self.raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            self.raw.bind(("eth0", 0))
        self.raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)

    def pings(self, address, wait_s=2):
        """Whether an address answers, at the second try at the latest."""
        return ", 0% packet loss" in self.run(busybox(), "ping", "-c", 1, "-W", wait_s,
                                              address, status=None)

    def socket(self, kind=socket.SOCK_STREAM):
        with namespace(self.name):
            return socket.socket(socket.AF_INET, kind)

    def drain(self):
        while select.select([self.raw], [], [], 0)[0]:
            self.raw.recv(70000)

    def frames(self, wait_s):
        """Frames that come within so many seconds, without what it sends itself."""
        end = time.monotonic() + wait_s
        while (left := end - time.monotonic()) > 0:
            if select.select([self.raw], [], [], left)[0]:
                data, where = self.raw.recvfrom(70000)
                if where[2] != socket.PACKET_OUTGOING:
                    yield data

    def end(self):
        if self.raw:
            self.raw.close()
        ip("netns", "del", self.name)


class Guest(Place):
    """A namespace on a port of a switch."""

    def __init__(self, switches, on, name, *options, mtu=1500):
        self.switches = switches
        self.port = switches.json("connect", *options, on, name)
        self.mac, self.tap = self.port["mac"], self.port["tap"]
        super().__init__(name)
        self.relay = subprocess.Popen([RELAY, self.tap, f"/run/netns/{name}", "eth0", self.mac],
                                      stdout=subprocess.PIPE, text=True)
        need(self.relay.stdout.readline() == "ready\n", f"{name}: no relay")
        self.ip("link", "set", "eth0", "mtu", mtu, "up")
        self.listen()

    def address(self, text):
        # An address of IPv6 that is being looked for elsewhere is not used for a second.
        self.ip("address", "add", text, "dev", "eth0", *["nodad"] * (":" in text))
        return self

    def fixed(self):
        """The address that the switch has for it, without DHCP."""
        need(self.port["addresses"], f"{self.name} has no address")
        return self.port["addresses"][0]["address"]

    def show(self):
        return self.switches.json("show", self.name)

    def known_as(self):
        """{address: how it is known}"""
        return {a["address"]: a["by"] for a in self.show()["addresses"]}

    def dhcp(self):
        """The (address, router) that it gets and takes."""
        script = pathlib.Path(f"/tmp/udhcpc-{self.name}")
        script.write_text("#!/bin/sh\n[ $1 = bound ] || exit 0\nip address add $ip/$mask dev eth0\n"
                          "[ -z \"$router\" ] || ip route add default via $router\n"
                          "echo got $ip $router mtu=$mtu\n")
        script.chmod(0o755)
        try:
            out = self.run(busybox(), "udhcpc", "-i", "eth0", "-f", "-q", "-n", "-t", 5, "-T",
                           1, "-O", "mtu", "-s", script)
        finally:
            script.unlink()
        got = [line.split()[1:] for line in out.splitlines() if line.startswith("got ")]
        need(got, f"{self.name}: no address by DHCP: {out[-300:]}")
        return got[0]

    def end(self, disconnect=True):
        self.relay.kill()
        self.relay.wait()
        super().end()
        if disconnect:
            self.switches("disconnect", self.name)


# ---- frames ----

def mac_bytes(text):
    return bytes.fromhex(text.replace(":", ""))


def ether(to, source, kind, payload):
    return (mac_bytes(to) + mac_bytes(source) + struct.pack(">H", kind) + payload).ljust(60, b"\0")


def tagged(frame, vlan, kind=0x8100):
    return frame[:12] + struct.pack(">HH", kind, vlan) + frame[12:]


def arp(source_mac, source, target, operation=1, inner_mac=None, to=BROADCAST):
    return ether(to, source_mac, 0x806, struct.pack(">HHBBH", 1, 0x800, 6, 4, operation)
                 + mac_bytes(inner_mac or source_mac) + socket.inet_aton(source) + bytes(6)
                 + socket.inet_aton(target))


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(to_mac, from_mac, source, target, protocol, payload, fragment=0, options=b""):
    head = struct.pack(">BBHHHBBH4s4s", 0x45 + len(options) // 4, 0,
                       20 + len(options) + len(payload), 7, fragment, 64, protocol, 0,
                       socket.inet_aton(source), socket.inet_aton(target)) + options
    head = head[:10] + struct.pack(">H", checksum(head)) + head[12:]
    return ether(to_mac, from_mac, 0x800, head + payload)


def udp(source_port, port, data=b"hello, world"):
    return struct.pack(">HHHH", source_port, port, 8 + len(data), 0) + data


def ipv6(to_mac, from_mac, source, target, first_header, payload):
    return ether(to_mac, from_mac, 0x86DD, struct.pack(">IHBB", 6 << 28, len(payload), first_header,
                                                       255)
                 + socket.inet_pton(socket.AF_INET6, source)
                 + socket.inet_pton(socket.AF_INET6, target) + payload)


MARK = 0x88B5  # for local experiments: IEEE 802
counter = 0


def passes(frame, source, target, name="", wait_s=3):
    """
    Whether a frame comes through. Behind it goes one that must: when that is there, the other
    is or will never be.
    """
    global counter
    counter += 1
    mark = ether(BROADCAST, source.mac, MARK, b"mark %d" % counter)
    target.drain()
    source.raw.send(frame)
    source.raw.send(mark)
    seen = False
    for got in target.frames(wait_s):
        if got == mark:
            return seen
        # Padding goes on the way where the length of a packet says so.
        seen |= got.rstrip(b"\0") == frame.rstrip(b"\0")
    raise Failed(f"{name}: nothing passes from {source.name} to {target.name}")
