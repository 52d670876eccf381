"""What gates show of a teacher against itself: no bound below that could tell a student's fault from noise.

Of pictures: the teacher's pictures of slightly changed photos, as the motion stage stored them, moved back and compared
with those of the photos themselves. Of sets: split halves of the teacher's pictures, other people in each; wider than
what a student shows beside its teacher on the same people. Not covered: what moves, which is relative to the teacher.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compress.judging import evaluation, gates, measuring
from compress.judging.defects.trials import Ground
from compress.judging.metrics import distribution, intervals, texture
from compress.judging.metrics.estimate import Estimate
from compress.judging.metrics.steadiness import shown
from compress.judging.steadying import VARIANTS
from compress.judging.testset import Batch
from compress.photographs.alignment import inverse, resample
from compress.shards import Shards

Bytes = NDArray[np.uint8]
Indices = NDArray[np.int64]

SPLITS = 20
SETS = ("kid_delta_upper", "sliced_wasserstein", "diversity_ratio")


@dataclass(frozen=True)
class Floors:
    """Estimates by gate, of single pictures and of sets."""

    pictures: Mapping[str, Estimate]
    sets: Mapping[str, Estimate]

    def of(self, gate: str) -> Estimate | None:
        """The floor of a gate, if it has one."""
        return self.sets.get(gate) or self.pictures.get(gate)


def measure(ground: Ground) -> Floors:
    """Both kinds of floors. Those of pictures need at least 30 changed photos among the stills, else there are none.

    Raises StageError where a number cannot be computed.
    """
    undone = Undone(ground.motion)
    table = evaluation.measure(ground.stills, undone, None, ground.judges, ground.context)
    rows = np.array([row for row in undone.rows if row < len(ground.stills)], np.int64)
    pictures: dict[str, Estimate] = {}
    if len(rows) >= gates.FEWEST_IMAGES:
        found = evaluation.summarise(measuring.only(table, rows), ground.context.seed)
        pictures = {gate: e for gate, e in found.items() if gate in gates.GATES and gate not in SETS}
    return Floors(pictures, of_sets(table, ground.context.seed))


def of_sets(table: evaluation.Table, seed: int) -> dict[str, Estimate]:
    """Split halves of the teacher's pictures, of which the columns of `table` are; by people."""
    person, slices = table["person"], table["slices_teacher"].astype(np.uint8)
    features = table["feature_teacher"].astype(np.float64)

    def apart(first: Indices, second: Indices) -> float:
        count = min(len(first), len(second))
        return texture.sliced_wasserstein(slices[first[:count]], slices[second[:count]], seed).value

    def spread(first: Indices, second: Indices) -> float:
        count = min(len(first), len(second))
        return distribution.diversity_ratio(features[first[:count]], features[second[:count]], seed).value

    return {
        "kid_delta_upper": distribution.noise_floor(features, seed, person),
        "sliced_wasserstein": intervals.split_halves(apart, len(person), seed, person, SPLITS),
        "diversity_ratio": intervals.split_halves(spread, len(person), seed, person, SPLITS),
    }


class Undone:
    """Draws what the teacher drew of a changed photo, moved back; where nothing was stored, its own picture."""

    def __init__(self, motion: Path | None) -> None:
        """`motion` is the folder of the motion stage; None has no changed photos."""
        self._variants = None if motion is None else Shards(motion / VARIANTS)
        self._places: dict[int, list[int]] = {}
        if self._variants is not None:
            for place, row in enumerate(self._variants.read(range(len(self._variants)), ["row"])["row"].tolist()):
                self._places.setdefault(row, []).append(place)

    @property
    def rows(self) -> list[int]:
        """Rows of the test set whose photos were changed."""
        return sorted(self._places)

    def draw(self, batch: Batch) -> Bytes:
        """Pictures uint8 [N, H, W, 3]; each photo in one of its changes, in turns."""
        pictures = batch.teacher.copy()
        for number, row in enumerate(batch.rows.tolist()):
            places = self._places.get(row)
            if self._variants is not None and places:
                turn = places[self.rows.index(row) % len(places)]
                stored = self._variants.read([turn], ["teacher", "matrix"])
                pictures[number] = moved_back(stored["teacher"][0], stored["matrix"][0], pictures[number])
        return pictures


def moved_back(picture: Bytes, matrix: NDArray[np.floating], still: Bytes) -> Bytes:
    """A changed picture in the place of the still one, which stands where the change moved things out of sight."""
    back = inverse(matrix.astype(np.float64))
    moved = resample(picture, back, still.shape[0])
    return np.where(shown(back, still.shape[0])[..., None], moved, still)
