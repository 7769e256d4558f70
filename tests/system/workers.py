# SPDX-License-Identifier: MIT
"""Workers in a parent under test: their configurations, consoles and ends."""

import re
import time

from bh import child
from machine import Trouble, expect

APPEND = f"{child.CHILD_APPEND} bh.mode=test"


class Workers:
    """The workers of one parent while it runs."""

    def __init__(self, machine, full):
        self.machine, self.full = machine, full
        self.number = 0

    def configure(self, append=APPEND, **options):
        """Writes a configuration in the parent; its path. The console is a file beside it."""
        self.number += 1
        path = f"/tmp/vm{self.number}"
        text = child.config(f"vm{self.number}", append, console=f"file:{path}.log", **options)
        self.put(path, text)
        return path

    def put(self, path, text):
        """Writes the text of a configuration."""
        lines = text.replace("\n", "\\n").replace("%", "%%")
        self.machine.run(f"printf '{lines}' > {path}.conf")

    def start(self, *args, **options):
        path = self.configure(*args, **options)
        self.machine.run(f"vmwp {path}.conf > {path}.err 2>&1 & echo $! > {path}.pid")
        return path

    def console(self, path):
        return self.machine.run(f"cat {path}.log 2>/dev/null; true")

    def wait_console(self, path, expression, timeout_s):
        """Waits until the child's console has this in whole lines; the match."""
        end = time.monotonic() + timeout_s
        while True:
            # The last piece is a line that is still being written, or this mark alone.
            text = self.machine.run(f"cat {path}.log 2>/dev/null; echo '#'")
            found = re.search(expression, text.rpartition("\n")[0], re.M)
            if found:
                return found
            if self.machine.status_of(f"kill -0 $(cat {path}.pid)")[0] != 0:
                raise Trouble(f"the worker has ended: {self.machine.run(f'cat {path}.err')}; "
                              f"console: {self.console(path)[-300:]}")
            expect(time.monotonic() < end,
                   f"no {expression} in {timeout_s} s; console: {self.console(path)[-300:]}")

    def wait_end(self, path, timeout_s=60):
        """Waits until the worker is gone; its exit status."""
        return int(self.machine.run(
            f"for i in $(seq {timeout_s * 5}); do kill -0 $(cat {path}.pid) 2>/dev/null || break; "
            f"usleep 200000; done; wait $(cat {path}.pid); echo $?", timeout_s + 10).split()[-1])

    def kill(self, path, how="TERM"):
        self.machine.run(f"kill -{how} $(cat {path}.pid)")

    def kill_all(self):
        self.machine.run("killall -KILL vmwp; true")
