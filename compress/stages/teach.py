"""Stage `teach`: train KStyleGAN on rendered pairs, small pictures first, and write its weights.

With photographs (mixed training) each step also sees some, and a discriminator joins late. A killed run goes on from
its checkpoint; the order of the images follows from the seed alone. The result is `teacher.safetensors` (half
precision, averaged weights, architecture in the metadata) and a contact sheet of validation pairs. Does not cover
rendering of the pairs (stage `pairs`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import teachers
from compress.artifact import Artifact
from compress.context import Context
from compress.errors import InputError
from compress.judging.metrics.fidelity import psnr
from compress.recipe import Optimizer, PhaseSettings
from compress.reporting.sheets import Row, contact_sheet
from compress.shards import Shards
from compress.steps import TeachStep
from compress.teaching.curve import Curve
from compress.teaching.mixture import JUDGE_RATE, Drawn, Mixture
from compress.teaching.pairs import PairBatch, PairBatches, styles_in
from compress.teaching.source import quantize_picture
from compress.teaching.tasks import teaching_loss
from compress.teaching.unpaired import UnpairedBatch
from compress.training.loop import Checkpoints, Ema, autocast, cosine, require_finite, steps_of, to_channels_last
from compress.training.muon import Muon, groups

WEIGHTS = "teacher.safetensors"
CLIP_NORM = 1.0
BETAS = (0.9, 0.99)
HEADS = ("geometry.globals", "geometry.dense*", "style.codes", "style.displacement", "render.*.head")
"""Layers that give quantities, not features."""
FLOOR = 0.03
"""Share of the learning rate that is kept at the end: EMA weights go on improving."""
SHEET_PAIRS = 12


def run(settings: TeachStep, inputs: Mapping[str, Artifact], folder: Path, context: Context) -> dict[str, Any]:
    """Train and save the teacher; returns validation numbers. Raises NonFiniteError, InputError for bad `initial`
    weights.
    """
    train, validation = (Shards(inputs["pairs"].path / name) for name in ("train", "validation"))
    torch.manual_seed(context.seed)
    network = initial_network(settings, train).to(context.device)
    to_channels_last(network)
    mixture = None
    if settings.unpaired:
        mixture = Mixture(settings, settings.unpaired, Shards(inputs["photos"].path), network, context)
    trained = nn.ModuleDict({"teacher": network} | (mixture.remembered if mixture else {}))
    optimizer = make_optimizer(trained, settings.optimizer)
    ema = Ema(network, settings.ema)
    checkpoints = Checkpoints(folder, trained, optimizer, ema, seconds=120)
    done = checkpoints.resume()
    taught = optimizer.param_groups[:-1] if "judge" in trained else optimizer.param_groups
    curve = Curve(settings, validation, folder, done)
    total = sum(steps_of(phase.images, phase.batch) for phase in settings.phases)
    with context.progress.task("teach", total, unit="steps", done=done) as task:
        for step, phase, pairs, photographs in lessons(settings.phases, train, context.seed, done, mixture):
            for group in taught:
                group["lr"] = phase.learning_rate * (FLOOR + (1 - FLOOR) * cosine(step, total, 1.0))
            batch = to_device(pairs, context.device)
            with autocast(settings.precision, context.device):
                output = network(batch.photo, batch.style)
            loss, parts = teaching_loss(output, batch, settings.weights, settings.pyramid)
            shown: dict[str, float] = {"picture": parts["picture"], "flow": parts["flow"]}
            drawn = None
            if mixture and photographs:
                mixed = mixture.losses(network, photographs, batch, Drawn(output.image, batch.style), step)
                loss, drawn = loss + mixed.loss, mixed.drawn
                shown |= mixed.parts
            require_finite(loss.detach(), step, "teach")
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(network.parameters(), CLIP_NORM)
            optimizer.step()
            if mixture and drawn is not None:
                shown["judge"] = mixture.teach_judge(optimizer, drawn, Drawn(batch.cartoon, batch.style), step)
            ema.update(step)
            curve.measure(network, ema.state, step + 1)
            checkpoints.maybe_save(step + 1)
            task.advance(1, loss=float(loss.detach()), **shown)
    ema.copy_to(network)
    network.eval()
    images = sum(phase.images for phase in settings.phases)
    numbers = validate(network, validation, settings, folder, context)
    teachers.save(network, folder / WEIGHTS, images=str(images), licence="Apache-2.0")
    checkpoints.remove()
    return numbers | {"images": images, "parameters": sum(p.numel() for p in network.parameters())}


def make_optimizer(trained: nn.ModuleDict, name: Optimizer) -> torch.optim.Optimizer:
    """The optimizer of the teacher and, as its last group, of the judge's heads if there are any."""
    teacher = trained["teacher"]
    every: list[dict[str, Any]] = [{"params": list(teacher.parameters())}]
    if name == "muon":
        every = groups(teacher, HEADS)
    if "judge" in trained:
        heads = list(trained["judge"].parameters())
        every.append({"params": heads, "lr": JUDGE_RATE, "betas": (0.0, 0.99), "weight_decay": 0.0})
    if name == "muon":
        return Muon(every, 1e-3, betas=BETAS)
    return torch.optim.AdamW(every, lr=1e-3, betas=BETAS, weight_decay=1e-4, fused=True)


