# SPDX-License-Identifier: MIT
"""
What a benchmark says: rows, their table in 100 columns, and build/bench.json.

A suite returns rows; it knows nothing of how they are shown. `target` is a bound on `ratio`, or on
`ours` when the row has no peer; `bound` tells whether it is the least or the most that is wanted.
"""

import dataclasses
import json
import statistics

from bh import paths


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

    @property
    def met(self):
        """True or False; None when there is no target."""
        if self.target is None:
            return None
        value = self.ratio if self.peer_name else median(self.ours)
        if value is None:
            return False
        return value >= self.target if self.bound == "least" else value <= self.target

    def target_text(self):
        if self.target is None:
            return ""
        return f"{'>=' if self.bound == 'least' else '<='} {number(self.target)}"

    def verdict(self):
        return {True: "met", False: "MISSED", None: ""}[self.met]

    def as_json(self):
        ratios = [a / b for a, b in zip(self.ours, self.peer) if b]
        return {"name": self.name, "unit": self.unit, "ours": median(self.ours),
                "peer": median(self.peer), "peer_name": self.peer_name, "ratio": self.ratio,
                "target": self.target, "met": self.met, "bound": self.bound,
                "spread": {"ours": spread(self.ours), "peer": spread(self.peer),
                           "ratio": spread(ratios)}}


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


def percent(samples):
    """Half of the spread in percent of the median."""
    middle = median(samples)
    if not middle or len(samples) < 2:
        return ""
    return f"±{50 * (max(samples) - min(samples)) / middle:.0f}%"


def show(heading, rows):
    """Prints lines whose columns are as wide as they must be; the first is text, the rest figures."""
    lines = [heading, *rows]
    widths = [max(len(line[n]) for line in lines) for n in range(len(heading))]
    for line in lines:
        print("  ".join([line[0].ljust(widths[0])] + [cell.rjust(width) for cell, width
                        in zip(line[1:], widths[1:])]).rstrip())
    print()


def show_rows(rows):
    """The rows of each peer as one table, then what was missed and why."""
    for peer in dict.fromkeys(row.peer_name for row in rows):
        ours = [row for row in rows if row.peer_name == peer]
        if peer:
            show(("against " + peer, "unit", "ours", "", "peer", "", "ratio", "target", ""),
                 [(r.name, r.unit, number(median(r.ours)), percent(r.ours), number(median(r.peer)),
                   percent(r.peer), "-" if r.ratio is None else f"{r.ratio:.2f}",
                   r.target_text(), r.verdict()) for r in ours])
        else:
            show(("ours alone", "unit", "ours", "", "target", ""),
                 [(r.name, r.unit, number(median(r.ours)), percent(r.ours), r.target_text(),
                   r.verdict()) for r in ours])
    missed = [row for row in rows if row.met is False]
    for row in missed:
        value = row.ratio if row.peer_name else median(row.ours)
        how = "not measured" if value is None else (
            f"{value:.2f} instead of {row.target_text()}, off by {abs(value - row.target):.2f}")
        print(f"missed: {row.name}: {how}" + (f"\n        {row.why}" if row.why else ""))
    if missed:
        print()


def write(rows, path):
    text = json.dumps([row.as_json() for row in rows], indent=1)
    paths.write_whole(path, (text + "\n").encode())
