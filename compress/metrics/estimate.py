"""A measured number with what is known about its precision; plain data that imports nothing heavy."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Estimate:
    """`value` with its interval `lower`..`upper` from `n` samples; an exact number has an interval of no width."""

    value: float
    lower: float
    upper: float
    n: int

    @classmethod
    def exact(cls, value: float) -> Estimate:
        """A number that was counted, not sampled: bytes, MACs."""
        return cls(float(value), float(value), float(value), 1)

    @property
    def finite(self) -> bool:
        """Whether value and interval are numbers; NaN or infinity mean that it could not be computed."""
        return all(math.isfinite(x) for x in (self.value, self.lower, self.upper))

    def as_dict(self) -> dict[str, float | int | None]:
        """For JSON, which knows no NaN: what could not be computed is null."""
        return {name: number if math.isfinite(number) else None for name, number in asdict(self).items()}
