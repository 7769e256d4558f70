#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
Virtual switches in a parent with Debian's kernel: what tests/switch/run cannot try where a host's
kernel has no VLANs in bridges, and that the kernel's modules and the packages of the image suffice.
Guests are network namespaces behind taps.

  tests/system/test_switch.py         one kernel, which guards a commit
  tests/system/test_switch.py --all   each kernel that a parent may have
  tests/system/test_switch.py vlans   only checks whose names begin so

Logs are kept in build/switch/.
"""

import argparse
import json
import pathlib
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
TREE = HERE.parents[1]
sys.path[:0] = [str(TREE / "tools"), str(HERE)]
from bh import debian, initramfs, paths, report, switch, vhost  # noqa: E402
from machine import FAILURES, Machine, expect, expect_known, wait_until  # noqa: E402 (paths come first)

LOGS = paths.BUILD / "switch"
KERNELS = ("6.1-cloud", "7.3-cloud")
BOOT_S, END_S = 120, 30
MODULES = switch.MODULES + ("veth", "8021q")
RELAY = paths.BUILD / "tests" / "switch" / "taprelay"
GATEWAY = "10.0.2.2"  # of QEMU's user network


class Parent:
    """A parent, and guests on its switches."""

    def __init__(self, machine):
        self.machine = machine
        self.guests = []

    def run(self, command, **more):
        return self.machine.run(command, **more)

    def guest(self, on, name, options="", *addresses):
        """A namespace on a port of a switch, with addresses `ADDRESS` or `VLAN=ADDRESS`."""
        port = json.loads(self.run(f"bhswitch connect --json {options} {on} {name}"))
        self.run(f"ip netns add {name}; taprelay {port['tap']} /run/netns/{name} eth0 {port['mac']} "
                 f"> /tmp/{name} & echo $! > /tmp/{name}.pid")
        wait_until(lambda: "ready" in self.run(f"cat /tmp/{name}"), f"no relay for {name}")
        self.run(f"ip -n {name} link set eth0 up")
        for address in addresses:
            vlan, _, plain = address.rpartition("=")
            if vlan:
                self.vlan(name, vlan)
            self.run(f"ip -n {name} address add {plain} dev eth0{'.' * bool(vlan)}{vlan}")
        self.guests.append(name)
        return port

    def vlan(self, name, vlan):
        self.run(f"ip -n {name} link add link eth0 name eth0.{vlan} type vlan id {vlan} && "
                 f"ip -n {name} link set eth0.{vlan} up")

    def reaches(self, name, address):
        status, _ = self.machine.status_of(f"ip netns exec {name} ping -c 1 -W 1 {address}")
        return status == 0

    def expect(self, name, address, yes=True):
        expect(self.reaches(name, address) == yes,
               f"{name} {'does not reach' if yes else 'reaches'} {address}")

    def clear(self):
        for name in self.guests:
            self.run(f"kill $(cat /tmp/{name}.pid); ip netns del {name}")
        self.guests = []
        switches = json.loads(self.run("bhswitch list --json"))
        for s in switches:
            self.run(f"bhswitch delete --force {s['name']}")
        left = self.run("ip -o link | grep ': bh[sp]'; nft list tables; pidof dnsmasq; true")
        expect(not left.strip(), f"left: {left}")


def nat(p):
    """DHCP, a way out, nothing in; the guest's address is known by all ways."""
    p.run("bhswitch create n")
    port = p.guest("n", "a", "--max-sent 50M --max-received 50M")
    p.run("printf '#!/bin/sh\\n[ $1 = bound ] && /usr/bin/ip address add $ip/$mask dev eth0 && "
          "/usr/bin/ip route add default via $router\\n' > /tmp/got; chmod +x /tmp/got")
    p.run("ip netns exec a udhcpc -i eth0 -f -q -n -t 5 -T 1 -s /tmp/got")
    p.expect("a", "172.28.0.1")
    p.expect("a", GATEWAY)
    shown = json.loads(p.run("bhswitch show --json a"))["addresses"]
    known = {x["address"]: x["by"] for x in shown}
    expect(known.get(port["addresses"][0]["address"]) == ["fixed", "dhcp", "seen", "neighbour"],
           f"{known}")
    expect("tbf" in p.run("ip link show bhp0"), "no limit")


