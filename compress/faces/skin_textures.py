"""Painted in the body's texture space from positions on the mean head: skins and zones of make-up.

Skins are relative: their mean colour is about SKIN_LEVEL, and the absolute tone is an attribute of the identity.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from compress.faces.atlas import Bytes
from compress.faces.creases import crease
from compress.faces.head import Head
from compress.faces.painting import blur, noise, quantise
from compress.faces.raster import rasterize
from compress.faces.uv_layout import ISLANDS

Array = npt.NDArray[np.float32]

SKIN_SIZE = 512
SKIN_LEVEL = 0.8
LID_LINE = ((0.12, 7.32), (0.17, 7.335), (0.24, 7.395), (0.33, 7.41), (0.40, 7.39), (0.46, 7.37), (0.53, 7.385))
"""The edge of the upper lid on the mean head, x and y in decimetres, with a short wing."""
LID_HEIGHT, LINE_WIDTH, LINE = 0.15, 0.03, 0.7
"""Reach of eye shadow and half width of the eyeliner in decimetres; the zone's value where the line begins."""


def unfold(head: Head, size: int) -> Array:
    """Position on the mean head [size, size, 3] of every texel of the body's texture space."""
    uv = head.body_uv
    screen = np.stack([uv[:, 0] * size, (1 - uv[:, 1]) * size, np.ones(len(uv))], 1).astype(np.float32)
    faces = head.body_uv_faces
    triangle, b0, b1, _ = rasterize(
        screen,
        faces,
        faces,
        np.zeros(len(faces), np.int8),
        uv,
        np.zeros(4, np.uint8),
        np.ones((9, 3), np.int64),
        size,
        size,
    )
    corner = head.faces["body"][np.maximum(triangle, 0)]
    weight = np.stack([b0, b1, 1 - b0 - b1], 2)
    position = np.asarray((head.mean[corner] * weight[..., None]).sum(2), np.float32)
    position[triangle < 0] = -9
    return position


def island_mask(island: int, size: int) -> Array:
    """1 inside one island of the packed texture space, else 0: [size, size]."""
    u0, v0, u1, v1 = ISLANDS[island][1]
    out = np.zeros((size, size), np.float32)
    out[round((1 - v1) * size) : round((1 - v0) * size), round(u0 * size) : round(u1 * size)] = 1
    return out


def colour(rgb: list[float], gain: float = 1.0) -> Array:
    """Three shares [3], so narrow that large pictures stay narrow."""
    return np.asarray(np.array(rgb) * gain, np.float32)


CREASES_KEPT = 0.8
COMPLEXION: dict[str, tuple[float, float, list[float]]] = {
    "cheeks": (0.0, 1.6, [0.01, -0.10, -0.10]),
    "nose": (0.0, 1.4, [0.01, -0.10, -0.11]),
    "chin": (-0.3, 0.8, [0.01, -0.10, -0.11]),
    "ears": (0.3, 1.0, [0.01, -0.10, -0.11]),
    "bags": (-0.3, 2.0, [-0.09, -0.12, -0.08]),
    "lids": (-0.6, 1.6, [-0.08, -0.11, -0.09]),
    "sockets": (-0.6, 1.6, [-0.09, -0.11, -0.09]),
    "forehead": (-1.0, 1.0, [0.05, 0.06, 0.05]),
    "lower": (-0.7, 1.4, [-0.07, -0.06, -0.03]),
    "around lips": (-0.6, 1.0, [-0.07, -0.08, -0.08]),
    "crease": (0.0, 1.5, [-0.06, -0.11, -0.12]),
}
"""Least and largest strength of an area's deviation, and the change of the albedo's channels at strength 1."""
LIP_DARKNESS, LIP_SATURATION = (-0.35, 0.12), (0.35, 1.5)
"""Range of the logarithm of a gain of the lips' albedo, and of the power of their colour: from pale to red."""


