"""A gate passes only by the bound of its interval; what cannot be judged is an error."""

from __future__ import annotations

from types import SimpleNamespace as Bound

import pytest

from compress import gates
from compress.errors import InputError, StageError
from compress.metrics.estimate import Estimate

GOOD = Estimate(30.0, 29.0, 31.0, 100)


def judge(
    name: str, estimate: Estimate | None, low: float | None = None, high: float | None = None
) -> gates.GateResult:
    subset = "rendered" if gates.GATES[name].per_image else gates.WHOLE
    measured = {"rendered": {}, gates.WHOLE: {}} | {subset: {name: estimate} if estimate else {}}
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
