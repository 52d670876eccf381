"""Inline SVG drawings and number formats for the pages; no files, no network, no script.

Places are shares of the width, so that a drawing fills a phone as well as a desk and its text keeps its size. Colours
come from the page's style sheet; they are never the only sign: a state has its own mark, and every drawing a text that
says the same. Everything that comes from outside is escaped here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

ROW = 22  # pixels, the height of a drawing that stands in a row of a table
_INSET = 4.0  # % of the width that stay free at either end, for marks and whiskers
_MARKS = {
    "passed": '<circle r="4.5"/>',
    "failed": '<path d="M-4.5-4.5 4.5 4.5M-4.5 4.5 4.5-4.5"/>',
    "undecided": '<path d="M0-6 6 0 0 6-6 0z"/>',
    "plain": '<circle r="3.5"/>',
    "worst": '<path d="M0-5.5 5.5 4.5H-5.5z"/>',
}
"""One shape a state: dot, cross, open diamond; a small dot is not judged, a triangle is the worst of its kind."""


@dataclass(frozen=True)
class Axis:
    """Numbers from `low` to `high` across a drawing; `log` for times that differ a hundredfold."""

    low: float
    high: float
    log: bool = False

    @classmethod
    def around(cls, numbers: Iterable[float | None], log: bool = False, least: float = 0.0) -> Axis:
        """An axis that shows all `numbers` (None is left out) with some room, and at least `least` (decades if `log`).

        Numbers on a logarithmic axis must be positive.
        """
        shown = [math.log10(n) if log else n for n in numbers if n is not None] or [0.0]
        low, high = min(shown), max(shown)
        if (lacks := least - (high - low)) > 0:
            low, high = low - lacks / 2, high + lacks / 2
        margin = 0.08 * (high - low) or (0.3 if log else 0.1 * abs(high)) or 1e-6
        return cls(low - margin, high + margin, log)

    def at(self, number: float) -> float:
        """Place of `number` in % of the width, kept inside the drawing."""
        share = ((math.log10(max(number, 1e-12)) if self.log else number) - self.low) / (self.high - self.low)
        return round(_INSET + min(max(share, 0.0), 1.0) * (100 - 2 * _INSET), 2)

    def ticks(self, most: int = 5) -> list[float]:
        """Round numbers on the axis, at most about `most`."""
        if self.log:
            decades = range(math.floor(self.low), math.ceil(self.high) + 1)
            wide = self.high - self.low
            steps: tuple[float, ...] = (1, 1.5, 2, 3, 4, 5, 7) if wide < 0.6 else (1, 2, 5) if wide < 1.6 else (1,)
            ticks = [step * 10.0**decade for decade in decades for step in steps]
            return [tick for tick in ticks if self.low <= math.log10(tick) <= self.high]
        rough = (self.high - self.low) / most
        unit = 10.0 ** math.floor(math.log10(rough))
        step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough)
        return [step * i for i in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]


@dataclass(frozen=True)
class Interval:
    """A number with its interval, the bounds that it is judged by, and its state, a key of the marks."""

    value: float
    lower: float
    upper: float
    min: float | None = None
    max: float | None = None
    state: str = "plain"


def interval_plot(shown: Interval, axis: Axis | None = None, reference: float | None = None) -> str:
    """Mark and whisker on an axis of its own or on `axis`; the allowed range is shaded, each bound is a dashed line.

    `reference` is a plain line: the teacher, or the mean over all.
    """
    bounds = [bound for bound in (shown.min, shown.max) if bound is not None]
    axis = axis or Axis.around([shown.lower, shown.value, shown.upper, reference, *bounds])
    parts = ['<rect class="axis" width="100%" height="100%" rx="3"/>']
    if bounds:
        left = 0.0 if shown.min is None else axis.at(shown.min)
        right = 100.0 if shown.max is None else axis.at(shown.max)
        parts.append(f'<rect class="allowed" x="{left}%" width="{max(right - left, 0):.2f}%" height="100%" rx="3"/>')
    parts += [_upright("bound", axis.at(bound)) for bound in bounds]
    if reference is not None:
        parts.append(_upright("reference", axis.at(reference)))
    parts.append(_whisker(shown, axis))
    text = f"{shown.value:.4g}, interval {shown.lower:.4g} to {shown.upper:.4g}"
    return _svg("interval", ROW, f"{text}, {shown.state}" if bounds else text, parts)


def bar_plot(shown: Interval, axis: Axis, reference: float) -> str:
    """A bar from the axis' left end to the value, with whisker, bound and the line of `reference` (the teacher: 1)."""
    middle = ROW // 2
    parts = [f'<rect class="bar {shown.state}" x="0" y="4" width="{axis.at(shown.value)}%" height="{ROW - 8}" rx="2"/>']
    parts += [_upright("bound", axis.at(bound)) for bound in (shown.min, shown.max) if bound is not None]
    parts.append(_upright("reference", axis.at(reference)))
    ends = f'x1="{axis.at(shown.lower)}%" x2="{axis.at(shown.upper)}%" y1="{middle}" y2="{middle}"'
    parts.append(f'<line class="whisker {shown.state}" {ends}/>')
    text = f"{shown.value:.4g}, interval {shown.lower:.4g} to {shown.upper:.4g}, the teacher is {reference:g}"
    return _svg("interval", ROW, text, parts)


