"""Students that move the photo against students that redraw it, and what the residual and its loss add: same minutes.

All arms learn from the same stored pictures of the recipe's teacher, on one thread, for the same processor time; how
many images that is was timed before, the arms in turn. `map` is the recipe's student. `no residual` keeps its mask and
residual as they are in a new student, so that flow, gain and bias must do it all; `no components` leaves out the loss
on eyes and mouth; `told gains` asks for the teacher's gain and bias too (loss `maps` instead of `flow`); `Adam` is
trained by Adam alone, not by Muon. `rgb` has the same core, so the same MACs, and draws at the core's resolution; `rgb
large` draws at the photo's, for more MACs. Neither pruning nor quantization: float students are compared. The last row
is no student: maps of the student's size, found for each of the first test pictures by descent, show what maps alone
can hold, with neither residual nor mask.

    python benchmarks/families.py runs [--recipe FILE] [--tier cpu] [--minutes 4] [--seed 0] [--sheet FILE]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import students
from compress import networks
from compress.artifact import Artifact, write_json
from compress.context import Context, Progress
from compress.errors import InputError
from compress.judging.metrics.distribution import kid
from compress.judging.metrics.fidelity import haar_energy, psnr, ssim
from compress.networks.lite0 import EfficientNetLite0
from compress.plan import Plan, plan
from compress.reporting.sheets import Row, contact_sheet
from compress.run import carry_out
from compress.shards import Shards
from compress.shrinking import macs
from compress.stages import distill
from compress.steps import DistillStep
from compress.teaching.source import quantize_picture
from compress.training.batches import Batches, to_picture
from compress.training.loop import Checkpoints, adam, to_channels_last
from compress.training.losses import components_l1, distillation_loss

RECIPE = Path(__file__).parent.parent / "recipes" / "quickstart.yaml"
DATA = ("inputs", "targets", "test-inputs", "test-targets")
ROUNDS, STEPS = 5, 6
"""Of the timing: rounds of all arms, and steps of each in a round."""
BATCH = 32
TOLD = 5
"""Weight of the loss `maps`, which holds a quarter of the loss `flow`."""
FITTED, DESCENT, RATE = 64, 200, 0.02
"""Of the maps that are fitted: pictures, steps, and their rate; the flow's is a tenth of it."""
FIRST_OF_RESIDUAL = 8
"""Raw channels from here on are residual and mask."""
Bytes = NDArray[np.uint8]


def arms(step: DistillStep, size: int) -> dict[str, DistillStep]:
    """The settings of each arm; `size` is the side of the photos."""
    mapless = {name: weight for name, weight in step.weights.items() if name not in ("flow", "maps")}
    told = {**mapless, "maps": TOLD}
    plain = {name: weight for name, weight in step.weights.items() if name != "components"}
    redrawn = step.student.model_copy(update={"family": "rgb"})
    large = redrawn.model_copy(update={"core_resolution": size})
    return {
        "map": step,
        "map, no residual": step,
        "map, no components": step.model_copy(update={"weights": plain}),
        "map, told gains": step.model_copy(update={"weights": told}),
        "map, Adam": step,
        "rgb": step.model_copy(update={"student": redrawn, "weights": mapless}),
        "rgb large": step.model_copy(update={"student": large, "weights": mapless}),
    }


def training_of(name: str, step: DistillStep, batches: Batches, folder: Path, seed: int = 0) -> distill.Training:
    """A new student and all that its training changes."""
    folder.mkdir(parents=True, exist_ok=True)
    student = distill.start(step, {}, seed=seed)
    to_channels_last(student)
    if name == "map, no residual":
        keep_residual_out(student)
    training = distill.make_training(student, step, batches, folder, seed=seed)
    return with_adam(training, step, folder) if name == "map, Adam" else training


