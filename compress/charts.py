"""Small inline SVG drawings and number formats for the report page; no files, no network, no script.

Colour is never the only sign: every drawing has a text that says the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 180, 22
_PAD = 8


@dataclass(frozen=True)
class Interval:
    """A number with its interval and the bounds that it is judged by."""

    value: float
    lower: float
    upper: float
    min: float | None
    max: float | None
    passed: bool


def interval_plot(shown: Interval) -> str:
    """Dot and whisker on an axis; the allowed range is shaded, each bound is a line."""
    bounds = [bound for bound in (shown.min, shown.max) if bound is not None]
    low, high = min([shown.lower, *bounds]), max([shown.upper, *bounds])
    margin = 0.12 * (high - low) or max(abs(high), 1e-6)
    low, high = low - margin, high + margin

    def x(number: float) -> float:
        return round(_PAD + (number - low) / (high - low) * (WIDTH - 2 * _PAD), 1)

    left = 0.0 if shown.min is None else x(shown.min)
    right = float(WIDTH) if shown.max is None else x(shown.max)
    middle, mark = HEIGHT / 2, "pass" if shown.passed else "fail"
    lines = "".join(f'<line class="bound" x1="{x(b)}" x2="{x(b)}" y1="1" y2="{HEIGHT - 1}"/>' for b in bounds)
    text = escape(f"{shown.value:.4g}, interval {shown.lower:.4g} to {shown.upper:.4g}, {mark}")
    return (
        f'<svg class="interval" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" '
        f'aria-label="{text}"><rect class="axis" width="{WIDTH}" height="{HEIGHT}" rx="3"/>'
        f'<rect class="allowed" x="{left}" width="{max(right - left, 0):.1f}" height="{HEIGHT}" rx="3"/>{lines}'
        f'<line class="{mark}" x1="{x(shown.lower)}" x2="{x(shown.upper)}" y1="{middle}" y2="{middle}"/>'
        f'<circle class="{mark}" cx="{x(shown.value)}" cy="{middle}" r="4"/></svg>'
    )


def show(value: float | None, unit: str) -> str:
    """A number for people, in its unit: `31.2 dB`, `213 kB`, `7.9 M`, `8.14 ms`, `-0.031`."""
    if value is None:
        return "not computed"
    if unit == "dB":
        return f"{value:.1f} dB"
    if unit == "ms":
        return f"{value:.0f} ms" if value >= 100 else f"{value:.3g} ms"
    if unit == "bytes":
        return f"{value / 1e6:.2f} MB" if value >= 1e6 else f"{value / 1e3:.3g} kB"
    if unit == "MACs":
        return _count(value)
    if unit == "share":
        return f"{100 * value:.1f} %"
    if unit == "levels of 255":
        return f"{value:.2g}"
    return f"{value:.3f}"


def _count(value: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {letter}"
    return f"{value:.0f}"