def _whisker(shown: Interval, axis: Axis) -> str:
    middle = ROW // 2
    ends = f'x1="{axis.at(shown.lower)}%" x2="{axis.at(shown.upper)}%" y1="{middle}" y2="{middle}"'
    return f'<line class="whisker {shown.state}" {ends}/>' + _mark(shown.state, axis.at(shown.value), middle)


def _mark(kind: str, x: float, y: float) -> str:
    return f'<svg class="mark {kind}" x="{x}%" y="{y}" overflow="visible">{_MARKS[kind]}</svg>'


def _upright(kind: str, x: float) -> str:
    return f'<line class="{kind}" x1="{x}%" x2="{x}%" y1="0" y2="100%"/>'


def _svg(kind: str, height: int, text: str, parts: Sequence[str]) -> str:
    label = f'role="img" aria-label="{escape(text)}"'
    return f'<svg class="{kind}" width="100%" height="{height}" {label}>{"".join(parts)}</svg>'


def show(value: float | None, unit: str) -> str:
    """A number for people, in its unit: `31.2 dB`, `213 kB`, `7.9 M`, `8.14 ms`, `-0.031`."""
    if value is None:
        return "not computed"
    if unit == "dB":
        return f"{round(value, 1) + 0.0:.1f} dB"  # + 0.0: no minus before a zero
    if unit == "ms":
        return f"{value:.0f} ms" if value >= 100 else f"{value:.3g} ms"
    if unit == "bytes":
        size, letter = next(((s, t) for s, t in ((1e9, "GB"), (1e6, "MB")) if abs(value) >= s), (1e3, "kB"))
        return f"{value / size:.2f} {letter}" if letter != "kB" else f"{value / 1e3:.3g} kB"
    if unit == "share":
        return f"{100 * value:.1f} %"
    if unit == "levels of 255":
        return f"{value:.2g}"
    if unit == "MACs" or abs(value) >= 1000:
        return _count(value)
    return f"{value:.2g}" if 0 < abs(value) < 0.0095 else f"{value:.3f}"


def span(lower: float | None, upper: float | None, unit: str, like: str = "") -> str:
    """`27.9 to 28.5 dB`: the unit once where both have the same; not at all where `like` beside it says it."""
    ends = [show(end, unit) for end in (lower, upper)]
    (first, _, word), (last, _, other) = (end.rpartition(" ") for end in ends)
    if not first or word != other:
        return " to ".join(ends)
    return f"{first} to {last}" + ("" if like.endswith(f" {word}") else f" {word}")


def _count(value: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g} {letter}"
    return f"{value:.0f}"
