"""A measured number with what is known about its precision; plain data that imports nothing heavy."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """`value` with its interval `lower`..`upper` from `n` samples: images, frames, rounds.

    `clusters` counts the people or videos among them; 0 stands for `n`, all independent. `effective` is how many of
    them with equal shares of the samples would weigh as much, n^2 / sum(n_i^2); 0 stands for `clusters`, equal shares
    (Kish, Survey Sampling, 1965). `method` says how the interval was found: "counted" has no width. `note` says what
    the number is of, where its name does not: the group.
    """

    value: float
    lower: float
    upper: float
    n: int
    clusters: int = 0
    method: str = "bootstrap"
    confidence: float = CONFIDENCE
    note: str = ""
    effective: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "clusters", self.clusters or self.n)
        object.__setattr__(self, "effective", self.effective or float(self.clusters))

    @classmethod
    def exact(cls, value: float) -> Estimate:
        """A number that was counted, not sampled: bytes, MACs."""
        return cls(float(value), float(value), float(value), 1, method="counted")

    @property
    def finite(self) -> bool:
        """Whether value and interval are numbers; NaN or infinity mean that it could not be computed."""
        return all(math.isfinite(x) for x in (self.value, self.lower, self.upper))

    def as_dict(self) -> dict[str, float | int | str | None]:
        """For JSON, which knows no NaN: what could not be computed is null. Without `note` and `effective`."""
        fields = {name: entry for name, entry in asdict(self).items() if name not in ("note", "effective")}
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in fields.items()}
