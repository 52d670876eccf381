"""Trains a teacher for each recipe of recipes/ablations and each seed, and tables what every part is worth.

All runs share one set of rendered pairs and one of photographs, see the same images in the same order, and go through
the product's own pipeline, one after the other on one thread; what was finished or begun before is gone on with.
The mixed arms learn from photographs and are left out without `--photos`. On `--portraits`, which no run learned from,
every arm is measured. Spread is half the distance between the least and the greatest of the seeds. No claim is made
beyond this scale: see docs/ablations.md.

    python benchmarks/ablations.py runs --photos portraits/train --portraits portraits/val [--images 20000]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

import teachers
from compress import networks
from compress.artifact import Artifact, write_json, write_text
from compress.context import Context, Progress
from compress.errors import InputError
from compress.judging.metrics.distribution import kid
from compress.judging.metrics.steadiness import MARGIN
from compress.plan import Plan, make_plan
from compress.planning.reading import load
from compress.planning.survey import survey
from compress.recipe import InputSettings, TeacherRecipe
from compress.run import carry_out
from compress.shards import Shards
from compress.shrinking import macs
from compress.stages import inputs, teach
from compress.steps import TeachStep
from compress.teaching import curve
from compress.teaching.pairs import PairBatches
from compress.teaching.source import quantize_picture
from compress.training.batches import to_picture
from compress.training.losses import haar, haar_l1

RECIPES = Path(__file__).parent.parent / "recipes" / "ablations"
BASELINE = "baseline"
FAMILY = "ablations"
PORTRAITS = 96
"""Most portraits measured."""
BATCH = 32
Bytes = NDArray[np.uint8]
Numbers = dict[str, float]
Curve = Sequence[tuple[int, float]]
"""(images seen, error)."""

COLUMNS: dict[str, tuple[str, str]] = {
    "macs": ("M MACs", "{:.1f}"),
    "l1": ("L1", "{:.4f}"),
    "share": ("L1, % of baseline's", "{:.1f}"),
    "eyes": ("L1, eyes first", "{:.4f}"),
    "detail": ("detail error", "{:.4f}"),
    "psnr_db": ("PSNR, dB", "{:.2f}"),
    "flow_px": ("flow, px", "{:.3f}"),
    "turned_px": ("flow of turned heads, px", "{:.3f}"),
    "reaches": ("images to baseline's L1", "{:.0f}"),
    "reached": ("baseline's images to this L1", "{:.0f}"),
    "rank1": ("rank-1", "{:.2f}"),
    "margin": ("identity margin", "{:.3f}"),
    "steadiness": ("unsteadiness", "{:.2f}"),
    "kid": ("KID, share", "{:.2f}"),
    "sharpness": ("sharpness", "{:.2f}"),
}
"""Of the table: name in the results -> heading and format."""


def names(folder: Path = RECIPES) -> list[str]:
    """The arms, the baseline first."""
    return sorted((path.stem for path in folder.glob("*.yaml")), key=lambda name: (name != BASELINE, name))


def planned(path: Path, seed: int, photos: Path | None, images: int = 0) -> Plan | None:
    """The plan of a recipe with another seed, other photographs, and other `images` than its own if they are not 0.

    None if it needs photographs and there are none.
    """
    source = load(path)
    recipe = source.recipe
    if not isinstance(recipe, TeacherRecipe):
        raise InputError(f"{path}: compresses a teacher; ablations train teachers, name such a recipe")
    training = recipe.training
    if training.unpaired is not None:
        if photos is None:
            return None
        unpaired = training.unpaired.model_copy(update={"photos": (str(photos.resolve()),)})
        training = training.model_copy(update={"unpaired": unpaired})
    if images:
        told = sum(phase.images for phase in training.phases)
        phases = [p.model_copy(update={"images": round(p.images * images / told)}) for p in training.phases]
        training = training.model_copy(update={"phases": tuple(phases)})
    recipe = recipe.model_copy(update={"seed": seed, "training": training})
    plan = make_plan(survey(replace(source, recipe=recipe)), path)
    return replace(plan, name=FAMILY)  # one folder for all, so that pairs and photographs are made once


class Judge:
    """Measures trained teachers on portraits, of which at most 96 are used, evenly out of all.

    What does not depend on a teacher is measured once: SFace of the photos, Lite0 of photos and cartoon renders
    ``[N, S, S, 3]``, their Haar energy.
    """

    @torch.no_grad()
    def __init__(self, portraits: Shards, cartoons: Bytes, side: int) -> None:
        chosen = np.unique(np.linspace(0, len(portraits) - 1, PORTRAITS).round().astype(int))
        rows = portraits.read(chosen, ["photo", "points"])
        points = torch.from_numpy(rows["points"].astype(np.float32))
        self.points = points * (side / rows["photo"].shape[1])
        self.photos, cartoons = resized(rows["photo"], side), resized(cartoons, side)
        self.identity, self.features = networks.identity(), networks.features()
        self.own = self.embedded(rows["photo"], points)
        self.count = min(len(self.photos), len(cartoons))
        self.style = self.pooled(cartoons)
        self.distance = kid(self.pooled(self.photos), self.style, 0).value
        self.detail = detail(cartoons)

    def pooled(self, pictures: Bytes) -> NDArray[np.float32]:
        """Features by which sets of pictures are compared, ``[n, 1280]``."""
        parts = [pictures[i : min(i + BATCH, self.count)] for i in range(0, self.count, BATCH)]
        return np.concatenate([self.features.pooled(to_picture(part)).numpy() for part in parts])

    def embedded(self, pictures: Bytes, points: torch.Tensor) -> NDArray[np.float32]:
        """Identities, ``[N, 128]``."""
        parts = [slice(i, i + BATCH) for i in range(0, len(pictures), BATCH)]
        return np.concatenate([self.identity.embed(to_picture(pictures[at]), points[at]).numpy() for at in parts])

    @torch.no_grad()
    def numbers(self, network: teachers.KStyleGAN) -> Numbers:
        """rank1: share of results whose own photo is the likest of all. margin: cosine to the own photo less the mean
        to others'. steadiness: mean change, in levels of 255, between the result of a photo moved by one pixel each
        way and the result moved. kid: to cartoon renders, as a share of the photos' own. sharpness: Haar energy over
        that of cartoon renders.
        """
        results, moved = draw(network, self.photos), draw(network, np.roll(self.photos, (1, 1), (1, 2)))
        cosines = self.embedded(results, self.points) @ self.own.T
        others = cosines[~np.eye(len(cosines), dtype=bool)].reshape(len(cosines), -1)
        edge = max(2, round(self.photos.shape[1] * MARGIN))
        inside = np.s_[:, edge:-edge, edge:-edge]
        apart = moved.astype(np.float64) - np.roll(results, (1, 1), (1, 2))
        return {
            "rank1": float((np.diag(cosines) > others.max(1)).mean()),
            "margin": float((np.diag(cosines) - others.mean(1)).mean()),
            "steadiness": float(np.abs(apart[inside]).mean()),
            "kid": kid(self.pooled(results), self.style, 0).value / self.distance,
            "sharpness": detail(results) / self.detail,
        }


def measured(artifact: Artifact, validation: Shards, judge: Judge | None) -> Numbers:
    """What a trained teacher is worth, on validation pairs and, by the judge, on portraits."""
    (numbers,) = artifact.manifest["numbers"]["styles"].values()
    network = teachers.load(artifact.path / teach.WEIGHTS)
    found = {name: float(numbers[name]) for name in ("l1", "psnr_db", "flow_px")}
    if judge is not None:
        found |= judge.numbers(network)
    side = network.architecture.size
    found |= where_parts_differ(network, PairBatches(validation, side, BATCH, 0, augment=False))
    return found | {"macs": macs.count(network.fuse(), torch.zeros(1, 3, side, side)).total / 1e6}


@torch.no_grad()
def where_parts_differ(network: teachers.KStyleGAN, pairs: PairBatches) -> Numbers:
    """Unlike in the tone of large areas; of all whole batches.

    eyes: the L1 weighted as in the training, eyes over face over the rest. detail: L1 of two levels of Haar bands.
    turned_px: error of the flow in pixels, of the third of the heads that is turned the most.
    """
    eyes, detailed, missed, facing = [], [], [], []
    for step in range(len(pairs.pairs) // pairs.batch):
        batch = pairs.at(step)
        output = network(batch.photo)
        apart = output.image.clamp(-1, 1) - batch.cartoon
        eyes.append(float((apart.abs() * batch.weight).sum() / (3 * batch.weight.sum())))
        detailed.append(float(haar_l1(apart, levels=2)))
        error = (output.maps[:, :2] - batch.flow).norm(dim=1, keepdim=True) * batch.visible
        missed += (error.sum((1, 2, 3)) / batch.visible.sum((1, 2, 3)) * pairs.size / 2).tolist()
        facing += batch.rotation[:, 2, 2].tolist()  # cosine of the turn
    turned = np.argsort(facing)[: len(facing) // 3]
    return {
        "eyes": float(np.mean(eyes)),
        "detail": float(np.mean(detailed)),
        "turned_px": float(np.mean(np.array(missed)[turned])),
    }


def draw(network: teachers.KStyleGAN, photos: Bytes) -> Bytes:
    """What the network makes of photos, both uint8 ``[N, H, W, 3]``."""
    parts = [network(to_picture(photos[i : i + BATCH])).image for i in range(0, len(photos), BATCH)]
    return quantize_picture(torch.cat(parts))


def resized(pictures: Bytes, side: int) -> Bytes:
    """uint8 ``[N, H, W, 3]`` at ``side`` pixels, by areas."""
    return np.stack([cv2.resize(p, (side, side), interpolation=cv2.INTER_AREA) for p in pictures])


def detail(pictures: Bytes) -> float:
    """Root mean square of the finest Haar bands of uint8 ``[N, H, W, 3]``."""
    return float(torch.stack(haar(to_picture(pictures))[1]).square().mean().sqrt())


def images_to(points: Curve, wanted: float) -> float:
    """Images after which the error is `wanted` for the first time, between measurements linearly; infinite if never."""
    if points and points[0][1] <= wanted:
        return points[0][0]
    for (images, error), (later, lower) in pairwise(points):
        if lower <= wanted:
            return images + (later - images) * (error - wanted) / (error - lower)
    return float("inf")


def compared(results: Mapping[str, Mapping[str, Any]], seed: str) -> dict[str, Numbers]:
    """The results of one seed beside its baseline: {arm: numbers}."""
    arms = {name: by_seed[seed] for name, by_seed in results.items() if seed in by_seed}
    base = arms[BASELINE]
    compared: dict[str, Numbers] = {}
    for name, found in arms.items():
        numbers: Numbers = {key: value for key, value in found.items() if key not in ("curve", "of")}
        numbers["share"] = 100 * found["l1"] / base["l1"]
        numbers["reaches"] = images_to(found["curve"], base["curve"][-1][1])
        numbers["reached"] = images_to(base["curve"], found["curve"][-1][1])
        compared[name] = numbers
    return compared


def table(results: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Markdown lines: mean and spread over the seeds that both the arm and the baseline have."""
    seeds = sorted(results.get(BASELINE, {}))
    rows = [compared(results, seed) for seed in seeds]
    shown = [name for name in COLUMNS if any(name in numbers for row in rows for numbers in row.values())]
    yield "| arm | seeds | " + " | ".join(COLUMNS[name][0] for name in shown) + " |"
    yield "|---" * (len(shown) + 2) + "|"
    for arm in sorted(results, key=lambda name: (name != BASELINE, name)):
        found = [row[arm] for row in rows if arm in row]
        cells = [cell([n[name] for n in found if name in n], COLUMNS[name][1]) for name in shown]
        yield f"| {arm} | {len(found)} | " + " | ".join(cells) + " |"


