#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
Network adapters of children over VMBus: a child with Debian's kernel, behind it a TAP device of
the parent, over which the test tells it what to do.

  tests/system/test_network.py                    the short form, which guards a commit
  tests/system/test_network.py --all              long forms, children with both kernels
  tests/system/test_network.py tcp link           only checks whose names begin so

Logs are kept in build/network/.
"""

import json
import pathlib
import re
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
TREE = HERE.parents[1]
sys.path[:0] = [str(TREE / "tools"), str(HERE)]
from bh import child, debian, initramfs, paths, vhost  # noqa: E402
from machine import Machine, expect, wait_until  # noqa: E402 (paths come first)
from storage import control  # noqa: E402
import suite  # noqa: E402
from workers import APPEND, Workers  # noqa: E402

OURS = paths.BUILD / "network"
BOOT_S, CHILD_S = 120, 120
MEMORY_MIB = 2048
MODULES = ("hv_netvsc", "8021q")
PROGRAMS = ("iperf3", "ethtool", "socat", "ip")
NET = "192.168.77"
PARENT, CHILD = f"{NET}.1", f"{NET}.2"
TAP = "bht0"
MAC = "02:00:00:00:77:02"
RETRY = "retry=100,interval=0.1"  # of socat: until somebody listens


def network(tap, **options):
    """A [network] of a configuration."""
    lines = "".join(f"{k} = {v}\n" for k, v in options.items())
    return f"\n[network]\ntap = {tap}\n{lines}"


class Network(Workers):
    """The parent and one child, which runs for all checks."""

    def __init__(self, machine, full, kernel):
        super().__init__(machine, full)
        self.kernel = kernel
        self.path = None

    def begin(self, processors=2):
        self.path = self.start(f"{APPEND} bh.address={CHILD}", memory="512M", processors=processors,
                               more=network(TAP, mac=MAC, mtu=9000, queues=4) +
                               control(f"vm{self.number + 1}"))
        self.wait_console(self.path, r"@up (\S+) \.", CHILD_S)
        self.machine.run(f"ip address add {PARENT}/24 dev {TAP}; ip link set {TAP} mtu 1500 up")

    def ctl(self, words, wanted=0):
        status, out = self.machine.status_of(f"vmwpctl {self.path}.ctl {words}")
        expect(status == wanted, f"vmwpctl {words}: {status}: {out[-300:]}")
        return out

    def tell(self):
        """Prints the last words of the worker and of the child."""
        print(self.machine.run(f"tail -n 5 {self.path}.err; tail -n 12 {self.path}.log; true")[-1500:])

    def counters(self, place=0):
        networks = json.loads(self.ctl("counters"))["networks"]
        return next(n for n in networks if n["network"] == place)

    def child(self, command, timeout_s=60):
        """What a command in the child says, on one line or more."""
        quoted = command.replace("'", "'\\''")
        end = "" if command.endswith("&") else ";"
        out = self.machine.run(f"echo '{quoted}{end} echo @$?' | timeout {timeout_s} "
                               f"socat -t {timeout_s} - TCP:{CHILD}:7,connect-timeout=10 || true",
                               timeout_s + 20)
        text, mark, status = out.rpartition("@")
        expect(mark, f"the child does not answer to {command}: {out[-200:]}")
        expect(status.strip() == "0", f"{command} in the child: {out[-300:]}")
        return text.strip()

    def child_later(self, command):
        """The child does that by itself, also without a network."""
        self.child(f"(sleep 1; {command}) > /tmp/later 2>&1 &")

    def reachable(self, wanted=True, timeout_s=20):
        end = time.monotonic() + timeout_s
        while (self.machine.status_of(f"ping -c 1 -W 1 {CHILD} > /dev/null")[0] == 0) != wanted:
            expect(time.monotonic() < end, f"the child is {'not ' if wanted else ''}reached")

    def iperf(self, more, seconds=3):
        """Mbit/s of a run against the child."""
        out = self.machine.run(f"iperf3 -J -c {CHILD} -t {seconds} {more}", seconds + 40)
        return json.loads(out[out.index("{"):])["end"]["sum_received"]["bits_per_second"] / 1e6


def check_facts(run):
    """The driver is bound, and knows what it was given."""
    address = run.child("cat /sys/class/net/eth0/address")
    expect(address == MAC, address)
    driver = run.child("ethtool -i eth0")
    expect("hv_netvsc" in driver, driver)
    channels = run.child("ethtool -l eth0 | grep Combined | tail -n 1")
    expect("2" in channels, channels)
    state = run.counters()
    expect(state["version"] == 0x60001 and state["link"] and state["rss"] and state["coalescing"] and
           len(state["channels"]) == 2, str(state)[:400])
    features = run.child("ethtool -k eth0")
    for name in ("tx-tcp-segmentation", "tx-tcp6-segmentation", "tx-checksum-ipv4",
                 "large-receive-offload", "rx-checksumming"):
        expect(f"{name}: on" in features, f"{name}: {features[-800:]}")
    return "NVSP 6.1, 2 channels"


def both_ways(run, mib):
    """Data that is the same on the other side, both ways."""
    data = f"yes bulkhead | head -c {mib << 20}"
    patience = 120 + mib
    wanted = run.machine.run(f"{data} | md5sum", patience).split()[0]
    run.child("rm -f /tmp/sum")
    run.child("(socat -u TCP-LISTEN:9,reuseaddr - | md5sum > /tmp/sum) > /dev/null 2>&1 &")
    run.machine.run(f"{data} | socat -u - TCP:{CHILD}:9,{RETRY}", patience)
    got = run.child("for i in $(seq 100); do [ -s /tmp/sum ] && break; usleep 100000; done; "
                    "cat /tmp/sum").split()[0]
    expect(got == wanted, f"to the child: {got}, not {wanted}")
    run.child(f"({data} | socat -u - TCP-LISTEN:10,reuseaddr) > /dev/null 2>&1 &")
    got = run.machine.run(f"socat -u TCP:{CHILD}:10,{RETRY} - | md5sum", patience).split()[0]
    expect(got == wanted, f"from the child: {got}, not {wanted}")


def check_data(run):
    both_ways(run, 10240 if run.full else 16)


def check_tcp(run):
    seconds = 10 if run.full else 2
    to = run.iperf("", seconds)
    before = run.counters()["channels"]
    back = run.iperf("-R", seconds)
    after = run.counters()["channels"]
    did = {key: sum(b[key] - a[key] for a, b in zip(before, after))
           for key in ("sent", "received", "packets", "batches", "waits", "steered")}
    many = run.iperf("-P 8", seconds)
    return f"{to:.0f} Mbit/s to the child, {back:.0f} from it, {many:.0f} in 8 flows; {did}"


def check_spread(run):
    """Many flows come over all channels, as the child's table has it."""
    before = run.counters()
    run.iperf("-P 16", 2)
    after = run.counters()
    packets = [b["batches"] - a["batches"] for a, b in zip(before["channels"], after["channels"])]
    expect(len(packets) == 2 and min(packets) > max(packets) / 20, str(packets))
    steered = sum(b["steered"] - a["steered"] for a, b in zip(before["channels"], after["channels"]))
    return f"batches {packets}, {steered} frames handed over"


