"""Which style of a teacher is meant: one by its name, several mixed by weights, or the first where nothing is said.

Plain data only, so that a plan can check it. What a mixture looks like is the teacher's matter.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

Choice = str | Mapping[str, float]
FIRST = ""
"""The first style, whatever its name."""
UNNAMED = ("fairy-tale",)
"""The one style of weights that were saved before styles had names."""
_TOLERANCE = 1e-3


def weights_of(choice: Choice, known: Sequence[str]) -> tuple[float, ...]:
    """Weight of each of the `known` styles, summing to 1. Raises ValueError, with the way out, for anything else."""
    if isinstance(choice, str):
        choice = {choice or known[0]: 1.0}
    for name, weight in choice.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean '{near[0]}'?" if near else f"it has {', '.join(known)}"
            raise ValueError(f"'{name}' is no style of this teacher; {hint}")
        if weight < 0:
            raise ValueError(f"weight {weight:g} of {name} is below 0; mix with weights from 0 to 1")
    total = sum(choice.values())
    if not abs(total - 1) <= _TOLERANCE:
        raise ValueError(f"weights sum to {total:g}; make it 1")
    return tuple(choice.get(name, 0.0) / total for name in known)


def parse(text: str) -> Choice:
    """A choice from a command line: `toy`, or `fairy-tale=0.5,toy=0.5`. Raises ValueError."""
    if "=" not in text:
        return text
    choice: dict[str, float] = {}
    for part in text.split(","):
        name, _, weight = part.partition("=")
        try:
            choice[name.strip()] = float(weight)
        except ValueError:
            raise ValueError(f"{part!r} is no style with a weight; write toy, or fairy-tale=0.5,toy=0.5") from None
    return choice


def name_of(choice: Choice, known: Sequence[str]) -> str:
    """For people: `toy`, or `fairy-tale 0.5 + toy 0.5`."""
    parts = [(name, weight) for name, weight in zip(known, weights_of(choice, known), strict=True) if weight]
    return parts[0][0] if len(parts) == 1 else " + ".join(f"{name} {weight:.3g}" for name, weight in parts)
