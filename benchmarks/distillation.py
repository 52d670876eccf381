"""A distillation step as the product does it, against the same networks and losses in a plain loop.

The product reads the teacher's outputs from shards (computed once), augments in a thread, and uses channels-last
memory, one fused Adam and one grouped average of the weights. The plain loop is float32 and runs the teacher at every
step. Both take the same random pictures: the time of a step does not depend on what they show. The identity loss is
left out of both; it is rare, and dearer in the plain loop. Steps alternate, so that a busy machine disturbs both alike.

    python benchmarks/distillation.py            # the students' presets, the architecture of the shipped teacher
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

import students
import teachers
from compress.context import Context
from compress.recipe import DistillSettings, Loss
from compress.shards import Shards, ShardWriter
from compress.stages import distill, targets
from compress.teaching.source import Drawn, quantize_picture, to_half
from compress.training.batches import Batch, Batches, to_picture
from compress.training.loop import autocast, to_channels_last
from compress.training.losses import distillation_loss

SIZE, BATCH, SAMPLES, WARM_UP = 128, 16, 64, 2
WEIGHTS: dict[Loss, float] = {"pixel": 10, "haar": 5, "maps": 5, "taps": 0.01}
SETTINGS = DistillSettings(images=1_000_000, batch=BATCH, learning_rate=1e-3, ema=0.998, weights=WEIGHTS)
BOUND = 0.5


def no_identity(images: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """[N, 128] of zeros, for the identity network that the timed steps do not use."""
    return torch.zeros(len(images), 128)


def write_samples(folder: Path, teacher: nn.Module) -> tuple[Shards, Shards]:
    """Random pictures and the teacher's outputs for them, as the stages store them."""
    rng = np.random.default_rng(0)
    with ShardWriter(folder / "inputs") as inputs, ShardWriter(folder / "targets") as outputs:
        for _ in range(SAMPLES // BATCH):
            photos = rng.integers(0, 256, (BATCH, SIZE, SIZE, 3), np.uint8)
            rows = {"photo": photos, "points": rng.uniform(0, SIZE, (BATCH, 5, 2)).astype(np.float32)}
            with torch.no_grad():
                output = teacher(to_picture(photos))
            drawn = Drawn(quantize_picture(output.image), to_half(output.maps), to_half(output.tap))
            for row, sample in enumerate(targets.samples(drawn, no_identity, rows, "cpu")):
                inputs.add({name: value[row] for name, value in rows.items()})
                outputs.add(sample)
    return Shards(folder / "inputs"), Shards(folder / "targets")


def product_step(student: students.Student, batches: Batches, folder: Path) -> Callable[[], object]:
    """The step of stage distill, data included."""
    to_channels_last(student)
    training = distill.make_training(student, SETTINGS, batches, folder, 0)
    stream = enumerate(batches.iterate(0, 1_000_000))
    student.train()

    def step() -> None:
        number, batch = next(stream)
        with autocast(SETTINGS.precision, Context().device):
            output = training.student(batch.photo)
        total, _ = distillation_loss(output, batch, WEIGHTS, adapter=training.adapter)
        distill.update(training, total, number)

    return step


def plain_step(student: students.Student, teacher: nn.Module, batch: Batch) -> Callable[[], object]:
    """The textbook loop: float32, the teacher at every step, the weights averaged one by one; its data is free."""
    channels = student.eval()(batch.photo[:1]).tap.shape[1]
    assert batch.tap is not None, "the shipped teacher offers its tap"
    adapter = nn.Conv2d(channels, batch.tap.shape[1], 1)
    parameters = [*student.train().parameters(), *adapter.parameters()]
    optimizer = torch.optim.Adam(parameters, 1e-3, foreach=False)
    average = {name: value.clone() for name, value in student.state_dict().items()}
    photo = batch.photo.contiguous()

    def step() -> None:
        with torch.no_grad():
            taught = teacher(photo)
        given = {"photo": photo, "image": taught.image.clamp(-1, 1), "maps": taught.maps, "tap": taught.tap}
        total, _ = distillation_loss(student(photo), Batch(**{**vars(batch), **given}), WEIGHTS, adapter=adapter)
        optimizer.zero_grad()
        torch.autograd.backward(total)
        optimizer.step()
        with torch.no_grad():
            for name, value in student.state_dict().items():
                if value.is_floating_point():
                    average[name].lerp_(value, 0.002)

    return step


def seconds(step: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def compare(record: dict[str, object], teacher: nn.Module, shards: tuple[Shards, Shards], rounds: int) -> float:
    """Print both times and return their ratio; medians over `rounds` steps each, taken in turn."""
    batches = Batches(*shards, BATCH, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        ours = product_step(students.build(record), batches, Path(folder))
        plain = plain_step(students.build(record), teacher, batches.at(0))
        times = [(seconds(ours), seconds(plain)) for _ in range(WARM_UP + rounds)][WARM_UP:]
    fast, slow = (statistics.median(column) for column in zip(*times))
    ratio = statistics.median(a / b for a, b in times)
    print(f"  product {fast * 1e3:.0f} ms ({BATCH / fast:.0f} images/s), plain {slow * 1e3:.0f} ms, ratio {ratio:.3f}")
    return ratio


def main() -> int:
    """Returns 1 if a preset's ratio is above the bound."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10, help="timed steps of each loop")
    rounds = parser.parse_args().rounds
    torch.manual_seed(0)
    teacher = teachers.build({"family": "kstylegan", "size": SIZE}).eval()
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        shards = write_samples(Path(folder), teacher)
        for tier in students.TIERS:
            print(f"{tier}: batch {BATCH}, {SIZE} px, {torch.get_num_threads()} threads")
            ratios.append(compare(students.preset(tier), teacher, shards, rounds))
    print(f"worst ratio {max(ratios):.3f}, at most {BOUND} wanted")
    return int(max(ratios) > BOUND)


if __name__ == "__main__":
    raise SystemExit(main())
