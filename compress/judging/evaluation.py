"""Measures a student on the still pictures of a test set, and sums up: one row per picture, then estimates.

`measure` reads the test set batch by batch, lets the student draw and compares (`judging.description`); `summarise`
turns rows into estimates with the names of `judging.gates`, clustered by person. Not covered: motion
(`judging.steadying`), groups (`judging.groups`), cost (`judging.cost`) and judging (`judging.gates`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from compress.context import Context
from compress.errors import StageError
from compress.judging.description import Table, compare, describe, open_features
from compress.judging.facts import CATEGORIES
from compress.judging.judges import Judges, open_judges
from compress.judging.metrics import distribution, identity, intervals, texture
from compress.judging.metrics.estimate import Estimate
from compress.judging.metrics.intervals import Clusters
from compress.judging.testset import Batch, Bytes, Student, TestSet, refuse_duplicates, refuse_leaks
from compress.threads import in_order

__all__ = [
    "Batch", "Judges", "Student", "Table", "TestSet", "measure", "open_features", "open_judges", "per_image",
    "refuse_duplicates", "refuse_leaks", "summarise",
]  # fmt: skip

Floats = NDArray[np.floating]


def measure(test: TestSet, student: Student, float_student: Student | None, judges: Judges, context: Context) -> Table:
    """Every picture of the test set, one row each: name, source, person, labels, numbers, and vectors (embeddings).

    Without `float_student` (a reference in floating point) the columns that compare with it are left out.
    """
    parts: list[Table] = []
    with context.progress.task("verify", len(test)) as task:
        for part in _compared(test, student, float_student, judges, context.device):
            parts.append(part)
            task.advance(len(part["psnr_db"]))
    table = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return table | {"name": test.name, "source": test.source, "person": test.person, **test.labels}


def _compared(
    test: TestSet, student: Student, float_student: Student | None, judges: Judges, device: str
) -> Iterator[Table]:
    """Tables of the batches in order; the student draws in the calling thread, a little ahead of the judges."""

    def calls() -> Iterator[Callable[[], Table]]:
        for rows in test.batches():
            batch = test.batch_of(rows)
            drawn = student.draw(batch)
            float_drawn = None if float_student is None else float_student.draw(batch)
            yield functools.partial(_compare, test, batch, drawn, float_drawn, judges, device)

    return in_order(calls())


def _compare(
    test: TestSet, batch: Batch, drawn: Bytes, float_drawn: Bytes | None, judges: Judges, device: str
) -> Table:
    shared = test.features(batch.rows)
    if shared is None:
        shared = describe(test.read(batch.rows), judges, device)
    return compare(batch, drawn, float_drawn, shared, judges, device)


def haar_ratio(table: Table) -> Floats:
    """Fine detail of each student picture relative to the teacher's, [n]; 1 where neither has any."""
    student, teacher = _floats(table, "haar_student").sum(axis=1), _floats(table, "haar_teacher").sum(axis=1)
    ratio: Floats = (student + 1e-9) / (teacher + 1e-9)
    return ratio


def style_strength(table: Table) -> Floats:
    """Share of the teacher's change of each photo that the student makes too, [n]; 1 where the teacher makes none."""
    followed, change = _floats(table, "style_followed"), _floats(table, "style_change")
    strength: Floats = (followed + 1e-9) / (change + 1e-9)
    return strength


def per_image(table: Table) -> Table:
    """The columns of `table` that are one number per image, and what follows from the others, for people to read."""
    hidden = ("style_followed", "style_change", "gram_photo")
    plain = [name for name, column in table.items() if column.ndim == 1 and column.dtype.kind == "f"]
    derived = {"haar_ratio": haar_ratio(table), "style_strength": style_strength(table)}
    facts = ("name", "source", "person", *CATEGORIES)
    return {name: table[name] for name in (*facts, *plain) if name not in hidden} | derived


