"""Stage verify: measures an exported candidate against the teacher, judges it by the recipe's gates, writes what was
seen.

Reads the export (or an admitted file from elsewhere) and the test set with what is known of it; writes `verdict.json`
(gates), `metrics.json` (every number, with interval, backbones and seed), `images.csv` (one row per image) and contact
sheets. A failed gate is a result, not an error. Everything about pictures is measured on the exported ONNX files.
A part of the test set that is too small for gates (a handful of photographs for the eye) is not judged, which is no
failure: the verdict says so wherever it is shown. Publishing is not done here.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compress import artifact
from compress.artifact import Artifact, write_json
from compress.context import Context
from compress.errors import StageError
from compress.judging import cost, evaluation, gates, groups, measuring, runtimes, verdict
from compress.judging.candidate import Candidate, open_folder
from compress.judging.evaluation import Judges, Table, TestSet
from compress.judging.facts import CATEGORIES
from compress.judging.metrics import intervals
from compress.judging.metrics.distribution import MOST_IMAGES
from compress.judging.metrics.estimate import Estimate
from compress.recipe import GateSettings
from compress.reporting.sheets import Row, amplified_difference, contact_sheet
from compress.shards import Shards
from compress.steps import VerifyStep

SHEET_ROWS = 24
PARITY_PHOTOS = 16
FROM_EXPORT = ("parity_float_levels", "parity_int8_levels")
"""Numbers that only the stage which made the file could take: they need the student's torch network."""
Indices = NDArray[np.int64]


def run(settings: VerifyStep, inputs: Mapping[str, Artifact], folder: Path, context: Context) -> dict[str, Any]:
    """Judge the candidate `inputs["export"]` on the test set; returns the headline numbers.

    Raises InputError for a test set that is too small or shares photos with the training's `inputs`, StageError if a
    gate's number cannot be computed.
    """
    export, photos = inputs["export"], Shards(inputs["test_inputs"].path)
    cost.require_size(export.path, settings.budget.photo_size)
    if "inputs" in inputs:  # of a file from elsewhere nobody knows what it was trained on
        evaluation.refuse_leaks(Shards(inputs["inputs"].path), photos)
    evaluation.refuse_duplicates(photos)
    targets = Shards(inputs["test_targets"].path)
    judges = evaluation.open_judges(settings.judges, context.device, "int8_identity_delta_mean" in settings.gates)
    test = TestSet(photos, targets, evaluation.open_features(inputs["features"].path, judges))
    rows = measuring.rows_of(test)
    student, reference = open_folder(export.path)
    motion = inputs["motion"].path if "motion" in inputs else None
    seen = measuring.look(test, motion, student, reference, judges, context)
    measured = measuring.summarise(seen, rows, context.seed, _asks_for_groups(settings))
    budget, shown = settings.budget, photos.read(range(min(PARITY_PHOTOS, len(photos))), ["photo"])["photo"]
    spent = cost.measure(export.path, shown[0], budget.photo_size, budget.threads, context.seed)
    measured[gates.WHOLE] = {**spent.estimates, **_of_file(export, student, shown, settings)}
    results = gates.evaluate(_bounds(settings), measured)
    judged = _verdict(settings, inputs, measuring.counts(test), rows, results, seen, judges, context.seed)
    verdict.write(folder / "verdict.json", judged)
    _write_metrics(folder, measured, spent.details, judged, context.seed)
    images = evaluation.per_image(seen.stills)
    _write_images(folder / "images.csv", images)
    drawing = _Drawing(test, student, reference)
    for part, chosen in rows.items():
        _write_sheets(folder / "sheets", part, chosen, images, drawing, context.seed)
    failed = [f"{r.name} on {r.subset}: {r.detail}" for r in results if not r.passed]
    return {"tier": settings.tier, "state": judged.state, "gates": len(results), "failed": failed}


def _of_file(
    export: Artifact, student: Candidate, photos: NDArray[np.uint8], settings: VerifyStep
) -> dict[str, Estimate]:
    """How alike runtimes draw with the file, and what its making told of it."""
    numbers = export.numbers
    missing = [name for name in ("integer_convolutions", "convolutions") if name not in numbers]
    if missing:
        raise StageError(f"{export.path.name}: its manifest has no {', '.join(missing)}; delete it and run again")
    found: dict[str, float] = {name: numbers[name] for name in FROM_EXPORT if name in numbers}
    found["integer_convolutions"] = numbers["integer_convolutions"] / max(numbers["convolutions"], 1)
    levels = runtimes.levels(student, photos, need_openvino="parity_openvino_levels" in settings.gates)
    found |= {name: value for name, value in levels.items() if isinstance(value, float)}
    return {name: Estimate.exact(value) for name, value in found.items()}


def _bounds(settings: VerifyStep) -> dict[str, gates.Bound]:
    """The recipe's gates, and the tier's budget wherever no gate states its own maximum: a budget is judged too."""
    budget = settings.budget
    limits = {"macs": budget.macs, "size_bytes": budget.size_bytes, "latency_ms": budget.latency_ms}
    bounds: dict[str, gates.Bound] = {str(name): bound for name, bound in settings.gates.items()}
    for name, limit in limits.items():
        stated = bounds.get(name, GateSettings())
        if stated.max is None and name not in settings.left_out:
            bounds[name] = GateSettings(min=stated.min, max=float(limit))
    return bounds


