"""Distillation losses: tiny functions, each beside its source, and their weighted sum.

x is the photo, T the teacher's result, S the student's. Everything that depends on the teacher alone arrives ready in
the batch. Not covered: adversarial losses and losses on features of a pretrained network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from compress.recipe import Loss
    from compress.training.batches import Batch

# A flow of 1 is half the picture, a gain of 1 is no change: this puts a pixel's error of both on one scale.
FLOW_SCALE = 10.0
HAAR_LEVELS = 3
# Cells over which detail is averaged, at the finest Haar level and the next: 16 x 16 pixels of the picture.
TEXTURE_CELLS = (8, 4)
# Cells whose mean colours are compared, in pixels.
COLOUR_CELL = 8
IDENTITY_MARGIN = 0.02
# Rows of a batch that the identity loss looks at: one image costs it as much as a whole step of a small student.
IDENTITY_ROWS = 2

LOSSES: tuple[Loss, ...] = ("pixel", "colour", "haar", "texture", "components", "flow", "maps", "taps", "identity")
# Width of the windows around eyes and mouth corners, in distances between the eyes: lids and lips, not cheeks.
COMPONENT_REACH = 0.22
COMPONENT_POINTS = (0, 1, 3, 4)  # of the five points; the nose needs no drawing

Embed = Callable[[Tensor, Tensor], Tensor]
Bands = tuple[Tensor, Tensor, Tensor]


class Output(Protocol):
    """What a student returns: `image` [N, 3, H, W] in [-1, 1], `maps` [N, 8, h, w] or None, `tap` [N, C, h', w']."""

    @property
    def image(self) -> Tensor: ...
    @property
    def maps(self) -> Tensor | None: ...
    @property
    def tap(self) -> Tensor: ...


def pixel_l1(difference: Tensor) -> Tensor:
    """Mean of |S - T|, from `difference` = S - T [N, 3, H, W].

    Source: Isola et al., Image-to-Image Translation with Conditional Adversarial Networks (CVPR 2017), equation 3.
    """
    return difference.abs().mean()


def colour_l1(difference: Tensor) -> Tensor:
    """Mean |S - T| of mean colours of cells of 8 pixels, from `difference` = S - T [N, 3, H, W].

    Where edges are a pixel off, their error hides a slight cast in a sum over pixels; in means of cells it does not.
    Source: this project's own.
    """
    return F.avg_pool2d(difference, COLOUR_CELL, ceil_mode=True).abs().mean()


def haar(x: Tensor) -> tuple[Tensor, Bands]:
    """One level of the orthonormal Haar transform: [N, C, H, W] -> low [N, C, H/2, W/2] and the three high bands.

    H and W are even. The high bands hold horizontal, vertical and diagonal detail, in this order, each like low.
    Source: Mallat, A Wavelet Tour of Signal Processing, section 7.7.
    """
    top, bottom = torch.unflatten(x, -2, (-1, 2)).unbind(-2)
    (left, right), (left_change, right_change) = (
        torch.unflatten(rows, -1, (-1, 2)).unbind(-1) for rows in (top + bottom, top - bottom)
    )
    high = (left - right, left_change + right_change, left_change - right_change)
    return (left + right) * 0.5, (high[0] * 0.5, high[1] * 0.5, high[2] * 0.5)


def pyramid(x: Tensor, levels: int = HAAR_LEVELS) -> list[Bands]:
    """High bands of `levels` levels of x [N, C, H, W], the finest first. H and W are multiples of 2 ** levels."""
    found = []
    for _ in range(levels):
        x, high = haar(x)
        found.append(high)
    return found


def bands_l1(bands: Sequence[Bands], wanted: Sequence[Bands]) -> Tensor:
    """Sum over the levels of two pyramids of the mean |high bands of S - high bands of T|.

    Source: Zhang et al., Wavelet Knowledge Distillation (CVPR 2022), equation 4.
    """
    levels = [[(band - want).abs().mean() for band, want in zip(*level)] for level in zip(bands, wanted)]
    return torch.stack([torch.stack(level).mean() for level in levels]).sum()


def haar_l1(difference: Tensor, levels: int = HAAR_LEVELS) -> Tensor:
    """`bands_l1` from `difference` = S - T [N, C, H, W]: the transform is linear, so it is taken once."""
    found = pyramid(difference, levels)
    return torch.stack([torch.stack([band.abs().mean() for band in level]).mean() for level in found]).sum()


def texture_of_bands(bands: Sequence[Bands], wanted: Sequence[Bands]) -> Tensor:
    """L1 between local mean magnitudes of Haar detail: as much texture as the target, wherever exactly it lies.

    Pixel losses are smallest for blur where detail cannot be predicted to the pixel; this one is not. Two pyramids, of
    which the finest levels count. Source: this project's own; a local, wavelet form of matching texture statistics
    (Gatys et al., CVPR 2016, equation 3).
    """
    found = [
        (F.avg_pool2d(band.abs(), cell) - F.avg_pool2d(want.abs(), cell)).abs().mean()
        for level, want_level, cell in zip(bands, wanted, TEXTURE_CELLS)
        for band, want in zip(level, want_level)
    ]
    return torch.stack(found).mean() * len(TEXTURE_CELLS)


def texture_l1(image: Tensor, target: Tensor) -> Tensor:
    """`texture_of_bands` of pictures [N, 3, S, S]."""
    levels = len(TEXTURE_CELLS)
    return texture_of_bands(pyramid(image, levels), pyramid(target, levels))


def gaussian_windows(points: Tensor, places: Tensor, reach: float, size: int) -> Tensor:
    """Sum [N, size, size] of Gaussians of height 1 at `places` [N, P, 2], `reach` distances between the eyes wide.

    `points` [N, 5, 2], the eyes first; all in pixels.
    """
    width = reach * (points[:, 1] - points[:, 0]).norm(dim=1).clamp(min=1.0)[:, None, None, None]
    at = torch.arange(size, device=points.device) + 0.5
    across, down = torch.exp(-0.5 * ((at - places[..., None]) / width).square()).unbind(2)
    return torch.einsum("npy,npx->nyx", down, across)


def covered(windows: Tensor) -> Tensor:
    """How far windows [N, S, S] of `gaussian_windows` cover each pixel: [N, 1, S, S], 1 from half their height on."""
    return (2 * windows).clamp(max=1)[:, None]


def components_l1(difference: Tensor, points: Tensor) -> Tensor:
    """Mean |S - T| under Gaussian windows at eyes and mouth corners, where most of what is drawn anew lies.

    `difference` = S - T [N, 3, S, S], `points` [N, 5, 2] in pixels. Each picture's windows weigh 1 in all. Without it
    their few pixels hardly count, and gloss, lids and teeth stay grey.
    Source: the facial components of GFPGAN (CVPR 2021), section 3.4, with an L1 instead of discriminators.
    """
    window = gaussian_windows(points, points[:, COMPONENT_POINTS], COMPONENT_REACH, difference.shape[-1])
    window = window / window.sum((1, 2), keepdim=True).clamp(min=1e-6)
    return (difference.abs().mean(1) * window).sum((1, 2)).mean()


def maps_l1(maps: Tensor, target: Tensor, inside: Tensor) -> Tensor:
    """Mean L1 between the student's and the teacher's flow, gain and bias, the flow times `FLOW_SCALE`.

    `maps` [N, 8, h, w], `target` [N, 8, h', w'] (resized to h, w), `inside` [N, 1, h', w'] in 0..1: 0 where the
    augmented picture shows reflections beyond the photo's edge, whose flow is not the teacher's.
    Source: design of the map student; supervising the flow itself as in FlowNet (ICCV 2015), section 3.
    """
    error = _maps_apart(maps, target, inside)
    return (FLOW_SCALE * error[:, :2].sum() + error[:, 2:].sum()) / error.numel()


def flow_l1(maps: Tensor, target: Tensor, inside: Tensor) -> Tensor:
    """The part of `maps_l1` that is about the flow: where things go is the teacher's, how they are painted is free.

    A teacher paints skin at every pixel; the mean of its gains, which `maps_l1` asks for, keeps the photo's pores.
    """
    error = _maps_apart(maps[:, :2], target[:, :2], inside)
    return FLOW_SCALE * error.mean()


def _maps_apart(maps: Tensor, target: Tensor, inside: Tensor) -> Tensor:
    if target.shape[-2:] != maps.shape[-2:]:
        target = F.interpolate(target, size=maps.shape[-2:], mode="bilinear", align_corners=False)
        inside = F.interpolate(inside, size=maps.shape[-2:], mode="bilinear", align_corners=False)
    return (maps - target).abs() * inside


def tap_mse(tap: Tensor, target: Tensor, adapter: nn.Module) -> Tensor:
    """MSE of the student's tap, through a 1x1 `adapter`, to the teacher's tap resized to the student's resolution.

    `tap` [N, c, h, w], also in bfloat16 as autocast gives it, `target` [N, C, h', w'].
    Source: Romero et al., FitNets (ICLR 2015), equation 3.
    """
    adapted = adapter(tap.float())
    if target.shape[-2:] != adapted.shape[-2:]:
        target = F.interpolate(target, size=adapted.shape[-2:], mode="bilinear", align_corners=False)
    return F.mse_loss(adapted, target)


def identity_hinge(photo: Tensor, teacher: Tensor, student: Tensor, margin: float = IDENTITY_MARGIN) -> Tensor:
    """Mean of max(0, cos(Ex, ET) - cos(Ex, ES) - margin) for embeddings [N, D]: no worse than the teacher, no better.

    Source: hinge form of the identity loss of ArcFace-guided editing (pSp, CVPR 2021, equation 4), relative to T.
    """
    kept_by_teacher = F.cosine_similarity(photo, teacher)
    kept_by_student = F.cosine_similarity(photo, student)
    return F.relu(kept_by_teacher - kept_by_student - margin).mean()


def identity_rows(flipped: Tensor, rows: int = IDENTITY_ROWS) -> Tensor:
    """Indices of the first `rows` samples that are not mirrored: the stored embeddings are of unmirrored faces."""
    return torch.nonzero(~flipped).flatten()[:rows]


def identity_loss(image: Tensor, batch: Batch, embed: Embed, rows: int = IDENTITY_ROWS) -> Tensor | None:
    """The identity hinge of a few rows of the batch; None if every sample of it is mirrored."""
    chosen = identity_rows(batch.flipped, rows)
    if not len(chosen):
        return None
    student = embed(image[chosen], batch.points[chosen])
    return identity_hinge(batch.photo_identity[chosen], batch.identity[chosen], student)


def distillation_loss(
    output: Output,
    batch: Batch,
    weights: Mapping[Loss, float],
    *,
    adapter: nn.Module | None = None,
    embed: Embed | None = None,
) -> tuple[Tensor, dict[Loss, Tensor]]:
    """Weighted sum of the losses named in `LOSSES`, and its unweighted, detached parts by name.

    A loss that is absent or weighs 0 is not computed. `adapter` (student's tap channels -> teacher's) is needed where
    taps weigh. `embed(images, points)` is given only at the steps that shall compute the identity loss, because it is
    dear; without it that part is absent. Raises ValueError for an unknown loss, for taps without an adapter, for maps
    of a student that predicts none, and for maps or taps of a teacher that gives none.
    """
    unknown = weights.keys() - set(LOSSES)
    if unknown:
        raise ValueError(f"weights: {sorted(unknown)} are unknown; the losses are {', '.join(LOSSES)}")
    active = {name for name, weight in weights.items() if weight}
    parts = _picture_losses(output.image.float(), batch, active)
    for name, loss in (("flow", flow_l1), ("maps", maps_l1)):
        if name not in active:
            continue
        if output.maps is None:
            raise ValueError(f"weights.{name}: this student predicts no maps; set it to 0")
        if batch.maps is None:
            raise ValueError(f"weights.{name}: the teacher gives no maps; set it to 0")
        parts[name] = loss(output.maps.float(), batch.maps, batch.inside)
    if "taps" in active:
        if adapter is None:
            raise ValueError("weights.taps: there is no adapter for the student's tap; set it to 0")
        if batch.tap is None:
            raise ValueError("weights.taps: the teacher gives no tap; set it to 0")
        parts["taps"] = tap_mse(output.tap, batch.tap, adapter)
    if "identity" in active and embed is not None:
        hinge = identity_loss(output.image.float(), batch, embed)
        if hinge is not None:
            parts["identity"] = hinge
    total = output.image.new_zeros((), dtype=torch.float32)
    for name, value in parts.items():
        total = total + weights[name] * value
    return total, {name: value.detach() for name, value in parts.items()}


def _picture_losses(image: Tensor, batch: Batch, active: set[Loss]) -> dict[Loss, Tensor]:
    """The losses on the pictures; their difference and their Haar bands are taken once."""
    parts: dict[Loss, Tensor] = {}
    if active & {"pixel", "colour", "components"}:
        difference = image - batch.image
        if "pixel" in active:
            parts["pixel"] = pixel_l1(difference)
        if "colour" in active:
            parts["colour"] = colour_l1(difference)
        if "components" in active:
            parts["components"] = components_l1(difference, batch.points)
    if active & {"haar", "texture"}:
        levels = HAAR_LEVELS if "haar" in active else len(TEXTURE_CELLS)
        bands, wanted = pyramid(image, levels), pyramid(batch.image, levels)
        if "haar" in active:
            parts["haar"] = bands_l1(bands, wanted)
        if "texture" in active:
            parts["texture"] = texture_of_bands(bands, wanted)
    return parts
