"""A comparison of runs as lines for a terminal and as Markdown for a job's page.

What changed comes first; what did not is one line. Nothing is compared here (`reporting.comparison`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from compress.reporting.comparison import Change, Comparison, Direction, Row
from compress.reporting.formats import escape, number

MARKS: dict[Direction, str] = {"better": "▲", "worse": "▼", "same": "=", "not comparable": "?"}
_ORDER: tuple[Direction, ...] = ("worse", "better", "not comparable")


def table(comparison: Comparison) -> list[str]:
    """Lines for a terminal: a headline, each number that changed, and notes."""
    first = comparison.labels[0]
    lines = [f"{label} against {first}: {_counts(comparison, i)}" for i, label in enumerate(comparison.labels[1:], 1)]
    rows = [cells for cells, _ in _changes(comparison)]
    if rows:
        heading = ("", "tier", "on", "number", first, "later", "difference", "how")
        whole = [heading, *rows]
        widths = [max(len(cells[column]) for cells in whole) for column in range(len(heading))]
        lines += ["  ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip() for cells in whole]
    return [*lines, *(f"note: {note}" for note in comparison.notes)]


def markdown(comparison: Comparison) -> str:
    """The same for a job's page, with a table of all numbers folded away."""
    first = escape(comparison.labels[0])
    lines = [
        f"## {escape(label)} against {first}: {_counts(comparison, index)}"
        for index, label in enumerate(comparison.labels[1:], 1)
    ]
    changed = [cells for cells, _ in _changes(comparison)]
    if changed:
        lines += [
            "",
            f"| | tier | on | number | {first} | later | difference | how |",
            "|---|---|---|---|---|---|---|---|",
        ]
        lines += ["| " + " | ".join(escape(cell) for cell in cells) + " |" for cells in changed]
    lines += [f"\n{escape(note)}" for note in comparison.notes]
    lines += ["", "<details><summary>All numbers</summary>", "", *_all(comparison), "", "</details>"]
    return "\n".join(lines) + "\n"


def _counts(comparison: Comparison, index: int) -> str:
    """What became of the numbers of one later run: `2 worse, 1 better, 20 no difference beyond noise`."""
    found = [change.direction for row in comparison.rows if (change := row.changes[index - 1]) is not None]
    told = [(direction, found.count(direction)) for direction in _ORDER]
    same = f"{found.count('same')} without a difference beyond noise"
    return ", ".join([*(f"{count} {direction}" for direction, count in told if count), same])


def _changes(comparison: Comparison) -> Iterator[tuple[tuple[str, ...], Direction]]:
    """Cells of every number that is worse, better or not comparable, in this order."""
    several = len(comparison.labels) > 2
    for direction in _ORDER:
        for row, index in comparison.changed(direction):
            change, before, after = row.changes[index - 1], row.readings[0], row.readings[index]
            assert change is not None and before is not None and after is not None
            later = f"{number(after.value)} ({comparison.labels[index]})" if several else number(after.value)
            mark = f"{MARKS[direction]} {direction}"
            shown = (f"{number(before.value)} {row.unit}".rstrip(), later, difference(change), change.method)
            yield (mark, row.tier, row.subset, row.metric, *shown), direction


def difference(change: Change) -> str:
    """`+0.31 (+0.12 to +0.5)`; a counted number has no interval."""
    value = f"{change.difference:+.3g}"
    return value if change.method == "counted" else f"{value} ({change.lower:+.3g} to {change.upper:+.3g})"


def _all(comparison: Comparison) -> Iterator[str]:
    yield "| tier | on | number | unit | " + " | ".join(escape(label) for label in comparison.labels) + " |"
    yield "|---|---|---|---|" + "---:|" * len(comparison.labels)
    for row in comparison.rows:
        cells = [row.tier, row.subset, row.metric, row.unit, *_readings(row)]
        yield "| " + " | ".join(escape(cell) for cell in cells) + " |"


def _readings(row: Row) -> Sequence[str]:
    """The number in each run, with the mark of what became of it."""
    marks = ["", *(f" {MARKS[change.direction]}" if change else "" for change in row.changes)]
    return ["–" if reading is None else number(reading.value) + mark for reading, mark in zip(row.readings, marks)]
