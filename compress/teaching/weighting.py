"""How much each pixel of a cartoon counts in a teacher's training: what people look at, and what the photo hides.

Eyes, lids and teeth are a few pixels that make the character; a plain mean error would give them up for cheeks and
background. Does not cover weights between losses, which a recipe sets.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from compress.faces.materials import LABELS

PARTS = {
    "skin": 1.6, "lips": 2.5, "brow": 2.0, "eye": 4.0, "lash": 4.0, "teeth": 3.0, "tongue": 2.0, "glasses": 1.5,
}  # fmt: skip
ELSEWHERE = 0.7
HIDDEN = 1.6
"""Factor where a point of the head is in the cartoon and not in the photo: opened lids, teeth, uncovered skin."""
DARK_SKIN, DARKEST = 0.5, 1.8
"""Mean sRGB value of the cartoon's skin below which it counts more, in inverse proportion, and the largest factor: a
step of a dark colour is the larger change to the eye.
"""
_TABLE = torch.full((256,), ELSEWHERE)
for _name, _weight in PARTS.items():
    _TABLE[LABELS[_name]] = _weight


def pixel_weights(cartoon: Tensor, labels: np.ndarray, visible: np.ndarray) -> Tensor:
    """Weights ``[N, 1, S, S]`` for cartoons ``[N, 3, S, S]`` in [-1, 1] with labels and visible uint8 ``[N, S, S]``."""
    label = torch.from_numpy(labels.astype(np.int64))[:, None]
    weight = _TABLE[label]
    skin = (label == LABELS["skin"]).float()
    brightness = ((cartoon + 1) / 2 * skin).sum((1, 2, 3)) / (3 * skin.sum((1, 2, 3))).clamp_min(1)
    factor = (DARK_SKIN / brightness.clamp_min(1e-3)).clamp(1, DARKEST)
    weight = torch.where(skin > 0, weight * factor[:, None, None, None], weight)
    hidden = torch.from_numpy(visible == 0)[:, None] & (label != LABELS["background"])
    return torch.where(hidden, weight * HIDDEN, weight)