def check_udp(run):
    out = json.loads(run.machine.run(f"iperf3 -J -u -b 5M -l 1200 -c {CHILD} -t 2", 60))
    lost = out["end"]["sum"]["lost_percent"]
    expect(lost < 1, f"{lost}% lost")
    return f"{lost:.2f}% lost at 5 Mbit/s"


def check_ipv6(run):
    run.child("ip -6 address add fd00:77::2/64 dev eth0")
    run.machine.run(f"ip -6 address add fd00:77::1/64 dev {TAP}")
    wait_until(lambda: run.machine.status_of("ping -6 -c 1 -W 1 fd00:77::2")[0] == 0,
               "the child is not reached by IPv6")
    rates = [json.loads(run.machine.run(f"iperf3 -6 -J -c fd00:77::2 -t 1 {more}", 40))["end"]
             ["sum_received"]["bits_per_second"] / 1e6 for more in ("", "-R")]
    expect(min(rates) > 1, str(rates))
    return f"{rates[0]:.0f} and {rates[1]:.0f} Mbit/s"


def check_offloads(run):
    """Everything works without them, too."""
    names = ("tx", "rx", "tso", "lro", "sg") if run.full else ("tso", "lro")
    for name in names:
        run.child(f"ethtool -K eth0 {name} off")
        if name == "lro":
            expect(not run.counters()["coalescing"], "the host was not told")
    run.child("ethtool -K eth0 tx off rx off tso off lro off")
    both_ways(run, 8)
    run.child("ethtool -K eth0 tx on rx on tso on lro on")
    both_ways(run, 8)


