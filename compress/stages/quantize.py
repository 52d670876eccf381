"""Stage `quantize`: calibrate a student to 8 bits, train it on with simulated rounding, keep what is better.

Calibration and training never see the held-out part of the inputs, on which both candidates are compared with the
teacher. Not covered: adversarial losses (they fight the grid), and the ONNX file (stage `export`).
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

import students
from compress import networks
from compress.artifact import Artifact
from compress.context import Context
from compress.errors import InputError, StageError
from compress.shards import Sample, Shards
from compress.shrinking.quantization import (
    constrain_ranges,
    count_norms,
    freeze_ranges,
    quantize,
    quantizers,
    round_biases,
    save,
)
from compress.training.batches import to_picture
from compress.training.loop import (
    CHECKPOINT,
    Batches,
    Checkpoints,
    adam,
    cosine,
    require_finite,
    set_learning_rate,
    steps_of,
)
from compress.training.losses import distillation_loss

if TYPE_CHECKING:
    from compress.recipe import QuantizeSettings

LABEL = "int8 training"
HELD_OUT = 64
HELD_OUT_SHARE = 0.2
CHUNK = 16
# The identity loss of one picture costs as much as a step of a small student.
IDENTITY_EVERY = 8
ADAPTER_BATCHES = 4


class Part(Shards):
    """Some of the samples of a folder of shards, numbered anew from 0."""

    def __init__(self, folder: Path, chosen: NDArray[np.int64]) -> None:
        super().__init__(folder)
        self._whole, self._chosen = Shards(folder), chosen

    def __len__(self) -> int:
        return len(self._chosen)

    def read(self, indices: Any, fields: Iterable[str] | None = None) -> Sample:
        """Rows `indices` of the part, as `Shards.read`."""
        return self._whole.read(self._chosen[np.asarray(indices, dtype=np.int64)], fields)


def hold_out(count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices to learn from and indices to judge by: at most HELD_OUT and a fifth, evenly spread. At least 2 samples.

    Raises InputError for fewer.
    """
    if count < 2:
        raise InputError(f"inputs: {count} images are too few to hold some out; raise inputs.rendered")
    held = np.unique(np.linspace(0, count - 1, max(1, min(HELD_OUT, int(HELD_OUT_SHARE * count)))).astype(np.int64))
    return np.setdiff1d(np.arange(count), held), held


def run(settings: QuantizeSettings, inputs: Mapping[str, Artifact], folder: Path, context: Context) -> dict[str, Any]:
    """Write the quantized student, after calibration alone or with training, whichever is nearer to the teacher.

    Resumes a training from its checkpoint. Raises NonFiniteError when the loss explodes, StageError for a student that
    cannot be quantized.
    """
    try:
        student = students.load(inputs["student"].path)
    except ValueError as error:
        raise StageError(str(error)) from error
    learned, judged = hold_out(len(Shards(inputs["inputs"].path)))
    photos, targets = Part(inputs["inputs"].path, learned), Part(inputs["targets"].path, learned)
    held_out = read_held_out(inputs, judged)
    calibrated = copy.deepcopy(student)
    with context.progress.task("calibration", settings.calibration_images) as task:
        calibrated.core = quantize(student.core, calibration_pictures(photos, settings.calibration_images, student))
        task.advance(settings.calibration_images)
    numbers: dict[str, Any] = {
        "fused_norms": count_norms(student.core),
        "quantizers": len(quantizers(calibrated.core)),
        "float_psnr_db": psnr(student, *held_out),
        "ptq_psnr_db": psnr(calibrated, *held_out),
        "kept": "ptq",
    }
    kept = calibrated
    if settings.images:
        trained = copy.deepcopy(calibrated).to(context.device)
        batches = Batches(photos, targets, settings.batch, context.seed, device=context.device)
        numbers |= train(trained, settings, batches, folder, context)
        round_biases(trained.cpu().core, students.downsample(held_out[0][:1], student.core_resolution))
        numbers["qat_psnr_db"] = psnr(trained, *held_out)
        if numbers["qat_psnr_db"] > numbers["ptq_psnr_db"]:
            kept, numbers["kept"] = trained, "qat"
    save(kept.eval(), folder)
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return numbers


