"""Stage verify: measures an exported candidate against the teacher, judges it by the recipe's gates, writes what was
seen.

Reads the export, test inputs and teacher results; writes `verdict.json` (gates), `metrics.json` (every number, with
interval, backbones and seed), `images.csv` (one row per image) and contact sheets. A failed gate is a result, not an
error. Everything about pictures is measured on the exported ONNX files; parity with torch, which only the export stage
can see, is taken from its manifest. Publishing is not done here.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compress import cost, evaluation, gates
from compress.artifact import Artifact, write_json
from compress.candidate import Candidate, bytes_of
from compress.context import Context
from compress.errors import StageError
from compress.evaluation import Judges, Table, TestSet
from compress.metrics import distribution, intervals
from compress.metrics.estimate import Estimate
from compress.recipe import GateSettings, VerifyStep
from compress.shards import Shards
from compress.sheets import Row, amplified_difference, contact_sheet

SHEET_ROWS = 24
TITLES = ("photo", "teacher", "float student", "int8 student", "int8 - teacher, x4")


def run(settings: VerifyStep, inputs: Mapping[str, Artifact], folder: Path, context: Context) -> dict[str, Any]:
    """Judge the candidate `inputs["export"]` on `test_inputs` and `test_targets`; returns the headline numbers.

    Raises InputError for a test set that is too small or shares photos with the training's `inputs`, StageError if a
    gate's number cannot be computed.
    """
    budget = settings.budget
    export = inputs["export"]
    photos = Shards(inputs["test_inputs"].path)
    evaluation.refuse_leaks(Shards(inputs["inputs"].path), photos)
    test = TestSet(photos, Shards(inputs["test_targets"].path))
    counts = {part: int((test.source == number).sum()) for number, part in enumerate(gates.PARTS)}
    judged = gates.judged_parts(counts)
    int8, float_ = (Candidate(export.path / cost.FILES[name]) for name in ("int8", "float"))
    judges = _judges(settings, context.device)
    table = evaluation.measure(test, int8, float_, judges, context)
    rows = {part: np.flatnonzero(test.source == gates.PARTS.index(part)) for part in judged}
    measured = {
        part: evaluation.summarise({name: column[rows[part]] for name, column in table.items()}, context.seed)
        for part in judged
    }
    spent = cost.architecture_cost(export.path, budget.photo_size)
    timed = cost.runtime_cost(
        export.path, test.read([0])["photo"][0], budget.photo_size, budget.threads, context.seed
    )
    measured[gates.WHOLE] = {**spent.estimates, **timed.estimates, **_export_numbers(export)}
    results = gates.evaluate(_bounds(settings), measured)
    images = evaluation.per_image(table)
    _write_verdict(folder, settings, counts, judged, results)
    _write_metrics(folder, measured, {**spent.details, **timed.details}, judges, context.seed)
    _write_images(folder / "images.csv", images)
    for part in judged:
        _write_sheets(folder / "sheets", part, rows[part], images, _Drawing(test, int8, float_), context.seed)
    return _headline(settings, results)


def _bounds(settings: VerifyStep) -> dict[str, gates.Bound]:
    """The recipe's gates, and the tier's budget wherever no gate states its own maximum: a budget is judged too."""
    budget = settings.budget
    limits = {"macs": budget.macs, "size_bytes": budget.size_bytes, "latency_ms": budget.latency_ms}
    bounds: dict[str, gates.Bound] = {str(name): bound for name, bound in settings.gates.items()}
    for name, limit in limits.items():
        stated = bounds.get(name, GateSettings())
        if stated.max is None:
            bounds[name] = GateSettings(min=stated.min, max=float(limit))
    return bounds


def _judges(settings: VerifyStep, device: str) -> Judges:
    return evaluation.open_judges(settings.judges, device, "int8_identity_delta_mean" in settings.gates)


def _export_numbers(export: Artifact) -> dict[str, Estimate]:
    """Numbers that only the export stage could take; a missing one is an error, never a pass."""
    numbers = export.manifest["numbers"]
    names = ("parity_float_levels", "parity_int8_levels", "integer_convolutions", "convolutions")
    missing = [name for name in names if name not in numbers]
    if missing:
        raise StageError(f"{export.path.name}: its manifest has no {', '.join(missing)}; delete it and run again")
    share = numbers["integer_convolutions"] / max(numbers["convolutions"], 1)
    parity = {name: Estimate.exact(numbers[name]) for name in names[:2]}
    return parity | {"integer_convolutions": Estimate.exact(share)}


def _headline(settings: VerifyStep, results: list[gates.GateResult]) -> dict[str, Any]:
    failed = [f"{r.name} on {r.subset}: {r.detail}" for r in results if not r.passed]
    return {"tier": settings.tier, "passed": not failed, "gates": len(results), "failed": failed}


def _write_verdict(
    folder: Path, settings: VerifyStep, counts: Mapping[str, int], judged: list[str], results: list[gates.GateResult]
) -> None:
    few = {part: n for part, n in counts.items() if n and part not in judged}
    verdict = {
        "tier": settings.tier,
        "passed": all(result.passed for result in results),
        "images": dict(counts),
        "not_judged": {part: f"{n} images, needs {gates.FEWEST_IMAGES}" for part, n in few.items()},
        "gates": [result.as_dict() for result in results],
    }
    write_json(folder / "verdict.json", verdict)


def _write_metrics(
    folder: Path, measured: gates.Measured, details: Mapping[str, float], judges: Judges, seed: int
) -> None:
    metrics = {
        "numbers": {part: {n: e.as_dict() for n, e in estimates.items()} for part, estimates in measured.items()},
        "cost": dict(details),
        "intervals": {
            "method": "percentile bootstrap", "confidence": intervals.CONFIDENCE, "rounds": intervals.ROUNDS
        },
        "seed": seed,
        "backbones": judges.describe(),
        "kid": {"estimator": "unbiased, paired", "kernel": "polynomial, degree 3", "most": distribution.MOST_IMAGES},
    }  # fmt: skip
    write_json(folder / "metrics.json", metrics)


def _write_images(path: Path, images: Table) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["row", *images])
        for row in range(len(images["name"])):
            writer.writerow([row, *(_cell(name, column[row]) for name, column in images.items())])


def _cell(name: str, value: Any) -> str:
    if isinstance(value, bytes):
        return _text(value)
    return gates.PARTS[int(value)] if name == "source" else f"{value:.5g}"


def _text(name: bytes) -> str:
    return bytes(name).decode("utf-8", "replace")


@dataclass(frozen=True)
class _Drawing:
    """What it takes to show an image of the test set again."""

    test: TestSet
    int8: Candidate
    float_: Candidate

    def row(self, row: int, images: Table) -> Row:
        sample = self.test.read([row])
        photo, teacher = sample["photo"][0], sample["image"][0]
        float_, int8 = (bytes_of(c.stylise(sample["photo"]))[0] for c in (self.float_, self.int8))
        psnr, ssim, far, lost = (
            float(images[name][row]) for name in ("psnr_db", "ssim", "perceptual", "identity_delta")
        )
        numbers = f"{psnr:.1f} dB   SSIM {ssim:.3f}   perceptual {far:.3f}   identity {lost:+.3f}"
        caption = f"{_text(sample['name'][0])}   {numbers}"
        return Row([photo, teacher, float_, int8, amplified_difference(int8, teacher)], caption)


def _write_sheets(
    folder: Path, part: str, rows: NDArray[np.int64], images: Table, drawing: _Drawing, seed: int
) -> None:
    """Two sheets: the images with the lowest PSNR, worst first, and as many drawn at random."""
    folder.mkdir(exist_ok=True)
    worst = rows[np.argsort(images["psnr_db"][rows], kind="stable")[:SHEET_ROWS]]
    drawn = np.sort(np.random.default_rng(seed).permutation(rows)[:SHEET_ROWS])
    for kind, chosen in (("worst", worst), ("random", drawn)):
        contact_sheet([drawing.row(int(row), images) for row in chosen], TITLES, folder / f"{kind}-{part}.png")