def cell(values: Sequence[float], form: str) -> str:
    """`mean ± half the range`; a single number alone; `-` for none, and for what was not reached by every seed."""
    if not values or not np.isfinite(values).all():
        return "-"
    half = (max(values) - min(values)) / 2
    text = form.format(np.mean(values))
    return f"{text} ± {form.format(half)}" if half else text


def judge_of(folder: Path | None, plan: Plan, pairs: Path, runs: Path, progress: Progress) -> Judge | None:
    """The judge with its portraits, found and aligned once at the size of the pairs; None without a folder."""
    if folder is None:
        return None
    validation, made = Shards(pairs / "validation"), runs / FAMILY / "portraits"
    cartoons = validation.read(range(len(validation)), ["cartoon"])["cartoon"][:, 0]
    if not (made / "index.json").is_file():
        settings = InputSettings(size=cartoons.shape[1], rendered=0, rendered_seed=0, photos=(str(folder.resolve()),))
        inputs.run(settings, {}, made, Context(progress=progress))
    step = plan.steps[-1].settings
    assert isinstance(step, TeachStep), "the training is the last step"
    return Judge(Shards(made), cartoons, step.phases[-1].size)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing and print the table; it and all numbers are stored in the folder of the runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, help="folder of the runs")
    parser.add_argument("--photos", type=Path, help="folder of photographs to learn from; without it no mixed arms")
    parser.add_argument("--portraits", type=Path, help="folder of other photographs to measure on")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--images", type=int, default=0, help="of each training, instead of what its recipe says")
    parser.add_argument("--recipes", type=Path, default=RECIPES)
    parser.add_argument("--only", nargs="*", default=[], metavar="ARM", help="besides the baseline; all without it")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    progress = Progress()
    arms = [name for name in names(chosen.recipes) if name in (BASELINE, *(chosen.only or names(chosen.recipes)))]
    stored = chosen.runs / FAMILY / "results.json"
    results: dict[str, dict[str, Any]] = json.loads(stored.read_text(encoding="utf-8")) if stored.is_file() else {}
    judge: Judge | None = None
    for seed in range(chosen.seeds):
        for arm in arms:
            plan = planned(chosen.recipes / f"{arm}.yaml", seed, chosen.photos, chosen.images)
            if plan is None:
                progress.log(f"{arm}: left out, it learns from photographs and no folder was given (--photos)")
                continue
            progress.log(f"{arm}, seed {seed}")
            made = carry_out(plan, chosen.runs, progress, device=lambda: "cpu")
            judge = judge or judge_of(chosen.portraits, plan, made["pairs"].path, chosen.runs, progress)
            points = json.loads((made["teach"].path / curve.FILE).read_text(encoding="utf-8"))
            known = results.setdefault(arm, {}).get(str(seed), {})
            validation = Shards(made["pairs"].path / "validation")
            of = [made["teach"].manifest["key"], len(judge.photos) if judge else 0]
            if known.get("of") != of:
                known = {**measured(made["teach"], validation, judge), "curve": [row[1:] for row in points], "of": of}
            results[arm][str(seed)] = known
            write_json(stored, results)
            lines = list(table(results))
            write_text(stored.with_suffix(".md"), "\n".join(lines) + "\n")
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
