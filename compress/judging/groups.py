"""Groups of people and pictures: is one of them served worse than the others.

A group is one label of one category of `judging.facts` (skin dark, glasses yes). Its gap is the mean of the others
less its own mean, the others being the images of the same category with another label: against the mean over all, which
holds the group itself, a group of half the images would show half its gap. Images of unknown label are left out.

A group gate takes the worst group: it passes only if the bound of every judged group's own 95 % interval holds. That
needs no correction for the number of groups: a bad group is passed with at most the 2.5 % of its own interval, however
many good ones stand beside it (an intersection-union test: Berger, Technometrics 24, 1982). What many groups do raise
is the share of good students that stay undecided. Not covered: two categories at once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from compress.errors import StageError
from compress.judging.facts import CATEGORIES
from compress.judging.gates import FEWEST_IN_GROUP
from compress.judging.metrics import identity, intervals, resampling
from compress.judging.metrics.estimate import Estimate

Floats = NDArray[np.floating]
Table = Mapping[str, NDArray[np.generic]]

Row = dict[str, str | int | float | bool | None]

GATES = {"psnr_db": "group_psnr_gap_db", "identity_delta": "group_identity_gap", "perceptual": "group_perceptual_gap"}
_HIGHER_IS_BETTER = {"psnr_db": True, "identity_delta": True, "perceptual": False}


@dataclass(frozen=True)
class Group:
    """The images of one label: which of all rows are inside, and which others they are compared with."""

    category: str
    label: str
    inside: NDArray[np.bool_]
    others: NDArray[np.bool_]
    people: int
    other_people: int
    effective: float  # people with equal shares of the images that weigh as much; of the side with fewer

    @property
    def images(self) -> int:
        """How many images there are inside."""
        return int(self.inside.sum())

    @property
    def judged(self) -> bool:
        """Whether both sides weigh like 20 people or more with equal shares: fewer say nothing of the next."""
        return self.effective >= FEWEST_IN_GROUP

    @property
    def name(self) -> str:
        """For people: "skin dark (31 images)"."""
        return f"{self.category} {self.label} ({self.images} images)"


def find(table: Table) -> list[Group]:
    """Every label that occurs, by category; `table` has a column for each category, b"" where it is unknown."""
    groups = []
    for category in CATEGORIES:
        column = table[category]
        for label in sorted(set(column.tolist()) - {b""}):
            groups.append(_group(category, bytes(label), column, table["person"]))
    return groups


def _group(category: str, label: bytes, column: NDArray[np.generic], person: NDArray[np.generic]) -> Group:
    inside = column == label
    sides = inside, (column != b"") & ~inside
    people, other_people = (len(np.unique(person[side])) for side in sides)
    effective = min(resampling.effective(person[side]) for side in sides) if other_people else 0.0
    return Group(category, label.decode(), *sides, people, other_people, effective)


def gaps(table: Table, group: Group, seed: int) -> dict[str, Estimate]:
    """How much worse a judged `group` is than the others, by name of its gate; below 0 it is better."""
    known = group.inside | group.others
    return {
        GATES[metric]: intervals.gap(
            (values if _HIGHER_IS_BETTER[metric] else -values)[known],
            group.inside[known],
            seed,
            table["person"][known],
        )
        for metric, values in _metrics(table).items()
    }


def summarise(table: Table, seed: int) -> dict[str, Estimate]:
    """The worst group's gap by name of the group gates; `note` names the group, or two where value and end differ.

    The value is the largest of all groups', with its lower end; the upper end is the largest upper end, which keeps a
    bound if every group does. n is that of the group whose upper end it is. Raises StageError if none can be judged.
    """
    groups = [group for group in find(table) if group.judged]
    if not groups:
        raise StageError(_why_none(table))
    found = [gaps(table, group, seed) for group in groups]
    return {gate: _worst(groups, [gap[gate] for gap in found]) for gate in GATES.values()}


def table(table: Table, seed: int) -> list[Row]:
    """Rows for people and for verdict.json: each metric's mean in each group with its interval, and the gap.

    A group that is too small has one row, with `judged` False and an empty metric. No known label is no row.
    """
    rows: list[Row] = []
    for group in find(table):
        about: Row = {"category": group.category, "label": group.label, "n": group.images, "judged": group.judged}
        if not group.judged:
            rows.append({**about, "metric": "", "value": None, "lower": None, "upper": None, "gap": None})
            continue
        far, person = gaps(table, group, seed), table["person"][group.inside]
        for metric, values in _metrics(table).items():
            mean = intervals.mean(values[group.inside], seed, person)
            ends: Row = {"value": mean.value, "lower": mean.lower, "upper": mean.upper}
            rows.append({**about, "metric": metric, **ends, "gap": far[GATES[metric]].value})
    return rows


def _metrics(table: Table) -> dict[str, Floats]:
    photo, student, teacher = (table[f"identity_{who}"].astype(np.float64) for who in ("photo", "student", "teacher"))
    return {
        "psnr_db": table["psnr_db"].astype(np.float64),
        "identity_delta": identity.delta(photo, student, teacher),
        "perceptual": table["perceptual"].astype(np.float64),
    }


def _worst(groups: list[Group], found: list[Estimate]) -> Estimate:
    by_value = max(range(len(groups)), key=lambda i: found[i].value)
    by_end = max(range(len(groups)), key=lambda i: found[i].upper)
    note = f"worst: {groups[by_value].name}"
    if by_end != by_value:
        note += f"; widest: {groups[by_end].name}"
    worst, end = found[by_value], found[by_end]
    effective = min(gap.effective for gap in found)
    return replace(end, value=worst.value, lower=worst.lower, note=note, effective=effective)


def _why_none(table: Table) -> str:
    way_out = "raise test.rendered, write labels into test.facts, or drop the group gates"
    images, groups = len(table["person"]), find(table)
    if not groups:
        return f"groups: not one label of {images} images is known; {way_out}"
    largest = max(groups, key=lambda group: (group.effective, group.people))
    of = f"the largest is {largest.name} of {largest.people} people with {largest.other_people} others"
    if largest.effective < min(largest.people, largest.other_people):
        of += f", whose uneven shares of the images weigh like {math.floor(largest.effective)}"
    return f"groups: none of {len(groups)} has {FEWEST_IN_GROUP} people and as many others, {of}; {way_out}"