def read_held_out(inputs: Mapping[str, Artifact], judged: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    """Photos to judge by and the teacher's results: two [N, 3, S, S] float32 in [-1, 1]."""
    photo = Shards(inputs["inputs"].path).read(judged, ("photo",))["photo"]
    image = Shards(inputs["targets"].path).read(judged, ("image",))["image"]
    return to_picture(photo), to_picture(image)


def calibration_pictures(photos: Shards, count: int, student: students.Student) -> Tensor:
    """What the core sees of `count` photos (or of all), evenly spread over the inputs: [N, 3, r, r] float32."""
    chosen = np.linspace(0, len(photos) - 1, min(count, len(photos))).astype(np.int64)
    chunks = [photos.read(part, ("photo",))["photo"] for part in np.array_split(chosen, -(-len(chosen) // CHUNK))]
    return torch.cat([students.downsample(to_picture(chunk), student.core_resolution) for chunk in chunks])


def train(
    student: students.Student, settings: QuantizeSettings, batches: Batches, folder: Path, context: Context
) -> dict[str, Any]:
    """Train a student with a quantized core on the composited picture; its ranges stand still in the second part.

    Resumes from the folder's checkpoint; returns the numbers of the training.
    """
    steps = steps_of(settings.images, settings.batch)
    adapter = fit_adapter(student, batches) if settings.weights.get("taps") else None
    embed = networks.identity("sface").to(context.device).eval().embed if settings.weights.get("identity") else None
    optimizer = adam(list(student.parameters()), settings.learning_rate)
    checkpoints = Checkpoints(folder, student, optimizer, None)
    done = checkpoints.resume()
    student.train()
    with context.progress.task(LABEL, steps * settings.batch, done=done * settings.batch) as task:
        for step, batch in enumerate(batches.iterate(done, steps), done):
            if step >= settings.freeze_ranges_at * steps:
                freeze_ranges(student.core)
            set_learning_rate(optimizer, cosine(step, steps, settings.learning_rate))
            due = embed if step % IDENTITY_EVERY == 0 else None
            total, _ = distillation_loss(student(batch.photo), batch, settings.weights, adapter=adapter, embed=due)
            loss = require_finite(total, step, LABEL)
            optimizer.zero_grad(set_to_none=True)
            total.backward()  # type: ignore[no-untyped-call]  # torch's
            optimizer.step()
            constrain_ranges(student.core)
            checkpoints.maybe_save(step + 1)
            task.advance(settings.batch, loss=loss)
        rate = task.rate
    return {"steps": steps, "images_per_second": rate}


@torch.no_grad()
def fit_adapter(student: students.Student, batches: Batches) -> nn.Module:
    """The 1x1 convolution from the student's tap to the teacher's that fits best (least squares), frozen.

    The student arrives trained, so nothing is gained by learning the adapter along at a small rate.
    """
    rows, results = [], []
    for batch in batches.iterate(0, ADAPTER_BATCHES):
        if batch.tap is None:
            raise InputError("weights.taps: the teacher gives no tap; set it to 0")
        tap = student.eval()(batch.photo).tap
        target = F.interpolate(batch.tap, size=tap.shape[-2:], mode="bilinear", align_corners=False)
        rows.append(F.pad(tap.movedim(1, -1).flatten(0, 2), (0, 1), value=1.0).cpu().double())
        results.append(target.movedim(1, -1).flatten(0, 2).cpu().double())
    # Dead channels make the problem rank-deficient, which only this driver takes.
    solution = torch.linalg.lstsq(torch.cat(rows), torch.cat(results), driver="gelsd").solution.float()
    adapter = nn.Conv2d(solution.shape[0] - 1, solution.shape[1], 1)
    adapter.weight.copy_(solution[:-1].T[:, :, None, None])
    assert adapter.bias is not None
    adapter.bias.copy_(solution[-1])
    return adapter.requires_grad_(False).to(batch.photo.device)


@torch.no_grad()
def psnr(student: nn.Module, photo: Tensor, image: Tensor) -> float:
    """PSNR in dB (data range 2) of a student's pictures of `photo` to the teacher's `image`, mean over the pictures."""
    student.eval()
    errors = [
        (student(photo[first : first + CHUNK]).image.clamp(-1, 1) - image[first : first + CHUNK])
        .square()
        .mean((1, 2, 3))
        for first in range(0, len(photo), CHUNK)
    ]
    return float((10 * torch.log10(4 / torch.cat(errors).clamp(min=1e-10))).mean())
