"""Beards: where each style grows, strands painted in texture space, and two shells of hair over the skin.

Stubble has no shell; it is painted (skin_albedo in shading.py) with the texture of the full beard.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from compress.faces.atlas import Bytes
from compress.faces.garments import Sheet
from compress.faces.head import Head
from compress.faces.painting import blur, noise, quantise
from compress.faces.patches import ear_share
from compress.faces.raster import vertex_normals
from compress.faces.uv_layout import ISLANDS

Array = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

BEARDS = ("full", "long", "goatee", "circle", "moustache")
LEAST_SHELL = 0.25
"""Beards of less density are painted only."""
THICKNESS = {"full": 0.10, "long": 0.14, "goatee": 0.10, "circle": 0.08, "moustache": 0.06}
"""Of the densest beard of a style, in decimetres."""
DROOP = {"full": 0.05, "long": 0.34, "goatee": 0.05, "circle": 0.03, "moustache": 0.02}
"""How far the chin's hair hangs down."""
LAYERS = (0.5, 1.0)


def grows(style: str, position: Array, head: Head) -> Array:
    """Density 0..1 of a style at points [..., 3] of the mean head, lips not yet left out."""
    marks = head.mean[head.landmarks]
    mouth, chin, nose = marks[[9, 10]].mean(0), marks[13], marks[8]
    across, y = np.abs(position[..., 0]), position[..., 1]
    angle = np.arctan2(across, position[..., 2] - 0.25)
    line = np.interp(angle, [0, 0.18, 0.3, 0.48, 0.75, 1.2, 1.35], [0.25, 0.3, 0.6, 1.05, 1.0, 0.1, -0.8])
    below = np.clip((nose[1] + line * (mouth[1] - nose[1]) - y) / 0.10, 0, 1)
    above = np.clip((y - (chin[1] - 0.26 + 0.30 * np.clip(angle - 0.3, 0, 1))) / 0.14, 0, 1)
    full = below * above * np.clip((1.42 - angle) / 0.12, 0, 1)
    upper = np.clip((y - (mouth[1] - 0.03) + 0.6 * np.clip(across - 0.22, 0, 1)) / 0.05, 0, 1)
    upper = upper * np.clip((0.36 - across) / 0.08, 0, 1)
    lower = np.clip((mouth[1] - 0.02 - y) / 0.06, 0, 1) * np.clip((0.30 - across) / 0.10, 0, 1)
    beside = np.clip((0.38 - across) / 0.08, 0, 1) * np.clip((across - 0.12) / 0.08, 0, 1)
    beside = beside * np.clip((mouth[1] + 0.08 - y) / 0.08, 0, 1) * np.clip((y - chin[1] - 0.02) / 0.1, 0, 1)
    parts = {"moustache": upper, "goatee": lower, "circle": np.maximum(np.maximum(upper, lower), beside)}
    return np.asarray(full * parts.get(style, 1.0), np.float32)


def lips_at(head: Head) -> Array:
    """Share of lips [n] at every vertex of the body."""
    mask = blur(np.asarray(head.masks["lips"] / 255, np.float32), 1.2)
    side = mask.shape[0]
    uv = np.zeros((head.count, 2), np.float32)
    uv[head.faces["body"].ravel()] = head.body_uv[head.body_uv_faces.ravel()]
    columns = np.clip((uv[:, 0] * side).astype(int), 0, side - 1)
    rows = np.clip(((1 - uv[:, 1]) * side).astype(int), 0, side - 1)
    return np.asarray(mask[rows, columns], np.float32)


def paint_beard(style: str, head: Head, position: Array) -> Bytes:
    """RGBA in the body's texture space: strand brightness, smooth brightness, again; density with strands as alpha."""
    random = np.random.default_rng(400 + BEARDS.index(style))
    size = position.shape[0]
    repeats = size // len(head.masks["lips"])
    lips = np.asarray(np.kron(head.masks["lips"] / 255, np.ones((repeats, repeats))), np.float32)
    bare = 1 - np.clip(blur(lips, 2.5) * 1.6, 0, 1)
    density = np.asarray(grows(style, position, head) * bare, np.float32)
    # Texture columns run from crown to chin, hence strands along x hang down.
    strands = noise(random, size, size, 0.8, 6) * 0.6 + noise(random, size, size, 2.0, 9) * 0.5
    smooth = noise(random, size, size, 5, 12)
    density = blur(density, 2.5)
    alpha = np.clip(density * (0.9 + 0.28 * strands), 0, 1)
    shade = 0.43 * (1 + 0.22 * strands)
    return quantise(np.dstack([shade, 0.43 * (1 + 0.10 * smooth), shade, alpha]))


class Barber:
    """Grows beards on a head; holds where each style has hair."""

    def __init__(self, head: Head) -> None:
        self.head = head
        self.normals = vertex_normals(head.mean, head.faces["body"])
        bare = (1 - np.clip(lips_at(head) * 2.0, 0, 1)) * (1 - ear_share(head))
        self.uv = np.zeros((head.count, 2), np.float32)
        self.uv[head.faces["body"].ravel()] = head.body_uv[head.body_uv_faces.ravel()]
        outside = ISLANDS[0][1]
        bare = bare * (self.uv[:, 0] <= outside[2])
        self.density = {style: grows(style, head.mean, head) * bare for style in BEARDS}
        u = head.body_uv[head.body_uv_faces, 0]
        self.outer = head.faces["body"][(u <= outside[2]).all(1)]

    def grow(self, style: str, fullness: float) -> Sheet | None:
        """Shells of a style at a fullness 0..1; None where the beard is too thin for them. Its uv are of the body."""
        if fullness < LEAST_SHELL:
            return None
        density, outer = self.density[style], self.outer
        used, faces = np.unique(outer[(density[outer] > 0.02).any(1)], return_inverse=True)
        triangles = faces.reshape(-1, 3).astype(np.int32)
        local = density[used]
        marks = self.head.mean[self.head.landmarks]
        chin = np.exp(-((self.head.mean[used] - marks[13]) ** 2 / np.array([0.3, 0.22, 0.5]) ** 2).sum(1))
        thick = THICKNESS[style] * (0.4 + 0.6 * fullness) * local**0.7
        grown = self.normals[used] * thick[:, None]
        grown[:, 1] -= DROOP[style] * fullness * chin * local
        offset = np.concatenate([grown * share for share in LAYERS]).astype(np.float32)
        count = len(LAYERS)
        index = np.tile(np.repeat(used[:, None], 3, 1), (count, 1)).astype(np.int32)
        weight = np.tile(np.array([1, 0, 0], np.float32), (len(index), 1))
        every = np.concatenate([triangles + k * len(used) for k in range(count)]).astype(np.int32)
        occlusion = np.repeat(np.linspace(0.7, 1.0, count), len(used)).astype(np.float32)
        return Sheet(index, weight, offset, every, np.tile(self.uv[used], (count, 1)), occlusion)
