"""What photographs and the discriminator add to each step of a teacher's training (mixed training).

Holds the judge and how it learns; the loop is in `compress.stages.teach`, the losses are in `teaching.unpaired` and
`teaching.adversarial`. All that is drawn at random follows from (seed, step). Not covered: rendered pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

import teachers
from compress import networks
from compress.context import Context
from compress.errors import InputError
from compress.recipe import PhaseSettings, UnpairedSettings
from compress.shards import Shards
from compress.steps import TeachStep
from compress.teaching.adversarial import Discriminator, augment, balanced, discriminator_loss, generator_loss
from compress.teaching.moments import Moments, described
from compress.teaching.painting import Painter
from compress.teaching.pairs import PairBatch
from compress.teaching.restraint import Tints, eyes_of, new_lines
from compress.teaching.unpaired import (
    UnpairedBatch,
    UnpairedBatches,
    consistency_loss,
    contrast_loss,
    features_set_apart,
    identity_loss,
    second_view,
)
from compress.training.loop import autocast, require_finite, steps_of
from compress.training.losses import haar_l1
from teachers import KStyleGAN

JUDGE_RATE = 5e-4


@dataclass(frozen=True)
class Drawn:
    """Pictures ``[M, 3, S, S]`` and the style int64 ``[M]`` of each."""

    image: Tensor
    style: Tensor


@dataclass(frozen=True)
class Mixed:
    """Weighted `loss`, its `parts` for the log, and what was drawn for the judge, if it has joined."""

    loss: Tensor
    parts: dict[str, float]
    drawn: Drawn | None


def painter_of(unpaired: UnpairedSettings, initial: KStyleGAN, context: Context) -> Painter:
    """The painter of a training that starts from `initial`. Raises InputError for weights that cannot be read."""
    try:
        return Painter(teachers.load(unpaired.painter) if unpaired.painter else initial).to(context.device)
    except ValueError as error:
        raise InputError(f"training.unpaired.painter: {error}") from error


class Mixture:
    """The photographs' side of one training; of `judge`, the discriminator, only `learned` learns.

    `initial` is the network that the training starts from, before it has learned anything.
    """

    def __init__(
        self, settings: TeachStep, unpaired: UnpairedSettings, photos: Shards, initial: KStyleGAN, context: Context
    ) -> None:
        self.settings, self.unpaired, self.photos, self.context = settings, unpaired, photos, context
        self.size = max(phase.size for phase in settings.phases)
        self.joins = unpaired.adversarial_from * sum(steps_of(phase.images, phase.batch) for phase in settings.phases)
        self.features = networks.features().to(context.device)
        self.moments = Moments(len(settings.styles)).to(context.device)
        self.tints = Tints(len(settings.styles)).to(context.device)
        features = self.features if unpaired.discriminator == "pretrained" else None
        self.judge = Discriminator(features, self.size, len(settings.styles), context.seed)
        self.judge.to(context.device)
        self.painter = painter_of(unpaired, initial, context) if unpaired.painted else None
        self.identity = networks.identity().to(context.device)

    @property
    def remembered(self) -> dict[str, nn.Module]:
        """What a checkpoint must hold: what learns, and running averages."""
        return {"judge": self.judge.learned, "moments": self.moments, "tints": self.tints}

    def batches(self, phase: PhaseSettings) -> UnpairedBatches:
        """The photographs of a phase."""
        count = max(1, round(phase.batch * self.unpaired.share))
        return UnpairedBatches(self.photos, phase.size, count, self.context.seed, len(self.settings.styles))

    def losses(self, network: KStyleGAN, batch: UnpairedBatch, pairs: PairBatch, paired: Drawn, step: int) -> Mixed:
        """What `network` draws of photographs, and `paired`, what it drew of the step's `pairs`, are worth.

        The judge is frozen meanwhile. It judges the largest pictures of the training only.
        """
        weights, count = self.unpaired, len(batch.photo)
        generator = self._generator(3, step)
        photo, points = batch.photo.to(self.context.device), batch.points.to(self.context.device)
        style = batch.style.to(self.context.device)
        again, theta = second_view(photo, generator)
        with autocast(self.settings.precision, self.context.device):
            both = (torch.cat([photo, again]), style.repeat(2)) if weights.consistency else (photo, style)
            output = network(*both)
            target = self.painter(photo, style) if self.painter else None
        first, second = output.image[:count], output.image[count:]
        flow = output.maps[:count, :2].detach()
        loss, parts = first.new_zeros(()), dict[str, float]()
        if weights.consistency:
            consistency = consistency_loss(first, second, theta)
            loss, parts["consistency"] = loss + weights.consistency * consistency, float(consistency.detach())
        if weights.contrast:
            contrast = contrast_loss(photo, first, pairs.photo, pairs.cartoon)
            loss, parts["contrast"] = loss + weights.contrast * contrast, float(contrast.detach())
        if target is not None:
            difference = (1 - eyes_of(points, photo.shape[-1])) * (first - target)
            apart = difference.abs().mean() + haar_l1(difference)
            loss, parts["painted"] = loss + weights.painted * apart, float(apart.detach())
        if weights.tint:
            self.tints.remember(pairs)
            tint = self.tints(photo, flow, first, style)
            loss, parts["tint"] = loss + weights.tint * tint, float(tint.detach())
        if weights.lines:
            lines = new_lines(photo, flow, first, points).mean()
            loss, parts["lines"] = loss + weights.lines * lines, float(lines.detach())
        judged = features_set_apart(first, points)
        if weights.moments:
            with torch.no_grad():
                wanted = described(self.features, pairs.cartoon)
            found = described(self.features, torch.cat([judged, paired.image]))
            apart = self.moments(found[:count], style, wanted, pairs.style)
            apart = apart + self.moments.apart(found[count:], wanted, pairs.style)
            loss, parts["moments"] = loss + weights.moments * apart, float(apart.detach())
        if weights.identity:
            identity = identity_loss(self.identity.embed, photo, first, points)
            loss, parts["identity"] = loss + weights.identity * identity, float(identity.detach())
        if not weights.adversarial or step < self.joins or photo.shape[-1] < self.size:
            return Mixed(loss, parts, None)
        drawn = Drawn(torch.cat([judged, paired.image]), torch.cat([style, paired.style]))
        self.judge.learned.requires_grad_(False).eval()
        shown = augment(balanced(drawn.image, weights.adversarial), generator)
        adversarial = generator_loss(self.judge(shown, drawn.style))
        parts["adversarial"] = float(adversarial.detach())
        return Mixed(loss + adversarial, parts, Drawn(drawn.image.detach(), drawn.style))

    def teach_judge(self, optimizer: Optimizer, drawn: Drawn, real: Drawn, step: int) -> float:
        """One step of the judge's heads on cartoons, `real`, and what was `drawn`; returns the judge's loss.

        `optimizer` may hold other parameters: they have no gradient, so they stay. Raises NonFiniteError.
        """
        self.judge.learned.requires_grad_(True).train()
        generator = self._generator(4, step)
        shown = torch.cat([augment(drawn.image, generator), augment(real.image, generator)])
        logits = self.judge(shown, torch.cat([drawn.style, real.style]))
        false, true = logits.split([len(drawn.style), len(real.style)])
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
