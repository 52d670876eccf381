"""Everything that a verdict rests on, measured on one student: still pictures, steadiness, groups.

`look` lets the student draw the whole test set once, `summarise` turns what was seen into estimates for each judged
part. Shared by the verify stage, calibration and the benchmarks of the gates, so that all judge alike. Not covered:
cost (`judging.cost`) and the judging itself (`judging.gates`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compress.context import Context
from compress.judging import evaluation, gates, groups, steadying
from compress.judging.evaluation import Judges, Student, Table, TestSet
from compress.judging.metrics.estimate import Estimate

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Seen:
    """One row for each test image in `stills`, and for each changed photo and pair of frames in `moving`."""

    stills: Table
    moving: Table | None


def look(
    test: TestSet, motion: Path | None, student: Student, reference: Student | None, judges: Judges, context: Context
) -> Seen:
    """Let `student` draw the test set; `reference` is its float version, `motion` the folder of the motion stage."""
    stills = evaluation.measure(test, student, reference, judges, context)
    return Seen(stills, steadying.measure(motion, test, student, context) if motion else None)


def counts(test: TestSet) -> dict[str, int]:
    """Number of test images by part."""
    return {part: int((test.source == number).sum()) for number, part in enumerate(gates.PARTS)}


def rows_of(test: TestSet) -> dict[str, Indices]:
    """Rows of each part of the test set that is large enough to be judged. Raises InputError if none is."""
    judged = gates.judged_parts(counts(test))
    return {part: np.flatnonzero(test.source == gates.PARTS.index(part)) for part in judged}


def only(table: Table, rows: Indices) -> Table:
    """The given rows of a table."""
    return {name: column[rows] for name, column in table.items()}


def labelled(table: Table) -> bool:
    """Whether enough is known of the people for at least one group to be judged."""
    return any(group.judged for group in groups.find(table))


def summarise(seen: Seen, rows: Mapping[str, Indices], seed: int, with_groups: bool) -> dict[str, dict[str, Estimate]]:
    """Estimates by part and by gate; changed photos stand in the part of their photos, videos are one of their own.

    Groups are compared in parts where one can be judged. Raises StageError where a number cannot be computed, and if
    no part has such a group.
    """
    tables = {part: only(seen.stills, chosen) for part, chosen in rows.items()}
    grouped = [part for part in tables if with_groups and labelled(tables[part])]
    found: dict[str, dict[str, Estimate]] = {}
    for part, table in tables.items():
        found[part] = evaluation.summarise(table, seed)
        if part in grouped or (with_groups and not grouped):  # the latter says why there is none
            found[part] |= groups.summarise(table, seed)
        if seen.moving is not None:
            changed = np.flatnonzero(seen.moving["source"] == gates.PARTS.index(part))
            found[part] |= steadying.summarise(only(seen.moving, changed), seed)
    if seen.moving is not None:
        videos = np.flatnonzero(seen.moving["kind"] == steadying.VIDEO.encode())
        found[gates.MOTION] = steadying.summarise(only(seen.moving, videos), seed)
    return found
