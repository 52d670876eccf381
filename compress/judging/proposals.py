"""Proposes the bound of a gate: between what a clean student shows again and again, and the mildest planted defect.

Pure functions over estimates; nothing is measured here (`judging.calibration`). Two limits decide. `clean`: a value
drawn anew, with its own interval, stays within it in all but ALARMS of 100 verdicts of all gates together. `defect`:
the near end of the interval of the mildest medium defect that the gate should name. Where the first comes before the
second the bound lies halfway, so that a student trained anew has room; where not, the sample is too small for that
defect, and it is told how many images would do. A gate that is nobody's own keeps to the clean limit, and so do counted
numbers. Not proposed: budgets, which nobody can measure (MACs, bytes, time, memory).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from compress.judging.gates import GATES
from compress.judging.metrics.estimate import Estimate

Side = Literal["min", "max"]
MEDIUM = "medium"

ALARMS = 0.5  # expected in 100 clean verdicts
Z = NormalDist().inv_cdf(0.975)  # an end of a 95 % interval, in standard errors
LEVELS = 2.0  # of 255, that counted differences of runtimes may move on another machine
COUNTED_SLACK = 0.02  # of any other counted number
COUNTED = "counted"
SHARES = ("rank1_relative",)


@dataclass(frozen=True)
class Trial:
    """What one gate showed with a defect planted; `expected` if this gate should name it."""

    defect: str
    strength: str
    expected: bool
    estimate: Estimate

    @property
    def name(self) -> str:
        """For people: "blur medium"."""
        return f"{self.defect.replace('_', ' ')} {self.strength}"


@dataclass(frozen=True)
class Proposal:
    """Bounds of one gate and why.

    `catches` are the defects that this gate should name and does, `others` how many more medium ones it refuses;
    `unseparated` expected medium defects, each with the images that it would need, or 0 if no number would do.
    """

    gate: str
    min: float | None
    max: float | None
    clean: Estimate
    floor: Estimate | None
    catches: tuple[str, ...]
    others: int
    unseparated: tuple[tuple[str, int], ...]

    @property
    def bounds(self) -> dict[Side, float]:
        """The sides that are bounded."""
        both: dict[Side, float | None] = {"min": self.min, "max": self.max}
        return {side: limit for side, limit in both.items() if limit is not None}

    @property
    def yaml(self) -> str:
        """One line for the gates of a recipe."""
        return f"{self.gate}: {{{', '.join(f'{side}: {_plain(limit)}' for side, limit in self.bounds.items())}}}"

    @property
    def why(self) -> str:
        """Clean value with interval, margin, what the bound catches and what it cannot."""
        clean = self.clean
        parts = [f"clean {_plain(clean.value)} ({_plain(clean.lower)} to {_plain(clean.upper)}, n {clean.n})"]
        if self.floor is not None:
            parts.append(f"teacher against itself {_plain(self.floor.lower)} to {_plain(self.floor.upper)}")
        parts.append(" and ".join(_margin(self.gate, clean, side, limit) for side, limit in self.bounds.items()))
        own = f"catches {', '.join(self.catches)}" if self.catches else "catches no defect of its own"
        parts.append(own + (f", and {self.others} medium ones of other gates" if self.others else ""))
        if self.unseparated:
            missed = [f"{name} ({f'about {n} images' if n else 'it does not move'})" for name, n in self.unseparated]
            parts.append(f"cannot separate {', '.join(missed)}")
        return "; ".join(parts)


def sides(gate: str) -> tuple[Side, ...]:
    """Where a recipe bounds a gate."""
    better = GATES[gate].better
    return ("min", "max") if better == "near 1" else ("min",) if better == "higher" else ("max",)


def margin_errors(gates: int) -> float:
    """Standard errors from a clean value to a bound that raises ALARMS in 100 verdicts of so many gates.

    The value was drawn once here and is drawn again in each verdict, hence the root of 2; then the end of the interval
    must hold as well.
    """
    chance = ALARMS / 100 / max(gates, 1)
    return Z + math.sqrt(2) * NormalDist().inv_cdf(1 - chance)


def propose(
    gate: str,
    clean: Sequence[Estimate],
    floor: Estimate | None,
    trials: Sequence[Trial],
    gates: int,
    binding: bool = False,
) -> Proposal:
    """Bounds of a gate from clean estimates (one for each part of the test set) and trials; `gates` judge together.

    A `floor`, what the teacher shows against itself, is told; a `binding` one of enough samples must hold as well.
    Raises ValueError without a clean estimate or if one is not finite.
    """
    if not clean or not all(estimate.finite for estimate in clean):
        raise ValueError(f"{gate}: no clean value to start from")
    passing = [*clean, *([floor] if binding and floor is not None and _tells(gate, floor) else [])]
    limits: dict[Side, float] = {side: _limit(gate, side, passing, trials, gates) for side in sides(gate)}
    worst = max(clean, key=lambda estimate: _badness(gate, estimate.value))
    caught = [trial for trial in trials if any(_beyond(trial.estimate, side, limit) for side, limit in limits.items())]
    names = {trial.name for trial in caught}
    missed = [t for t in trials if t.expected and t.strength == MEDIUM and t.name not in names]
    unseparated = {t.name: _images_for(gate, worst, t.estimate, gates) for t in missed}
    own = tuple(dict.fromkeys(trial.name for trial in caught if trial.expected))
    others = len({trial.name for trial in caught if trial.strength == MEDIUM and not trial.expected})
    bounds = limits.get("min"), limits.get("max")
    return Proposal(gate, *bounds, worst, floor, own, others, tuple(unseparated.items()))


def _limit(gate: str, side: Side, clean: Sequence[Estimate], trials: Sequence[Trial], gates: int) -> float:
    """The bound of one side, computed as a maximum: a minimum is the maximum of negated numbers."""
    sign = _sign(side)
    least = max(_clean_limit(gate, sign, estimate, gates) for estimate in clean)
    error, ideal = max(_error(gate, estimate, sign) for estimate in clean), _ideal(gate)
    if ideal is not None:
        # A student may well become better than this one: what the teacher itself would show is never beyond a bound.
        least = max(least, sign * ideal + margin_errors(gates) * error)
    near: dict[str, float] = {}
    for trial in trials:
        if trial.expected and trial.strength == MEDIUM:
            end = min(sign * trial.estimate.lower, sign * trial.estimate.upper)
            near[trial.name] = max(end, near.get(trial.name, end))  # one part of the test set is enough
    beyond = [end for end in near.values() if end > least]
    counted = all(estimate.method == COUNTED for estimate in clean)
    room = (min(beyond) - least) / 2 if beyond and not counted else 0.0
    return sign * _rounded(least, least + room, error)


def _ideal(gate: str) -> float | None:
    """What the teacher itself would show, where a student can pass it: ratios 1, differences of likeness 0."""
    row = GATES[gate]
    if row.better == "near 1":
        return 1.0
    return 0.0 if row.unit == "cosine" and row.better == "higher" else None


def _badness(gate: str, value: float) -> float:
    return abs(value - 1) if GATES[gate].better == "near 1" else _sign(sides(gate)[0]) * value


def _clean_limit(gate: str, sign: int, estimate: Estimate, gates: int) -> float:
    if estimate.method == COUNTED:
        slack = LEVELS if GATES[gate].unit.startswith("levels") else COUNTED_SLACK * abs(estimate.value)
        return sign * estimate.value + slack
    return sign * estimate.value + margin_errors(gates) * _error(gate, estimate, sign)


def _tells(gate: str, floor: Estimate) -> bool:
    """Whether a floor says anything: of enough samples, with a spread."""
    return floor.finite and floor.lower < floor.upper and floor.clusters >= GATES[gate].fewest


def _error(gate: str, estimate: Estimate, sign: int) -> float:
    """Standard error on the side of the bound, which for skewed numbers differs from the other's.

    Of a share, and of what showed no spread at all, it is at least that of one sample more or less: a miss that was not
    seen may be seen next time. Counted numbers have none.
    """
    end = estimate.upper if sign > 0 else estimate.lower
    error = abs(end - estimate.value) / Z
    if gate in SHARES or (error == 0 and estimate.method != COUNTED):
        return max(error, abs(estimate.value) / estimate.clusters)
    return error


def _sign(side: Side) -> int:
    return 1 if side == "max" else -1


def _beyond(estimate: Estimate, side: Side, limit: float) -> bool:
    """Whether the value itself misses the bound, so that the gate fails."""
    return _sign(side) * (estimate.value - limit) > 0


def _images_for(gate: str, clean: Estimate, defect: Estimate, gates: int) -> int:
    """Images with which clean and defect would be told apart, if widths shrink with the root of their number.

    0 if no number would do: the defect does not move the value towards a bound.
    """
    sign = 1 if defect.value > clean.value else -1
    side: Side = "max" if sign > 0 else "min"
    ideal = _ideal(gate)
    start = sign * clean.value if ideal is None else max(sign * clean.value, sign * ideal)
    gap = sign * defect.value - start
    if side not in sides(gate) or gap <= 0:
        return 0
    needed = margin_errors(gates) * _error(gate, clean, sign) + Z * _error(gate, defect, -sign)
    return math.ceil(clean.n * (needed / gap) ** 2)


def _rounded(least: float, wanted: float, error: float) -> float:
    """`wanted` with no more digits than matter, never below `least`."""
    grain = max(error, (wanted - least), abs(wanted) / 1000, 1e-9) / 2
    step = 10.0 ** math.floor(math.log10(grain))
    rounded = round(wanted / step) * step
    return rounded if rounded >= least else math.ceil(least / step) * step


def _margin(gate: str, clean: Estimate, side: Side, limit: float) -> str:
    error = _error(gate, clean, _sign(side))
    away = abs(limit - clean.value)
    return f"{side} {away / error:.1f} standard errors away" if error > 0 else f"{side} {_plain(away)} away"


def _plain(number: float) -> str:
    return f"{number:.4g}"