def with_adam(training: distill.Training, step: DistillStep, folder: Path) -> distill.Training:
    """The same training with Adam for all weights."""
    trained = nn.ModuleList([network for network in (training.student, training.adapter) if network is not None])
    optimizer = adam(list(trained.parameters()), step.learning_rate)
    checkpoints = Checkpoints(folder, trained, optimizer, training.ema)
    return replace(training, optimizer=optimizer, checkpoints=checkpoints)


def keep_residual_out(student: students.Student) -> None:
    """Mask and residual stay what they are in a new student: 5 % of the smoothed photo, everywhere."""
    student.core.get_submodule("head").register_forward_hook(lambda _, __, raw: without_residual(raw))


def without_residual(raw: torch.Tensor) -> torch.Tensor:
    """Raw channels [N, 12, h, w] of which those of residual and mask are 0, so that they learn nothing either."""
    return torch.cat([raw[:, :FIRST_OF_RESIDUAL], torch.zeros_like(raw[:, FIRST_OF_RESIDUAL:])], dim=1)


def seconds_a_step(settings: Mapping[str, DistillStep], batches: Batches, folder: Path) -> dict[str, float]:
    """Processor seconds of a step of each arm: median of rounds in which all of them take part."""
    found: dict[str, list[float]] = {name: [] for name in settings}
    trainings = {name: training_of(name, step, batches, folder / "timing") for name, step in settings.items()}
    for _ in range(ROUNDS + 1):
        for name, step in settings.items():
            began = time.process_time()
            for number, batch in enumerate(batches.iterate(0, STEPS)):
                training = trainings[name]
                output = training.student(batch.photo)
                loss, _ = distillation_loss(output, batch, step.weights, adapter=training.adapter)
                distill.update(training, loss, number)
            found[name].append((time.process_time() - began) / STEPS)
    return {name: statistics.median(times[1:]) for name, times in found.items()}


@torch.no_grad()
def draw(student: students.Student, photos: Shards) -> Bytes:
    """What the student makes of all photos, uint8 [N, S, S, 3]."""
    parts = []
    for first in range(0, len(photos), BATCH):
        rows = photos.read(range(first, min(first + BATCH, len(photos))), ["photo"])
        parts.append(quantize_picture(student(to_picture(rows["photo"])).image))
    return np.concatenate(parts)


def fitted(photos: Bytes, wanted: Bytes, side: int) -> Bytes:
    """The photos changed by flow, gain and bias `[side, side]` that bring each as near to what is wanted as they can.

    It begins with the photo as it is. Steps decline to none, so that the last ones settle.
    """
    parts = []
    for first in range(0, len(photos), BATCH):
        photo, target = (to_picture(pictures[first : first + BATCH]) for pictures in (photos, wanted))
        flow = torch.zeros(len(photo), 2, side, side, requires_grad=True)
        colour = torch.cat([torch.ones(len(photo), 3, side, side), torch.zeros(len(photo), 3, side, side)], dim=1)
        colour.requires_grad_()
        optimizer = torch.optim.Adam([{"params": [flow], "lr": RATE / 10}, {"params": [colour], "lr": RATE}])
        decline = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, DESCENT)
        for _ in range(DESCENT):
            drawn = students.composite(photo, torch.cat([flow, colour], dim=1))
            optimizer.zero_grad()
            torch.autograd.backward((drawn - target).abs().mean())
            optimizer.step()
            decline.step()
        parts.append(quantize_picture(drawn.detach()))
    return np.concatenate(parts)


@torch.no_grad()
def pooled(pictures: Bytes, features: EfficientNetLite0) -> NDArray[np.float32]:
    """Features by which sets of pictures are compared, ``[N, 1280]``."""
    parts = [pictures[first : first + BATCH] for first in range(0, len(pictures), BATCH)]
    return np.concatenate([features.pooled(to_picture(part)).numpy() for part in parts])