def external(p):
    """A guest beside the host in the network of its card; the host's address moves and returns."""
    card = p.run("ip -o route get 10.0.2.2").split(" dev ")[1].split()[0]
    p.run(f"bhswitch create --kind external --nic {card} --host e")
    expect("10.0.2.15/24" in p.run("ip address show dev bhs0"), "the address did not move")
    p.guest("e", "a", "", "10.0.2.77/24")
    p.expect("a", GATEWAY)
    p.expect("a", "10.0.2.15")
    p.run(f"ping -c 1 -W 2 {GATEWAY}")
    p.clear()
    expect("10.0.2.15/24" in p.run(f"ip address show dev {card}"), "the address did not return")
    p.run(f"ping -c 1 -W 2 {GATEWAY}")


def vlans(p):
    """Access and trunk ports hear their VLANs and no others, also after a change."""
    p.run("bhswitch create --kind private p")
    for name, options, *addresses in (("a", "--vlan 5", "10.5.0.1/24"),
                                      ("b", "--vlan 5", "10.5.0.2/24"),
                                      ("c", "--vlan 6", "10.5.0.3/24"),
                                      ("t", "--trunk 5,7", "5=10.5.0.4/24", "6=10.6.0.4/24",
                                       "10.8.0.4/24"),
                                      ("u", "", "10.5.0.5/24", "10.8.0.5/24", "5=10.9.0.5/24")):
        p.guest("p", name, options, *addresses)
    p.run("ip -n c address add 10.6.0.3/24 dev eth0; ip -n a address add 10.9.0.1/24 dev eth0")
    p.expect("a", "10.5.0.2")
    p.expect("a", "10.5.0.4")
    p.expect("t", "10.8.0.5")
    p.expect("a", "10.5.0.3", False)
    p.expect("a", "10.5.0.5", False)
    p.expect("t", "10.6.0.3", False)  # a tag that is not in its list
    p.expect("u", "10.9.0.1", False)  # a tag from a port without
    p.run("bhswitch set a --vlan 6")
    p.expect("a", "10.5.0.3")
    p.expect("a", "10.5.0.2", False)
    p.run("bhswitch set t --trunk 6 --native 5")
    p.expect("t", "10.6.0.3")
    p.run("ip -n t address add 10.5.0.44/24 dev eth0; ip -n t address del 10.5.0.4/24 dev eth0.5")
    p.expect("b", "10.5.0.44")
    p.run("bhswitch set a --vlan none")
    p.expect("a", "10.5.0.5")


def vlans_outside(p):
    """The card carries the VLANs of the ports, with tags, and no others."""
    p.run("ip netns add world; ip link add card type veth peer name eth0 netns world; "
          "ip link set card up; ip -n world link set eth0 up; "
          "ip -n world address add 10.4.0.1/24 dev eth0")
    for vlan in (5, 6):
        p.vlan("world", vlan)
        p.run(f"ip -n world address add 10.{vlan}.0.1/24 dev eth0.{vlan}")
    p.run("bhswitch create --kind external --nic card e")
    p.guest("e", "a", "--vlan 5", "10.5.0.2/24")
    p.guest("e", "u", "", "10.4.0.2/24", "6=10.6.0.2/24")
    p.expect("a", "10.5.0.1")
    p.expect("u", "10.4.0.1")
    p.expect("u", "10.6.0.1", False)
    vids = p.run("bridge vlan show dev card")
    expect(" 5" in vids and "4094 PVID" in vids and " 6" not in vids, vids)
    p.run("bhswitch set u --trunk 6")
    p.expect("u", "10.6.0.1")
    p.expect("u", "10.4.0.1")
    p.run("bhswitch disconnect a")
    vids = p.run("bridge vlan show dev card")
    expect(" 5" not in vids and " 6" in vids, vids)
    p.clear()
    p.run("ip link del card; ip netns del world")


