"""How a teacher's error falls while it trains: the averaged weights, measured on validation pairs at chosen moments.

The measurements stand in `curve.json` beside the checkpoint, so that a killed training keeps them. Nothing is trained
here, and nothing random is drawn. Not covered: the final numbers (`compress.stages.teach`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.func import functional_call

from compress.artifact import write_json
from compress.shards import Shards
from compress.steps import TeachStep
from compress.teaching.pairs import PairBatches
from compress.training.loop import steps_of

FILE = "curve.json"


class Curve:
    """Mean absolute error in [-1, 1] of the first style on all whole validation batches, at the last phase's size.

    `done`: steps from which a killed training goes on; what was measured after them is measured again. `values`: (steps
    done, images seen, error) in their order.
    """

    def __init__(self, settings: TeachStep, validation: Shards, folder: Path, done: int = 0) -> None:
        phase = settings.phases[-1]
        self.batches = PairBatches(validation, phase.size, phase.batch, 0, augment=False)
        self.count = len(validation) // phase.batch
        self.moments = moments(settings)
        self.path = folder / FILE
        stored = json.loads(self.path.read_text(encoding="utf-8")) if done and self.path.exists() else []
        self.values: list[tuple[int, int, float]] = [(step, seen, l1) for step, seen, l1 in stored if step <= done]

    @torch.no_grad()
    def measure(self, network: nn.Module, weights: Mapping[str, Tensor], done: int) -> None:
        """Measure `network` with `weights` after `done` steps, if that is one of the moments."""
        if done not in self.moments:
            return
        device, total = next(iter(weights.values())).device, 0.0
        for step in range(self.count):
            batch = self.batches.at(step)
            image = functional_call(network, dict(weights), (batch.photo.to(device),)).image.clamp(-1, 1)
            total += float((image - batch.cartoon.to(device)).abs().mean())
        self.values.append((done, self.moments[done], total / self.count))
        write_json(self.path, self.values)


def moments(settings: TeachStep) -> dict[int, int]:
    """Steps done -> images seen, each time another `settings.curve` images have been; none if that is 0."""
    found: dict[int, int] = {}
    step = images = 0
    for phase in settings.phases:
        for _ in range(steps_of(phase.images, phase.batch)):
            step, before, images = step + 1, images, images + phase.batch
            if settings.curve and images // settings.curve > before // settings.curve:
                found[step] = images
    return found
