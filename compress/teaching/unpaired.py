"""Mixed training: photographs without a cartoon, in the same steps as rendered pairs.

Renders alone leave a gap to real skin, light and cameras. For photographs nobody knows the right result, but it must
move with the photo (consistency), show the same person (identity) and keep as much contrast as cartoons of renders do
of theirs (contrast). Not covered: pairs (`teaching.pairs`,
`teaching.tasks`) and the adversarial loss (`teaching.adversarial`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from compress.shards import Shards
from compress.teaching.pairs import styles_of
from compress.teaching.views import ZOOM as PAIR_ZOOM
from compress.training.batches import draw_windows, prefetch, to_picture, warp_picture, warp_points
from compress.training.losses import covered, gaussian_windows, haar

IDENTITY_GOAL = 0.65
"""Cosine to the own photo above which nothing is asked for. Cartoons of renders have 0.72, 0.65 and 0.50 in the three
styles (24 pairs), two photos of one person about 0.76: more would work against the style.
"""
IDENTITY_ROWS = 2
"""Rows of a batch that the identity loss looks at, the dearest of the losses."""
TURN, ZOOM, SHIFT = 8.0, 0.06, 0.05
"""Largest change of the second view: degrees, share, share of half the width."""
SMALL_SHARE, SMALL_SHIFT = 0.5, 3.0
"""Of second views, those that are only shifted, and how many pixels at most: what trembles from frame to frame of a
video is lost among the differences that larger changes make.
"""
STEEPNESS = 0.03
"""Usual `steepness` of cartoons at 128 px, which keeps the consistency near a mean absolute error of pictures."""
FEATURE_REACH = 0.2
"""Width of the windows of `features_set_apart`, in distances between the eyes: enlarged eyes with their lids."""
FOREHEAD_RISE, FOREHEAD_REACH = 0.8, 0.3
"""Height of three windows of a forehead above the eyes and their width, in distances between the eyes."""
CONTRAST_LEVELS = 3
NOISE = 0.02
"""Largest sensor noise, as in `teaching.pairs`."""

Embed = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class UnpairedBatch:
    """photo ``[N, 3, S, S]`` in [-1, 1], its five points ``[N, 5, 2]`` in pixels, its style int64 ``[N]``."""

    photo: Tensor
    points: Tensor
    style: Tensor


class UnpairedBatches:
    """Batches of ``batch`` photographs at ``size`` pixels out of the shards of stage `inputs`.

    Batch number `step` follows from (seed, step) alone: a resumed training sees what an uninterrupted one would have.
    """

    def __init__(self, photos: Shards, size: int, batch: int, seed: int, styles: int = 1) -> None:
        self.photos, self.size, self.batch, self.seed, self.styles = photos, size, batch, seed, styles

    def at(self, step: int) -> UnpairedBatch:
        """Batch number `step`: mirrored, zoomed and shifted at random, in all styles in turn."""
        rng = np.random.default_rng([self.seed, 2, step])
        rows = self.photos.read(rng.integers(0, len(self.photos), self.batch), ["photo", "points"])
        side = rows["photo"].shape[1]
        windows = draw_windows(rng, self.batch, PAIR_ZOOM)  # as near as renders: statistics of both are compared
        pictures = [self._resized(warp_picture(photo, w)) for photo, w in zip(rows["photo"], windows)]
        points = [
            warp_points(p.astype(np.float32), w, side) * (self.size / side) for p, w in zip(rows["points"], windows)
        ]
        return UnpairedBatch(
            to_picture(np.stack(pictures)),
            torch.from_numpy(np.stack(points).astype(np.float32)),
            torch.from_numpy(styles_of(step, self.batch, self.styles)),
        )

    def _resized(self, picture: NDArray[np.generic]) -> NDArray[np.generic]:
        small: NDArray[np.generic] = cv2.resize(picture, (self.size, self.size), interpolation=cv2.INTER_AREA)
        return small

    def iterate(self, start: int, stop: int) -> Iterator[UnpairedBatch]:
        """Batches start..stop-1, prepared by a thread ahead of time."""
        yield from prefetch(self.at, start, stop)


def second_view(photo: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The photo slightly turned, zoomed and shifted, or only shifted; with noise. And the map ``[N, 2, 3]`` in grid
    units.

    Position q of the second view shows position theta (q, 1) of the first. Drawn on the CPU: the same on any device.
    """
    drawn = torch.rand(len(photo), 6, generator=generator) * 2 - 1
    small = (drawn[:, 5] + 1) / 2 < SMALL_SHARE
    angle, scale = torch.deg2rad(TURN * drawn[:, 0] * ~small), 1 + ZOOM * drawn[:, 1] * ~small
    shift = drawn[:, 2:4] * torch.where(small, SMALL_SHIFT * 2 / photo.shape[-1], SHIFT)[:, None]
    cosine, sine = scale * angle.cos(), scale * angle.sin()
    rows = [torch.stack([cosine, -sine, shift[:, 0]], 1), torch.stack([sine, cosine, shift[:, 1]], 1)]
    theta = torch.stack(rows, 1).to(photo)
    strength = NOISE * drawn[:, 4, None, None, None].square()
    noise = (strength * torch.randn(photo.shape, generator=generator)).to(photo)
    return (moved(photo, theta, "reflection") + noise).clamp(-1, 1), theta


