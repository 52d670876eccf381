"""Gates: what a candidate must reach before it is published, and how a verdict is made of measured numbers.

Rules, for every gate:
- it passes only if its whole 95 % interval is within the bounds; it has failed if the value itself is not; if the value
  is but its interval is not, or if there are too few images, it is undecided, which does not pass either: the detail
  says about how many more images would tell. Counted numbers (bytes, MACs) have no interval and are never undecided;
- gates on images are judged for each part of the test set on its own, `rendered` and `photographs`, if it has at least
  30 images; a smaller part is named in the verdict as not judged, and at least one part must be large enough;
- images of one person count once: what has too few independent samples asks for more people;
- a 5th percentile needs 72: with fewer, even the worst image seen is no 95 % bound for it;
- a gate that is unknown, or whose number could not be computed, is an error, never a pass.

This module imports nothing heavy, so that recipes can be checked against its table. It measures nothing.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

from compress.errors import InputError, StageError
from compress.metrics.estimate import Estimate

FEWEST_IMAGES = 30
FEWEST_FOR_P5 = 72  # the first n of 0.95^n < 0.025: at least one image then lies below the true 5th percentile
FEWEST_IN_GROUP = 20
FEWEST_VIDEOS = 4
MOST_TOLD = 100  # times the sample; what would need more than that is told as "over"
PARTS = ("rendered", "photographs")
WHOLE, MOTION = "model", "motion"
"""What is judged besides the parts of the test set: the file itself; changed photos and videos."""

State = Literal["passed", "failed", "undecided"]
Better = Literal["higher", "lower", "near 1"]
Backbone = Literal["", "identity", "features", "landmarks"]
Needs = Literal["", "float", "torch", "motion", "groups", "openvino"]
NEEDS: dict[Needs, str] = {
    "": "",
    "float": "the float student beside the int8 one",
    "torch": "the student's torch network, which only a run of the recipe has",
    "motion": "the teacher's pictures of changed photographs and videos (test.steadiness)",
    "groups": "labels, which renders have and photographs get from test.facts",
    "openvino": "OpenVINO installed",
}


@dataclass(frozen=True)
class Gate:
    """One row of the table; `better` says which bound a recipe normally gives.

    `backbone` is the role of the network that the number depends on, `needs` what must be at hand to measure it,
    `fewest` the independent samples below which nothing is decided, `sample` what they are.
    """

    meaning: str
    unit: str
    better: Better
    per_image: bool = True
    fewest: int = FEWEST_IMAGES
    backbone: Backbone = ""
    needs: Needs = ""
    sample: Literal["images", "videos", "rounds"] = "images"


class Bound(Protocol):
    """What a recipe says about one gate; at least one of the two is a number."""

    @property
    def min(self) -> float | None: ...

    @property
    def max(self) -> float | None: ...


def _features(meaning: str, better: Better, needs: Needs = "", fewest: int = FEWEST_IMAGES) -> Gate:
    return Gate(meaning, "", better, fewest=fewest, backbone="features", needs=needs)


def _identity(meaning: str, needs: Needs = "", fewest: int = FEWEST_IMAGES, better: Better = "higher") -> Gate:
    return Gate(meaning, "cosine", better, fewest=fewest, backbone="identity", needs=needs)


def _steady(change: str) -> Gate:
    return Gate(f"Error under {change} of the photo over the teacher's", "", "lower", needs="motion")


def _of_model(meaning: str, unit: str, better: Better, needs: Needs = "") -> Gate:
    return Gate(meaning, unit, better, per_image=False, fewest=1, needs=needs)


def _timed(meaning: str, unit: str, better: Better) -> Gate:
    return Gate(meaning, unit, better, per_image=False, fewest=1, sample="rounds")


_LEVELS = "levels of 255"
GATES: dict[str, Gate] = {
    "psnr_mean_db": Gate("PSNR to the teacher, mean", "dB", "higher"),
    "psnr_p5_db": Gate("PSNR to the teacher, 5th percentile", "dB", "higher", fewest=FEWEST_FOR_P5),
    "ssim_mean": Gate("Structural similarity to the teacher, mean", "", "higher"),
    "ssim_p5": Gate("Structural similarity to the teacher, 5th percentile", "", "higher", fewest=FEWEST_FOR_P5),
    "ms_ssim_mean": Gate("Structural similarity over several scales, mean", "", "higher"),
    "perceptual_mean": _features("Distance to the teacher in feature space, mean", "lower"),
    "haar_ratio": Gate("Fine detail relative to the teacher (Haar, 3 levels)", "", "near 1"),
    "haar_finest_ratio": Gate("Detail at the finest Haar level relative to the teacher", "", "near 1"),
    "colour_shift_mean": Gate("Colour difference of local means to the teacher (Lab), mean", "delta E", "lower"),
    "landmark_error_mean": Gate(
        "Facial points against the teacher's, over the eyes' distance", "", "lower", backbone="landmarks"
    ),
    "style_strength": Gate("Share of the teacher's change of the photo (0 is the photo itself)", "", "near 1"),
    "gram_distance": _features("Style distance to the teacher (the photo's is 1)", "lower"),
    "kid_delta_upper": _features("KID to the teacher's pictures (the teacher against itself is 0)", "lower"),
    "sliced_wasserstein": _features("Sliced Wasserstein distance to the set of the teacher's pictures", "lower"),
    "diversity_ratio": _features("Spread of the pictures relative to that of the teacher's", "near 1"),
    "identity_delta_mean": _identity("Likeness to the photo less the teacher's, mean"),
    "identity_delta_p5": _identity("Likeness less the teacher's, 5th percentile", fewest=FEWEST_FOR_P5),
    "rank1_relative": Gate(
        "Pictures that find their photo (rank 1) relative to the teacher", "", "higher", backbone="identity"
    ),
    "equivariance_shift_ratio": _steady("a shift"),
    "equivariance_crop_ratio": _steady("a crop"),
    "equivariance_rotation_ratio": _steady("a small rotation"),
    "equivariance_jpeg_ratio": _steady("JPEG compression"),
    "equivariance_noise_ratio": _steady("noise"),
    "flicker_ratio": Gate(
        "Flicker in videos over the teacher's", "", "lower", fewest=FEWEST_VIDEOS, needs="motion", sample="videos"
    ),
    "group_psnr_gap_db": Gate(
        "PSNR of the others less the worst group's", "dB", "lower", fewest=FEWEST_IN_GROUP, needs="groups"
    ),
    "group_identity_gap": _identity(
        "Likeness of the others less the worst group's", "groups", FEWEST_IN_GROUP, "lower"
    ),
    "group_perceptual_gap": _features(
        "Distance of the worst group to the teacher less the others'", "lower", "groups", FEWEST_IN_GROUP
    ),
    "int8_psnr_db": Gate("int8 against the float student, mean PSNR", "dB", "higher", needs="float"),
    "int8_identity_delta_mean": _identity("Likeness to the photo less the float student's, mean", "float"),
    "parity_float_levels": _of_model("Runtime against torch, float file, 99.9 % of values", _LEVELS, "lower", "torch"),
    "parity_int8_levels": _of_model("Runtime against torch, int8 file, 99.9 % of values", _LEVELS, "lower", "torch"),
    "parity_unoptimised_levels": _of_model("Runtime with against without graph optimisation", _LEVELS, "lower"),
    "parity_openvino_levels": _of_model("OpenVINO against ONNX Runtime", _LEVELS, "lower", "openvino"),
    "integer_convolutions": _of_model("Convolutions executed in integers", "share", "higher"),
    "macs": _of_model("True multiply-accumulates of the core", "MACs", "lower"),
    "parameters": _of_model("Parameters of the exported network", "", "lower"),
    "size_bytes": _of_model("Size of the exported file", "bytes", "lower"),
    "latency_ms": _timed("Median time for one photograph at the budget's size", "ms", "lower"),
    "latency_p95_ms": _timed("95th percentile of the time for one photograph", "ms", "lower"),
    "peak_memory_bytes": _of_model("Peak memory of a process that stylises one photograph", "bytes", "lower"),
    "int8_speedup": Gate(
        "Time of the float file over time of the int8 file", "", "higher", False, 1, needs="float", sample="rounds"
    ),
    "int8_core_speedup": Gate(
        "Time of the float core over time of the int8 core", "", "higher", False, 1, needs="float", sample="rounds"
    ),
}


@dataclass(frozen=True)
class GateResult:
    """One gate on one part of the test set (`subset`; "model" for gates without images)."""

    name: str
    subset: str
    estimate: Estimate
    min: float | None
    max: float | None
    state: State
    detail: str

    @property
    def passed(self) -> bool:
        """Only this state lets a candidate through."""
        return self.state == "passed"

    def as_dict(self) -> dict[str, Any]:
        """For verdict.json."""
        gate = GATES[self.name]
        bound = {side: limit for side, limit in (("min", self.min), ("max", self.max)) if limit is not None}
        return {
            "name": self.name,
            "subset": self.subset,
            "state": self.state,
            "passed": self.passed,
            **self.estimate.as_dict(),
            "bound": bound,
            "unit": gate.unit,
            "meaning": gate.meaning,
            "detail": self.detail,
            "backbone": gate.backbone,
        }


Measured = Mapping[str, Mapping[str, Estimate]]
Name = TypeVar("Name", bound=str)  # recipes have a literal type for it


def check_name(name: str) -> None:
    """Raise InputError for a gate that is not in the table, naming the nearest one."""
    if name not in GATES:
        near = difflib.get_close_matches(name, GATES, 1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(GATES)}"
        raise InputError(f"gates.{name}: unknown gate; {hint}")


def describe(name: str) -> str:
    """What gate `name` measures and what it needs, in one line for people. Raises InputError as `check_name` does."""
    check_name(name)
    gate = GATES[name]
    needs = [f"{gate.fewest} {gate.sample}"] if gate.per_image else []
    needs += [NEEDS[gate.needs]] if gate.needs else []
    unit = f", in {gate.unit}" if gate.unit else ""
    return f"{gate.meaning}{unit}" + (f"; needs {' and '.join(needs)}" if needs else "")


def judged_parts(counts: Mapping[str, int]) -> list[str]:
    """The parts of the test set with enough images, of `counts` {part: images}.

    Raises InputError if there is none: then nothing could be judged.
    """
    parts = [part for part in PARTS if counts.get(part, 0) >= FEWEST_IMAGES]
    if not parts:
        have = ", ".join(f"{counts.get(part, 0)} {part}" for part in PARTS)
        raise InputError(f"test: {have} images; gates need at least {FEWEST_IMAGES} of one kind, raise test.rendered")
    return parts


def evaluate(bounds: Mapping[Name, Bound], measured: Measured) -> list[GateResult]:
    """Judge every gate of `bounds` by `measured` {part or "model": {gate: estimate}}.

    Raises InputError for an unknown gate or one without a bound, StageError for one whose number is missing or not
    finite, or if nothing of the test set was measured.
    """
    results = []
    for name, bound in bounds.items():
        check_name(name)
        if bound.min is None and bound.max is None:
            raise InputError(f"gates.{name}: neither min nor max is given; give at least one")
        subsets = _subsets(name, measured)
        if not subsets:
            raise StageError(f"gates.{name}: no part of the test set was measured; this gate cannot be judged")
        results += [_judge(name, subset, bound, measured.get(subset, {})) for subset in subsets]
    return results


def _subsets(name: str, measured: Measured) -> list[str]:
    """What gate `name` is judged on: the file, what moves, or every part of the test set.

    Of people nothing may be known in one part (photographs without labels): groups are judged in the others.
    """
    if not GATES[name].per_image:
        return [WHOLE]
    if GATES[name].needs == "motion":
        return [MOTION]
    parts = [part for part in PARTS if part in measured]
    known = [part for part in parts if name in measured[part]]
    return known or parts if GATES[name].needs == "groups" else parts


def _judge(name: str, subset: str, bound: Bound, numbers: Mapping[str, Estimate]) -> GateResult:
    estimate = numbers.get(name)
    if estimate is None or not estimate.finite:
        value = "not measured" if estimate is None else f"{estimate.value:g} ({estimate.lower:g}, {estimate.upper:g})"
        needs = NEEDS[GATES[name].needs]
        cause = f"it needs {needs}; mend that" if needs else "mend the cause"
        raise StageError(f"gates.{name} on {subset}: {value}, it cannot be judged; {cause} or drop the gate")
    state, detail = _verdict(GATES[name], bound, estimate)
    of = f" ({estimate.note})" if estimate.note and detail else ""
    return GateResult(name, subset, estimate, bound.min, bound.max, state, detail + of)


def _verdict(gate: Gate, bound: Bound, estimate: Estimate) -> tuple[State, str]:
    """State and why; a value that misses its bound is told even where there are too few images to trust it."""
    sides = [(bound.min, 1, estimate.lower, "below"), (bound.max, -1, estimate.upper, "above")]
    limits = [(limit, sign, end, side) for limit, sign, end, side in sides if limit is not None]
    misses = [
        f"{_plain(estimate.value)} is {side} {_plain(limit)}"
        for limit, sign, _, side in limits
        if sign * (estimate.value - limit) < 0
    ]
    short = gate.fewest - estimate.clusters if gate.per_image else 0
    if short > 0:
        have = f"{estimate.clusters} {_sample(gate, estimate)}"
        return "undecided", "; ".join([f"undecided: {have}, needs at least {short} more", *misses])
    if misses:
        return "failed", "; ".join(misses)
    open_ends = [(limit, end, side) for limit, sign, end, side in limits if sign * (end - limit) < 0]
    if not open_ends:
        return "passed", ""
    ends = " and ".join(f"{_plain(end)} is {side} {_plain(limit)}" for limit, end, side in open_ends)
    more = max(_more(estimate, end, limit) for limit, end, _ in open_ends)
    about = f"about {more:.0f}" if more <= MOST_TOLD * estimate.clusters else f"over {MOST_TOLD * estimate.clusters}"
    needs = f"undecided: needs {about} more {_sample(gate, estimate)}"
    return "undecided", f"{needs} (the value holds, the end of its interval does not: {ends})"


def _sample(gate: Gate, estimate: Estimate) -> str:
    return "people" if gate.sample == "images" and estimate.clusters < estimate.n else gate.sample


def _more(estimate: Estimate, end: float, limit: float) -> float:
    """How many more samples bring `end` to `limit` if the value stays: widths shrink with the root of their number.

    Rounded up to two digits, since the value will not stay quite where it is.
    """
    room = abs(estimate.value - limit)
    if not room:
        return math.inf
    more = estimate.clusters * ((abs(end - estimate.value) / room) ** 2 - 1)
    digit: float = 10.0 ** max(0, math.floor(math.log10(more)) - 1)
    return math.ceil(more / digit) * digit


def _plain(number: float) -> str:
    """Five digits, whole numbers for large ones: bytes and MACs read badly with exponents."""
    return f"{number:.0f}" if abs(number) >= 1e5 else f"{number:.5g}"
