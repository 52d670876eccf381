"""Batches of rendered pairs for the training of a teacher: read, augmented alike on both sides, as tensors.

Batch number `step` follows from (seed, step) alone; each of its rows has one of the styles. What a view is: see
`teaching.views`. Does not cover rendering (`compress.faces`) nor losses (`teaching.tasks`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from compress.faces.materials import LABELS
from compress.shards import Shards
from compress.teaching.occluders import occlude
from compress.teaching.views import draw_views, resample, spoil, window
from compress.teaching.weighting import pixel_weights
from compress.training.batches import prefetch, to_picture

STYLED_FIELDS = ("cartoon", "flow", "visible", "labels_cartoon")
"""Have a leading axis of styles."""
PHOTO_FIELDS = (
    "photo", "labels_photo", "position", "normal", "landmarks_photo", "rotation", "coefficients", "light",
)  # fmt: skip
FIELDS = (*STYLED_FIELDS, *PHOTO_FIELDS)
SH_ODD_IN_X = (3, 4, 7)
"""Second-order spherical harmonics that change sign when x does, in the order 1, y, z, x, xy, yz, 3zz-1, xz,
xx-yy.
"""
LANDMARK_MIRROR = (4, 5, 6, 7, 0, 1, 2, 3, 8, 10, 9, 11, 12, 13, 18, 19, 20, 21, 14, 15, 16, 17, 22, 23)
"""Which landmark a mirrored picture shows in the place of each: left and right lids, mouth corners and jaw change
places.
"""


LIDS_TO_MOUTH = slice(0, 14)
"""Landmarks that a close view may be about."""


@dataclass(frozen=True)
class PairBatch:
    """One augmented batch at S x S pixels.

    style int64 ``[N]``; photo, cartoon ``[N, 3, S, S]`` in [-1, 1]; weight ``[N, 1, S, S]``, see `weighting`; flow
    ``[N, 2, S/4, S/4]`` backward, full width = 2, and visible ``[N, 1, S/4, S/4]`` in {0, 1}; head ``[N, 1, S/4,
    S/4]``; position, normal ``[N, 3, S/4, S/4]`` of the photo; landmarks ``[N, 24, 2]`` in [-1, 1]; rotation ``[N, 3,
    3]``; coefficients ``[N, K]``; light ``[N, 27]``.
    """

    style: Tensor
    photo: Tensor
    cartoon: Tensor
    weight: Tensor
    flow: Tensor
    visible: Tensor
    head: Tensor
    position: Tensor
    normal: Tensor
    landmarks: Tensor
    rotation: Tensor
    coefficients: Tensor
    light: Tensor


class PairBatches:
    """Batches of ``batch`` pairs at ``size`` pixels out of `Shards` of ``PairRenderer.pair`` fields.

    Augmented batches are of all styles in turn; others are all of one, the first unless `at` is told another.
    """

    def __init__(self, pairs: Shards, size: int, batch: int, seed: int, augment: bool = True) -> None:
        self.pairs, self.size, self.batch, self.seed, self.augment = pairs, size, batch, seed, augment
        self.styles = styles_in(pairs)

    def at(self, step: int, style: int = 0) -> PairBatch:
        """Batch number `step`; without augmentation the pairs come in order, again from the start after the last."""
        if self.augment:
            rng = np.random.default_rng([self.seed, step])
            indices = rng.integers(0, len(self.pairs), self.batch)
            styles = styles_of(step, self.batch, self.styles)
        else:
            rng = None
            indices = np.arange(step * self.batch, (step + 1) * self.batch) % len(self.pairs)
            styles = np.full(self.batch, style)
        return make_batch(read_rows(self.pairs, indices, styles), self.size, rng)

    def iterate(self, start: int, stop: int) -> Iterator[PairBatch]:
        """Batches start..stop-1, prepared by a thread ahead of time."""
        yield from prefetch(self.at, start, stop)


def styles_in(pairs: Shards) -> int:
    """How many styles each of the pairs was drawn in."""
    return int(pairs.read([0], ["visible"])["visible"].shape[1])


def styles_of(step: int, batch: int, styles: int) -> NDArray[np.int64]:
    """Number of the style of each row of batch `step`: all styles in turn, so that they are seen equally often."""
    return (step * batch + np.arange(batch)) % styles


def read_rows(pairs: Shards, indices: NDArray[np.int64], styles: NDArray[np.int64]) -> dict[str, np.ndarray]:
    """Rows of the shards, each with the cartoon and flow of its own style only, and `style` int64 ``[N]``."""
    rows = pairs.read(indices, PHOTO_FIELDS) | pairs.read_parts(indices, styles, STYLED_FIELDS)
    return rows | {"style": np.asarray(styles, np.int64)}


def make_batch(rows: dict[str, np.ndarray], size: int, rng: np.random.Generator | None) -> PairBatch:
    """Turn what `read_rows` gives into a batch at `size` pixels, augmented if a generator is given."""
    count, source = len(rows["photo"]), rows["photo"].shape[1]
    marks = rows["landmarks_photo"].astype(np.float32) * (2 / source) - 1
    scale, mirror, shift = draw_views(count, rng, source / size, marks[:, LIDS_TO_MOUTH])
    if rng is not None:
        occlude(rows, rng)
    pictures = torch.cat([to_picture(rows["photo"]), to_picture(rows["cartoon"])], dim=1)
    weight = pixel_weights(pictures[:, 3:], rows["labels_cartoon"], rows["visible"])
    dense = torch.cat(
        [
            _channels_first(rows["flow"]) * (2 / source),
            _channels_first(rows["position"]),
            _channels_first(rows["normal"]),
            torch.from_numpy(rows["visible"].astype(np.float32))[:, None],
            torch.from_numpy((rows["labels_photo"] != LABELS["background"]).astype(np.float32))[:, None],
        ],
        dim=1,
    )
    theta = window(scale, mirror, shift)
    pictures = resample(pictures, theta, size, "bicubic").clamp(-1, 1)
    weight = resample(weight, theta, size)
    dense = resample(dense, theta, size)
    # Averages over what is valid only: flow and geometry end where the head does.
    flow, visible = _mean_where(dense[:, 0:2], dense[:, 8:9])
    geometry, head = _mean_where(dense[:, 2:8], dense[:, 9:10])
    flow = flow / scale[:, None, None, None]
    flow[:, 0] *= mirror[:, None, None]
    geometry[:, 0::3] *= mirror[:, None, None, None]
    photo, cartoon = pictures[:, :3], pictures[:, 3:]
    if rng is not None:
        photo, cartoon = spoil(photo, cartoon, rng)
    flipped = mirror < 0
    landmarks = (torch.from_numpy(marks) - shift[:, None]) / scale[:, None, None]
    landmarks[..., 0] *= mirror[:, None]
    landmarks = torch.where(flipped[:, None, None], landmarks[:, list(LANDMARK_MIRROR)], landmarks)
    rotation = torch.from_numpy(rows["rotation"].astype(np.float32))
    flip = torch.diag(torch.tensor([-1.0, 1.0, 1.0]))
    rotation = torch.where(flipped[:, None, None], flip @ rotation @ flip, rotation)
    light = torch.from_numpy(rows["light"].astype(np.float32))
    signs = torch.ones(9)
    signs[list(SH_ODD_IN_X)] = -1
    light = torch.where(flipped[:, None, None], light * signs[:, None], light).flatten(1)
    coefficients = torch.from_numpy(rows["coefficients"].astype(np.float32))
    return PairBatch(
        torch.from_numpy(rows["style"]), photo.contiguous(memory_format=torch.channels_last), cartoon, weight, flow,
        visible, head, geometry[:, :3], geometry[:, 3:], landmarks, rotation, coefficients, light,
    )  # fmt: skip


def _channels_first(rows: np.ndarray) -> Tensor:
    return torch.from_numpy(rows.astype(np.float32)).permute(0, 3, 1, 2)


def _mean_where(values: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """4 x 4 means of `values` over `valid` pixels, and where at least 60 % of them are."""
    share = F.avg_pool2d(valid, 4)
    return F.avg_pool2d(values * valid, 4) / (share + 1e-3), (share > 0.6).float()