def private(p):
    """Guests alone; a guest with another MAC or a neighbour's address is not heard; a mirror sees."""
    p.run("bhswitch create --kind private p")
    p.guest("p", "a", "--address 10.5.0.1", "10.5.0.1/24")
    p.guest("p", "b", "--address 10.5.0.2", "10.5.0.2/24")
    p.guest("p", "m")
    p.run("bhswitch set a --mirror-to m")
    p.expect("a", "10.5.0.2")
    before = int(p.run("ip netns exec m cat /sys/class/net/eth0/statistics/rx_packets"))
    p.run("ip netns exec a ping -c 5 -i .1 10.5.0.2")
    after = int(p.run("ip netns exec m cat /sys/class/net/eth0/statistics/rx_packets"))
    expect(after >= before + 10, f"the mirror saw {after - before} frames")
    p.run("ip address add 10.5.0.9/24 dev bhs0")
    p.expect("a", "10.5.0.9", False)
    p.run("ip -n a address add 10.5.0.3/24 dev eth0; ip -n a address del 10.5.0.1/24 dev eth0; "
          "ip -n a address add 10.5.0.3/24 dev eth0 2> /dev/null; true")
    p.expect("a", "10.5.0.2", False)
    p.run("bhswitch set a --allow address")
    p.expect("a", "10.5.0.2")
    p.run("ip -n a link set eth0 address 02:00:00:00:00:77")
    p.expect("a", "10.5.0.2", False)
    p.run("bhswitch set a --allow address,mac")
    p.expect("a", "10.5.0.2")


def clean(p):
    """Without its store, clean takes all away that was made."""
    p.run("bhswitch create n; bhswitch create --kind private p; bhswitch connect n a; "
          "bhswitch connect --vlan 5 p b")
    p.run("kill -9 $(pidof dnsmasq); bhswitch clean; pidof dnsmasq")
    p.run("rm /var/lib/bulkhead/switch/switches.json")
    said = json.loads(p.run("bhswitch clean --json"))
    expect(said["links_removed"] == 4, f"{said}")


CHECKS = (nat, external, vlans, vlans_outside, private, clean)


def image(kernel):
    path = LOGS / f"{kernel}.img"
    files = switch.files() + [("/usr/bin/taprelay", RELAY)]
    files += [(f"/tests/{n}", HERE / "guest" / n) for n in ("run.sh", "checks.sh")]
    paths.write_whole(path, initramfs.build(kernel, MODULES, files, switch.PROGRAMS, switch.root()))
    return path


def run_kernel(kernel, wanted, said):
    config = vhost.Config(kernel=kernel, initrd=str(image(kernel)), nets=("virtio",),
                          append="bh.mode=test bh.net=user")
    chosen = [c for c in CHECKS if not wanted or any(c.__name__.startswith(w) for w in wanted)]
    name = f"switch/{kernel}/boot"
    try:
        with Machine(config, LOGS / kernel) as machine:
            machine.start(BOOT_S)
            # What the kernel says of the network outside must not stand in an answer.
            machine.run("dmesg -n 1")
            machine.run("mkdir -p /run/netns /var/lib")
            # Busybox' shell takes its own first.
            machine.run("ip() { /usr/bin/ip \"$@\"; }")
            for check in chosen:
                name, started = f"switch/{kernel}/{check.__name__}", time.monotonic()
                parent = Parent(machine)
                check(parent)
                parent.clear()
                said.passed(name, time.monotonic() - started)
            name = f"switch/{kernel}/end"
            machine.console.send("end\n")
            machine.wait_exit(END_S)
    except FAILURES + (debian.FetchError, initramfs.ImageError) as problem:
        said.say("FAIL", name, str(problem).replace("\n", " ")[-500:])


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checks", nargs="*", metavar="CHECK",
                        help=", ".join(c.__name__ for c in CHECKS))
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--kernel", choices=KERNELS)
    args = parser.parse_args()
    expect_known(parser, args.checks, [c.__name__ for c in CHECKS])
    said = report.Report()
    LOGS.mkdir(parents=True, exist_ok=True)
    kernels = KERNELS if args.all else (args.kernel or KERNELS[0],)
    for kernel in kernels:
        run_kernel(kernel, args.checks, said)
    print(said.closing())
    return 1 if said.failed else 0


if __name__ == "__main__":
    sys.exit(main())
