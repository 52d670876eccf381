"""What was measured beside the gates, arranged for the report: references, noise floors, steadiness, groups.

Rows of plain text and drawings for the template. Numbers that were not measured are absent from the rows; that they are
is said by `reporting.tier_page`. Nothing is judged here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from compress.judging import gates
from compress.judging.verdict import GateRecord, GroupRecord
from compress.reporting.charts import Axis, Interval, bar_plot, interval_plot, show, span

STEADY = {
    "equivariance_shift_ratio": "photo shifted",
    "equivariance_crop_ratio": "photo cropped closer",
    "equivariance_rotation_ratio": "photo turned a little",
    "equivariance_jpeg_ratio": "photo as JPEG",
    "equivariance_noise_ratio": "photo with noise",
    "flicker_ratio": "video: flicker",
}
METRICS: dict[str, tuple[str, str, str]] = {
    "psnr_db": ("PSNR to the teacher (higher is better)", "dB", "psnr_mean_db"),
    "identity_delta": ("Likeness to the photo less the teacher's (higher is better)", "cosine", "identity_delta_mean"),
    "perceptual": ("Distance to the teacher in feature space (lower is better)", "", "perceptual_mean"),
}
"""What groups are compared by: title, unit, and its mean over all images; another name is shown as it is."""
_FLOOR = "_noise_floor"

Numbers = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""`numbers` of metrics.json: {part or "model": {name: {value, lower, upper, n, ...}}}."""


def value_of(numbers: Mapping[str, Mapping[str, Any]], name: str) -> float | None:
    """The value of `name` among the numbers of one part; None if it was not measured."""
    value: float | None = numbers.get(name, {}).get("value")
    return value


def parts_of(numbers: Numbers) -> list[str]:
    """The parts of the test set among what was measured: not the motion, not the file."""
    return [part for part in numbers if part not in (gates.WHOLE, gates.MOTION)]


def context(numbers: Numbers) -> list[dict[str, str]]:
    """PSNR to the teacher of the photo itself, the float student and the candidate, by part."""
    names = {"photo": "photo_psnr_mean_db", "float": "float_psnr_mean_db", "candidate": "psnr_mean_db"}
    rows = []
    for part in parts_of(numbers):
        values = {who: value_of(numbers[part], name) for who, name in names.items()}
        shown = {who: "not measured" if value is None else show(value, "dB") for who, value in values.items()}
        rows.append({"part": part, **shown})
    return rows


def floors(numbers: Numbers) -> list[dict[str, str]]:
    """Noise floors (the teacher against itself on split halves), each with the candidate's number on the same axis."""
    rows = []
    for part in parts_of(numbers):
        for name, floor in numbers[part].items():
            if name.endswith(_FLOOR) and floor["value"] is not None:
                rows.append(_floor(part, name, floor, numbers[part]))
    return rows


