"""The page of a comparison names what got worse first, and everything that could not be compared."""

from __future__ import annotations

import html
import re

import pytest

from compress.judging import verdict
from compress.reporting.comparison import Change, Comparison, Direction, Row
from compress.reporting.comparison_page import render
from compress.reporting.records import Reading

SHA = "0123456789abcdef" * 4


def run_verdict(name: str, state: str, tiers: tuple[str, ...] = ("cpu",)) -> verdict.RunVerdict:
    psnr = {"value": 28.0, "lower": 27.5, "upper": 28.5, "n": 200, "clusters": 200, "method": "bootstrap"}
    gate = psnr | {"name": "psnr_mean_db", "subset": "rendered", "confidence": 0.95, "backbone": "", "detail": ""}
    gate |= {"state": state, "passed": state == "passed", "bound": {"min": 27.0}, "unit": "dB", "meaning": "PSNR"}
    fields = {
        "images": {"rendered": 200}, "seed": 0, "not_judged": {}, "left_out": [], "gates": [gate], "groups": [],
        "backbones": {}, "teacher": {"name": "t", "sha256": SHA}, "versions": {},
        "candidate": {"file": "model.onnx", "sha256": SHA, "size_bytes": 9},
    }  # fmt: skip
    return verdict.gathered(name, [verdict.build(fields | {"tier": tier}) for tier in tiers])


def reading(value: float, half: float = 0.3, state: str = "passed") -> Reading:
    return Reading(value, value - half, value + half, 200, state)


def row(
    metric: str, *values: float, direction: Direction = "same", tier: str = "cpu", half: float = 0.3, **ends: str
) -> Row:
    """A number of several runs; `ends` are `first` and `last`, states of the gate."""
    subset = "model" if metric in ("latency_ms", "size_bytes") else "rendered"
    states = [ends.get("first", "passed"), *[ends.get("last", "passed")] * (len(values) - 1)]
    readings = tuple(reading(value, half, state) for value, state in zip(values, states))
    changes = tuple(
        Change(
            direction, value - values[0], value - values[0] - half, value - values[0] + half, "paired over 200 images"
        )
        for value in values[1:]
    )
    return Row(tier, subset, metric, readings, changes)


def comparison(*more: Row, labels: tuple[str, ...] = ("main", "branch"), notes: tuple[str, ...] = ()) -> Comparison:
    runs = len(labels)
    rows = (
        row("psnr_mean_db", *(28.2, 27.1, 26.9)[:runs], direction="worse"),
        row("latency_ms", *(11.3, 8.0, 7.0)[:runs], direction="better"),
        row("size_bytes", *(185e3, 150e3, 120e3)[:runs], direction="better", half=0.0),
        row("ssim_mean", *(0.910, 0.911, 0.911)[:runs], half=0.004),
    )
    return Comparison(labels, tuple(run_verdict(label, "passed") for label in labels), rows + more, notes)


def words(page: str) -> str:
    body = re.sub(r"<(style|svg).*?</\1>", " ", page, flags=re.S)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", body)))


def test_page_opens_with_what_got_worse() -> None:
    page = words(render(comparison()))
    assert "branch against main: 1 worse, 2 better" in page
    assert (
        "branch: 1 worse, 2 better, 1 without a difference beyond noise; worse: PSNR to the teacher, mean (cpu)."
        in page
    )
    assert page.index("Worse: 1") < page.index("Better: 2") < page.index("No difference beyond noise: 1")


def test_rows_state_both_values_difference_and_method() -> None:
    page = words(render(comparison()))
    assert "28.2 dB 27.1 dB -1.1 dB -1.4 to -0.8 dB paired over 200 images" in page
    assert "185 kB 150 kB -35 kB (-19 %)" in page


def test_gate_that_fell_stands_first() -> None:
    fell = row("ms_ssim_mean", 0.95, 0.94, direction="worse", last="failed")
    clear = row("haar_ratio", 0.8, 0.1, direction="worse", half=0.001)
    page = words(render(comparison(fell, clear)))
    worse = page[page.index("Worse: 3") :]
    assert worse.index("ms_ssim_mean") < worse.index("haar_ratio") < worse.index("psnr_mean_db")
    assert "✓ passed now ✕ failed" in worse


def test_equal_runs_are_said_to_be_equal() -> None:
    page = words(render(Comparison(("a", "b"), (run_verdict("a", "passed"),) * 2, (row("ssim_mean", 0.9, 0.9),), ())))
    assert "b against a: no difference beyond noise" in page
    assert "Nothing got worse." in page and "Nothing got better." in page
    assert "there is nothing to draw" in page


def test_what_cannot_be_compared_is_named() -> None:
    other = row("kid_delta_upper", 0.1, 0.2, direction="not comparable")
    lone = Row("cpu", "rendered", "flicker_ratio", (reading(1.0), None), (None,))
    page = words(render(comparison(other, lone, notes=("branch, cpu: imitates another teacher.",))))
    assert "Not comparable: 1" in page
    assert "Flicker in videos over the teacher's (cpu, rendered): not in branch" in page
    assert "branch, cpu: imitates another teacher." in page


def test_tiers_and_runs_are_drawn_with_their_own_shapes() -> None:
    npu = [row(name, *values, tier="npu") for name, values in
           (("psnr_mean_db", (29, 30, 31)), ("latency_ms", (16, 14, 12)), ("size_bytes", (1e6, 9e5, 8e5)))]  # fmt: skip
    page = render(comparison(*npu, labels=("main", "branch", "later")))
    assert len(re.findall(r'<svg x="[\d.]+%" y="[\d.]+" overflow="visible">', page)) == 6
    assert page.count('class="path"') == 4
    assert len(set(re.findall(r'class="point (series\d)"', page))) == 3
    assert "<td>npu, later</td><td>12 ms</td><td>31.0 dB</td><td>800 kB</td>" in page


def test_verdicts_of_all_runs_stand_side_by_side() -> None:
    found = comparison()
    verdicts = (run_verdict("main", "passed", ("cpu", "npu")), run_verdict("branch", "failed"))
    page = words(render(Comparison(found.labels, verdicts, found.rows, ())))
    assert "cpu ✓ passed ✕ failed" in page
    assert "npu ✓ passed no such tier" in page


@pytest.mark.parametrize("place", ["label", "note", "tier"])
def test_page_escapes_what_files_say(place: str) -> None:
    evil = "<script>alert('\"&')</script>"
    labels = ("main", evil if place == "label" else "branch")
    tier = row("haar_ratio", 0.8, 0.9, direction="worse", tier=evil if place == "tier" else "cpu")
    page = render(comparison(tier, labels=labels, notes=(evil,) if place == "note" else ()))
    assert "<script" not in page and "&lt;script&gt;" in page


def test_page_needs_no_other_file() -> None:
    page = render(comparison())
    assert not re.findall(r'(?:src|href)="(?!#)', page) and "<script" not in page and "url(" not in page
