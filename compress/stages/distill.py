"""Stage `distill` (also fine-tuning after pruning): a student learns to imitate the stored outputs of the teacher.

From a record (`settings.student`) or from an earlier student (`inputs["student"]`). Writes the averaged weights. Not
covered: the teacher itself, which is never run here, and simulated int8 (stage quantize).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

import students
from compress import networks
from compress.artifact import Artifact
from compress.context import Context
from compress.errors import InputError, StageError
from compress.shards import Shards
from compress.training.loop import (
    Batches,
    Checkpoints,
    Ema,
    autocast,
    cosine,
    require_finite,
    set_learning_rate,
    steps_of,
    supported_precision,
    to_channels_last,
)
from compress.training.losses import Embed, distillation_loss
from compress.training.muon import Muon, groups

if TYPE_CHECKING:
    from compress.recipe import DistillSettings, Loss
    from compress.steps import DistillStep

# The identity loss costs as much as several steps, and its hinge is met early: the last quarter, every eighth step.
IDENTITY_SHARE = 0.25
IDENTITY_EVERY = 8
CHECKED_BATCHES = 4
HEADS = ("core.head",)


def run(
    settings: DistillSettings | DistillStep, inputs: Mapping[str, Artifact], folder: Path, context: Context
) -> dict[str, Any]:
    """Train a student for `settings.images` images and store it in `folder`; resumes from its checkpoint there.

    Raises NonFiniteError when the loss explodes, StageError for a student or targets that do not fit, InputError for
    losses that the student cannot have.
    """
    student = start(settings, inputs, context.seed).to(context.device)
    to_channels_last(student)
    check_weights(student, settings)
    photos, targets = Shards(inputs["inputs"].path), Shards(inputs["targets"].path)
    batches = Batches(photos, targets, settings.batch, context.seed, device=context.device)
    label = "fine-tuning" if "student" in inputs else "distillation"
    training = make_training(student, settings, batches, folder, context.seed)
    numbers = train(training, settings, batches, context, label)
    training.ema.copy_to(student)
    students.save(student, folder)
    still = Batches(photos, targets, settings.batch, context.seed, augment=False, device=context.device)
    numbers["psnr_seen_db"] = psnr(student, still, min(CHECKED_BATCHES, steps_of(len(photos), settings.batch)))
    training.checkpoints.remove()
    return numbers


def start(settings: DistillSettings | DistillStep, inputs: Mapping[str, Artifact], seed: int) -> students.Student:
    """The student to train: a stored one, or fresh weights that follow from the seed."""
    if "student" in inputs:
        try:
            return students.load(inputs["student"].path)
        except ValueError as error:
            raise StageError(str(error)) from error
    described = getattr(settings, "student").model_dump()  # noqa: B009  (only DistillStep has it)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return students.build(students.record_for(**described))


def check_weights(student: students.Student, settings: DistillSettings) -> None:
    """Refuse a recipe whose losses this student cannot have (InputError)."""
    for name in ("flow", "maps"):
        weight = settings.weights.get(name, 0)
        if weight and student.family != "map":
            raise InputError(
                f"weights.{name}: {weight:g} for a student of family {student.family}, which predicts no maps; set 0"
            )


@dataclass(frozen=True)
class Training:
    """What a training changes as it goes: student, adapter of its tap, their optimizer, averaged weights."""

    student: students.Student
    adapter: nn.Module | None
    optimizer: torch.optim.Optimizer
    ema: Ema
    checkpoints: Checkpoints


def make_training(
    student: students.Student, settings: DistillSettings, batches: Batches, folder: Path, seed: int
) -> Training:
    """Optimizer, averaged weights and checkpoints of a student; an adapter if taps weigh."""
    adapter = None
    if settings.weights.get("taps"):
        adapter = make_adapter(student, batches, seed)
    trained = nn.ModuleList([student] if adapter is None else [student, adapter])
    others = [] if adapter is None else [{"params": list(adapter.parameters())}]
    optimizer = Muon(groups(student, HEADS) + others, settings.learning_rate)
    ema = Ema(student, settings.ema)
    return Training(student, adapter, optimizer, ema, Checkpoints(folder, trained, optimizer, ema))


@torch.no_grad()
def make_adapter(student: students.Student, batches: Batches, seed: int) -> nn.Module:
    """A 1x1 convolution from the student's tap to the teacher's; it is trained along and not kept."""
    sample = batches.at(0)
    if sample.tap is None:
        raise InputError("weights.taps: the teacher gives no tap; set it to 0")
    channels = student.eval()(sample.photo[:1]).tap.shape[1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Conv2d(channels, sample.tap.shape[1], 1).to(sample.photo.device)


def train(
    training: Training, settings: DistillSettings, batches: Batches, context: Context, label: str
) -> dict[str, Any]:
    """Run the steps that are left; returns the numbers of the training."""
    steps = steps_of(settings.images, settings.batch)
    done = training.checkpoints.resume()
    embed = load_embed(settings, context.device)
    training.student.train()
    last: dict[str, float] = {}
    with context.progress.task(label, steps * settings.batch, done=done * settings.batch) as task:
        for step, batch in enumerate(batches.iterate(done, steps), done):
            set_learning_rate(training.optimizer, cosine(step, steps, settings.learning_rate))
            with autocast(settings.precision, context.device):
                output = training.student(batch.photo)
            due = embed if identity_due(step, steps) else None
            total, parts = distillation_loss(output, batch, settings.weights, adapter=training.adapter, embed=due)
            loss = require_finite(total, step, label)
            update(training, total, step)
            last = smooth(last, parts)
            training.checkpoints.maybe_save(step + 1)
            task.advance(settings.batch, loss=loss)
        rate = task.rate
    precision = supported_precision(settings.precision, context.device)
    losses = {f"loss_{name}": value for name, value in last.items()}
    return {"steps": steps, "images_per_second": rate, "precision": precision} | losses


def update(training: Training, total: Tensor, step: int) -> None:
    """One step of the optimizer and of the averaged weights."""
    training.optimizer.zero_grad(set_to_none=True)
    total.backward()  # type: ignore[no-untyped-call]  # torch's
    training.optimizer.step()
    training.ema.update(step)


def smooth(last: Mapping[str, float], parts: Mapping[Loss, Tensor], decay: float = 0.98) -> dict[str, float]:
    """Running mean of the losses, about 50 steps long; a loss that is not computed at every step keeps its value."""
    new = {name: float(value) for name, value in parts.items()}
    return {**last, **{name: decay * last.get(name, value) + (1 - decay) * value for name, value in new.items()}}


def load_embed(settings: DistillSettings, device: str) -> Embed | None:
    """The identity network's embedding, frozen; None if identity does not weigh."""
    if not settings.weights.get("identity"):
        return None
    network = networks.identity("sface").to(device).eval().requires_grad_(False)
    return network.embed


def identity_due(step: int, steps: int) -> bool:
    """Whether step number `step` of `steps` computes the identity loss."""
    return step >= (1 - IDENTITY_SHARE) * steps and step % IDENTITY_EVERY == 0


@torch.no_grad()
def psnr(student: nn.Module, batches: Batches, count: int) -> float:
    """PSNR in dB (data range 2), mean over the images of `count` batches; images that were trained on."""
    student.eval()
    values = []
    for batch in batches.iterate(0, count):
        error = (student(batch.photo).image.clamp(-1, 1) - batch.image).square().mean((1, 2, 3))
        values.append(10 * torch.log10(4 / error.clamp(min=1e-10)))
    return float(torch.cat(values).mean())
