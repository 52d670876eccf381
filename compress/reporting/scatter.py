"""The trade-off drawing: time across, likeness to the teacher upwards, area for bytes; one shape for each run.

Pure drawing on the axes of `reporting.charts`; which points there are, and the table that says the same, is the
caller's part. Labels are kept apart on the narrowest screen, hence also on wider ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from compress.reporting.charts import Axis

HEIGHT = 330
_BOTTOM = 26  # pixels below the plot, for the numbers of the time axis
_TOP = 14
_NARROW = 330  # pixels, the width that labels are placed for
_LARGEST, _SMALLEST = 15.0, 4.0  # radius of the largest file and the least one that is still seen
_LETTER = 7.2  # pixels, a generous mean width
_SHAPES = (
    "M-{r} 0 a{r} {r} 0 1 0 {d} 0 a{r} {r} 0 1 0 -{d} 0z",
    "M-{r} -{r} H{r} V{r} H-{r}z",
    "M0 -{d} L{r} {r} H-{r}z",
    "M0 -{d} L{d} 0 0 {d} -{d} 0z",
)
"""Circle, square, triangle, diamond: runs in their order, then from the first again with another colour."""

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Point:
    """A candidate: `x` milliseconds, `y` dB, `size` bytes; `series` is the number of its run, `label` its name.

    `ends` are those of the interval of `y`. A `quiet` one is drawn without its name, which the path to its neighbour
    and the table tell.
    """

    label: str
    x: float
    y: float
    size: float
    series: int = 0
    quiet: bool = False
    ends: tuple[float, float] | None = None


@dataclass(frozen=True)
class Reference:
    """What a point is compared with: the teacher has a time but no likeness to itself, a photo the opposite."""

    label: str
    x: float | None = None
    y: float | None = None


def draw(points: Sequence[Point], references: Sequence[Reference] = (), paths: Sequence[Sequence[int]] = ()) -> str:
    """The drawing of at least one point with positive time and size; `paths` joins points of one tier over runs."""
    across = Axis.around([*(p.x for p in points), *(r.x for r in references)], log=True, least=0.4)
    # The photo itself is often far below; a plot that began there would press all candidates together.
    upwards = Axis.around([end for p in points for end in (p.y, *(p.ends or ()))], least=1.0)
    parts = ['<rect class="axis" width="100%" height="100%" rx="3"/>', *_grid(across, upwards)]
    parts += [_reference(reference, across, upwards) for reference in references]
    places = [(across.at(p.x), _y(upwards, p.y)) for p in points]
    for path in paths:
        for one, two in pairwise(path):
            (x1, y1), (x2, y2) = places[one], places[two]
            parts.append(f'<line class="path" x1="{x1}%" y1="{y1}" x2="{x2}%" y2="{y2}"/>')
    largest = max(point.size for point in points)
    radii = [max(_LARGEST * math.sqrt(point.size / largest), _SMALLEST) for point in points]
    parts += [_whisker(point.ends, x, upwards) for point, (x, _) in zip(points, places) if point.ends]
    parts += [_symbol(point, *place, radius) for point, place, radius in zip(points, places, radii)]
    parts += _labels(points, places, radii)
    text = "; ".join(f"{p.label}: {p.x:.3g} ms, {p.y:.4g} dB, {p.size / 1e3:.0f} kB" for p in points)
    label = f'role="img" aria-label="{escape("Time against PSNR. " + text)}"'
    return f'<svg class="scatter" width="100%" height="{HEIGHT}" {label}>{"".join(parts)}</svg>'


def shape(series: int, radius: float = 5.0) -> str:
    """The symbol of a run, as an SVG of its own for a legend."""
    path = f'<path class="point series{series % 6}" d="{_path(series, radius)}"/>'
    return f'<svg class="legend" width="18" height="18" viewBox="-9 -9 18 18" aria-hidden="true">{path}</svg>'


def _y(axis: Axis, number: float) -> float:
    share = min(max((number - axis.low) / (axis.high - axis.low), 0.0), 1.0)
    return round(_TOP + (1 - share) * (HEIGHT - _TOP - _BOTTOM), 1)


def _grid(across: Axis, upwards: Axis) -> list[str]:
    floor = HEIGHT - _BOTTOM
    parts = []
    for tick in upwards.ticks(6):
        y = _y(upwards, tick)
        parts.append(f'<line class="grid" x1="0" x2="100%" y1="{y}" y2="{y}"/>')
        parts.append(f'<text class="tick" x="4" y="{y - 4}">{tick:g} dB</text>')
    for tick in across.ticks():
        x = across.at(tick)
        parts.append(f'<line class="grid" x1="{x}%" x2="{x}%" y1="0" y2="{floor}"/>')
        parts.append(f'<text class="tick middle" x="{x}%" y="{floor + 17}">{tick:g} ms</text>')
    return parts


def _reference(reference: Reference, across: Axis, upwards: Axis) -> str:
    text = escape(reference.label)
    if reference.x is not None:
        x, floor = across.at(reference.x), HEIGHT - _BOTTOM
        side = "end" if x > 50 else "start"
        line = f'<line class="reference" x1="{x}%" x2="{x}%" y1="0" y2="{floor}"/>'
        return f'{line}<text class="note {side}" x="{x}%" dx="{-6 if x > 50 else 6}" y="{floor - 8}">{text}</text>'
    if reference.y is None or not upwards.low <= reference.y <= upwards.high:
        return ""
    y = _y(upwards, reference.y)
    line = f'<line class="reference" x1="0" x2="100%" y1="{y}" y2="{y}"/>'
    return f'{line}<text class="note end" x="99%" y="{y - 5}">{text}</text>'


def _whisker(ends: tuple[float, float], x: float, upwards: Axis) -> str:
    return f'<line class="whisker" x1="{x}%" x2="{x}%" y1="{_y(upwards, ends[0])}" y2="{_y(upwards, ends[1])}"/>'


def _path(series: int, radius: float) -> str:
    r = radius * (1.0, 0.89, 1.1, 0.89)[series % 4]  # shapes of about one area
    return _SHAPES[series % 4].format(r=f"{r:.1f}", d=f"{r * (2, 1, 1.1, 1.4)[series % 4]:.1f}")


def _symbol(point: Point, x: float, y: float, radius: float) -> str:
    path = f'<path class="point series{point.series % 6}" d="{_path(point.series, radius)}"/>'
    return f'<svg x="{x}%" y="{y}" overflow="visible">{path}</svg>'


def _labels(points: Sequence[Point], places: Sequence[tuple[float, float]], radii: Sequence[float]) -> list[str]:
    """Each label at the first free place around its point: right, left, above, below, then further up and down."""
    taken: list[Box] = []
    for (x, y), r in zip(places, radii):
        at = x / 100 * _NARROW
        taken.append((at - r, y - r, at + r, y + r))
    parts = []
    for point, (x, y), r in zip(points, places, radii):
        if point.quiet:
            continue
        at, width = x / 100 * _NARROW, len(point.label) * _LETTER
        spots = [("start", r + 4, 4.0), ("end", -r - 4, 4.0)]
        spots += [(anchor, 0.0, shift) for shift in (-r - 6, r + 16, -r - 22, r + 32) for anchor in _anchors(x)]
        spot, box = _free(spots, at, y, width, taken)
        taken.append(box)
        anchor, dx, dy = spot
        place = f'class="label {anchor}" x="{x}%" dx="{dx:.0f}" y="{y + dy:.0f}"'
        parts.append(f"<text {place}>{escape(point.label)}</text>")
    return parts


def _anchors(x: float) -> tuple[str, ...]:
    return ("start",) if x < 25 else ("end",) if x > 75 else ("middle",)


def _free(
    spots: Sequence[tuple[str, float, float]], at: float, y: float, width: float, taken: Sequence[Box]
) -> tuple[tuple[str, float, float], Box]:
    found = []
    for anchor, dx, dy in spots:
        left = at + dx - {"start": 0.0, "middle": width / 2, "end": width}[anchor]
        box = (left, y + dy - 12, left + width, y + dy + 3)
        outside = max(0.0, -left) + max(0.0, left + width - _NARROW) + max(0.0, 2 - box[1])
        crossed = sum(_overlap(box, other) for other in taken)
        found.append((crossed + 10 * outside, (anchor, dx, dy), box))
    _, spot, best = min(found, key=lambda entry: entry[0])
    return spot, best


def _overlap(one: Box, two: Box) -> float:
    """Shared area in square pixels."""
    width = min(one[2], two[2]) - max(one[0], two[0])
    height = min(one[3], two[3]) - max(one[1], two[1])
    return max(width, 0.0) * max(height, 0.0)
