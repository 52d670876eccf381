"""What photographs and the discriminator add to each step of a teacher's training (mixed training).

Holds the judge and how it learns; the loop is in `compress.stages.teach`, the losses are in `teaching.unpaired` and
`teaching.adversarial`. All that is drawn at random follows from (seed, step). Not covered: rendered pairs, and styles
beyond the first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from compress import networks
from compress.context import Context
from compress.recipe import PhaseSettings, TeachStep, UnpairedSettings
from compress.shards import Shards
from compress.teaching.adversarial import Discriminator, augment, balanced, discriminator_loss, generator_loss
from compress.teaching.unpaired import UnpairedBatch, UnpairedBatches, consistency_loss, identity_loss, second_view
from compress.training.loop import autocast, require_finite, steps_of
from teachers import KStyleGAN

JUDGE_RATE = 5e-4


@dataclass(frozen=True)
class Mixed:
    """Weighted `loss`, its `parts` for the log, and what was drawn for the judge ``[M, 3, S, S]``, if it has joined."""

    loss: Tensor
    parts: dict[str, float]
    drawn: Tensor | None


class Mixture:
    """The photographs' side of one training; of `judge`, the discriminator, only the heads learn."""

    def __init__(self, settings: TeachStep, unpaired: UnpairedSettings, photos: Shards, context: Context) -> None:
        self.settings, self.unpaired, self.photos, self.context = settings, unpaired, photos, context
        self.size = max(phase.size for phase in settings.phases)
        self.joins = unpaired.adversarial_from * sum(steps_of(phase.images, phase.batch) for phase in settings.phases)
        self.judge = Discriminator(networks.features(), self.size, 1, context.seed)
        self.judge.to(context.device)
        self.identity = networks.identity().to(context.device)

    def batches(self, phase: PhaseSettings) -> UnpairedBatches:
        """The photographs of a phase."""
        count = max(1, round(phase.batch * self.unpaired.share))
        return UnpairedBatches(self.photos, phase.size, count, self.context.seed)

    def losses(self, network: KStyleGAN, batch: UnpairedBatch, paired: Tensor, step: int) -> Mixed:
        """What `network` draws of photographs, and `paired` ``[N, 3, S, S]``, what it drew of the step's renders.

        The judge is frozen meanwhile. It judges the largest pictures of the training only.
        """
        weights, count = self.unpaired, len(batch.photo)
        generator = self._generator(3, step)
        photo, points = batch.photo.to(self.context.device), batch.points.to(self.context.device)
        again, theta = second_view(photo, generator)
        with autocast(self.settings.precision, self.context.device):
            image = network(torch.cat([photo, again]) if weights.consistency else photo).image
        first, second = image[:count], image[count:]
        loss, parts = paired.new_zeros(()), dict[str, float]()
        if weights.consistency:
            consistency = consistency_loss(first, second, theta)
            loss, parts["consistency"] = loss + weights.consistency * consistency, float(consistency.detach())
        if weights.identity:
            identity = identity_loss(self.identity.embed, photo, first, points)
            loss, parts["identity"] = loss + weights.identity * identity, float(identity.detach())
        if not weights.adversarial or step < self.joins or photo.shape[-1] < self.size:
            return Mixed(loss, parts, None)
        drawn = torch.cat([first, paired])
        self.judge.heads.requires_grad_(False).eval()
        shown = augment(balanced(drawn, weights.adversarial), generator)
        adversarial = generator_loss(self.judge(shown, _first_style(shown)))
        parts["adversarial"] = float(adversarial.detach())
        return Mixed(loss + adversarial, parts, drawn.detach())

    def teach_judge(self, optimizer: Optimizer, drawn: Tensor, real: Tensor, step: int) -> float:
        """One step of the judge's heads on cartoons ``[N, 3, S, S]`` and what was `drawn`; returns the judge's loss.

        `optimizer` may hold other parameters: they have no gradient, so they stay. Raises NonFiniteError.
        """
        self.judge.heads.requires_grad_(True).train()
        generator = self._generator(4, step)
        shown = torch.cat([augment(drawn, generator), augment(real, generator)])
        false, true = self.judge(shown, _first_style(shown)).split([len(drawn), len(real)])
        loss = discriminator_loss(true, false)
        value = require_finite(loss, step, "teach, discriminator")
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimizer.step()
        return value

    def _generator(self, purpose: int, step: int) -> torch.Generator:
        """Purposes 0 to 2 are those of the batches."""
        drawn = np.random.default_rng([self.context.seed, purpose, step]).integers(2**63)
        return torch.Generator().manual_seed(int(drawn))


def _first_style(images: Tensor) -> Tensor:
    return torch.zeros(len(images), dtype=torch.long, device=images.device)
