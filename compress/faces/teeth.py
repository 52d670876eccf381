"""Teeth: two smooth arches that move rigidly with skull and jaw, and their texture. Lips and tongue are elsewhere.

Widths are those of adults (Ash & Nelson, Wheeler's Dental Anatomy); the arches' own size comes from the teeth of the
base mesh, which are too coarse to be drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from compress.faces.head import Head

Array = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int32]

COLUMNS = 57
SPREAD = 1.2
"""Angle in radians from the middle of an arch to its last tooth."""
WIDTHS = {"upper": (8.5, 6.6, 7.6, 7.1, 6.8, 10.0), "lower": (5.2, 5.7, 6.9, 7.0, 7.1, 11.0)}
"""Millimetres of the crowns from the middle outwards."""
EDGE = {"upper": -0.115, "lower": 0.055}
GUM = {"upper": 0.12, "lower": -0.10}
"""Heights of the cutting edge and of the end of the gum over the middle of the base mesh's teeth, in decimetres."""
CROWN = 0.55
"""Share of the height that is tooth and not gum."""
EMBRASURE, SMILE = 0.012, 0.03
"""How far an edge recedes between two teeth, and how far the arch rises towards its ends, in decimetres."""
BACK = 0.02
"""Lower teeth lie behind the upper ones by this, in decimetres."""
WIDTH, HEIGHT = 512, 128
ENAMEL, FLESH = (0.93, 0.905, 0.86), (0.71, 0.40, 0.39)


@dataclass(frozen=True)
class Teeth:
    """Points [n, 3] are `weight` [n, k] times the base mesh's teeth `riders` [k]; shade [n] is their occlusion."""

    riders: Ints
    weight: Array
    faces: Ints
    uv: Array
    shade: Array

    def place(self, body: Array) -> Array:
        """Points [n, 3] on a body [m, 3]: each arch follows the affine map that fits the base mesh's teeth best."""
        return np.asarray(self.weight @ body[self.riders], np.float32)


def joints(arch: str) -> Array:
    """Where teeth meet, in shares 0..1 of half the arch, from the middle outwards."""
    ends = np.cumsum((0.0, *WIDTHS[arch]))
    return np.asarray(ends / ends[-1], np.float32)


def gap(arch: str, along: npt.NDArray[Any]) -> Array:
    """0 in the middle of a tooth to 1 between two, at places `along` -1..1 of the arch."""
    ends = joints(arch)
    where = np.clip(np.searchsorted(ends, np.abs(along), side="right") - 1, 0, len(ends) - 2)
    inside = (np.abs(along) - ends[where]) / (ends[where + 1] - ends[where])
    return np.asarray(np.abs(2 * np.clip(inside, 0, 1) - 1), np.float32)


def arch_points(arch: str, at: Array) -> Array:
    """Gum row, then edge row [2 * COLUMNS, 3] of an arch in place of the base mesh's teeth `at` [k, 3]."""
    along = np.linspace(-1, 1, COLUMNS, dtype=np.float32)
    angle = along * SPREAD
    wide, depth = np.abs(at[:, 0]).max() * 0.97, np.ptp(at[:, 2])
    front, middle = at[:, 2].max() - (BACK if arch == "lower" else 0.0), np.median(at[:, 1])
    x, z = wide * np.sin(angle), front - depth * (1 - np.cos(angle)) - 0.01
    up = 1 if arch == "upper" else -1
    edge = middle + EDGE[arch] + up * EMBRASURE * gap(arch, along) ** 4 + up * SMILE * along**2
    gum = np.full(COLUMNS, middle + GUM[arch])
    return np.concatenate([np.stack([x, level, z], 1) for level in (gum, edge)]).astype(np.float32)


def build_teeth(head: Head) -> Teeth:
    """Both arches on the teeth of the base mesh; depends on the head alone."""
    strip = np.arange(COLUMNS - 1)
    quads = np.stack([strip, strip + 1, COLUMNS + strip, strip + 1, COLUMNS + strip + 1, COLUMNS + strip], 1)
    along = np.linspace(-1, 1, COLUMNS)
    riders, weights, faces, uvs = [], [], [], []
    for number, arch in enumerate(("upper", "lower")):
        index = np.unique(head.faces[f"helper-{arch}-teeth"])
        at = head.mean[index]
        points = arch_points(arch, at)
        fit = np.linalg.pinv(np.column_stack([at, np.ones(len(at))]))
        weights.append(np.column_stack([points, np.ones(len(points))]) @ fit)
        riders.append(index)
        faces.append(quads.reshape(-1, 3) + 2 * COLUMNS * number)
        uvs.append(np.stack([np.tile(0.5 + 0.5 * along, 2), np.repeat([1.0 - number, 0.5], COLUMNS)], 1))
    weight = np.zeros((4 * COLUMNS, sum(map(len, riders))), np.float32)
    weight[: 2 * COLUMNS, : len(riders[0])], weight[2 * COLUMNS :, len(riders[0]) :] = weights
    return Teeth(
        riders=np.concatenate(riders).astype(np.int32),
        weight=weight,
        faces=np.concatenate(faces).astype(np.int32),
        uv=np.concatenate(uvs).astype(np.float32),
        shade=np.tile(1 - 0.75 * np.abs(along) ** 2.5, 4).astype(np.float32) * np.repeat([1, 0.75], 2 * COLUMNS),
    )


def paint_teeth() -> Bytes:
    """Texture [128, 512, 3] sRGB: upper teeth in the upper half, lower ones below; edges meet at v = .5."""
    along = (np.arange(WIDTH, dtype=np.float32) + 0.5) / WIDTH * 2 - 1
    rows = []
    for arch in ("upper", "lower"):
        between = gap(arch, along)[None]
        rise = ((np.arange(HEIGHT // 2, dtype=np.float32) + 0.5) / (HEIGHT // 2))[:, None]
        image = np.ones((HEIGHT // 2, WIDTH, 1), np.float32) * np.array(ENAMEL, np.float32)
        image *= (1 - 0.10 * between**6 - 0.05 * between**40)[..., None]
        image *= 1 - np.array([0.02, 0.05, 0.10]) * np.clip(rise * 1.6 - 0.2, 0, 1)[..., None]
        image += np.array([-0.02, -0.01, 0.02]) * np.clip(1 - rise / 0.12, 0, 1)[..., None]
        flesh = np.clip((rise - CROWN + 0.10 * between**2) / 0.05, 0, 1)[..., None]
        image = image * (1 - flesh) + np.array(FLESH) * (1 - 0.12 * between[..., None] ** 4) * flesh
        rows.append(image[::-1] if arch == "upper" else image)
    texture = cv2.GaussianBlur(np.concatenate(rows).astype(np.float32), (0, 0), 0.8)
    return np.asarray(np.clip(texture, 0, 1) * 255 + 0.5, np.uint8)