def measured(drawn: Bytes, wanted: Bytes, points: torch.Tensor, features: EfficientNetLite0) -> dict[str, float]:
    """Against the teacher's pictures; `eyes and mouth` is the error in levels of 255 under the loss's windows."""
    apart = to_picture(drawn) - to_picture(wanted)
    return {
        "PSNR, dB": float(psnr(drawn, wanted).mean()),
        "SSIM": float(ssim(drawn, wanted).mean()),
        "Haar energy": float((haar_energy(drawn).sum(1) / haar_energy(wanted).sum(1)).mean()),
        "KID": kid(pooled(drawn, features), pooled(wanted, features), 0).value,
        "eyes and mouth": float(components_l1(apart, points)) * 127.5,
    }


def without_verdict(path: Path, tier: str) -> tuple[Plan, DistillStep]:
    """The part of a recipe's plan that makes pictures, and what its tier's first training is told."""
    whole = plan(path)
    told = {step.name: step.settings for step in whole.steps}.get(f"distill-{tier}")
    if not isinstance(told, DistillStep):
        raise InputError(f"--tier {tier}: {path} has no such tier; name one of its own")
    return replace(whole, steps=tuple(step for step in whole.steps if step.name in DATA)), told


def table(results: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """Markdown lines, one an arm."""
    columns = list(next(iter(results.values())))
    yield "| student | " + " | ".join(columns) + " |"
    yield "|---" * (len(columns) + 1) + "|"
    for name, found in results.items():
        yield f"| {name} | " + " | ".join(f"{found[column]:.4g}" for column in columns) + " |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Train the arms that are missing, one after the other, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, help="folder of the runs; pictures of a finished run of the recipe serve")
    parser.add_argument("--recipe", type=Path, default=RECIPE)
    parser.add_argument("--tier", default="cpu")
    parser.add_argument("--minutes", type=float, default=4.0, help="processor time of each training")
    parser.add_argument("--seed", type=int, default=0, help="of the new students")
    parser.add_argument("--sheet", type=Path, help="PNG of ten test faces in all arms")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    progress = Progress()
    data, step = without_verdict(chosen.recipe, chosen.tier)
    made: Mapping[str, Artifact] = carry_out(data, chosen.runs, progress, device=lambda: "cpu")
    photos, targets, tests, wanted = (Shards(made[name].path) for name in DATA)
    batches = Batches(photos, targets, step.batch, 0)
    folder = chosen.runs / "families"
    everything = tests.read(range(len(tests)), ["photo", "points"])
    pictures = wanted.read(range(len(wanted)), ["image"])["image"]
    points = torch.from_numpy(everything["points"].astype(np.float32))
    settings, features = arms(step, everything["photo"].shape[1]), networks.features()
    costs = seconds_a_step(settings, batches, folder)
    results: dict[str, dict[str, float]] = {}
    columns = [everything["photo"], pictures]
    for name, told in settings.items():
        images = max(1, round(chosen.minutes * 60 / costs[name])) * step.batch
        told = told.model_copy(update={"images": images})
        place = folder / str(chosen.seed) / name.replace(", ", "-").replace(" ", "-")
        training = training_of(name, told, batches, place, chosen.seed)
        distill.train(training, told, batches, Context("cpu", progress, 0), name)
        training.ema.copy_to(training.student)
        student = training.student.eval()
        drawn = draw(student, tests)
        columns.append(drawn)
        side = student.core_resolution
        cost = macs.count(student.core, torch.zeros(1, 3, side, side)).total / 1e6
        results[name] = {"M MACs": cost, "images": images} | measured(drawn, pictures, points, features)
        training.checkpoints.remove()
    first = slice(min(FITTED, len(tests)))
    held = fitted(everything["photo"][first], pictures[first], step.student.core_resolution // 2)
    results["maps fitted"] = {"M MACs": 0, "images": 0} | measured(held, pictures[first], points[first], features)
    write_json(folder / f"results-{chosen.seed}.json", results)
    if chosen.sheet:
        rows = [Row([column[i] for column in columns], f"face {i}") for i in range(min(10, len(tests)))]
        contact_sheet(rows, ["photo", "teacher", *settings], chosen.sheet)
    print("\n".join(table(results)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
