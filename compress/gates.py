"""Gates: what a candidate must reach before it is published, and how a verdict is made of measured numbers.

Rules, for every gate:
- it passes only if the bound of its 95 % interval does: the lower end for a minimum, the upper end for a maximum;
  counted numbers (bytes, MACs) have no interval;
- gates on images are judged for each part of the test set on its own, `rendered` and `photographs`, if it has at least
  30 images; a smaller part is named in the verdict as not judged, and at least one part must be large enough;
- a 5th percentile needs 72 images: with fewer, even the worst image seen is no 95 % bound for it. The gate is then
  undecided, which does not pass;
- a gate that is unknown, or whose number could not be computed, is an error, never a pass.

This module imports nothing heavy, so that recipes can be checked against its table. It measures nothing.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

from compress.errors import InputError, StageError
from compress.metrics.estimate import Estimate

FEWEST_IMAGES = 30
FEWEST_FOR_P5 = 72  # the first n of 0.95^n < 0.025: at least one image then lies below the true 5th percentile
PARTS = ("rendered", "photographs")
WHOLE = "model"


@dataclass(frozen=True)
class Gate:
    """One row of the table; `better` says which bound a recipe normally gives."""

    meaning: str
    unit: str
    better: Literal["higher", "lower", "near 1"]
    per_image: bool = True
    fewest: int = FEWEST_IMAGES


class Bound(Protocol):
    """What a recipe says about one gate; at least one of the two is a number."""

    @property
    def min(self) -> float | None: ...

    @property
    def max(self) -> float | None: ...


GATES: dict[str, Gate] = {
    "psnr_mean_db": Gate("PSNR to the teacher, mean", "dB", "higher"),
    "psnr_p5_db": Gate("PSNR to the teacher, 5th percentile", "dB", "higher", fewest=FEWEST_FOR_P5),
    "ssim_mean": Gate("Structural similarity to the teacher, mean", "", "higher"),
    "ssim_p5": Gate("Structural similarity to the teacher, 5th percentile", "", "higher", fewest=FEWEST_FOR_P5),
    "perceptual_mean": Gate("Distance to the teacher in feature space, mean", "", "lower"),
    "haar_ratio": Gate("Fine detail relative to the teacher (Haar, 3 levels)", "", "near 1"),
    "haar_finest_ratio": Gate("Detail at the finest Haar level relative to the teacher", "", "near 1"),
    "kid_delta_upper": Gate("KID to the teacher's pictures (the teacher against itself is 0)", "", "lower"),
    "identity_delta_mean": Gate("Likeness to the photo less the teacher's, mean", "cosine", "higher"),
    "identity_delta_p5": Gate("Likeness less the teacher's, 5th percentile", "cosine", "higher", fewest=FEWEST_FOR_P5),
    "rank1_relative": Gate("Pictures that find their photo (rank 1) relative to the teacher", "", "higher"),
    "int8_psnr_db": Gate("int8 against the float student, mean PSNR", "dB", "higher"),
    "int8_identity_delta_mean": Gate("Likeness to the photo less the float student's, mean", "cosine", "higher"),
    "parity_float_levels": Gate("Runtime against torch, float file, 99.9 % of values", "levels of 255", "lower", False),
    "parity_int8_levels": Gate("Runtime against torch, int8 file, 99.9 % of values", "levels of 255", "lower", False),
    "integer_convolutions": Gate("Convolutions executed in integers", "share", "higher", False),
    "macs": Gate("True multiply-accumulates of the core", "MACs", "lower", False),
    "size_bytes": Gate("Size of the exported file", "bytes", "lower", False),
    "latency_ms": Gate("Median time for one photograph at the budget's size", "ms", "lower", False),
    "int8_speedup": Gate("Time of the float file over time of the int8 file", "", "higher", False),
    "int8_core_speedup": Gate("Time of the float core over time of the int8 core", "", "higher", False),
}


@dataclass(frozen=True)
class GateResult:
    """One gate on one part of the test set (`subset`; "model" for gates without images)."""

    name: str
    subset: str
    estimate: Estimate
    min: float | None
    max: float | None
    passed: bool
    detail: str

    def as_dict(self) -> dict[str, Any]:
        """For verdict.json."""
        gate = GATES[self.name]
        bound = {side: limit for side, limit in (("min", self.min), ("max", self.max)) if limit is not None}
        return {
            "name": self.name,
            "subset": self.subset,
            "passed": self.passed,
            **self.estimate.as_dict(),
            "bound": bound,
            "unit": gate.unit,
            "meaning": gate.meaning,
            "detail": self.detail,
        }


Measured = Mapping[str, Mapping[str, Estimate]]
Name = TypeVar("Name", bound=str)  # recipes have a literal type for it


def check_name(name: str) -> None:
    """Raise InputError for a gate that is not in the table, naming the nearest one."""
    if name not in GATES:
        near = difflib.get_close_matches(name, GATES, 1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(GATES)}"
        raise InputError(f"gates.{name}: unknown gate; {hint}")


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
    parts = [part for part in measured if part != WHOLE]
    results = []
    for name, bound in bounds.items():
        check_name(name)
        if bound.min is None and bound.max is None:
            raise InputError(f"gates.{name}: neither min nor max is given; give at least one")
        subsets = parts if GATES[name].per_image else [WHOLE]
        if not subsets:
            raise StageError(f"gates.{name}: no part of the test set was measured; this gate cannot be judged")
        results += [_judge(name, subset, bound, measured.get(subset, {})) for subset in subsets]
    return results


def _judge(name: str, subset: str, bound: Bound, numbers: Mapping[str, Estimate]) -> GateResult:
    estimate = numbers.get(name)
    if estimate is None or not estimate.finite:
        value = "not measured" if estimate is None else f"{estimate.value:g} ({estimate.lower:g}, {estimate.upper:g})"
        raise StageError(f"gates.{name} on {subset}: {value}, it cannot be judged; mend the cause or drop it")
    fewest = GATES[name].fewest
    if GATES[name].per_image and estimate.n < fewest:
        detail = f"undecided: {estimate.n} images, needs {fewest - estimate.n} more"
        return GateResult(name, subset, estimate, bound.min, bound.max, False, detail)
    problems = []
    if bound.min is not None and estimate.lower < bound.min:
        problems.append(_miss(estimate.lower, estimate.value >= bound.min, "below", bound.min))
    if bound.max is not None and estimate.upper > bound.max:
        problems.append(_miss(estimate.upper, estimate.value <= bound.max, "above", bound.max))
    return GateResult(name, subset, estimate, bound.min, bound.max, not problems, "; ".join(problems))


def _miss(end: float, value_holds: bool, side: str, limit: float) -> str:
    text = f"{_plain(end)} is {side} {_plain(limit)}"
    return f"{text} (the value holds, its interval does not)" if value_holds else text


def _plain(number: float) -> str:
    """Five digits, whole numbers for large ones: bytes and MACs read badly with exponents."""
    return f"{number:.0f}" if abs(number) >= 1e5 else f"{number:.5g}"