def initial_network(settings: TeachStep, train: Shards) -> teachers.KStyleGAN:
    """A fresh network, or the one of `settings.initial` with the styles that it lacks; both must fit the pairs."""
    if (drawn := styles_in(train)) != len(settings.styles):
        raise InputError(f"training.pairs.styles: {len(settings.styles)}, but the pairs have {drawn}; render them anew")
    size = max(phase.size for phase in settings.phases)
    record = {"family": "kstylegan", "size": size, "styles": list(settings.styles)}
    record |= settings.architecture.model_dump(mode="json")
    try:
        network = teachers.load(settings.initial).train() if settings.initial else teachers.build(record)
        teachers.add_styles(network, settings.styles)
    except ValueError as error:
        raise InputError(f"training.{'initial' if settings.initial else 'architecture'}: {error}") from error
    network.architecture = replace(network.architecture, size=size)
    known = train.read([0], ["coefficients"])["coefficients"].shape[1]
    if network.architecture.coefficients != known:
        place = f"training.architecture.coefficients: {network.architecture.coefficients}"
        raise InputError(f"{place} is not the {known} that the pairs have; set it to {known}")
    return network


def lessons(
    phases: tuple[PhaseSettings, ...], train: Shards, seed: int, done: int, mixture: Mixture | None = None
) -> Iterator[tuple[int, PhaseSettings, PairBatch, UnpairedBatch | None]]:
    """All (step, phase, pairs, photographs) from step `done` on, phase after phase; both are read ahead by threads."""
    first = 0
    for phase in phases:
        last = first + steps_of(phase.images, phase.batch)
        start = max(done, first)
        pairs = PairBatches(train, phase.size, phase.batch, seed).iterate(start, last)
        photographs = mixture.batches(phase).iterate(start, last) if mixture else repeat(None)
        for step, (batch, unpaired) in enumerate(zip(pairs, photographs), start):
            yield step, phase, batch, unpaired
        first = last


def to_device(batch: PairBatch, device: str) -> PairBatch:
    """The batch with every tensor on `device`."""
    return PairBatch(**{name: value.to(device) for name, value in vars(batch).items()})


@torch.no_grad()
def validate(
    network: teachers.KStyleGAN, validation: Shards, settings: TeachStep, folder: Path, context: Context
) -> dict[str, Any]:
    """Errors on pairs kept apart, against those of the photo itself, by style, and a sheet of all styles."""
    phase = settings.phases[-1]
    batches = PairBatches(validation, phase.size, phase.batch, 0, augment=False)
    steps = len(validation) // phase.batch
    rows: list[Row] = []
    numbers: dict[str, dict[str, float]] = {style: {} for style in settings.styles}
    for step in range(steps):
        columns: list[NDArray[np.uint8]] = []
        for number, sums in enumerate(numbers.values()):
            batch = to_device(batches.at(step, number), context.device)
            output = network(batch.photo, batch.style)
            for name, value in errors(output, batch).items():
                sums[name] = sums.get(name, 0.0) + value / steps
            columns = columns or [quantize_picture(batch.photo)]
            columns += [quantize_picture(output.image), quantize_picture(batch.cartoon)]
        rows += [Row(pictures, f"pair {len(rows) + i}") for i, pictures in enumerate(zip(*columns, strict=True))]
        rows = rows[:SHEET_PAIRS]
    titles = ["photo", *(title for style in settings.styles for title in (f"teacher, {style}", f"cartoon, {style}"))]
    contact_sheet(rows, titles, folder / "validation.png")
    return {"styles": numbers}


def errors(output: teachers.TeacherOutput, batch: PairBatch) -> dict[str, float]:
    """Mean absolute errors in [-1, 1], PSNR, flow in pixels where the photo shows the point, landmarks as a share."""
    image, size = output.image.clamp(-1, 1), batch.photo.shape[-1]
    missed = ((output.maps[:, :2] - batch.flow).square().sum(1, keepdim=True).sqrt() * batch.visible).sum()
    return {
        "l1": float((image - batch.cartoon).abs().mean()),
        "l1_of_photo": float((batch.photo - batch.cartoon).abs().mean()),
        "psnr_db": float(psnr(quantize_picture(image), quantize_picture(batch.cartoon)).mean()),
        "flow_px": float(missed / batch.visible.sum()) * size / 2,
        "landmarks_share": float((output.geometry.landmarks - batch.landmarks).norm(dim=2).mean()) / 2,
    }
