"""Scarves of the neck and headscarves, which cover all but the face and fall over the neck.

Built on the mean head; a headscarf's upper part is bound to the skull like headwear.py's sheets, the rest to the
nearest vertices of neck, shoulders and clothes.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from compress.faces.garments import Sheet, grid_faces, join_sheets, metric_uv, spherical
from compress.faces.head import Head
from compress.faces.headwear import Hatter
from compress.faces.patches import ride
from compress.faces.scene import Clothes
from compress.faces.wear import Headwear

Array = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

COLUMNS = 40
LEVELS = np.arange(5.0, 6.75, 0.05, dtype=np.float32)
"""Heights of the table of the neck's extent; chin 6.41, shoulders 5.5."""
AXIS_Z = 0.2
"""Depth of the upright axis through the neck."""
OPENING_Y, OPENING = 7.20, (0.66, 0.80, 0.86)
"""Oval that a headscarf leaves open on the mean head: height of its middle; half width, height above and below it."""


class Neck:
    """How far neck, shoulders and clothes of the mean head reach from the neck's axis, by azimuth and height."""

    def __init__(self, head: Head) -> None:
        self.head = head
        faces = np.concatenate([head.faces["body"], head.faces["cloth"]])
        vertices = np.unique(faces).astype(np.int32)
        vertices = vertices[head.mean[vertices, 1] < LEVELS[-1] + 0.1]
        at = head.mean[vertices]
        azimuth = np.arctan2(at[:, 0], at[:, 2] - AXIS_Z)
        reach = np.hypot(at[:, 0], at[:, 2] - AXIS_Z)
        self.azimuth = np.linspace(-math.pi, math.pi, COLUMNS).astype(np.float32)
        below_chin = at[:, 1] < 6.28
        self.table = np.zeros((COLUMNS, len(LEVELS)), np.float32)
        for column, angle in enumerate(self.azimuth):
            apart = np.abs((azimuth - angle + math.pi) % (2 * math.pi) - math.pi)
            for row, level in enumerate(LEVELS):
                near = (apart < 0.22) & (np.abs(at[:, 1] - level) < 0.09) & below_chin
                self.table[column, row] = reach[near].max() if near.any() else 0.0
        for row in range(len(LEVELS) - 2, -1, -1):
            empty = self.table[:, row] == 0
            self.table[empty, row] = self.table[empty, row + 1]
        rings = [self.ring(np.full(COLUMNS, level, np.float32), np.zeros(COLUMNS, np.float32)) for level in LEVELS]
        apart = [((ring[:, None] - at[None]) ** 2).sum(2).argmin(1) for ring in rings]
        self.nearest = vertices[np.stack(apart, 1)]

    def ring(self, level: Array, margin: Array) -> Array:
        """Points [COLUMNS, 3] at the heights [COLUMNS], `margin` away from what is there."""
        reach = np.array([np.interp(y, LEVELS, self.table[k]) for k, y in enumerate(level)]) + margin
        return np.stack([np.sin(self.azimuth) * reach, level, AXIS_Z + np.cos(self.azimuth) * reach], 1).astype(
            np.float32
        )

    def sheet(self, points: Array, from_row: int, occlusion: Array) -> Sheet:
        """A grid of points [columns, rows, 3] that rides on the nearest vertices; occlusion [rows]."""
        flat = points.reshape(-1, 3)
        outwards = np.stack([np.sin(self.azimuth), np.zeros(COLUMNS), np.cos(self.azimuth)], 1)
        outwards = np.repeat(outwards[:, None], points.shape[1], 1)
        level = np.clip(np.rint((flat[:, 1] - LEVELS[0]) / (LEVELS[1] - LEVELS[0])), 0, len(LEVELS) - 1).astype(int)
        column = np.repeat(np.arange(COLUMNS), points.shape[1])
        index = np.repeat(self.nearest[column, level][:, None], 3, 1)
        weight = np.broadcast_to(np.array([1, 0, 0], np.float32), (len(flat), 3))
        return Sheet(
            index.astype(np.int32),
            np.ascontiguousarray(weight),
            (flat - self.head.mean[index[:, 0]]).astype(np.float32),
            grid_faces(*points.shape[:2]),
            metric_uv(points, from_row),
            np.tile(occlusion, len(points)).astype(np.float32),
            outwards.reshape(-1, 3).astype(np.float32),
        )

    def scarf(self, seed: int) -> Sheet:
        """A scarf wound round the neck: two rolls of cloth with folds, high at the nape."""
        random = np.random.default_rng(seed)
        behind = (1 - np.cos(self.azimuth)) / 2
        high = random.uniform(6.1, 6.2) + 0.12 * behind
        thick = random.uniform(0.14, 0.24)
        folds = sum(random.uniform(0.15, 0.4) * np.cos(k * self.azimuth + random.uniform(0, 6)) for k in (2, 3, 5, 7))
        drops = (0.02, 0.0, -0.12, -0.24, -0.3, -0.36, -0.5, -0.68, -0.78)
        bulges = (-0.05, 0.5, 0.95, 0.75, 0.5, 0.95, 1.3, 1.15, 0.2)
        rows = []
        for drop, out in zip(drops, bulges, strict=True):
            level = high + drop * (1.0 + 0.25 * folds) - 0.12 * np.cos(self.azimuth) * (-drop)
            rows.append(self.ring(level, 0.02 + thick * out * (1 + 0.35 * folds * np.sin(5 * drop))))
        points = np.stack(rows, 1)
        occlusion = np.array([0.45, 0.8, 1, 0.85, 0.6, 0.85, 1, 0.9, 0.6], np.float32)
        return self.sheet(points, 0, occlusion)


