"""What a trained teacher is asked for: measures with their bounds, and the table of what was found.

Plain data without anything heavy, so that recipes can be checked against it. A row passes only if its whole 95 %
interval is within the bounds, has failed if the value is not, and is undecided otherwise. Measuring is
`judging.assessment_rows`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from compress.judging.gates import Bound
from compress.judging.metrics.estimate import Estimate

PHOTOGRAPHS, RENDERS = "photographs", "renders"


@dataclass(frozen=True)
class Measure:
    """One row: what it says, and its bounds; without any it is there to be read."""

    title: str
    min: float | None = None
    max: float | None = None


MEASURES: Mapping[str, Measure] = {
    "identity_rank1": Measure("identity: own photo is the most alike of all (SFace)", min=0.95),
    "identity_margin": Measure("identity: cosine to the own photo less the mean to others", min=0.35),
    "worst_group_rank1": Measure("identity: found again in the worst group", min=0.85),
    "style_kid_share": Measure("style: KID to cartoon renders, share of the photos' own", max=0.4),
    "style_kid_face_share": Measure("style of the face alone: KID, share of the photos' own"),
    "eye_opening_ratio": Measure("geometry: eye opening over face height, against the photo", min=1.25),
    "haar_ratio": Measure("sharpness: Haar detail over that of cartoon renders", min=0.8, max=1.25),
    "haar_face_ratio": Measure("sharpness of the face alone"),
    "new_lines": Measure("artefacts: lines and detail that the photo lacks, levels of 255"),
    "shift_ratio": Measure("steadiness: error under shifts of 2 px over the photo's own", max=1.5),
    "turn_ratio": Measure("3D: error along the true flow of a turning head, over the photo frames' own"),
    "turn_residual_px": Measure("3D: motion left after the true flow, pixels"),
}
BOUNDED = tuple(name for name, measure in MEASURES.items() if measure.min is not None or measure.max is not None)


@dataclass(frozen=True)
class Row:
    """One measure of one style on one part of the pictures, against its bounds."""

    style: str
    part: str
    measure: str
    value: float
    lower: float
    upper: float
    n: int
    people: int
    min: float | None
    max: float | None
    state: str
    note: str = ""


def judge(style: str, part: str, measure: str, found: Estimate, bounds: Mapping[str, Bound], note: str = "") -> Row:
    """A row: `passed`, `failed` or `undecided`; empty where there is no bound. Bounds hold for photographs alone."""
    bound: Bound = bounds.get(measure, MEASURES[measure])
    low, high = (bound.min, bound.max) if part == PHOTOGRAPHS else (None, None)
    state = ""
    if low is not None or high is not None:
        least, most = (-math.inf if low is None else low), (math.inf if high is None else high)
        inside = found.finite and least <= found.lower and found.upper <= most
        state = "passed" if inside else "undecided" if least <= found.value <= most else "failed"
    ends = found.value, found.lower, found.upper
    return Row(style, part, measure, *ends, found.n, found.clusters, low, high, state, note or found.note)


def as_dict(row: Row) -> dict[str, Any]:
    """For JSON: numbers that could not be computed are null."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in asdict(row).items()}


def markdown(title: str, rows: Sequence[Row], remarks: Sequence[str]) -> str:
    """A table with a column a style for each part, and the remarks below it."""
    lines = [f"# {title}", ""]
    styles = list(dict.fromkeys(row.style for row in rows))
    for part in dict.fromkeys(row.part for row in rows):
        lines += [f"## {part.capitalize()}", ""]
        lines += ["| measure | bound | " + " | ".join(styles) + " |", "|---|---|" + "---|" * len(styles)]
        found = {(row.measure, row.style): row for row in rows if row.part == part}
        for measure in MEASURES:
            of = [found.get((measure, style)) for style in styles]
            if any(of):
                bound = next(_bound(row) for row in of if row)
                cells = " | ".join(_cell(row) if row else "" for row in of)
                lines.append(f"| {MEASURES[measure].title} | {bound} | {cells} |")
        lines.append("")
    lines += [f"- {remark}" for remark in remarks]
    return "\n".join(lines) + "\n"


def _bound(row: Row) -> str:
    ends = (("at least", row.min), ("at most", row.max))
    return ", ".join(f"{word} {end:g}" for word, end in ends if end is not None)


def _cell(row: Row) -> str:
    if not math.isfinite(row.value):
        return "not computable"
    interval = f" ({row.lower:.3g} to {row.upper:.3g})" if math.isfinite(row.lower) and math.isfinite(row.upper) else ""
    words = f"{row.value:.3g}{interval}" + (f", {row.state}" if row.state else "")
    return f"{words}; {row.note}" if row.note else words