def _floor(part: str, name: str, floor: Mapping[str, Any], numbers: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    stem = name.removesuffix(_FLOOR)
    own = next((gate for gate in gates.GATES if gate.startswith(stem) and gate in numbers), None)
    meaning, unit = (gates.GATES[own].meaning, gates.GATES[own].unit) if own else (stem, "")
    row = {"part": part, "name": name, "meaning": meaning, "floor": with_interval(floor, unit)}
    shown = [floor, numbers[own]] if own else [floor]
    axis = Axis.around([number[end] for number in shown for end in ("lower", "upper")])
    row |= {"floor_plot": _plot(floor, axis), "candidate": "not measured", "candidate_plot": ""}
    if own and numbers[own]["value"] is not None:
        row |= {"candidate": with_interval(numbers[own], unit), "candidate_plot": _plot(numbers[own], axis)}
    return row


def steadiness(numbers: Numbers, judged: Sequence[GateRecord]) -> list[dict[str, Any]]:
    """A bar for each change of the photo and the video: the student's error over the teacher's, on one axis from 0."""
    measured = [
        (part, name, found[name])
        for name in STEADY
        for part, found in numbers.items()
        if value_of(found, name) is not None
    ]
    of_gate = {(gate.subset, gate.name): gate for gate in judged if gate.name in STEADY}
    bounds = [gate.bound.max for gate in of_gate.values() if gate.bound.max is not None]
    axis = Axis(0.0, 1.05 * max([1.0, *bounds, *(number["upper"] for _, _, number in measured)]))
    return [
        _bar(name, number, axis, of_gate.get((part, name)))
        | {"teacher": _own_error(numbers[part], name), "part": "" if part == gates.MOTION else part}
        for part, name, number in measured
    ]


def _own_error(numbers: Mapping[str, Mapping[str, Any]], name: str) -> str:
    """How unsteady the teacher itself is, which a ratio hides."""
    levels = value_of(numbers, name.replace("_ratio", "_teacher_levels"))
    return "" if levels is None else f"teacher: {show(levels, 'levels of 255')} levels of 255"


def _bar(name: str, number: Mapping[str, Any], axis: Axis, gate: GateRecord | None) -> dict[str, Any]:
    limit = gate.bound.max if gate else None
    state = gate.state if gate else "plain"
    shown = Interval(number["value"], number["lower"], number["upper"], None, limit, state)
    return {
        "what": STEADY[name],
        "plot": bar_plot(shown, axis, 1.0),
        "value": with_interval(number, ""),
        "limit": f"≤ {show(limit, '')}" if limit is not None else "no bound",
        "state": state,
        "word": gate.state if gate else "no gate",
    }


def groups(rows: Sequence[GroupRecord], numbers: Numbers) -> list[dict[str, Any]]:
    """For each part of the test set: metrics as columns, groups by category as rows, the worst of each column named."""
    parts = dict.fromkeys(row.subset for row in rows)
    return [_groups(part, [row for row in rows if row.subset == part], numbers.get(part, {})) for part in parts]


def _groups(part: str, rows: Sequence[GroupRecord], numbers: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    columns = [_Column.of(metric, rows, numbers) for metric in dict.fromkeys(row.metric for row in rows if row.metric)]
    categories: dict[str, list[dict[str, Any]]] = {}
    for category, label in dict.fromkeys((row.category, row.label) for row in rows):
        size = max(row.n for row in rows if (row.category, row.label) == (category, label))
        cells = [column.cell(category, label) for column in columns]
        categories.setdefault(category, []).append({"label": label, "n": size, "cells": cells, "judged": any(cells)})
    return {
        "part": part,
        "columns": [(column.title, column.mean) for column in columns],
        "categories": categories,
        "worst": [sentence for column in columns if (sentence := column.worst_sentence())],
    }


@dataclass(frozen=True)
class _Column:
    """One metric of all groups on one axis; `overall` is the mean over all images, None if it was not measured."""

    title: str
    unit: str
    rows: Mapping[tuple[str, str], GroupRecord]
    overall: float | None
    axis: Axis

    @classmethod
    def of(cls, metric: str, rows: Sequence[GroupRecord], numbers: Mapping[str, Mapping[str, Any]]) -> _Column:
        title, unit, gate = METRICS.get(metric, (metric, "", ""))
        found = {(row.category, row.label): row for row in rows if row.metric == metric and row.value is not None}
        overall = value_of(numbers, gate)
        axis = Axis.around([overall, *(end for row in found.values() for end in (row.lower, row.upper))])
        return cls(title, unit, found, overall, axis)

    @property
    def mean(self) -> str:
        return "" if self.overall is None else f"all images: {show(self.overall, self.unit)}"

    @property
    def worst(self) -> GroupRecord | None:
        judged = [row for row in self.rows.values() if row.judged and row.gap is not None]
        return max(judged, key=lambda row: row.gap or 0.0, default=None)

    def worst_sentence(self) -> str:
        row = self.worst
        if row is None:
            return ""
        value, gap = show(row.value, self.unit), show(row.gap, self.unit)
        title = self.title.partition(" (")[0]
        return f"{title}: worst for {row.category} {row.label}, {value}, {gap} worse than the others"

    def cell(self, category: str, label: str) -> dict[str, Any] | None:
        row = self.rows.get((category, label))
        if row is None or row.value is None or row.lower is None or row.upper is None:
            return None
        worst = row is self.worst
        shown = Interval(row.value, row.lower, row.upper, state="worst" if worst else "plain")
        value = show(row.value, self.unit)
        return {
            "title": self.title,
            "worst": worst,
            "value": value,
            "interval": span(row.lower, row.upper, self.unit, value),
            "gap": "" if row.gap is None else show(row.gap, self.unit),
            "plot": interval_plot(shown, self.axis, self.overall),
        }


def every(numbers: Numbers) -> list[tuple[str, str, str]]:
    """Every number that was measured, gated or not: part, name, value with interval."""
    return [
        (part, name, with_interval(number, gates.GATES[name].unit if name in gates.GATES else ""))
        for part, found in numbers.items()
        for name, number in found.items()
    ]


def with_interval(number: Mapping[str, Any], unit: str) -> str:
    """`31.0 dB (30.5 to 31.5)`; a counted number stands alone."""
    value = show(number["value"], unit)
    return (
        value
        if number["lower"] == number["upper"]
        else f"{value} ({span(number['lower'], number['upper'], unit, value)})"
    )


def _plot(number: Mapping[str, Any], axis: Axis) -> str:
    return interval_plot(Interval(number["value"], number["lower"], number["upper"]), axis)
