# SPDX-License-Identifier: MIT
"""
A parent partition under test: commands by its console, dumps by the hypervisor's.

    with Machine(config, log_dir) as machine:
        machine.start(60)
        version = machine.run("uname -r")
"""

import os
import re
import tempfile
import time

from bh import stream, vhost

DUMP_S = 10
TOLD_MAX = 900
# Of a dump of processors: which, what it does, and where.
WHERE = re.compile(r"^VP (\S+): .*?, ([^,]+), suspend .* rip (\w+)", re.M)


class CommandError(Exception):
    """A command in the guest failed; the text says which and how."""


class Trouble(Exception):
    """A check did not hold; the text says what was found."""


def expect(condition, text):
    if not condition:
        raise Trouble(text)


def wait_until(condition, text, timeout_s=20):
    """Waits until a function says that something holds; what it throws meanwhile says that not."""
    end = time.monotonic() + timeout_s
    while True:
        try:
            if condition():
                return
        except FAILURES:
            pass
        expect(time.monotonic() < end, text)
        time.sleep(0.2)


def expect_known(parser, wanted, names):
    """No machine is started for a word that is the beginning of no check's name."""
    for word in wanted:
        if not any(name.startswith(word) for name in names):
            parser.error(f"no such check: {word}")


# What a check may throw when it does not hold.
FAILURES = (Trouble, CommandError, stream.StreamError, vhost.VhostError, ValueError, OSError)


class Machine(vhost.VirtualHost):
    """A virtual host whose parent runs guest/run.sh."""

    def __init__(self, config, log_dir):
        super().__init__(config, log_dir)
        self._number = 0

    def start(self, timeout_s):
        """Waits until the parent takes commands."""
        self.console.wait(r"^@ready$", timeout_s)

    def run(self, command, timeout_s=60):
        """Runs a command in the guest and returns its output; CommandError when it fails."""
        status, out = self.status_of(command, timeout_s)
        if status != 0:
            raise CommandError(f"{command}: status {status}: {out[-400:]}")
        return out

    def status_of(self, command, timeout_s=60):
        """Runs a command in the guest; returns (status, output)."""
        self._number += 1
        begun = len(self.console.text)
        self.console.send(f"{self._number} {command}\n")
        found = self.console.wait(rf"@{self._number} (\d+)$", timeout_s)
        return int(found.group(1)), self.console.text[begun:found.start()].strip()

    def dump(self, key):
        """The hypervisor's answer to one key of its console."""
        begun = len(self.debug.text)
        self.debug.send(key)
        self.debug.wait(rf"^bulkhead: end of dump '{key}'$", DUMP_S)
        return self.debug.text[begun:]

    def told(self, problem):
        """What did not hold and where each processor is then, on one line; dumps go to the output."""
        text = " / ".join(str(problem).split("\n"))[:TOLD_MAX]
        try:
            dumps = {key: self.dump(key) for key in "pvrc"}
        except FAILURES:
            return f"{text}; the hypervisor does not answer"
        print("\n".join(dumps.values()))
        return f"{text}; processors: {', '.join(' '.join(v) for v in WHERE.findall(dumps['v']))}"

    def memory(self, start, size):
        """Bytes of the machine's physical memory, past all processors."""
        with tempfile.TemporaryDirectory(prefix="bulkhead-") as folder:
            path = os.path.join(folder, "memory")
            self.qmp("pmemsave", val=start, size=size, filename=path)
            with open(path, "rb") as handle:
                return handle.read()

    def reset_reason(self):
        """Why the machine was reset last, as QEMU says; None when it was not."""
        self.qmp("query-status")
        resets = [e["data"]["reason"] for e in self._events if e["event"] == "RESET"]
        return resets[-1] if resets else None
