"""Foreign objects before rendered pairs: fingers and rods that stand in photo and cartoon alike.

Hands, microphones and cups cover real faces and no renders. A network that never met anything of the kind smears it or
bends it with the face; here it learns to leave it as it is. Does not cover what people wear (`compress.faces`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from compress.faces.materials import LABELS

SHARE = 0.15
"""Of the pairs that get an object."""
SKIN_SHARE = 0.7
"""Of the objects that are fingers in the person's own skin; the others have any colour."""
MOST_FINGERS = 4
Floats = NDArray[np.float32]


def occlude(rows: dict[str, np.ndarray], rng: np.random.Generator) -> None:
    """Put an object before some of the pairs, in place: no head is there, and nothing moves.

    `rows`: fields of pairs in one style, arrays ``[N, S, S, ...]`` as in the shards.
    """
    for row in np.flatnonzero(rng.random(len(rows["photo"])) < SHARE):
        skin = rows["photo"][row][rows["labels_photo"][row] == LABELS["skin"]]
        own = len(skin) > 0 and rng.random() < SKIN_SHARE
        colour = np.median(skin, 0) * rng.uniform(0.75, 1.1) if own else rng.uniform(20, 235, 3)
        cover, light = fingers(rows["photo"].shape[1], rng)
        drawn = (light[..., None] * colour).clip(0, 255)
        for name in ("photo", "cartoon"):
            mixed = rows[name][row] * (1 - cover[..., None]) + drawn * cover[..., None]
            rows[name][row] = np.rint(mixed).astype(np.uint8)
        there = cover > 0.5
        rows["flow"][row][there] = 0
        rows["visible"][row][there] = 1
        for name in ("labels_photo", "labels_cartoon"):
            rows[name][row][there] = LABELS["background"]


def fingers(size: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Cover 0..1 and light about 1, both ``[size, size]``, of one to four rods side by side that point at the face."""
    ys, xs = ((np.mgrid[:size, :size] + 0.5) / size * 2 - 1).astype(np.float32)
    angle = rng.uniform(-np.pi, 0.0) + np.pi / 2  # from below or a side, seldom from above
    ahead = np.array([np.sin(angle), -np.cos(angle)])
    beside = np.array([-ahead[1], ahead[0]])
    tip = rng.uniform([-0.45, -0.4], [0.45, 0.7])
    width, pixel = rng.uniform(0.05, 0.11), 2 / size
    cover, light = np.zeros((size, size), np.float32), np.ones((size, size), np.float32)
    grain = rng.uniform(0.0, 0.05) * rng.standard_normal((size, size)).astype(np.float32)
    for number in range(rng.integers(1, MOST_FINGERS + 1)):
        end = tip + beside * number * width * 2.05 - ahead * rng.uniform(0, 0.15)
        along = (xs - end[0]) * -ahead[0] + (ys - end[1]) * -ahead[1]
        across = (xs - end[0]) * beside[0] + (ys - end[1]) * beside[1]
        distance = np.hypot(np.minimum(along, 0), across)  # beyond the tip the rod is round
        one = ((width - distance) / pixel + 0.5).clip(0, 1)
        round_ = np.sqrt((1 - (across / width) ** 2).clip(0, 1)) * 0.55 + 0.5 + 0.12 * across / width
        light = np.where(one > cover, round_ + grain, light)
        cover = np.maximum(cover, one)
    return cover.astype(np.float32), light.astype(np.float32)
