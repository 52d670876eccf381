"""What a training sees of a rendered pair: which part, from how near, mirrored or not, in which light and how sharp.

Pictures and ground truth go through the same window; colour and sensor faults act on the photo, exposure as much on the
cartoon and casts half as much. Does not cover what becomes of flow and landmarks (`teaching.pairs`).
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

ZOOM = (0.82, 1.12)
SHIFT = 0.08
NOISE = 0.02
"""Largest sensor noise; more teaches the network to take every texture for noise and to smear it."""
BLUR_SHARE = 0.15
TINT, EXPOSURE, CONTRAST = 0.08, 0.14, 0.12
"""Standard deviations of the logarithms."""
CLOSE_SHARE = 0.4
"""Of the pictures of a small phase, those that show part of a face with the pixels that the whole has when it is large:
small pictures are cheap, and in them an eye would be three pixels wide.
"""
CLOSE = 1.3
"""Source pixels a pixel at most in such a picture; more would need smoothing first."""


def draw_views(
    count: int, rng: np.random.Generator | None, reduction: float = 1.0, points: NDArray[np.float32] | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Scale ``[N]`` (above 1 shows more than the frame), mirror ``[N]`` (-1 or 1) and shift ``[N, 2]`` of the
    augmentation.

    `reduction`: source pixels a pixel of the whole frame; above 1.5 some views are close ones, about one of `points`
    ``[N, P, 2]`` in [-1, 1].
    """
    if rng is None:
        return torch.ones(count), torch.ones(count), torch.zeros(count, 2)
    scale = rng.uniform(*ZOOM, count)
    mirror = np.where(rng.random(count) < 0.5, -1, 1)
    shift = rng.uniform(-SHIFT, SHIFT, (count, 2))
    if points is not None and reduction > 1.5:
        close = rng.random(count) < CLOSE_SHARE
        near = rng.uniform(1, CLOSE, count) / reduction
        aside = rng.uniform(-0.3, 0.3, (count, 2)) * near[:, None]
        target = points[np.arange(count), rng.integers(0, points.shape[1], count)] + aside
        inside = (1 - near)[:, None]
        scale, shift = np.where(close, near, scale), np.where(close[:, None], target.clip(-inside, inside), shift)
    return torch.from_numpy(scale).float(), torch.from_numpy(mirror).float(), torch.from_numpy(shift).float()


def window(scale: Tensor, mirror: Tensor, shift: Tensor) -> Tensor:
    """``[N, 2, 3]``: position q in [-1, 1] of the view shows position (scale * mirror * q_x, scale * q_y) + shift."""
    theta = torch.zeros(len(scale), 2, 3)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = scale * mirror, scale, shift
    return theta


def resample(x: Tensor, theta: Tensor, size: int, mode: str = "bilinear") -> Tensor:
    """``[N, C, S, S]`` as seen through windows at `size` pixels; what lies outside is mirrored at the border.

    `mode`: bilinear interpolation takes detail away, which a network would learn to do without; bicubic keeps most of
    it and may leave the range of the values.
    """
    grid = F.affine_grid(theta, [len(x), 1, size, size], align_corners=False)
    reduction = x.shape[-1] / size
    direct = theta[:, 1, 1] * reduction <= CLOSE + 1e-4
    if reduction <= 1 or bool(direct.all()):
        return _sampled(x, grid, mode)
    out = x.new_empty(len(x), x.shape[1], size, size)
    out[~direct] = _sampled(F.interpolate(x[~direct], size=(size, size), mode="area"), grid[~direct], mode)
    out[direct] = _sampled(x[direct], grid[direct], mode)
    return out


def _sampled(x: Tensor, grid: Tensor, mode: str) -> Tensor:
    return F.grid_sample(x, grid, mode=mode, padding_mode="reflection", align_corners=False)


def spoil(photo: Tensor, cartoon: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Photographic variety: colour casts, exposure, contrast, grey pictures, blur and noise."""
    count = len(photo)

    def draw(*shape: int) -> Tensor:
        return torch.from_numpy(rng.standard_normal(shape)).float()

    tint, exposure = TINT * draw(count, 3, 1, 1), EXPOSURE * draw(count, 1, 1, 1)
    contrast = (CONTRAST * draw(count, 1, 1, 1)).exp()
    mean = photo.mean(dim=(1, 2, 3), keepdim=True)
    photo = (((photo - mean) * contrast + mean) + 1) * (tint + exposure).exp() - 1
    cartoon = (cartoon + 1) * (tint / 2 + exposure).exp() - 1
    grey = torch.from_numpy(rng.random((count, 1, 1, 1)) < 0.06)
    photo = torch.where(grey, photo.mean(dim=1, keepdim=True), photo)
    cartoon = torch.where(grey, cartoon.mean(dim=1, keepdim=True), cartoon)
    blurred = torch.from_numpy(rng.random((count, 1, 1, 1)) < BLUR_SHARE)
    photo = torch.where(blurred, F.avg_pool2d(F.pad(photo, (1, 1, 1, 1), mode="reflect"), 3, stride=1), photo)
    noise = torch.from_numpy(rng.random((count, 1, 1, 1))).float() ** 2 * NOISE
    return (photo + noise * draw(*photo.shape)).clamp(-1, 1), cartoon.clamp(-1, 1)
