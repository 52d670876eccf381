"""Drawings put numbers where they belong, tell states by shape, and escape what they write."""

from __future__ import annotations

import re
from itertools import combinations

import pytest

from compress.reporting import charts, scatter
from compress.reporting.charts import Axis, Interval
from compress.reporting.scatter import Point, Reference


def attribute(svg: str, kind: str, name: str) -> list[float]:
    tags = re.findall(rf'<\w+ class="{kind}"[^>]*>', svg)
    return [float(found.group(1)) for tag in tags if (found := re.search(rf' {name}="(-?[\d.]+)', tag))]


def test_interval_plot_places_value_between_its_ends() -> None:
    svg = charts.interval_plot(Interval(2.0, 1.0, 3.0, min=0.0, state="passed"))
    (left,), (right,), (centre,) = (attribute(svg, *where) for where in (
        ("whisker passed", "x1"), ("whisker passed", "x2"), ("mark passed", "x")))  # fmt: skip
    assert 0 < left < centre < right < 100
    assert centre == pytest.approx((left + right) / 2, abs=0.1)


def test_allowed_range_lies_between_the_bounds() -> None:
    svg = charts.interval_plot(Interval(2.0, 1.0, 3.0, min=0.5, max=4.0, state="passed"))
    low, high = attribute(svg, "bound", "x1")
    assert attribute(svg, "allowed", "x") == [low]
    assert attribute(svg, "allowed", "width")[0] == pytest.approx(high - low, abs=0.02)


def test_states_differ_by_shape_and_words() -> None:
    drawn = [charts.interval_plot(Interval(2.0, 1.0, 3.0, 1.5, state=s)) for s in ("passed", "failed", "undecided")]
    shapes = {re.search(r'overflow="visible">(.*?)</svg>', svg).group(1) for svg in drawn}
    assert len(shapes) == 3
    assert all(state in re.search(r'aria-label="([^"]*)"', svg).group(1) for state, svg in
               zip(("passed", "failed", "undecided"), drawn))  # fmt: skip


def test_rows_on_one_axis_can_be_compared() -> None:
    axis = Axis.around([10.0, 20.0])
    places = [
        attribute(charts.interval_plot(Interval(v, v, v), axis, 15.0), "mark plain", "x")[0] for v in (10, 15, 20)
    ]
    assert places[0] < places[1] < places[2]
    assert attribute(charts.interval_plot(Interval(10, 10, 10), axis, 15.0), "reference", "x1") == [places[1]]


def test_bars_are_as_long_as_their_ratios() -> None:
    axis = Axis(0.0, 2.0)
    lengths = [attribute(charts.bar_plot(Interval(v, v, v), axis, 1.0), "bar plain", "width")[0] for v in (0.5, 1, 1.5)]
    assert lengths[1] - lengths[0] == pytest.approx(lengths[2] - lengths[1])
    assert attribute(charts.bar_plot(Interval(0.5, 0.4, 0.6), axis, 1.0), "reference", "x1") == [lengths[1]]


@pytest.mark.parametrize("numbers", [[], [3.0], [0.0, 0.0], [None, -2.0], [1e-9, 1e9]])
def test_axis_of_any_numbers_has_a_width(numbers: list[float | None]) -> None:
    axis = Axis.around(numbers)
    assert axis.high > axis.low
    assert all(0 <= axis.at(number) <= 100 for number in numbers if number is not None)


def test_time_axis_is_logarithmic_with_round_ticks() -> None:
    axis = Axis.around([8.0, 2000.0], log=True)
    assert axis.ticks() == pytest.approx([10, 100, 1000])
    assert axis.at(1000) - axis.at(100) == pytest.approx(axis.at(100) - axis.at(10), abs=0.02)
    assert Axis.around([8.0, 30.0], log=True).ticks() == pytest.approx([10, 20])


def test_small_differences_are_not_blown_up() -> None:
    svg = scatter.draw([Point("a", 10, 28.0, 1e5, ends=(27.8, 28.2)), Point("b", 10.2, 28.05, 1e5)])
    heights = [float(y) for y in re.findall(r'overflow="visible"|y="([\d.]+)" overflow', svg) if y]
    assert heights[0] - heights[1] < 20
    assert len(attribute(svg, "whisker", "y1")) == 1
    assert attribute(svg, "whisker", "y2")[0] < heights[0] < attribute(svg, "whisker", "y1")[0]


