"""The page of `kcompress compare`: what got better or worse between runs, as one HTML file that needs nothing else.

Arranges what `reporting.comparison` found, worse before better, and draws size, speed and likeness of every tier over
the runs. Nothing is compared or judged here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import compress
from compress.judging import gates
from compress.reporting import scatter
from compress.reporting.charts import Axis, Interval, interval_plot, show, span
from compress.reporting.comparison import Change, Comparison, Direction, Row
from compress.reporting.page import template
from compress.reporting.records import Reading

_AMOUNTS = ("bytes", "ms", "MACs")
_MARKS = {"worse": "failed", "better": "passed"}
_TITLES: dict[Direction, str] = {
    "worse": "Worse",
    "better": "Better",
    "same": "No difference beyond noise",
    "not comparable": "Not comparable",
}


def render(found: Comparison) -> str:
    """The page of a comparison of at least two runs."""
    return template("comparison.html").render(
        version=compress.__version__,
        labels=found.labels,
        headline=_headline(found),
        summaries=[_summary(found, index) for index in range(1, len(found.labels))],
        notes=found.notes,
        verdicts=_verdicts(found),
        tradeoff=_tradeoff(found),
        several=len(found.labels) > 2,
        sections=[_section(found, direction) for direction in _TITLES],
        alone=_alone(found),
    )


def _headline(found: Comparison) -> str:
    later = ", ".join(found.labels[1:])
    worse, better = len(found.changed("worse")), len(found.changed("better"))
    if not worse and not better:
        return f"{later} against {found.labels[0]}: no difference beyond noise"
    return f"{later} against {found.labels[0]}: {worse} worse, {better} better"


def _summary(found: Comparison, index: int) -> dict[str, Any]:
    """One sentence about a later run: what became worse, by name."""
    names = [f"{row.meaning} ({row.tier})" for row, run in _sorted(found, "worse") if run == index]
    counts = {word: sum(run == index for _, run in found.changed(word)) for word in _TITLES}
    text = f"{counts['worse']} worse, {counts['better']} better, {counts['same']} without a difference beyond noise"
    if counts["not comparable"]:
        text += f", {counts['not comparable']} not comparable"
    if names:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        text += f"; worse: {'; '.join(names[:3])}{more}"
    return {"label": found.labels[index], "text": text, "state": "failed" if names else "passed"}


def _verdicts(found: Comparison) -> list[tuple[str, list[str]]]:
    """State of each tier in each run."""
    tiers = dict.fromkeys(name for run in found.verdicts for name in run.tiers)
    return [
        (name, [run.tiers[name].state if name in run.tiers else "no such tier" for run in found.verdicts])
        for name in tiers
    ]


def _sorted(found: Comparison, direction: Direction) -> list[tuple[Row, int]]:
    """Changes of one direction: those that changed what a gate says first, then by how far they are above noise."""

    def clarity(entry: tuple[Row, int]) -> tuple[bool, float]:
        row, index = entry
        change, states = row.changes[index - 1], _states(row, index)
        assert change is not None
        noise = max(change.upper - change.lower, 1e-3 * abs(change.difference), 1e-12)
        return states[0] == states[1], -abs(change.difference) / noise

    return sorted(found.changed(direction), key=clarity)


def _states(row: Row, index: int) -> tuple[str, str]:
    before, after = row.readings[0], row.readings[index]
    return (before.state if before else "", after.state if after else "")


def _section(found: Comparison, direction: Direction) -> dict[str, Any]:
    rows = [_change(row, index, found.labels) for row, index in _sorted(found, direction)]
    return {"name": direction, "title": _TITLES[direction], "rows": rows}


def _change(row: Row, index: int, labels: Sequence[str]) -> dict[str, Any]:
    before, after, change = row.readings[0], row.readings[index], row.changes[index - 1]
    assert before is not None and after is not None and change is not None
    return {
        "row": row,
        "run": labels[index],
        "where": row.tier if row.subset == gates.WHOLE else f"{row.tier}, {row.subset}",
        "before": show(before.value, row.unit),
        "after": show(after.value, row.unit),
        "difference": _signed(change, before.value, row.unit),
        "interval": "" if change.lower == change.upper else span(change.lower, change.upper, row.unit),
        "method": change.method,
        "plot": _plot(change),
        "states": _states(row, index),
    }


def _signed(change: Change, before: float, unit: str) -> str:
    """`-35 kB (-19 %)`; shares only of what has a natural zero."""
    text = ("+" if change.difference > 0 else "") + show(change.difference, unit)
    return f"{text} ({100 * change.difference / before:+.0f} %)" if unit in _AMOUNTS and before else text


def _plot(change: Change) -> str:
    """The difference and its interval; the line is no difference."""
    axis = Axis.around([0.0, change.lower, change.upper, change.difference])
    mark = _MARKS.get(change.direction, "plain")
    return interval_plot(Interval(change.difference, change.lower, change.upper, state=mark), axis, 0.0)


def _alone(found: Comparison) -> list[str]:
    """Numbers of the first run that a later one has not."""
    return [
        f"{row.meaning} ({row.tier}, {row.subset}): not in {found.labels[index]}"
        for row in found.rows
        for index, change in enumerate(row.changes, 1)
        if change is None
    ]


def _tradeoff(found: Comparison) -> dict[str, Any]:
    """Each tier of each run where time, size and likeness are known; likeness on the part where it is least."""
    points: list[scatter.Point] = []
    paths: dict[str, list[int]] = {}
    tiers = dict.fromkeys(row.tier for row in found.rows)
    for tier in tiers:
        rows = [row for row in found.rows if row.tier == tier]
        for run, label in enumerate(found.labels):
            time, size = (_reading(rows, name, run) for name in ("latency_ms", "size_bytes"))
            likeness = [reading for row in rows if row.metric == "psnr_mean_db" if (reading := row.readings[run])]
            if time and size and likeness and time.value > 0 and size.value > 0:
                name = label if len(tiers) == 1 else f"{tier}, {label}"
                paths.setdefault(tier, []).append(len(points))
                psnr = min(likeness, key=lambda reading: reading.value)
                ends = psnr.lower, psnr.upper
                points.append(scatter.Point(name, time.value, psnr.value, size.value, run, ends=ends))
    legend = [(scatter.shape(run), label) for run, label in enumerate(found.labels)]
    table = [(p.label, show(p.x, "ms"), show(p.y, "dB"), show(p.size, "bytes")) for p in points]
    plot = scatter.draw(points, paths=list(paths.values())) if points else ""
    return {"plot": plot, "legend": legend, "rows": table}


def _reading(rows: Sequence[Row], metric: str, run: int) -> Reading | None:
    return next((row.readings[run] for row in rows if row.metric == metric), None)
