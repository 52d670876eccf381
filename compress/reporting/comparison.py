"""Compares runs: which numbers got better or worse than in the first of them, beyond noise.

Reads what runs left (`verdict.json`, `metrics.json`, `images.csv`) and measures nothing again. Numbers of images are
compared picture by picture where both runs have the picture, which sees far smaller differences than two intervals
side by side do; all others differ only if their intervals do. Timings of two machines cannot be told from timings of
two students, so they are compared as they stand. The page for people is `reporting.comparison_page`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from compress.errors import InputError
from compress.judging.gates import GATES
from compress.judging.verdict import RunVerdict
from compress.reporting import pairing
from compress.reporting.pairing import Difference, Pairs
from compress.reporting.records import Reading, TierRecord, open_run

Direction = Literal["better", "worse", "same", "not comparable"]
FAMILY = 0.01
"""Chance that two equal students are called different in any of the numbers that are compared picture by picture."""
NEGLIGIBLE = 0.01
NEGLIGIBLE_COST = 0.10
"""Relative differences of counted numbers, and of measured cost, that are never called better or worse."""
NEGLIGIBLE_LEVELS = 0.5
"""The same for differences of pictures in levels of 255: rounding alone moves them by as much."""


@dataclass(frozen=True)
class Change:
    """What became of a number since the first run: `difference` is later less first, with its interval.

    `method` says how that was found: "paired over 160 images", "intervals", "counted", or why it was not.
    """

    direction: Direction
    difference: float
    lower: float
    upper: float
    method: str


@dataclass(frozen=True)
class Row:
    """One number of one tier on one part of the test set: a reading of each run, a change for each but the first."""

    tier: str
    subset: str
    metric: str
    readings: tuple[Reading | None, ...]
    changes: tuple[Change | None, ...]

    @property
    def meaning(self) -> str:
        """The number in words."""
        return GATES[self.metric].meaning

    @property
    def unit(self) -> str:
        """Its unit; empty for shares and ratios."""
        return GATES[self.metric].unit

    @property
    def better(self) -> str:
        """ "higher", "lower" or "near 1"."""
        return GATES[self.metric].better


@dataclass(frozen=True)
class Comparison:
    """Runs by their `labels`, the first of which the others are compared with; `notes` are what a reader must know.

    `missing` is what gates of the first run judged and a later run has not: whether that got worse nobody knows.
    """

    labels: tuple[str, ...]
    verdicts: tuple[RunVerdict, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    missing: tuple[str, ...] = ()

    def changed(self, direction: Direction) -> list[tuple[Row, int]]:
        """Rows with a change in this direction, each with the number of the run (1 for the second)."""
        return [
            (row, index)
            for row in self.rows
            for index, change in enumerate(row.changes, 1)
            if change is not None and change.direction == direction
        ]


def compare(runs: Sequence[Path]) -> Comparison:
    """Compare run folders (`runs/NAME`, or a candidate's) with the first of them.

    Raises InputError for fewer than two runs, a folder that is none, or runs without a common tier; StorageError for
    damaged files.
    """
    if len(runs) < 2:
        raise InputError(
            f"compare: {len(runs)} runs; name at least two, the first is what the others are compared with"
        )
    opened = [open_run(path) for path in runs]
    tiers = [name for name in opened[0][1] if any(name in others for _, others in opened[1:])]
    if not tiers:
        have = "; ".join(f"{path} has {', '.join(found)}" for path, (_, found) in zip(runs, opened))
        raise InputError(f"compare: no tier that the first run and another have ({have}); judge both by the same tier")
    labels = _labels(runs)
    of_tiers = {name: [found.get(name) for _, found in opened] for name in tiers}
    pairs = {key: found for name, of_runs in of_tiers.items() for key, found in _paired(name, of_runs)}
    confidence = 1 - FAMILY / max(1, sum(len(metrics) for _, metrics in pairs.values()))
    rows = [row for name, of_runs in of_tiers.items() for row in _rows(name, of_runs, pairs, confidence)]
    notes = [note for name, of_runs in of_tiers.items() for note in _notes(name, of_runs, labels)]
    missing = tuple(_missing([found for _, found in opened], labels))
    return Comparison(labels, tuple(run for run, _ in opened), tuple(rows), (*notes, *missing), missing)


def _missing(runs: Sequence[Mapping[str, TierRecord]], labels: Sequence[str]) -> Iterator[str]:
    """Tiers and judged numbers of the first run that a later one lacks."""
    for label, later in zip(labels[1:], runs[1:]):
        for name, first in runs[0].items():
            if name not in later:
                yield f"{label} has no tier {name}: it was not compared."
                continue
            judged = dict.fromkeys((gate.subset, gate.name) for gate in first.verdict.gates)
            lacking = [f"{gate} on {subset}" for subset, gate in judged if not later[name].reading(subset, gate)]
            if lacking:
                yield f"{label}, {name}: has no {', '.join(lacking)}."


def _labels(runs: Sequence[Path]) -> tuple[str, ...]:
    """The folders' names, or their whole paths where two have the same."""
    names = [path.resolve().name for path in runs]
    return tuple(names if len(set(names)) == len(names) else map(str, runs))


Key = tuple[str, str, int]
"""Tier, part of the test set, number of the later run."""


def _paired(tier: str, runs: Sequence[TierRecord | None]) -> Iterator[tuple[Key, tuple[Pairs, list[str]]]]:
    """The pictures that each later run shares with the first, and the numbers that can be compared on them."""
    first = runs[0]
    assert first is not None
    for index, later in enumerate(runs[1:], 1):
        for subset in first.numbers if later else ():
            pairs = pairing.match(first.images, later.images, subset) if later else None
            if pairs is not None and later is not None:
                metrics = [
                    metric
                    for metric in first.numbers[subset]
                    if not first.obstacle(later, metric)
                    and all(_summed(run, subset, metric) for run in (first, later))
                    and pairing.column_of(metric)[0] in pairs.first
                ]
                yield (tier, subset, index), (pairs, metrics)


def _summed(run: TierRecord, subset: str, metric: str) -> bool:
    reading = run.reading(subset, metric)
    return reading is not None and pairing.sums_up(run.images, subset, metric, reading.value)


def _rows(
    tier: str, runs: Sequence[TierRecord | None], pairs: Mapping[Key, tuple[Pairs, list[str]]], confidence: float
) -> Iterator[Row]:
    first = runs[0]
    assert first is not None
    for subset in first.numbers:
        changes = [
            _changes(first, later, subset, pairs.get((tier, subset, index)), confidence)
            for index, later in enumerate(runs[1:], 1)
        ]
        for metric in (name for name in GATES if name in first.numbers[subset]):
            readings = tuple(run.reading(subset, metric) if run else None for run in runs)
            yield Row(tier, subset, metric, readings, tuple(of_run.get(metric) for of_run in changes))


def _changes(
    first: TierRecord, later: TierRecord | None, subset: str, pairs: tuple[Pairs, list[str]] | None, confidence: float
) -> dict[str, Change]:
    """What became of each number of one part of the test set that both runs have."""
    if later is None:
        return {}
    found = {}
    for metric, before in first.numbers[subset].items():
        after = later.reading(subset, metric)
        if after is not None:
            obstacle = first.obstacle(later, metric)
            found[metric] = _side_by_side(metric, before, after)
            if obstacle:
                found[metric] = replace(found[metric], direction="not comparable", method=obstacle)
    if pairs is not None:
        shared, metrics = pairs
        people = f" of {shared.people} people" if shared.people < len(shared) else ""
        for metric, by in pairing.differences(shared, metrics, confidence, first.verdict.seed).items():
            direction = _direction(metric, first.numbers[subset][metric].value, by)
            found[metric] = Change(direction, by.value, by.lower, by.upper, f"paired over {len(shared)} images{people}")
    return found


def _side_by_side(metric: str, before: Reading, after: Reading) -> Change:
    """Two numbers of different samples: they differ if their intervals do."""
    by = after.value - before.value
    lower, upper = after.lower - before.upper, after.upper - before.lower
    counted = before.lower == before.upper and after.lower == after.upper
    (a, b), (c, d) = (_badness(metric, reading) for reading in (before, after))
    differs = (d < a or c > b) and abs(by) > _negligible(metric, before.value, counted)
    direction: Direction = "same" if not differs else "better" if d < a else "worse"
    return Change(direction, by, lower, upper, "counted" if counted else "intervals")


def _negligible(metric: str, before: float, counted: bool) -> float:
    """The largest difference from `before` that is nothing, whatever the intervals say."""
    gate = GATES[metric]
    if gate.unit == "levels of 255":
        return NEGLIGIBLE_LEVELS
    measured_cost = gate.sample == "rounds" or (gate.unit == "bytes" and not counted)
    return abs(before) * (NEGLIGIBLE_COST if measured_cost else NEGLIGIBLE if counted else 0.0)


def _badness(metric: str, reading: Reading) -> tuple[float, float]:
    """The interval turned so that lower is better."""
    lower, upper = reading.lower, reading.upper
    if GATES[metric].better == "lower":
        return lower, upper
    if GATES[metric].better == "higher":
        return -upper, -lower
    nearest = 0.0 if lower <= 1 <= upper else min(abs(lower - 1), abs(upper - 1))
    return nearest, max(abs(lower - 1), abs(upper - 1))


def _direction(metric: str, before: float, by: Difference) -> Direction:
    """What the difference of two numbers of the same pictures means."""
    if by.lower <= 0 <= by.upper:
        return "same"
    better = GATES[metric].better
    if better != "near 1":
        return "better" if (by.value > 0) == (better == "higher") else "worse"
    # The whole interval must have come nearer to 1, or gone farther from it.
    distances = [abs(before + end - 1) - abs(before - 1) for end in (by.lower, by.upper)]
    return "better" if max(distances) < 0 else "worse" if min(distances) > 0 else "same"


def _notes(tier: str, runs: Sequence[TierRecord | None], labels: Sequence[str]) -> Iterator[str]:
    """What a reader of the numbers of one tier must know."""
    first = runs[0]
    assert first is not None
    for label, run in zip(labels, runs):
        if run is not None and run.verdict.left_out:
            yield f"{label}, {tier}: judged without {', '.join(run.verdict.left_out)}."
    for label, later in zip(labels[1:], runs[1:]):
        if later is None:
            continue
        if later.verdict.teacher.sha256 != first.verdict.teacher.sha256:
            yield f"{label}, {tier}: imitates another teacher ({later.verdict.teacher.name}) than {labels[0]}."
        before, after = (set(zip(run.images.get("source", ()), run.images.get("name", ()))) for run in (first, later))
        if before != after:
            shared = len(before & after)
            yield f"{label}, {tier}: {shared} of its {len(after)} test images are also among those of {labels[0]}."
        mine, theirs = (run.verdict.versions.get("onnxruntime") for run in (first, later))
        if mine != theirs:
            yield f"{label}, {tier}: judged with onnxruntime {theirs}, {labels[0]} with {mine}; timings may differ."