def test_linear_ticks_are_round_and_few() -> None:
    assert Axis(26.4, 31.2).ticks(6) == [27, 28, 29, 30, 31]
    assert Axis(0.0, 0.05).ticks() == pytest.approx([0, 0.01, 0.02, 0.03, 0.04, 0.05])


def test_area_of_a_point_is_the_size_of_its_file() -> None:
    svg = scatter.draw([Point("a", 10, 28, 100_000), Point("b", 20, 29, 400_000)])
    radii = [float(r) for r in re.findall(r'd="M-([\d.]+) 0 a', svg)]
    assert radii[1] == pytest.approx(2 * radii[0], abs=0.1)


def test_better_points_lie_higher_and_faster_ones_further_left() -> None:
    svg = scatter.draw([Point("slow", 40, 29, 1e5), Point("fast", 10, 28, 1e5)])
    (slow, fast) = re.findall(r'<svg x="([\d.]+)%" y="([\d.]+)"', svg)
    assert float(fast[0]) < float(slow[0]) and float(slow[1]) < float(fast[1])


def test_runs_have_shapes_of_their_own() -> None:
    assert len({re.sub(r"[-\d.]+", "", scatter.shape(run)) for run in range(4)}) == 4


def test_labels_of_close_points_do_not_overlap() -> None:
    points = [Point(f"tier-{i}", 10 + 0.1 * i, 28 + 0.02 * i, 1e5) for i in range(4)] + [Point("far", 100, 31, 1e6)]
    svg = scatter.draw(points)
    found = re.findall(r'<text class="label (\w+)" x="([\d.]+)%" dx="(-?\d+)" y="(-?\d+)">([^<]*)', svg)
    boxes = []
    for anchor, x, dx, y, text in found:
        width = 6.5 * len(text)
        left = 3.3 * float(x) + int(dx) - {"start": 0, "middle": width / 2, "end": width}[anchor]
        boxes.append((left, int(y) - 11, left + width, int(y) + 2))
    assert len(boxes) == 5
    assert not [pair for pair in combinations(boxes, 2) if scatter._overlap(*pair) > 0]
    assert all(box[0] >= 0 and box[2] <= 330 for box in boxes)


def test_quiet_points_and_references_are_told_in_words() -> None:
    points = [Point("cpu", 10, 28, 1e5), Point("cpu float", 12, 28.1, 4e5, 1, quiet=True)]
    svg = scatter.draw(points, [Reference("teacher", 2000.0)], [[0, 1]])
    assert ">teacher</text>" in svg and ">cpu float</text>" not in svg and svg.count('class="path"') == 1
    assert "cpu float: 12 ms, 28.1 dB, 400 kB" in svg


def test_drawings_escape_names() -> None:
    svg = scatter.draw([Point('<b>"&', 10, 28, 1e5)], [Reference("<i>", 20.0)])
    assert "<b>" not in svg and "<i>" not in svg and "&lt;b&gt;&quot;&amp;" in svg


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(31.24, "dB", "31.2 dB"), (-0.01, "dB", "0.0 dB"), (213_000, "bytes", "213 kB"), (7_900_000, "MACs", "7.9 M"),
     (8.144, "ms", "8.14 ms"), (1914.2, "ms", "1914 ms"), (-0.0311, "cosine", "-0.031"), (0.00041, "", "0.00041"),
     (0.985, "share", "98.5 %"), (2.5e9, "bytes", "2.50 GB"), (155_684, "", "156 k"), (None, "dB", "not computed")],
)  # fmt: skip
def test_numbers_are_shown_in_their_unit(value: float | None, unit: str, text: str) -> None:
    assert charts.show(value, unit) == text


@pytest.mark.parametrize(
    ("ends", "unit", "like", "text"),
    [((27.9, 28.5), "dB", "", "27.9 to 28.5 dB"), ((27.9, 28.5), "dB", "28.2 dB", "27.9 to 28.5"),
     ((9e5, 1.1e6), "bytes", "", "900 kB to 1.10 MB"), ((0.1, 0.2), "", "", "0.100 to 0.200")],
)  # fmt: skip
def test_unit_of_an_interval_is_said_once(ends: tuple[float, float], unit: str, like: str, text: str) -> None:
    assert charts.span(*ends, unit, like) == text