def _verdict(
    settings: VerifyStep,
    inputs: Mapping[str, Artifact],
    counts: Mapping[str, int],
    rows: Mapping[str, Indices],
    results: Sequence[gates.GateResult],
    seen: measuring.Seen,
    judges: Judges,
    seed: int,
) -> verdict.Verdict:
    export = inputs["export"]
    model = export.path / cost.FILES["int8"]
    teacher = inputs["test_targets"].numbers["teacher"]
    few = {part: f"{n} images, needs {gates.FEWEST_IMAGES}" for part, n in counts.items() if n and part not in rows}
    tables = {part: measuring.only(seen.stills, chosen) for part, chosen in rows.items()}
    unlabelled = [p for p, table in tables.items() if _asks_for_groups(settings) and not measuring.labelled(table)]
    unknown = {f"groups of {part}": "no group of 20 people with labels" for part in unlabelled}
    return verdict.build(
        {
            "tier": settings.tier,
            "images": dict(counts),
            "seed": seed,
            "not_judged": few | unknown,
            "left_out": list(settings.left_out),
            "gates": [result.as_dict() for result in results],
            "groups": [{"subset": part, **row} for part, table in tables.items() for row in groups.table(table, seed)],
            "backbones": _backbones(judges),
            "teacher": {"name": teacher["name"], "sha256": teacher["sha256"]},
            "candidate": {
                "file": model.name, "sha256": artifact.hash_file(model), "size_bytes": model.stat().st_size
            },
            "versions": artifact.versions(),
        }
    )  # fmt: skip


def _asks_for_groups(settings: VerifyStep) -> bool:
    return any(gates.GATES[gate].needs == "groups" for gate in settings.gates)


def _backbones(judges: Judges) -> dict[str, Any]:
    """Who judged, by the roles that gates name and by the metrics that look at other layers."""
    network = judges.features
    return {**judges.describe(), "features": {"name": network.name, "sha256": network.sha256, "layers": []}}


def _write_metrics(
    folder: Path,
    measured: Mapping[str, Mapping[str, Estimate]],
    details: Mapping[str, float],
    judged: verdict.Verdict,
    seed: int,
) -> None:
    numbers = {
        part: {name: estimate.as_dict() | _about(name, seed) for name, estimate in estimates.items()}
        for part, estimates in measured.items()
    }
    write_json(
        folder / "metrics.json",
        {
            "numbers": numbers,
            "cost": dict(details),
            "intervals": {"confidence": intervals.CONFIDENCE, "rounds": intervals.ROUNDS},
            "seed": seed,
            "backbones": {role: backbone.model_dump(mode="json") for role, backbone in judged.backbones.items()},
            "kid": {
                "estimator": "unbiased, paired",
                "kernel": "polynomial, degree 3",
                "most": MOST_IMAGES,
            },
        },
    )


def _about(name: str, seed: int) -> dict[str, Any]:
    """What else belongs to a number: the network that it depends on, and the seed of its interval."""
    return {"backbone": gates.GATES[name].backbone if name in gates.GATES else "", "seed": seed}


def _write_images(path: Path, images: Table) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["row", *images])
        for row in range(len(images["name"])):
            writer.writerow([row, *(_cell(name, column[row]) for name, column in images.items())])


def _cell(name: str, value: Any) -> str:
    if name in ("name", "person", *CATEGORIES):
        return _text(value)
    return gates.PARTS[int(value)] if name == "source" else f"{value:.5g}"


def _text(name: bytes) -> str:
    return bytes(name).decode("utf-8", "replace")


@dataclass(frozen=True)
class _Drawing:
    """What it takes to show an image of the test set again."""

    test: TestSet
    student: Candidate
    reference: Candidate | None

    @property
    def titles(self) -> list[str]:
        floats = ["float student"] if self.reference else []
        return ["photo", "teacher", *floats, "candidate", "candidate - teacher, x4"]

    def row(self, row: int, images: Table) -> Row:
        batch = self.test.batch_of([row])
        floats = [self.reference.draw(batch)[0]] if self.reference else []
        drawn, teacher = self.student.draw(batch)[0], batch.teacher[0]
        psnr, ssim, far, lost = (
            float(images[name][row]) for name in ("psnr_db", "ssim", "perceptual", "identity_delta")
        )
        numbers = f"{psnr:.1f} dB   SSIM {ssim:.3f}   perceptual {far:.3f}   identity {lost:+.3f}"
        labels = [f"{name} {_text(images[name][row])}" for name in CATEGORIES if images[name][row]]
        pictures = [batch.photo[0], teacher, *floats, drawn, amplified_difference(drawn, teacher)]
        return Row(pictures, f"{_text(images['name'][row])}   {numbers}", labels)


def _write_sheets(folder: Path, part: str, rows: Indices, images: Table, drawing: _Drawing, seed: int) -> None:
    """Two sheets: the images with the lowest PSNR, worst first, and as many drawn at random."""
    folder.mkdir(exist_ok=True)
    worst = rows[np.argsort(images["psnr_db"][rows], kind="stable")[:SHEET_ROWS]]
    drawn = np.sort(np.random.default_rng(seed).permutation(rows)[:SHEET_ROWS])
    for kind, chosen in (("worst", worst), ("random", drawn)):
        shown = [drawing.row(int(row), images) for row in chosen]
        contact_sheet(shown, drawing.titles, folder / f"{kind}-{part}.png")
