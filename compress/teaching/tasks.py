"""Losses that teach KStyleGAN from rendered pairs: pictures at every scale, flow, and the geometry of the head.

Multi-task and multi-scale, as Kuaishou reports for KStyleGAN. Does not cover distillation (`training.losses`).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from compress.recipe import Task
from compress.teaching.pairs import PairBatch
from compress.training.losses import haar, texture_l1
from teachers import TeacherOutput

COARSE_SHARE = 0.3
"""Weight of each picture below the full resolution; the largest one counts 1."""
HAAR_LEVELS = 3


def picture_losses(output: TeacherOutput, batch: PairBatch, pyramid: bool = True) -> tuple[Tensor, Tensor]:
    """Weighted L1 and Haar-detail L1 to the cartoon, summed over the pyramid of RGB heads, or of the largest alone."""
    colour = detail = batch.cartoon.new_zeros(())
    for image in output.images if pyramid else output.images[-1:]:
        size = image.shape[-1]
        full = size == batch.cartoon.shape[-1]
        target = batch.cartoon if full else F.interpolate(batch.cartoon, size=(size, size), mode="area")
        weight = batch.weight if full else F.interpolate(batch.weight, size=(size, size), mode="area")
        share = 1.0 if full else COARSE_SHARE
        difference = image - target
        colour = colour + share * (difference.abs() * weight).mean()
        detail = detail + share * weighted_haar(difference, weight)
    return colour, detail


def weighted_haar(difference: Tensor, weight: Tensor) -> Tensor:
    """Mean weighted L1 of the high bands of a Haar decomposition, summed over levels; ``[N, C, S, S]``, weight ``[N,
    1, S, S]``.

    Source: Wavelet Knowledge Distillation (CVPR 2022), equation 4; the spatial weight is this project's own.
    """
    total = difference.new_zeros(())
    for _ in range(HAAR_LEVELS):
        if difference.shape[-1] % 2:  # the smallest heads of small pictures have fewer levels
            break
        difference, high = haar(difference)
        weight = F.avg_pool2d(weight, 2)
        total = total + torch.stack([(band.abs() * weight).mean() for band in high]).mean()
    return total


def masked_l1(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute error, weighted by `mask` ``[N, 1, h, w]``; the target is resized to the prediction."""
    if prediction.shape[-2:] != target.shape[-2:]:
        mask = (F.interpolate(mask, size=prediction.shape[-2:], mode="area") > 0.99).float()
        target = F.interpolate(target, size=prediction.shape[-2:], mode="area")
    return ((prediction - target).abs() * mask).sum() / (mask.sum() * prediction.shape[1] + 1)


def teaching_loss(
    output: TeacherOutput, batch: PairBatch, weights: Mapping[Task, float], pyramid: bool = True
) -> tuple[Tensor, dict[Task, float]]:
    """Weighted sum of all tasks and each task's own value, for the log; without `pyramid` of the finest scale alone.

    Raises KeyError for a weight that is no task.
    """
    geometry = output.geometry
    colour, detail = picture_losses(output, batch, pyramid)
    dense = geometry.dense if pyramid else geometry.dense[-1:]
    seen = batch.visible * F.avg_pool2d(batch.weight, 4)
    parts: dict[Task, Tensor] = {
        "picture": colour,
        "detail": detail,
        "texture": texture_l1(output.image, batch.cartoon),
        # In pixels of a quarter of the picture: the unit in which an error becomes visible.
        "flow": masked_l1(output.maps[:, :2], batch.flow, seen) * (batch.flow.shape[-1] / 2),
        "position": sum_scales(dense, batch, slice(0, 3), batch.position),
        "normal": sum_scales(dense, batch, slice(3, 6), batch.normal),
        "mask": F.binary_cross_entropy_with_logits(geometry.dense[1][:, 6:7], batch.head),
        "pose": (geometry.rotation - batch.rotation).abs().mean(),
        "landmarks": (geometry.landmarks - batch.landmarks).abs().mean(),
        "coefficients": (geometry.coefficients - batch.coefficients).abs().mean(),
        "light": (geometry.light - batch.light).abs().mean(),
    }
    total = torch.stack([weights[name] * parts[name] for name in weights]).sum()
    return total, {name: float(value.detach()) for name, value in parts.items()}


def sum_scales(dense: tuple[Tensor, ...], batch: PairBatch, channels: slice, target: Tensor) -> Tensor:
    """A dense geometry task, summed over the scales that predict it."""
    return torch.stack([masked_l1(scale[:, channels], target, batch.head) for scale in dense]).sum()
