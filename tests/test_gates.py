"""A gate passes only by the bound of its interval; what cannot be judged is an error."""

from __future__ import annotations

import re
from types import SimpleNamespace as Bound

import numpy as np
import pytest

from compress.errors import InputError, StageError
from compress.judging import gates
from compress.judging.metrics import intervals
from compress.judging.metrics.estimate import Estimate
from compress.judging.verdict import GateRecord

GOOD = Estimate(30.0, 29.0, 31.0, 100)


def judge(
    name: str, estimate: Estimate | None, low: float | None = None, high: float | None = None
) -> gates.GateResult:
    subset = "rendered" if gates.GATES[name].per_image else gates.WHOLE
    measured: dict[str, dict[str, Estimate]] = {"rendered": {}, gates.WHOLE: {}} | {
        subset: {name: estimate} if estimate else {}
    }
    return gates.evaluate({name: Bound(min=low, max=high)}, measured)[0]


def test_gate_above_its_minimum_passes() -> None:
    assert judge("psnr_mean_db", GOOD, low=28.5).passed


def test_gate_whose_interval_reaches_below_the_minimum_is_undecided() -> None:
    result = judge("psnr_mean_db", GOOD, low=29.5)
    assert result.state == "undecided" and not result.passed
    # Half the width would do: 1 dB instead of 0.5, so four times the images.
    assert result.detail == (
        "undecided: needs about 300 more images (the value holds, the end of its interval does not: 29 is below 29.5)"
    )


def test_gate_whose_value_is_above_the_maximum_fails() -> None:
    result = judge("haar_ratio", Estimate(1.2, 1.05, 1.35, 50), low=0.85, high=1.1)
    assert result.state == "failed" and not result.passed
    assert result.detail == "1.2 is above 1.1"


def test_large_numbers_are_told_without_exponents() -> None:
    assert judge("size_bytes", Estimate.exact(753_465), high=400_000).detail == "753465 is above 400000"


def test_counted_number_passes_at_its_bound() -> None:
    assert judge("size_bytes", Estimate.exact(4000), high=4000).passed


def test_fifth_percentile_of_few_images_is_undecided() -> None:
    result = judge("psnr_p5_db", Estimate(30, 29, 31, 40), low=1)
    assert not result.passed
    assert result.detail == "undecided: 40 images, needs at least 32 more"


def test_every_part_is_judged_on_its_own() -> None:
    parts = {"rendered": {"ssim_mean": Estimate(0.9, 0.89, 0.91, 50)}, "photographs": {"ssim_mean": GOOD}}
    results = gates.evaluate({"ssim_mean": Bound(min=0.95, max=None)}, parts)
    assert [(r.subset, r.passed) for r in results] == [("rendered", False), ("photographs", True)]


def test_unknown_gate_is_an_error_with_the_nearest_name() -> None:
    with pytest.raises(InputError, match=r"gates\.psnr_mean: unknown gate; did you mean psnr_mean_db\?"):
        gates.evaluate({"psnr_mean": Bound(min=1, max=None)}, {"rendered": {}})


def test_gate_without_bound_is_an_error() -> None:
    with pytest.raises(InputError, match="neither min nor max"):
        judge("ssim_mean", GOOD)


@pytest.mark.parametrize("name", ["ssim_mean", "latency_ms"])
def test_number_that_was_not_measured_is_an_error(name: str) -> None:
    with pytest.raises(StageError, match=f"gates.{name} on (rendered|model): not measured"):
        judge(name, None, low=1)


def test_number_that_is_not_finite_is_an_error() -> None:
    with pytest.raises(StageError, match="nan"):
        judge("ssim_mean", Estimate(float("nan"), 0, 1, 50), low=0)


def test_gate_without_any_judged_part_is_an_error() -> None:
    with pytest.raises(StageError, match="no part of the test set was measured"):
        gates.evaluate({"ssim_mean": Bound(min=0.5, max=None)}, {gates.WHOLE: {}})


def test_only_parts_with_enough_images_are_judged() -> None:
    assert gates.judged_parts({"rendered": 200, "photographs": 12}) == ["rendered"]


def test_too_small_test_set_is_an_error() -> None:
    with pytest.raises(InputError, match="8 rendered, 0 photographs images; gates need at least 30"):
        gates.judged_parts({"rendered": 8})


def test_result_as_data_carries_interval_sample_and_bound() -> None:
    data = judge("psnr_mean_db", GOOD, low=28.0).as_dict()
    assert {k: data[k] for k in ("value", "lower", "upper", "n", "bound", "unit")} == {
        "value": 30.0, "lower": 29.0, "upper": 31.0, "n": 100, "bound": {"min": 28.0}, "unit": "dB",
    }  # fmt: skip


@pytest.mark.parametrize("high", [1.1, 1.3])
def test_gate_with_too_few_people_is_undecided_even_if_its_value_misses(high: float) -> None:
    result = judge("haar_ratio", Estimate(1.2, 1.15, 1.25, 200, clusters=12), high=high)
    assert result.state == "undecided"
    missed = "; 1.2 is above 1.1" if high < 1.2 else ""
    assert result.detail == "undecided: 12 people, needs at least 18 more" + missed


def test_undecided_gate_of_several_images_a_person_asks_for_people() -> None:
    result = judge("psnr_mean_db", Estimate(30, 29, 31, 200, clusters=50), low=29.2)
    assert result.detail.startswith("undecided: needs about 29 more people (the value holds")