def moved(picture: Tensor, theta: Tensor, beyond: str = "zeros") -> Tensor:
    """`picture` ``[N, C, S, S]`` as seen through `theta`; cubic, so that little detail is lost on the way."""
    grid = F.affine_grid(theta, list(picture.shape), align_corners=False)
    return F.grid_sample(picture, grid, mode="bicubic", padding_mode=beyond, align_corners=False)


def consistency_loss(first: Tensor, second: Tensor, theta: Tensor) -> Tensor:
    """L1 between the second view's result and the first result moved alike, where both show the picture; relative to
    how steep both pictures are, so that nothing is gained by making them flat.

    As a plain L1 it drew photographs, whose contrast nothing else holds, towards grey: their results kept 0.48 of the
    photo's steepness where cartoons of renders keep 0.82.
    Source: the equivariance constraint of Karras et al., Alias-Free GAN, NeurIPS 2021, section 2, as a loss.
    """
    inside = ((moved(torch.ones_like(first[:, :1]), theta) - 1).abs() < 1e-3).float()
    apart = ((moved(first, theta) - second).abs() * inside).sum() / (inside.sum() * first.shape[1] + 1)
    return apart * (STEEPNESS / ((steepness(first) + steepness(second)) / 2).clamp_min(1e-3))


def steepness(pictures: Tensor) -> Tensor:
    """Mean absolute difference of neighbouring pixels, across and down; of ``[N, C, S, S]`` together."""
    return (pictures.diff(dim=2).abs().mean() + pictures.diff(dim=3).abs().mean()) / 2


def contrast_loss(photo: Tensor, result: Tensor, render: Tensor, cartoon: Tensor) -> Tensor:
    """How far `result` has less or more contrast beside `photo` than `cartoon` beside `render`, as a logarithm.

    Compared are means over a batch ``[N, 3, S, S]`` each, of three Haar levels and of what is left of them, so that
    single pictures may differ. Source: this project's own.
    """
    kept = torch.stack(contrasts(result)) - torch.stack(contrasts(photo))
    wanted = torch.stack(contrasts(cartoon)) - torch.stack(contrasts(render))
    return (kept - wanted.detach()).abs().mean()


def contrasts(pictures: Tensor) -> list[Tensor]:
    """Mean logarithm over a batch of the mean magnitude of each Haar level's high bands, and of the rest's spread."""
    found = []
    for _ in range(CONTRAST_LEVELS):
        pictures, high = haar(pictures)
        magnitude = torch.stack([band.abs().mean((1, 2, 3)) for band in high]).mean(0)
        found.append(magnitude.clamp_min(1e-4).log().mean())
    return [*found, pictures.std((1, 2, 3)).clamp_min(1e-4).log().mean()]


def features_set_apart(pictures: Tensor, points: Tensor) -> Tensor:
    """The same pictures ``[N, 3, S, S]``, but what is said of them does not reach eyes, mouth and forehead.

    points ``[N, 5, 2]`` in pixels.

    What cartoons have in common is no measure of one person's features: drawn towards an average of many bright
    irises, brown ones turned green, and teeth violet. Foreheads, where many cartoons have a fringe and many people have
    none, were given strokes. Pairs teach what becomes of them.
    """
    size, eyes, mouth = pictures.shape[-1], points[:, :2], points[:, 3:]
    middle, across = eyes.mean(1, keepdim=True), eyes[:, 1:] - eyes[:, :1]
    up = torch.stack([across[..., 1], -across[..., 0]], dim=-1)
    forehead = middle + FOREHEAD_RISE * up + torch.tensor([[-0.5], [0.0], [0.5]]).to(points) * across
    features = torch.cat([eyes, mouth, mouth.mean(1, keepdim=True)], dim=1)
    windows = gaussian_windows(points, features, FEATURE_REACH, size)
    kept = covered(windows + gaussian_windows(points, forehead, FOREHEAD_REACH, size))
    return pictures + kept * (pictures.detach() - pictures)


def identity_loss(embed: Embed, photo: Tensor, result: Tensor, points: Tensor) -> Tensor:
    """How far the cosine between photo and result stays below 0.8, mean over the first rows of the batch."""
    photo, result, points = photo[:IDENTITY_ROWS], result[:IDENTITY_ROWS], points[:IDENTITY_ROWS]
    with torch.no_grad():
        wanted = embed(photo, points)
    cosine = (wanted * embed(result.clamp(-1, 1), points)).sum(1)
    return F.relu(IDENTITY_GOAL - cosine).mean()