def summarise(table: Table, seed: int) -> dict[str, Estimate]:
    """Estimates over the rows of `table`, by the names of `judging.gates` plus a few for the reader.

    Intervals are clustered by `table["person"]`. Numbers that nothing can be said of (no face in any of the teacher's
    pictures) are left out. Raises StageError if the identity of not one teacher picture can be found, or the rows are
    too few for sets.
    """
    person = table["person"]
    try:
        return {
            **_means(table, seed, person),
            **_ratios(table, seed, person),
            **_sets(table, seed, person),
            **_identities(table, seed, person),
        }
    except ValueError as error:
        raise StageError(f"verify: {error}; check the teacher and the test set") from error


def _means(table: Table, seed: int, person: Clusters) -> dict[str, Estimate]:
    names = {
        "psnr_mean_db": "psnr_db",
        "ssim_mean": "ssim",
        "ms_ssim_mean": "ms_ssim",
        "perceptual_mean": "perceptual",
        "colour_shift_mean": "colour_shift",
        "eye_opening_ratio": "eye_opening",
        "identity_delta_mean": "identity_delta",
        "int8_psnr_db": "int8_psnr_db",
        "float_psnr_mean_db": "float_psnr_db",
        "photo_psnr_mean_db": "photo_psnr_db",
    }
    p5 = {
        "psnr_p5_db": "psnr_db",
        "ssim_p5": "ssim",
        "eye_opening_p5": "eye_opening",
        "identity_delta_p5": "identity_delta",
    }
    means = {n: intervals.mean(_floats(table, column), seed, person) for n, column in names.items() if column in table}
    ends = {n: intervals.percentile(_floats(table, column), 5, seed, person) for n, column in p5.items()}
    return means | ends | _landmarks(table, seed, person)


def _landmarks(table: Table, seed: int, person: Clusters) -> dict[str, Estimate]:
    """Over the pictures in whose teacher a face was found; the number of the others is counted."""
    errors = _floats(table, "landmark_error")
    known = ~np.isnan(errors)
    counted = {"landmarks_without_face": Estimate.exact(float((~known).sum()))}
    if not known.any():
        return counted
    return counted | {"landmark_error_mean": intervals.mean(errors[known], seed, person[known])}


def _ratios(table: Table, seed: int, person: Clusters) -> dict[str, Estimate]:
    student, teacher = _floats(table, "haar_student"), _floats(table, "haar_teacher")
    pairs = {
        "haar_ratio": (student.sum(axis=1), teacher.sum(axis=1)),
        "haar_finest_ratio": (student[:, 0], teacher[:, 0]),
        "style_strength": (_floats(table, "style_followed"), _floats(table, "style_change")),
        "gram_distance": (_floats(table, "gram"), _floats(table, "gram_photo")),
    }
    return {name: intervals.ratio(over, under, seed, person) for name, (over, under) in pairs.items()}


def _sets(table: Table, seed: int, person: Clusters) -> dict[str, Estimate]:
    student, teacher, photo = (_floats(table, f"feature_{who}") for who in ("student", "teacher", "photo"))
    slices = (table["slices_student"].astype(np.uint8), table["slices_teacher"].astype(np.uint8))
    return {
        # Nothing to subtract for "above the teacher against itself": of paired rows that is exactly 0.
        "kid_delta_upper": distribution.kid(student, teacher, seed, person),
        "kid_noise_floor": distribution.noise_floor(teacher, seed, person),
        "kid_photo": distribution.kid(photo, teacher, seed, person),
        "diversity_ratio": distribution.diversity_ratio(student, teacher, seed, person),
        "sliced_wasserstein": texture.sliced_wasserstein(*slices, seed, person),
    }


def _identities(table: Table, seed: int, person: Clusters) -> dict[str, Estimate]:
    photo, student, teacher = (_floats(table, f"identity_{who}") for who in ("photo", "student", "teacher"))
    found = {who: identity.rank1(photo, of, person) for who, of in (("student", student), ("teacher", teacher))}
    numbers = {
        "rank1_relative": identity.rank1_relative(found["student"], found["teacher"], person),
        "rank1_teacher": intervals.share(found["teacher"], person),
    }
    if "identity_float" in table:
        lost = identity.delta(photo, student, _floats(table, "identity_float"))
        numbers["int8_identity_delta_mean"] = intervals.mean(lost, seed, person)
    return numbers


def _floats(table: Table, name: str) -> Floats:
    column: Floats = table[name].astype(np.float64)
    return column
