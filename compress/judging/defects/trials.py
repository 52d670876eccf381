"""Measures a good student with a defect planted exactly as the verify stage measures a candidate.

`Ground` is what stays the same from trial to trial: test set, judges, the good files. Gates that no planted defect can
reach, since they were settled before (torch parity) or are a matter of budget (cost), are not measured: see `JUDGED`.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from compress.context import Context
from compress.errors import StageError
from compress.judging import evaluation, gates, measuring, runtimes, steadying
from compress.judging.candidate import INT8, Candidate, open_folder
from compress.judging.defects import Defective, find, plant
from compress.judging.defects.scene import ModelDefect, Strength
from compress.judging.evaluation import Batch, Judges, Student, TestSet
from compress.judging.metrics.estimate import Estimate
from compress.shards import Shards

if TYPE_CHECKING:
    from compress.recipe import JudgeSettings

Measured = dict[str, dict[str, Estimate]]

COST = (
    "macs", "parameters", "size_bytes", "latency_ms", "latency_p95_ms", "peak_memory_bytes", "int8_speedup",
    "int8_core_speedup", "integer_convolutions",
)  # fmt: skip
JUDGED = frozenset(name for name, gate in gates.GATES.items() if name not in COST and gate.needs != "torch")
"""Gates that a planted defect can reach: those of pictures, and the parity of runtimes."""
PARITY_PHOTOS = 16


class Head(Shards):
    """The first `count` samples of a folder, as if there were no more."""

    def __init__(self, folder: Path, count: int) -> None:
        super().__init__(folder)
        self._count = count

    def __len__(self) -> int:
        return min(self._count, super().__len__())


class TeacherItself:
    """A student without fault: it draws what the teacher drew."""

    def draw(self, batch: Batch) -> NDArray[np.uint8]:
        """The teacher's pictures uint8 [N, H, W, 3]."""
        return batch.teacher


@dataclasses.dataclass(frozen=True)
class TestSteps:
    """Folders of the finished steps of a test set; None where the recipe has nothing to draw in motion."""

    __test__ = False  # not a test, whatever its name

    inputs: Path
    targets: Path
    features: Path
    motion: Path | None


@dataclasses.dataclass(frozen=True)
class Ground:
    """What every trial is measured on; make one with `open_ground`.

    `stills` may be fewer images than `whole`, on whose rows the folder `motion` builds. Without the folder `export` the
    teacher itself is the good student, and there is no file to plant defects in.
    """

    stills: TestSet
    whole: TestSet
    motion: Path | None
    export: Path | None
    judges: Judges
    wanted: frozenset[str]
    context: Context

    def clean(self) -> Measured:
        """What the good student shows."""
        student, reference = self._students
        return self.measure(student, reference) | self._parity_of_file(None)

    def trial(self, defect: str, strength: Strength) -> Measured:
        """What it shows with a defect planted. Raises StageError for a defect of the file where there is none."""
        with self._planted(defect, strength) as (student, reference, changed):
            return self.measure(student, reference) | self._parity_of_file(changed)

    def pictures(self, defect: str, strength: Strength, batches: Sequence[Batch]) -> NDArray[np.uint8]:
        """What is drawn of `batches` with a defect planted, or without for the name "", to look at."""
        with self._planted(defect, strength) as (student, _, _):
            student.draw(batches[0])  # defects keep the pictures that they draw first
            # Drawn as changed photos: stills do not show defects of motion.
            return np.concatenate([student.draw(dataclasses.replace(batch, kind="shift")) for batch in batches])

    @contextmanager
    def _planted(self, defect: str, strength: Strength) -> Iterator[tuple[Student, Student | None, Candidate | None]]:
        """The student with a defect, its reference, and the file if that was changed."""
        student, reference = self._students
        if not defect:
            yield student, reference, None
        elif not isinstance(find(defect), ModelDefect):
            bad = Defective(student, defect, strength)
            yield bad, None if reference is None else Defective(reference, defect, strength), None
        elif self.export is None or not isinstance(student, Candidate):
            raise StageError(f"planted defects: {defect} needs the tier's exported file; run the recipe first")
        else:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / INT8
                plant(defect, strength, self.export / INT8, path)
                changed = Candidate(path, signature=student.signature)
                yield changed, reference, changed

    def measure(self, student: Student, reference: Student | None) -> Measured:
        """Estimates by part and gate of any student, by the functions of the verify stage."""
        stills = evaluation.measure(self.stills, student, reference, self.judges, self.context)
        moving = None
        if self.motion is not None and any(gates.GATES[name].needs == "motion" for name in self.wanted):
            moving = steadying.measure(self.motion, self.whole, student, self.context)
        with_groups = any(gates.GATES[name].needs == "groups" for name in self.wanted)
        rows = measuring.rows_of(self.stills)
        return measuring.summarise(measuring.Seen(stills, moving), rows, self.context.seed, with_groups)

    @cached_property
    def _students(self) -> tuple[Student, Student | None]:
        return (TeacherItself(), None) if self.export is None else open_folder(self.export)

    def _parity_of_file(self, changed: Candidate | None) -> Measured:
        """Parity of runtimes; of the good file it is measured once."""
        if self.export is None:
            return {}
        return {gates.WHOLE: self._parity(changed) if changed is not None else self._clean_parity}

    @cached_property
    def _clean_parity(self) -> dict[str, Estimate]:
        student, _ = self._students
        assert isinstance(student, Candidate)
        return self._parity(student)

    def _parity(self, file: Candidate) -> dict[str, Estimate]:
        photos = self.stills.read(range(min(PARITY_PHOTOS, len(self.stills))))["photo"]
        levels = runtimes.levels(file, photos)
        return {name: Estimate.exact(value) for name, value in levels.items() if isinstance(value, float)}


def open_ground(
    steps: TestSteps,
    export: Path | None,
    judges: JudgeSettings,
    wanted: Collection[str],
    context: Context,
    images: int = 0,
) -> Ground:
    """The ground of finished steps, for the gates `wanted`; of `images` above 0 only so many stills are drawn.

    Raises StorageError or InputError for steps or judges that cannot be used.
    """
    networks = evaluation.open_judges(judges, context.device, "int8_identity_delta_mean" in wanted)
    features = evaluation.open_features(steps.features, networks)
    whole = TestSet(Shards(steps.inputs), Shards(steps.targets), features)
    count = images or len(whole)
    stills = TestSet(*(Head(folder, count) for folder in (steps.inputs, steps.targets, steps.features)))
    return Ground(stills, whole, steps.motion, export, networks, frozenset(wanted), context)


def judge(bounds: Mapping[str, gates.Bound], measured: Measured) -> list[gates.GateResult]:
    """The gates of a recipe that a planted defect can reach."""
    return gates.evaluate({name: bound for name, bound in bounds.items() if name in JUDGED}, measured)


def fired(results: Sequence[gates.GateResult]) -> list[gates.GateResult]:
    """The gates that did not pass, failed ones first."""
    return sorted((result for result in results if not result.passed), key=lambda result: result.state != "failed")