class SkinPainter:
    """Paints zones and skins in texture space from positions on the mean head."""

    def __init__(self, head: Head) -> None:
        self.position = unfold(head, SKIN_SIZE)
        half = len(head.eye_index) // 2
        self.eye = head.eyes(head.mean)[:half].mean(0)
        self.nose = head.mean[head.landmarks[8]]
        self.mouth = head.mean[head.landmarks[[9, 10]]].mean(0)
        self.chin = head.mean[head.landmarks[13]]
        self.masks = {
            name: cv2.resize(mask, (SKIN_SIZE, SKIN_SIZE), interpolation=cv2.INTER_LINEAR).astype(np.float32) / 255
            for name, mask in head.masks.items()
        }
        self.areas = self.complexion_areas()

    def blob(self, centre: object, size: object, mirror: bool = True) -> Array:
        """Gaussian blob around a point of the head, mirrored to the other side."""
        c = np.asarray(centre, np.float32)
        s = np.asarray(size, np.float32)
        out = np.exp(-(((self.position - c) / s) ** 2).sum(2))
        if mirror:
            other = c * np.array([-1, 1, 1], np.float32)
            out = np.maximum(out, np.exp(-(((self.position - other) / s) ** 2).sum(2)))
        return np.asarray(out, np.float32)

    def zones(self) -> Bytes:
        """RGBA: lips, lids, blush, fine noise."""
        random = np.random.default_rng(7)
        lips = blur(self.masks["lips"], 1.2)
        n = self.nose
        blush = self.blob([0.45, n[1] + 0.06, n[2] - 0.4], [0.28, 0.22, 0.5])
        fine = np.clip(0.5 + noise(random, SKIN_SIZE, SKIN_SIZE, 0.9, 0.9) / 8, 0, 1)
        head = island_mask(0, SKIN_SIZE)
        return quantise(np.dstack([lips, self.lids() * head, blush * head, fine]))

    def lids(self) -> Array:
        """Upper lids for make-up: 1 at the lashes, LINE above the line that is drawn there, 0 below the brows."""
        across = np.abs(self.position[..., 0])
        x, y = np.array(LID_LINE, np.float32).T
        above = self.position[..., 1] - np.interp(across, x, y)
        inside = np.clip((across - x[0]) / 0.06, 0, 1) * np.clip((x[-1] - across) / 0.08, 0, 1)
        fade = np.clip(1 - above / LID_HEIGHT, 0, 1) * np.clip(1 + above / 0.03, 0, 1)
        line = np.clip(1 - np.abs(above) / LINE_WIDTH, 0, 1)
        front = self.position[..., 2] > 1.0
        return np.asarray(inside * front * np.where(line > 0, LINE + (1 - LINE) * line, LINE * fade), np.float32)

    def complexion_areas(self) -> dict[str, Array]:
        """Where skins differ from their mean, as shares 0..1 of texture space [SKIN_SIZE, SKIN_SIZE]."""
        e, n = self.eye, self.nose
        drop = e[1] - n[1]
        mouth = n[1] - 1.05 * drop
        lower = np.clip((n[1] - 0.08 - self.position[..., 1]) / 0.12, 0, 1) * (self.position[..., 1] > 5.5)
        return {
            "cheeks": self.blob([0.42, n[1] + 0.05, n[2] - 0.35], [0.28, 0.26, 0.5]),
            "nose": self.blob(n, [0.16, 0.14, 0.25], False),
            "chin": self.blob([0, mouth - 0.25, n[2] - 0.1], [0.22, 0.14, 0.4], False),
            "ears": self.masks["ears"],
            "bags": self.blob([e[0] * 0.85, e[1] - 0.17, e[2] + 0.12], [0.14, 0.07, 0.3]),
            "lids": np.maximum(self.masks["eyelids"], self.blob([e[0], e[1] + 0.10, e[2]], [0.2, 0.10, 0.3])),
            "sockets": self.blob([e[0] * 0.9, e[1] - 0.02, e[2]], [0.28, 0.20, 0.35]),
            "forehead": self.blob([0, e[1] + 0.55, e[2]], [0.7, 0.3, 0.6], False),
            "lower": np.asarray(lower * self.blob([0, mouth - 0.1, n[2] - 0.3], [0.75, 0.5, 0.9], False), np.float32),
            "around lips": self.blob([0, mouth, n[2] - 0.2], [0.38, 0.2, 0.4], False),
            "crease": self.blob([0.17, n[1] - 0.03, n[2] - 0.2], [0.07, 0.12, 0.2]),
        }

    def skin(self, seed: int, age: float) -> Bytes:
        """One relative skin texture: complexion, creases by age 0..1, mottling, spots, moles, pores, lips."""
        random = np.random.default_rng(seed)
        red = noise(random, SKIN_SIZE, SKIN_SIZE, 11, 11) * (0.07 + 0.10 * age)
        red += noise(random, SKIN_SIZE, SKIN_SIZE, 3.5, 3.5) * (0.05 + 0.07 * age)
        base = np.full((SKIN_SIZE, SKIN_SIZE, 1), SKIN_LEVEL, np.float32)
        base = base * (1 + red[..., None] * colour([0.01, -0.10, -0.11]))
        for name, (least, most, tint) in COMPLEXION.items():
            strength = random.uniform(least, most)
            base = base * (1 + self.areas[name][..., None] * colour(tint, strength))
        lines = (0.2 + 0.8 * age) * crease(self.position, random)
        base = base * (1 - lines[..., None] * colour([0.16, 0.24, 0.26]))
        spots = np.clip(noise(random, SKIN_SIZE, SKIN_SIZE, 1.7, 1.7) - (3.3 - 0.7 * age), 0, 1)
        base = base * (1 - spots[..., None] * colour([0.22, 0.34, 0.38]))
        for width in (1.1, 3.0):
            base = base * (1 + 0.010 * noise(random, SKIN_SIZE, SKIN_SIZE, width, width)[..., None])
        lips = blur(self.masks["lips"], 0.8)[..., None]
        lip = colour([0.93, 0.70, 0.71], np.exp(random.uniform(*LIP_DARKNESS)))
        lip = lip ** np.float32(random.uniform(*LIP_SATURATION))
        base = base * (1 - lips) + base * lip * lips
        cavity = island_mask(2, SKIN_SIZE)[..., None]
        base = base * (1 - cavity) + colour([0.42, 0.17, 0.16]) * cavity
        return quantise(np.asarray(base, np.float32))


def soften(skin: Bytes, lips: Array) -> Bytes:
    """The cartoon's copy of a skin texture: blurred, with most of its creases, and the lips' outline."""
    size = skin.shape[0]
    wide, middle, narrow = (
        np.dstack([blur(skin[..., c].astype(np.float32), s * size / 1024) for c in range(3)]) for s in (14.0, 3.5, 2.0)
    )
    weight = np.clip(blur(lips, 2 * size / 1024) * 1.3, 0, 1)[..., None]
    calm = wide + CREASES_KEPT * (middle - wide)
    return np.asarray(np.clip(calm * (1 - weight) + narrow * weight, 0, 255), np.uint8)
