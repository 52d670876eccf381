"""A teacher of one's own: any function or torch module that takes photos and gives pictures. See docs/teachers.md."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Poster(nn.Module):
    """Smooths a photo and raises its contrast: [N, 3, S, S] in 0..1 to pictures of the same shape, and features."""

    def forward(self, photo: Tensor) -> dict[str, Tensor]:
        smooth = F.avg_pool2d(photo, 5, stride=1, padding=2, count_include_pad=False)
        features = torch.cat([smooth, photo - smooth], dim=1)[:, :, ::8, ::8]
        return {"image": torch.sigmoid(6 * (smooth - 0.5)), "features": features}


def make() -> nn.Module:
    """The factory that the recipe names; a real one would load its weights here."""
    return Poster()
