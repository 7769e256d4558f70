# SPDX-License-Identifier: MIT
"""What the checks of disks have in common: images in the parent, children that have them."""

from machine import expect
from workers import APPEND, Workers

CHILD_S = 120
SCRATCH = "/scratch"
# Formats that images are made in: name, and options of bhdisk create.
FORMATS = {"raw": "--format raw", "vhd": "--format vhd", "vhdx": "--format vhdx"}


def section(path, **options):
    """A [disk] of a configuration."""
    lines = "".join(f"{k} = {v}\n" for k, v in options.items())
    return f"\n[disk]\npath = {path}\n{lines}"


def control(name):
    return f"\n[control]\nsocket = /tmp/{name}.ctl\n"


class Storage(Workers):
    """The parent, with what the checks have in common. `kernel`: the children's."""

    def __init__(self, machine, full, kernel):
        super().__init__(machine, full)
        self.kernel = kernel

    def image(self, name, kind, size, more=""):
        """Makes an image; its path."""
        path = f"{SCRATCH}/{name}.{kind}"
        self.machine.run(f"bhdisk create {FORMATS[kind]} --size {size} {more} {path}")
        return path

    def check_image(self, path):
        """An image that nobody has open any more must be whole."""
        status, out = self.machine.status_of(f"bhdisk check {path}")
        expect(status == 0, f"bhdisk check {path}: {status}: {out[-300:]}")

    def child(self, test, disks, **options):
        """Starts a child that does TEST with these [disk] sections; its path."""
        more = "".join(disks) + control(f"vm{self.number + 1}")
        return self.start(f"{APPEND} bh.test={test}", more=more, **options)

    def go(self, path):
        """Tells a child to go on, by one more disk."""
        self.ctl(path, f"add 0:63 {self.image(f'go{self.number}', 'raw', '1M')}")

    def ctl(self, path, words, wanted=0):
        status, out = self.machine.status_of(f"vmwpctl {path}.ctl {words}")
        expect(status == wanted, f"vmwpctl {words}: {status}: {out[-300:]}")
        return out

    def wait(self, path, expression, timeout_s=CHILD_S):
        return self.wait_console(path, expression, timeout_s)

    def ended(self, path):
        status = self.wait_end(path)
        expect(status == 0, f"the worker ended with {status}: "
                            f"{self.machine.run(f'tail -n 3 {path}.err')}")

    def chain(self, name, kind, size):
        """Makes a chain of three; the path of its end."""
        path = self.image(name, kind, size)
        for depth in range(2):
            child = f"{SCRATCH}/{name}-leaf{depth}.{kind}"
            self.machine.run(f"bhdisk create {FORMATS[kind]} --parent {path} {child}")
            path = child
        return path

    def used_kib(self, path):
        """What a file takes of its file system."""
        return int(self.machine.run(f"du -k {path}").split()[0])
