"""The adversarial part of a teacher's training: a discriminator that stands on frozen pretrained features.

Pretrained features see texture and shape from the first step, so the discriminator neither overfits a few thousand
pictures nor needs a schedule of its own. Without them small convolutions learn beside the heads, which is what the
pretrained ones are measured against. Real are the cartoons of rendered pairs, false is what the teacher draws of
renders and of photographs. Not covered: the teacher's other losses (`teaching.tasks`, `teaching.unpaired`).
Source: Sauer et al., Projected GANs Converge Faster, NeurIPS 2021; without the batch normalization of its heads, so
that what is said of a picture does not depend on the others of its batch.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from compress.networks.lite0 import STAGES, EfficientNetLite0

LAYERS = ("stage2", "stage3", "stage5", "stage7")
"""Features at strides 4, 8, 16 and 32."""
MIXED_CHANNELS = 64
SLOPE = 0.2
"""Of the leaky ReLUs that learn."""
EXAMPLES = 8
"""Smooth random pictures on which the size of the mixed features is measured; that of faces is at most 1.6 times."""
SMALLEST = 4
"""Pixels a side at which a head stops halving: what it then sees of the picture is a patch, not the whole."""
JITTER, SHIFT, CUT = 0.2, 0.125, 0.4
"""Of `augment`: largest change of a colour, largest shift and side of the hole as shares of the picture."""


class Projection(nn.Module):
    """Frozen features of a picture, mixed at random across channels and scales; nothing in it is trained.

    Without mixing a discriminator looks at the few most telling channels and scales only (section 3.2 of the source).
    Each scale is divided by a constant that brings it to about 1: as they are, up to 30, the first logits are ten times
    the margin of the hinge loss, and the heads spend hundreds of steps on shrinking them.
    """

    def __init__(self, features: EfficientNetLite0, seed: int) -> None:
        super().__init__()
        self.features = features
        generator = torch.Generator().manual_seed(seed)
        self.across_channels = nn.ModuleList(
            _random(STAGES[layer].channels, MIXED_CHANNELS, 1, generator) for layer in LAYERS
        )
        self.across_scales = nn.ModuleList(_random(MIXED_CHANNELS, MIXED_CHANNELS, 3, generator) for _ in LAYERS[1:])
        coarse = torch.rand(EXAMPLES, 3, 6, 6, generator=generator) * 2 - 1
        with torch.no_grad():
            found = self._mixed(F.interpolate(coarse, scale_factor=10, mode="bilinear", align_corners=False))
        self.magnitudes = [float(feature.square().mean().sqrt()) for feature in found]

    def forward(self, images: Tensor) -> list[Tensor]:
        """[N, 3, H, W] in [-1, 1] -> [N, 64, H/4, W/4], ... [N, 64, H/32, W/32]; differentiable in the images."""
        return [feature / usual for feature, usual in zip(self._mixed(images), self.magnitudes, strict=True)]

    def _mixed(self, images: Tensor) -> list[Tensor]:
        maps = self.features.maps(images, LAYERS)
        mixed = [mix(found) for mix, found in zip(self.across_channels, maps, strict=True)]
        for fine, mix in zip(range(len(mixed) - 2, -1, -1), self.across_scales, strict=True):
            coarse = F.interpolate(mixed[fine + 1], size=mixed[fine].shape[-2:], mode="bilinear", align_corners=False)
            mixed[fine] = mix(mixed[fine] + coarse)
        return mixed


class PlainFeatures(nn.Module):
    """Features from nothing, for comparison: strided convolutions that learn; strides and widths of `Projection`."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = spectral_norm(nn.Conv2d(3, MIXED_CHANNELS // 2, 4, stride=2, padding=1))
        widths = [MIXED_CHANNELS // 2] + [MIXED_CHANNELS] * len(LAYERS)
        self.down = nn.ModuleList(spectral_norm(nn.Conv2d(a, b, 4, stride=2, padding=1)) for a, b in pairwise(widths))

    def forward(self, images: Tensor) -> list[Tensor]:
        """[N, 3, H, W] in [-1, 1] -> [N, 64, H/4, W/4], ... [N, 64, H/32, W/32]."""
        feature = F.leaky_relu(self.stem(images), SLOPE)
        found: list[Tensor] = []
        for down in self.down:
            feature = F.leaky_relu(down(feature), SLOPE)
            found.append(feature)
        return found


def _random(inputs: int, outputs: int, kernel: int, generator: torch.Generator) -> nn.Conv2d:
    """A frozen convolution with Kaiming weights of `generator`."""
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
    fan_in = inputs * kernel**2
    with torch.no_grad():
        conv.weight.normal_(0, (2 / fan_in) ** 0.5, generator=generator)
        nn.init.zeros_(conv.bias)  # type: ignore[arg-type]  # there is a bias: nothing switched it off
    return conv.requires_grad_(False)


class Head(nn.Module):
    """Judge of one scale: halves until at most 4 pixels are left, then one logit a style and place."""

    def __init__(self, inputs: int, side: int, styles: int) -> None:
        super().__init__()
        widths = [inputs]
        while side > SMALLEST:
            widths.append(min(2 * inputs, widths[-1] * 2))
            side //= 2
        self.down = nn.ModuleList(spectral_norm(nn.Conv2d(a, b, 4, stride=2, padding=1)) for a, b in pairwise(widths))
        self.last = spectral_norm(nn.Conv2d(widths[-1], styles, 3, padding=1))

    def forward(self, feature: Tensor, style: Tensor) -> Tensor:
        """[N, C, h, w], style [N] -> logits [N, places]."""
        for down in self.down:
            feature = F.leaky_relu(down(feature), SLOPE)
        logits: Tensor = self.last(feature)
        return logits[torch.arange(len(style), device=style.device), style].flatten(1)


class Discriminator(nn.Module):
    """Small heads over the projected features; only the heads are trained.

    `features`: None is `PlainFeatures`, trained with the heads; `size`: pixels a side of the pictures; `styles`:
    learned styles, one logit each.
    """

    def __init__(self, features: EfficientNetLite0 | None, size: int, styles: int = 1, seed: int = 0) -> None:
        super().__init__()
        self.projection = PlainFeatures() if features is None else Projection(features, seed)
        self.heads = nn.ModuleList(Head(MIXED_CHANNELS, size // (4 * 2**level), styles) for level in range(len(LAYERS)))

    @property
    def learned(self) -> nn.Module:
        """What of it is trained."""
        return self if isinstance(self.projection, PlainFeatures) else self.heads

    def forward(self, images: Tensor, style: Tensor) -> Tensor:
        """[N, 3, H, W] in [-1, 1], style [N] -> logits [N, places of all scales]; above 0 means real."""
        projected = self.projection(images)
        return torch.cat([head(feature, style) for head, feature in zip(self.heads, projected, strict=True)], 1)


def discriminator_loss(real: Tensor, false: Tensor) -> Tensor:
    """Hinge loss of logits; source: Lim & Ye, Geometric GAN, 2017, equation 9."""
    return F.relu(1 - real).mean() + F.relu(1 + false).mean()


def generator_loss(false: Tensor) -> Tensor:
    """What the teacher minimises: its pictures' logits should be high."""
    return -false.mean()


def balanced(pictures: Tensor, weight: float) -> Tensor:
    """The same pictures, whose gradient from here on has `weight` times the norm of that of a mean absolute error.

    The slope of the discriminator at a picture is some thousand times as steep, changes as it learns, and would drown
    all other losses. Source: the adaptive weight of Esser et al., Taming Transformers, CVPR 2021, equation 7; taken at
    the pictures the other norm is known: 1 / sqrt(number of values). Raises RuntimeError for pictures without gradient.
    """
    shown = pictures.clone()
    scale = weight / pictures.numel() ** 0.5
    shown.register_hook(  # type: ignore[no-untyped-call]  # torch's
        lambda slope: slope * (scale / slope.norm().clamp_min(1e-12))
    )
    return shown


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Differentiable colour, translation and cutout, drawn anew for each picture [N, 3, H, W].

    Pictures move by whole pixels: anything else would blur them, and sharpness is what is judged.
    Source: Zhao et al., Differentiable Augmentation for Data-Efficient GAN Training, NeurIPS 2020.
    """
    count, _, height, width = images.shape
    drawn = torch.rand(count, 5, generator=generator).to(images)
    brightness, saturation, contrast = ((drawn[:, i, None, None, None] - 0.5) * 2 * JITTER for i in range(3))
    images = images + brightness
    images = images + saturation * (images - images.mean(1, keepdim=True))
    images = images + contrast * (images - images.mean((1, 2, 3), keepdim=True))
    theta = torch.eye(2, 3).repeat(count, 1, 1).to(images)
    side = torch.tensor([width, height]).to(images)
    theta[:, :, 2] = ((drawn[:, 3:5] - 0.5) * 2 * SHIFT * side).round() * 2 / side
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    images = F.grid_sample(images, grid, mode="nearest", padding_mode="zeros", align_corners=False)
    return images * _kept(count, height, width, generator).to(images)


def _kept(count: int, height: int, width: int, generator: torch.Generator) -> Tensor:
    """[N, 1, H, W]: 0 in one random square of 40 % of the side, 1 elsewhere."""
    centre = torch.rand(count, 2, 1, generator=generator)
    rows = ((torch.arange(height)[None] + 0.5) / height - centre[:, 0]).abs() < CUT / 2
    columns = ((torch.arange(width)[None] + 0.5) / width - centre[:, 1]).abs() < CUT / 2
    return 1 - (rows[:, :, None] & columns[:, None, :]).float()[:, None]