def outside_opening(hatter: Hatter, wear: Headwear, azimuth: Array, polar: Array) -> npt.NDArray[np.bool_]:
    """Whether the skull in the directions [a, p] is outside a headscarf's opening."""
    rays = spherical(azimuth[:, None], polar[None])
    points = hatter.centre + rays * hatter.scalp.look_up(hatter.radius, rays)[..., None]
    wide, high, low = OPENING
    tall = np.where(points[..., 1] > OPENING_Y, high + 0.6 * wear.front, low)
    return np.asarray((points[..., 0] / wide) ** 2 + ((points[..., 1] - OPENING_Y) / tall) ** 2 > 1)


def headscarf(hatter: Hatter, neck: Neck, wear: Headwear, seed: int) -> Sheet:
    """A hood with an oval opening for the face, and a drape from chin and jaw down to the chest."""
    random = np.random.default_rng(seed)
    scan = np.linspace(0, math.pi, 180).astype(np.float32)
    fine = np.linspace(0.4, 1.4, 200).astype(np.float32)
    top = fine[(~outside_opening(hatter, wear, scan[:1], fine)[0]).argmax()]
    below = top + np.array([0, 0.006, 0.025, 0.06, 0.11, 0.18], np.float32)
    polar = np.concatenate([np.linspace(0.02, top - 0.08, 4), [top - 0.01], below, np.linspace(top + 0.28, 2.55, 11)])
    start = scan[outside_opening(hatter, wear, scan, polar.astype(np.float32)).argmax(0)]
    share = np.linspace(-0.02, 1.02, COLUMNS)
    share[[0, 1, -2, -1]] = 0, 0.008, 0.992, 1
    azimuth = (start[None] + share[:, None] * (2 * math.pi - 2 * start[None])).astype(np.float32)
    rays = spherical(azimuth, np.broadcast_to(polar[None], azimuth.shape))
    inwards = np.clip(np.minimum(share, 1 - share)[:, None] / 0.1, 0, 1) * np.ones_like(azimuth)
    inwards[:, polar < top - 0.005] = np.maximum(inwards, np.clip((top - polar) / 0.3, 0, 1))[:, polar < top - 0.005]
    ripple = 0.025 * np.sin(9 * azimuth + 4 * polar[None] + random.uniform(0, 6))
    thick = 0.05 + (0.06 + ripple) * inwards
    thick[[0, -1]] = np.where(polar > top - 0.005, -0.01, thick[[0, -1]])
    radius = hatter.scalp.look_up(hatter.radius, rays)
    hood = (hatter.centre + rays * (radius + thick)[..., None]).astype(np.float32)
    upper = replace(hatter.sheet(hood, rays, 0), outwards=None)
    folds = sum(random.uniform(0.2, 0.5) * np.cos(k * neck.azimuth + random.uniform(0, 6)) for k in (3, 5, 8))
    rows = []
    for level, margin in ((6.42, 0.1), (6.25, 0.14), (6.05, 0.17), (5.8, 0.18), (5.5, 0.18), (5.15, 0.18)):
        rows.append(neck.ring(np.full(COLUMNS, level), margin + 0.035 * folds * (6.5 - level)))
    lower = neck.sheet(np.stack(rows, 1), 0, np.array([0.6, 0.75, 0.85, 0.95, 1, 1], np.float32))
    return join_sheets([upper, replace(lower, outwards=None)])


def neckline(head: Head, clothes: Clothes) -> tuple[Ints, Array]:
    """Texture triangles of the clothes, and for each vertex: depth below the neckline, distance from the middle."""
    index, faces = ride(head.faces["cloth"])
    rest = head.vertices[index]
    ahead = np.clip((rest[:, 2] + 0.1) / 0.4, 0, 1)
    opening = (0.25 + clothes.neck) * (1 - np.abs(rest[:, 0]) * 1.1)
    edge = 5.62 + clothes.collar * 0.5 - ahead * np.maximum(0, opening)
    behind = np.where(rest[:, 2] > 0.3, np.abs(rest[:, 0]), 9.0)
    return faces, np.stack([edge - rest[:, 1], behind], 1).astype(np.float32)