def check_vlan(run):
    run.child("ip link add link eth0 name v5 type vlan id 5; ip address add 192.168.78.2/24 dev v5; "
              "ip link set v5 up")
    run.machine.run(f"ip link add link {TAP} name {TAP}.5 type vlan id 5; "
                    f"ip address add 192.168.78.1/24 dev {TAP}.5; ip link set {TAP}.5 up")
    run.machine.run("ping -c 3 -W 2 192.168.78.2")
    out = run.machine.run("iperf3 -J -c 192.168.78.2 -t 1", 40)
    run.child("ip link del v5")
    run.machine.run(f"ip link del {TAP}.5")
    return f"{json.loads(out)['end']['sum_received']['bits_per_second'] / 1e6:.0f} Mbit/s"


def wait_mtu(run, mtu):
    wait_until(lambda: run.child("cat /sys/class/net/eth0/mtu", 5) == str(mtu),
               f"the child's MTU is not {mtu}", 60)
    run.reachable()


def check_mtu(run):
    """A large MTU, and back."""
    run.child_later("ip link set eth0 mtu 9000")
    run.machine.run(f"ip link set {TAP} mtu 9000")
    wait_mtu(run, 9000)
    run.machine.run(f"ping -c 2 -W 2 -s 8900 {CHILD}")
    rate = run.iperf("", 1)
    run.child_later("ip link set eth0 mtu 1500")
    run.machine.run(f"ip link set {TAP} mtu 1500")
    wait_mtu(run, 1500)
    return f"{rate:.0f} Mbit/s"


def check_link(run):
    run.ctl("link 0 down")
    run.reachable(False)
    run.ctl("link 0 up")
    run.reachable()
    carrier = run.child("dmesg | grep -c 'link status\\|carrier' || true; cat /sys/class/net/eth0/carrier")
    expect(carrier.splitlines()[-1] == "1", carrier)
    run.ctl("link 7 up", 1)
    run.ctl("link 0 sideways", 1)


def check_address(run):
    """The child may not take another address."""
    out = run.child("ip link set eth0 address 02:00:00:00:77:33 2>&1 && echo changed || echo refused")
    expect("refused" in out, out)
    run.reachable()


def check_reload(run):
    """The driver lets go and comes back while data flows."""
    rounds = 50 if run.full else 3
    before = run.counters()
    run.child_later(
        "d=/sys/bus/vmbus/drivers/hv_netvsc; id=$(basename $(readlink /sys/class/net/eth0/device)); "
        f"for i in $(seq {rounds}); do echo $id > $d/unbind; echo $id > $d/bind; "
        "for t in $(seq 50); do [ -e /sys/class/net/eth0 ] && break; usleep 100000; done; "
        f"ip link set eth0 up; ip address add {CHILD}/24 dev eth0; usleep 500000; done; "
        "touch /tmp/reloaded")
    run.machine.run(f"(for i in $(seq {rounds * 4}); do ping -c 1 -W 1 -s 1000 {CHILD}; done "
                    "> /dev/null 2>&1 &)")
    wait_until(lambda: "yes" in run.child("[ -e /tmp/reloaded ] && echo yes || echo no", 5),
               "the driver does not come back", rounds * 4 + 60)
    run.child("rm /tmp/reloaded")
    expect(not any(c["broken"] for c in run.counters()["channels"]), str(before))
    both_ways(run, 8)
    return f"{rounds} rounds"


