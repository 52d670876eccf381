"""Pairs two runs picture by picture and bootstraps the differences of their numbers.

Rows of `images.csv` go in, differences with intervals come out. Two students that draw the same pictures differ far
less from picture to picture than the pictures do among themselves, so pairing sees what two intervals cannot. Numbers
that are not a mean or percentile of a column (KID, ratios of sums) cannot be paired here.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compress.errors import StorageError, storage_error
from compress.judging.gates import FEWEST_IMAGES

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Images = Mapping[str, Sequence[str]]
"""Columns of images.csv, as text."""

ROUNDS = 2_000
FEWEST_PEOPLE = 10  # the spread between fewer says too little of the next one
_CHUNK = 4_000_000  # weights held at once, so that memory does not grow with the sample
_SAME = 1e-4
"""How far a column's statistic may be from the stored number, relative to the column; the file has five digits."""


@dataclass(frozen=True)
class Pairs:
    """Pictures that two runs share: columns of the first and the later one row by row, and whose picture it is."""

    person: Indices
    first: Mapping[str, Floats]
    later: Mapping[str, Floats]

    def __len__(self) -> int:
        return len(self.person)

    @property
    def people(self) -> int:
        """Independent ones among the rows."""
        return int(self.person.max()) + 1


@dataclass(frozen=True)
class Difference:
    """Later less first, with its interval."""

    value: float
    lower: float
    upper: float


def read_images(path: Path) -> Images:
    """Columns of an images.csv; none where there is no such file. Raises StorageError for one that is cut off."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise storage_error(error, path) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise StorageError(f"{path}: not a table of images ({error}); delete its folder and run again") from error
    if any(None in row or None in row.values() for row in rows):
        raise StorageError(f"{path}: a row has not as many cells as the heading; delete its folder and run again")
    return {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}


def match(first: Images, later: Images, subset: str) -> Pairs | None:
    """The pictures of one part of the test set that both runs have; None if they or their people are too few."""
    places = dict(_keys(later, subset))
    both = [(row, places[key]) for key, row in _keys(first, subset) if key in places]
    if len(both) < FEWEST_IMAGES:
        return None
    here, there = (np.array(rows) for rows in zip(*both))
    people = first.get("person", first["name"])
    _, person = np.unique([people[row] for row in here], return_inverse=True)
    if person.max() + 1 < FEWEST_PEOPLE:
        return None
    columns = {name: (_numbers(first[name], here), _numbers(later[name], there)) for name in first if name in later}
    before = {name: pair[0] for name, pair in columns.items() if pair[0] is not None and pair[1] is not None}
    after = {name: pair[1] for name, pair in columns.items() if pair[0] is not None and pair[1] is not None}
    return Pairs(person, before, after)


def column_of(metric: str) -> tuple[str, float | None]:
    """Column that a number of this name sums up, and the percentile that it takes of it (None is the mean)."""
    percent = 5.0 if "_p5" in metric else None
    return metric.replace("_mean", "").replace("_p5", ""), percent


def sums_up(images: Images, subset: str, metric: str, value: float) -> bool:
    """Whether the stored `value` of `metric` is the mean or percentile of its column in `images`."""
    name, percent = column_of(metric)
    rows = np.array([row for _, row in _keys(images, subset)], np.int64)
    column = _numbers(images[name], rows) if name in images and len(rows) else None
    if column is None:
        return False
    known = column[~np.isnan(column)]
    found = known.mean() if percent is None else np.percentile(known, percent)
    return bool(abs(found - value) <= _SAME * np.abs(known).mean())


def differences(pairs: Pairs, metrics: Sequence[str], confidence: float, seed: int) -> dict[str, Difference]:
    """How much larger each number is in the later run, with an interval from people drawn anew.

    The interval is Student's, with the standard error of the bootstrap: that of thousands of rounds reaches into tails
    where percentiles of them do not, which many numbers at once need. Source: Efron and Tibshirani, An Introduction to
    the Bootstrap (1993), 12.5 and 13.2; people, not images, are resampled.
    """
    from scipy.special import stdtrit

    repeats: dict[str, list[Floats]] = {metric: [] for metric in metrics}
    for weights in _weights(pairs, seed):
        for metric in metrics:
            repeats[metric].append(_difference(pairs, metric, weights))
    reach = float(stdtrit(pairs.people - 1, (1 + confidence) / 2))
    plain = np.ones((1, len(pairs)))
    found = {}
    for metric in metrics:
        value = float(_difference(pairs, metric, plain)[0])
        half = reach * float(np.concatenate(repeats[metric]).std(ddof=1))
        found[metric] = Difference(value, value - half, value + half)
    return found


def _keys(images: Images, subset: str) -> Iterator[tuple[tuple[str, int], int]]:
    """Name of each picture of a part, with a number where several have it, and its row."""
    seen: Counter[str] = Counter()
    for row, (name, source) in enumerate(zip(images.get("name", ()), images.get("source", ()))):
        if source == subset:
            seen[name] += 1
            yield (name, seen[name]), row


def _numbers(column: Sequence[str], rows: Indices) -> Floats | None:
    """Cells of a column, NaN where nothing could be measured; None if they are no numbers or too few."""
    try:
        numbers = np.array([float(column[row]) for row in rows])
    except ValueError:
        return None
    return None if (~np.isnan(numbers)).sum() < FEWEST_IMAGES or np.isinf(numbers).any() else numbers


def _weights(pairs: Pairs, seed: int) -> Iterator[Floats]:
    """How often each row is drawn, [rounds, n] at a time."""
    generator = np.random.default_rng(seed)
    size = max(1, _CHUNK // len(pairs))
    share = np.full(pairs.people, 1 / pairs.people)
    for start in range(0, ROUNDS, size):
        drawn = generator.multinomial(pairs.people, share, min(size, ROUNDS - start))
        yield drawn[:, pairs.person].astype(np.float64)


def _difference(pairs: Pairs, metric: str, weights: Floats) -> Floats:
    name, percent = column_of(metric)
    first, later = pairs.first[name], pairs.later[name]
    known = ~np.isnan(first + later)
    if not known.all():
        first, later, weights = first[known], later[known], weights[:, known]
    if percent is None:
        mean: Floats = weights @ (later - first) / weights.sum(axis=1)
        return mean
    return _percentile(later, percent, weights) - _percentile(first, percent, weights)


def _percentile(values: Floats, percent: float, weights: Floats) -> Floats:
    """The value below which `percent` of the weight lies, [rounds]."""
    order = np.argsort(values, kind="stable")
    below = np.cumsum(weights[:, order], axis=1)
    reached: Floats = values[order][(below >= percent / 100 * below[:, -1:]).argmax(axis=1)]
    return reached