def test_images_that_are_nearly_all_of_one_person_decide_nothing() -> None:
    person = np.r_[np.zeros(100), np.arange(1, 40)]
    values = np.random.default_rng(0).normal(30, 1, 40)[person.astype(int)]
    result = judge("psnr_mean_db", intervals.mean(values, 0, person), low=-1000)
    assert result.state == "undecided"
    assert result.detail.startswith("undecided: images are spread too unevenly over 40 people, they weigh like 1.9 ")
    assert result.detail.endswith("needs 30; leave out images of those who have most, or add people")
    even = intervals.mean(np.repeat(values[-39:], 3), 0, np.repeat(person[-39:], 3))
    assert judge("psnr_mean_db", even, low=-1000).passed


def test_end_just_beyond_its_bound_asks_for_one_more() -> None:
    just = Estimate(1.0, 0.5, np.nextafter(1.5, 2), 100)
    assert judge("haar_ratio", just, high=1.5).detail.startswith("undecided: needs about 1 more images")
    same = gates._more(Estimate(1.0, 0.5, 1.5, 100), 1.5, 1.5)
    assert same == 1


def test_undecided_gate_with_two_bounds_asks_for_the_larger_number() -> None:
    result = judge("haar_ratio", Estimate(1.0, 0.9, 1.1, 100), low=0.95, high=1.02)
    # Towards 1.02 the interval must be a fifth as wide, 25 times the images.
    assert "needs about 2400 more images" in result.detail
    assert "0.9 is below 0.95 and 1.1 is above 1.02" in result.detail


def test_value_at_its_bound_asks_for_more_than_can_be_told() -> None:
    assert "needs over 10000 more images" in judge("psnr_mean_db", GOOD, low=30.0).detail


def test_more_images_as_told_would_decide() -> None:
    generator = np.random.default_rng(0)
    few = intervals.mean(generator.normal(0, 1, 100), 0)
    result = judge("identity_delta_mean", few, low=few.value - 0.1)
    more = int(re.findall(r"about (\d+) more", result.detail)[0])
    many = intervals.mean(generator.normal(few.value, 1, 100 + more), 0)
    assert many.value - many.lower == pytest.approx(0.1, rel=0.15)


def test_videos_are_asked_for_where_videos_are_judged() -> None:
    moving = {"rendered": {}, gates.MOTION: {"flicker_ratio": Estimate(1.0, 0.6, 1.4, 28, clusters=4)}}
    result = gates.evaluate({"flicker_ratio": Bound(min=None, max=1.2)}, moving)[0]
    assert result.subset == "motion"
    assert result.detail.startswith("undecided: needs about 12 more videos")


def test_changed_photos_are_judged_in_each_part_that_has_some() -> None:
    bounds = {"equivariance_jpeg_ratio": Bound(min=None, max=1.2)}
    good, bad = ({"equivariance_jpeg_ratio": Estimate(x, x - 0.1, x + 0.1, 40)} for x in (1.0, 2.0))
    results = gates.evaluate(bounds, {"rendered": good, "photographs": bad, gates.MOTION: {}})
    assert [(r.subset, r.state) for r in results] == [("rendered", "passed"), ("photographs", "failed")]
    assert [r.subset for r in gates.evaluate(bounds, {"rendered": good, "photographs": {}})] == ["rendered"]
    few = {"equivariance_jpeg_ratio": Estimate(1.0, 0.9, 1.1, 5)}
    result = gates.evaluate(bounds, {"rendered": few})[0]
    assert result.detail == "undecided: 5 changed photographs, needs at least 25 more"


def test_motion_gate_without_motion_is_an_error_that_says_what_it_needs() -> None:
    with pytest.raises(StageError, match=r"flicker_ratio on motion: not measured.*test\.steadiness.*or drop the gate"):
        gates.evaluate({"flicker_ratio": Bound(min=None, max=1)}, {"rendered": {}})


def test_group_gate_is_judged_where_labels_are_known() -> None:
    gap = {"group_psnr_gap_db": Estimate(1.0, 0.5, 1.4, 31, note="worst: skin dark (31 images)")}
    bounds = {"group_psnr_gap_db": Bound(min=None, max=1.5)}
    assert [r.subset for r in gates.evaluate(bounds, {"rendered": gap, "photographs": {}})] == ["rendered"]
    with pytest.raises(StageError, match="group_psnr_gap_db on rendered: not measured.*labels"):
        gates.evaluate(bounds, {"rendered": {}, "photographs": {}})


def test_note_of_an_estimate_is_in_the_detail() -> None:
    gap = Estimate(1.6, 1.2, 2.0, 31, note="worst: skin dark (31 images)")
    assert judge("group_psnr_gap_db", gap, high=1.5).detail == "1.6 is above 1.5 (worst: skin dark (31 images))"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("psnr_p5_db", "PSNR to the teacher, 5th percentile, in dB; needs 72 images"),
        ("flicker_ratio", "needs 4 videos and the teacher's pictures of changed photographs and videos"),
        ("macs", "True multiply-accumulates of the core, in MACs"),
    ],
)
def test_description_says_what_a_gate_needs(name: str, said: str) -> None:
    assert said in gates.describe(name)


def test_result_has_the_published_form() -> None:
    for estimate in (GOOD, Estimate(27.0, 26.0, 28.5, 40, 35, "bootstrap-t")):
        GateRecord(**judge("psnr_mean_db", estimate, low=28.0).as_dict())
