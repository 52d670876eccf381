"""What photographs and the discriminator add to each step of a teacher's training (mixed training).

Holds the judge and the photographs' batches; the loop is in `compress.stages.teach`, the losses in `compress.unpaired`
and `compress.adversarial`. Not covered: rendered pairs.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim import Optimizer

from compress import networks
from compress.adversarial import Discriminator, augment, discriminator_loss, generator_loss
from compress.context import Context
from compress.recipe import PhaseSettings, TeachStep
from compress.shards import Shards
from compress.training import autocast, require_finite
from compress.unpaired import UnpairedBatches, consistency_loss, identity_loss, second_view
from teachers import KStyleGAN

JUDGE_RATE = 5e-4


class Mixture:
    """The photographs' side of one training; `judge` is the discriminator, trained here too."""

    def __init__(self, settings: TeachStep, photos: Shards, context: Context) -> None:
        """Raises ValueError if `settings` has no mixed training."""
        if settings.unpaired is None:
            raise ValueError("mixed training without its settings")
        self.settings, self.unpaired = settings, settings.unpaired
        self.photos, self.context = photos, context
        self.size = settings.phases[-1].size
        self.judge = Discriminator(networks.features(), self.size, settings.architecture.styles, context.seed)
        self.judge.to(context.device)
        self.identity = networks.identity().to(context.device)
        self._drawn: list[Tensor] = []

    def losses(
        self, network: KStyleGAN, phase: PhaseSettings, step: int, total: int, paired: Tensor
    ) -> tuple[Tensor, dict[str, float]]:
        """Weighted loss on the photographs of `step`, and on `paired` ``[N, 3, S, S]``, what was drawn of the renders.

        Also the parts of it, by name. What was drawn is kept for `teach_judge` of the same step.
        """
        count = max(1, round(phase.batch * self.unpaired.share))
        batch = UnpairedBatches(self.photos, phase.size, count, self.context.seed).at(step)
        generator = torch.Generator().manual_seed(self.context.seed * 1_000_003 + step)
        photo = batch.photo.to(self.context.device)
        again, theta = second_view(photo, generator)
        with autocast(self.settings.precision, self.context.device):
            both = network(torch.cat([photo, again])).image
        first, second = both[:count], both[count:]
        points = batch.points.to(self.context.device)
        parts = {
            "consistency": self.unpaired.consistency * consistency_loss(first, second, theta),
            "identity": self.unpaired.identity * identity_loss(self.identity.embed, photo, first, points),
        }
        self._drawn = []
        if phase.size == self.size and step >= self.unpaired.adversarial_from * total and self.unpaired.adversarial:
            self._drawn = [first, paired]
            drawn = augment(torch.cat(self._drawn), generator)
            parts["adversarial"] = self.unpaired.adversarial * generator_loss(self.judge(drawn, _first_style(drawn)))
        return torch.stack(list(parts.values())).sum(), {name: float(part.detach()) for name, part in parts.items()}

    def teach_judge(self, optimizer: Optimizer, real: Tensor, step: int) -> dict[str, float]:
        """One step of the judge on cartoons ``[N, 3, S, S]`` and what was drawn; its loss, or nothing before it joins.

        The judge is the last group of `optimizer`; no other parameter moves, for none has a gradient.
        """
        if not self._drawn:
            return {}
        optimizer.param_groups[-1]["lr"] = JUDGE_RATE
        generator = torch.Generator().manual_seed(self.context.seed * 1_000_003 + step + 1)
        false = torch.cat(self._drawn).detach()
        self._drawn = []
        false, real = augment(false, generator), augment(real, generator)
        logits = self.judge(torch.cat([false, real]), _first_style(torch.cat([false, real])))
        loss = discriminator_loss(logits[len(false) :], logits[: len(false)])
        require_finite(loss.detach(), step, "teach, discriminator")
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimizer.step()
        return {"judge": float(loss.detach())}


def _first_style(images: Tensor) -> Tensor:
    return torch.zeros(len(images), dtype=torch.long, device=images.device)
