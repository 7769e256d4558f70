# SPDX-License-Identifier: MIT
"""
One line per result, the same in every tool: PASS, FAIL, SKIP or XFAIL, a name, and a reason where
one is due. Programs under tools/check print these lines; tools/check reads and counts them.
"""

import re

LINE = re.compile(r"^(PASS|FAIL|SKIP|XFAIL) (\S.*)$")
CLOSING = re.compile(r"^\d+ passed, \d+ failed(, \d+ skipped)?$")


class Report:
    """Counts what was said."""

    def __init__(self):
        self.counts = {"PASS": 0, "FAIL": 0, "SKIP": 0, "XFAIL": 0}

    def say(self, verdict, name, reason=""):
        self.counts[verdict] += 1
        print(f"{verdict} {name}{': ' + reason if reason else ''}", flush=True)

    def result(self, name, problems):
        """A check that passes when its list of problems is empty."""
        for problem in problems:
            print(problem, flush=True)
        self.say("FAIL" if problems else "PASS", name)

    def passed(self, name, seconds, remark=None):
        """A check that held after so long, and what it has to remark."""
        self.say("PASS", name, f"{remark} ({seconds:.0f} s)" if remark else f"{seconds:.0f} s")

    @property
    def failed(self):
        return self.counts["FAIL"] > 0

    def closing(self):
        """An expected failure counts as passed: it did what its table says."""
        text = f"{self.counts['PASS'] + self.counts['XFAIL']} passed, {self.counts['FAIL']} failed"
        return text + (f", {self.counts['SKIP']} skipped" if self.counts["SKIP"] else "")
