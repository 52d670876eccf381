"""Gates: what a candidate must reach before it is published, and how a verdict is made of measured numbers.

Rules, for every gate:
- it passes only if its whole 95 % interval is within the bounds; it has failed if the value itself is not; if the value
  is but its interval is not, or if there are too few images, it is undecided, which does not pass either: the detail
  says about how many more images would tell. Counted numbers (bytes, MACs) have no interval and are never undecided;
- gates on images are judged for each part of the test set on its own, `rendered` and `photographs`, if it has at least
  30 images; a smaller part is named in the verdict as not judged, and at least one part must be large enough. Changed
  photos belong to the part that their photo is of, which is judged by them if it has any; videos are a part of their
  own;
- images of one person count once: what has too few independent samples asks for more people, and what has them very
  unevenly for fewer images of those who have most;
- a 5th percentile needs 72: with fewer, even the worst image seen is no 95 % bound for it;
- a gate that is unknown, or whose number could not be computed, is an error, never a pass.

The table itself is `judging.gate_table`. Neither imports anything heavy, so that recipes can be checked against it.
Nothing is measured here.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

from compress.errors import InputError, StageError
from compress.judging.gate_table import (
    FEWEST_FOR_P5,
    FEWEST_IMAGES,
    FEWEST_IN_GROUP,
    FEWEST_VIDEOS,
    GATES,
    MOST_TOLD,
    MOTION,
    NEEDS,
    PARTS,
    WHOLE,
    Gate,
)  # fmt: skip
from compress.judging.metrics.estimate import Estimate

__all__ = [
    "FEWEST_FOR_P5", "FEWEST_IMAGES", "FEWEST_IN_GROUP", "FEWEST_VIDEOS", "GATES", "MOTION", "NEEDS", "PARTS", "WHOLE",
    "Bound", "Gate", "GateResult", "Measured", "State", "check_name", "describe", "evaluate", "judged_parts",
]  # fmt: skip

State = Literal["passed", "failed", "undecided"]


class Bound(Protocol):
    """What a recipe says about one gate; at least one of the two is a number."""

    @property
    def min(self) -> float | None: ...

    @property
    def max(self) -> float | None: ...


@dataclass(frozen=True)
class GateResult:
    """One gate on one part of the test set (`subset`; "motion" for videos, "model" for gates without images)."""

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
    """Judge every gate of `bounds` by `measured` {part, "motion" or "model": {gate: estimate}}.

    Raises InputError for an unknown gate or one without a bound, StageError for one whose number is missing or not
    finite, or if nothing of the test set was measured.
    """
    results = []
    for name, bound in bounds.items():
        check_name(name)
        if bound.min is None and bound.max is None:
            raise InputError(f"gates.{name}: neither min nor max is given; give at least one")
        subsets = _subsets(name, measured)
        results += [_judge(name, subset, bound, measured.get(subset, {})) for subset in subsets]
    return results


def _subsets(name: str, measured: Measured) -> list[str]:
    """Where gate `name` is judged: groups and changed photos in each part that has them, all else in every part."""
    gate = GATES[name]
    if not gate.per_image:
        return [WHOLE]
    if gate.sample == "videos":
        return [MOTION]
    parts = [part for part in measured if part not in (MOTION, WHOLE)]
    if not parts:
        raise StageError(f"gates.{name}: no part of the test set was measured; this gate cannot be judged")
    having = [part for part in parts if name in measured[part]] if gate.needs in ("groups", "motion") else []
    return having or parts


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
    if gate.per_image and estimate.effective < gate.fewest:
        return "undecided", "; ".join([_uneven(gate, estimate), *misses])
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


def _uneven(gate: Gate, estimate: Estimate) -> str:
    whom = _sample(gate, estimate)
    spread = f"images are spread too unevenly over {estimate.clusters} {whom}"
    weight = f"they weigh like {math.floor(10 * estimate.effective) / 10:g} with equal shares, needs {gate.fewest}"
    return f"undecided: {spread}, {weight}; leave out images of those who have most, or add {whom}"


def _sample(gate: Gate, estimate: Estimate) -> str:
    if gate.sample == "images" and estimate.clusters < estimate.n:
        return "people"
    return "changed photographs" if gate.sample == "images" and gate.needs == "motion" else gate.sample


def _more(estimate: Estimate, end: float, limit: float) -> float:
    """How many more samples bring `end` to `limit` if the value stays: widths shrink with the root of their number.

    Rounded up to two digits, since the value will not stay quite where it is.
    """
    room = abs(estimate.value - limit)
    if not room:
        return math.inf
    more = max(estimate.clusters * ((abs(end - estimate.value) / room) ** 2 - 1), 1.0)
    digit: float = 10.0 ** max(0, math.floor(math.log10(more)) - 1)
    return math.ceil(more / digit) * digit


def _plain(number: float) -> str:
    """Five digits, whole numbers for large ones: bytes and MACs read badly with exponents."""
    return f"{number:.0f}" if abs(number) >= 1e5 else f"{number:.5g}"
