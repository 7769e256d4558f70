# SPDX-License-Identifier: MIT
"""
What a benchmark says: rows, their table in 100 columns, and build/bench.json.

A suite returns rows; it knows nothing of how they are shown. `target` is a bound on `ratio`, or on
`ours` when the row has no peer; `bound` tells whether it is the least or the most that is wanted.
"""

import dataclasses
import json
import statistics
import textwrap

from bh import paths

WIDTH = 100
PEERS_IN_TABLE = 2


@dataclasses.dataclass
class Row:
    """One comparison. The samples are those of the rounds, in the same order for both sides."""

    name: str
    unit: str
    ours: list
    peer: list = dataclasses.field(default_factory=list)
    peer_name: str = ""
    target: float = None
    bound: str = "least"        # or "most"
    why: str = ""               # where the time goes, shown when the target is missed

    @property
    def ratio(self):
        """Ratio of the medians; None without both."""
        ours, peer = median(self.ours), median(self.peer)
        return ours / peer if ours is not None and peer else None

    def ratios(self):
        """The ratio of each round: its spread says what the ratio of the medians is worth."""
        return [a / b for a, b in zip(self.ours, self.peer) if b]

    def value(self):
        """What the target bounds."""
        return self.ratio if self.peer_name else median(self.ours)

    @property
    def met(self):
        """True or False; None when there is no target."""
        if self.target is None:
            return None
        value = self.value()
        if value is None:
            return False
        return value >= self.target if self.bound == "least" else value <= self.target

    def target_text(self):
        if self.target is None:
            return ""
        return f"{'>=' if self.bound == 'least' else '<='}{number(self.target)}"

    def verdict(self):
        return {True: "met", False: "MISSED", None: ""}[self.met]

    def as_json(self):
        return {"name": self.name, "unit": self.unit, "ours": median(self.ours),
                "peer": median(self.peer), "peer_name": self.peer_name, "ratio": self.ratio,
                "target": self.target, "met": self.met, "bound": self.bound,
                "spread": {"ours": spread(self.ours), "peer": spread(self.peer),
                           "ratio": spread(self.ratios())}}


def median(samples):
    return statistics.median(samples) if samples else None


def spread(samples):
    """[least, most], or None without samples."""
    return [min(samples), max(samples)] if samples else None


def number(value):
    """Three or four digits that matter, without an exponent."""
    if value is None:
        return "-"
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}" if abs(value) >= 1 else f"{value:.2f}"


def half_spread(samples):
    """Half of the spread in percent of the median, as text; nothing for a single sample."""
    if len(samples) < 2:
        return ""
    return f"±{50 * (max(samples) - min(samples)) / median(samples):.0f}%"


def show(heading, rows):
    """Prints columns as wide as they must be; the first is text, empty ones are left out."""
    columns = [column for column in zip(heading, *rows) if any(column[1:])]
    widths = [max(map(len, column)) for column in columns]
    for line in zip(*columns):
        print("  ".join([line[0].ljust(widths[0])] + [cell.rjust(width) for cell, width
                        in zip(line[1:], widths[1:])]).rstrip())
    print()


def show_compared(rows, peers):
    """One table for ours and at most two peers; the target stands beside the peer that has one."""
    heading, lines = ["", "unit", "ours"], {}
    for peer in peers:
        heading += [peer, "ratio", "", "target", ""]
        for row in (r for r in rows if r.peer_name == peer):
            line = lines.setdefault(row.name, [row.name, row.unit, number(median(row.ours))])
            line += [number(median(row.peer)), "-" if row.ratio is None else f"{row.ratio:.2f}",
                     half_spread(row.ratios()), row.target_text(), row.verdict()]
    show(heading, lines.values())


def show_rows(rows):
    """Everything as tables, then what was missed, by how much, and why."""
    peers = list(dict.fromkeys(row.peer_name for row in rows if row.peer_name))
    for n in range(0, len(peers), PEERS_IN_TABLE):
        show_compared(rows, peers[n:n + PEERS_IN_TABLE])
    show(("", "unit", "ours", "", "target", ""),
         [(r.name, r.unit, number(median(r.ours)), half_spread(r.ours), r.target_text(),
           r.verdict()) for r in rows if not r.peer_name])
    missed = [row for row in rows if row.met is False]
    for row in missed:
        value = row.value()
        how = "not measured" if value is None else (
            f"{value:.2f} instead of {row.target_text()}, off by {abs(value - row.target):.2f}. ")
        print(textwrap.fill(f"missed: {row.name}: {how}{row.why}", WIDTH, subsequent_indent="  "))
    if missed:
        print()


def show_suite(rows, notes):
    """What a suite has measured, and why some of it is missing."""
    show_rows(rows)
    for note in dict.fromkeys(notes):
        print(f"note: {note}")
    return rows


def write(rows, path):
    text = json.dumps([row.as_json() for row in rows], indent=1)
    paths.write_whole(path, (text + "\n").encode())