def check_hot(run):
    """An adapter comes and goes."""
    rounds = 50 if run.full else 3
    for _ in range(rounds):
        out = json.loads(run.ctl("network-add --mac 02:00:00:00:79:02 --queues 2 bht1"))
        expect(out["network"] == 1, str(out))
        run.machine.run("ip address add 192.168.79.1/24 dev bht1 2>/dev/null; ip link set bht1 up")
        run.child("for t in $(seq 50); do [ -e /sys/class/net/eth1 ] && break; usleep 100000; done; "
                  "ip link set eth1 up; ip address add 192.168.79.2/24 dev eth1")
        run.machine.run("for t in $(seq 10); do ping -c 1 -W 1 192.168.79.2 && break; done", 30)
        run.machine.run("(for i in $(seq 5); do ping -c 1 -W 1 -s 1000 192.168.79.2; done "
                        "> /dev/null 2>&1 &)")
        run.ctl("network-remove 1")
        run.child("for t in $(seq 100); do [ -e /sys/class/net/eth1 ] || break; usleep 100000; done; "
                  "[ ! -e /sys/class/net/eth1 ]")
        gone = run.machine.status_of("ip link show bht1 2> /dev/null")[0]
        expect(gone != 0, "the device is still there")
    run.ctl("network-remove 1", 1)
    return f"{rounds} rounds"


def check_end(run):
    """Neither log has anything to complain of, and nothing is left."""
    run.child_later("touch /tmp/end")
    run.wait_console(run.path, r"@end \.", CHILD_S)
    status = run.wait_end(run.path)
    console = run.console(run.path)
    said = re.search(r"(.*)\n@end", console).group(1)
    expect(status == 0, f"the worker ended with {status}")
    expect("@up" in said or not re.search(r"BUG|WARN|hv_netvsc", said), said)
    expect(run.machine.status_of(f"ip link show {TAP} 2> /dev/null")[0] != 0, f"{TAP} is left")
    trouble = run.machine.run("dmesg | grep -E 'BUG:|WARNING|Oops|stall' | head -n 3; true")
    expect(not trouble, trouble)


CHECKS = {name.removeprefix("check_"): function for name, function in list(globals().items())
          if name.startswith("check_")}


def build_image(child_kernel):
    """The parent's image, with a child's that holds the tests."""
    packages = ["iperf3", "ethtool", "socat", "iproute2"]
    tools = debian.Cache().root("network-tests", packages)
    inner = initramfs.build(child_kernel, modules=MODULES, wished=(), programs=PROGRAMS, root=tools,
                            files=[("/tests/run.sh", HERE / "guest/network.sh")])
    return suite.parent_image(OURS, "6.1-cloud", child_kernel, inner, programs=PROGRAMS, root=tools,
                              modules=("ext4", "tun", "8021q"))


def run_parent(child_kernel, args, said):
    OURS.mkdir(parents=True, exist_ok=True)
    config = vhost.Config(initrd=build_image(child_kernel), smp=args.smp, memory_mib=MEMORY_MIB,
                          append="bh.mode=test")
    with Machine(config, OURS / child_kernel) as machine:
        machine.start(BOOT_S)
        machine.run(f"insmod {child.HOME}/bulkhead-vid.ko; mkdir -p /dev/net; "
                    "[ -e /dev/net/tun ] || mknod /dev/net/tun c 10 200")
        run = Network(machine, args.all, child_kernel)
        run.begin()
        suite.run_checks(machine, f"network/{child_kernel}", CHECKS, args.checks, run, said,
                         clean_up=run.tell)


if __name__ == "__main__":
    suite.main("network", __doc__, CHECKS, run_parent)
