"""Caps, beanies, hats, headbands and headscarves as sheets over the skull, and how they press the hair below.

Built on the mean head and bound to the skull's triangles like hair sheets, hence they follow any identity,
expression and style. Fabrics are in fabric.py, scarves of the neck in neckwear.py.
"""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from compress.faces.garments import Sheet, grid_faces, join_sheets, metric_uv, spherical
from compress.faces.hair import HairSheet, smoothstep
from compress.faces.scalp import Scalp
from compress.faces.wear import BEANIE, CAP, HAT, HEADBAND, Headwear

Array = npt.NDArray[np.float32]

COLUMNS = 36
FRONT_RIM = {CAP: 7.96, BEANIE: 7.97, HAT: 7.95, HEADBAND: 8.03}
"""Usual height of the rim over the forehead on the mean head (brows 7.58, hairline 8.05), in decimetres."""
BACK_RIM = {CAP: 7.50, BEANIE: 7.22, HAT: 7.55, HEADBAND: 7.55}
FRONT_Z, BACK_Z = 1.32, -0.68
"""Depth of the forehead and of the back of the head, where these heights hold."""
BAND_WIDTH, VISOR = 0.26, 1.1
"""Width of a headband in decimetres; azimuth of a visor's ends."""
UNDER, BURIED, MARGIN = 0.025, -0.02, 0.13
"""Thickness of pressed hair at the rim and deep inside; it is pressed this far beyond the rim, in decimetres."""
SWELL = 0.7
"""Farther out hair may gain this much thickness per decimetre."""
HIDDEN = 0.14
"""Hair this far inside a hat is left out."""


class Hatter:
    """Builds headwear for a scalp; holds the smoothed skull."""

    def __init__(self, scalp: Scalp) -> None:
        self.scalp = scalp
        table = scalp.radius
        wide = np.concatenate([table[-12:], table, table[:12]])
        self.radius = np.asarray(cv2.GaussianBlur(wide, (0, 0), 3.0)[12:-12], np.float32)
        self.centre = scalp.head.centre

    def plane(self, wear: Headwear) -> tuple[Array, float]:
        """Unit normal of the rim's plane and its distance: inside the hat, point @ normal > distance."""
        front, back = FRONT_RIM[wear.kind] + wear.front, BACK_RIM[wear.kind] + wear.back
        slope = (front - back) / (FRONT_Z - BACK_Z)
        normal = np.array([-math.tan(wear.tilt), 1.0, -slope])
        normal /= np.linalg.norm(normal)
        return normal.astype(np.float32), float(normal @ np.array([0, front, FRONT_Z]))

    def directions(self, wear: Headwear, share: Array) -> tuple[Array, Array]:
        """Unit directions [COLUMNS, rows, 3] from the crown (share 0) to the rim (1); radius of the skull there."""
        normal, distance = self.plane(wear)
        azimuth = np.linspace(-math.pi, math.pi, COLUMNS).astype(np.float32)
        polar = np.linspace(0.3, 2.4, 64).astype(np.float32)
        rays = spherical(azimuth[:, None], polar[None])
        reach = self.scalp.look_up(self.radius, rays) + 0.05
        height = (self.centre + rays * reach[..., None]) @ normal - distance
        row = (height < 0).argmax(1)
        at = np.arange(COLUMNS)
        before = height[at, row - 1]
        ends = polar[row - 1] + before / (before - height[at, row]) * (polar[1] - polar[0])
        out = spherical(azimuth[:, None], ends[:, None] * share[None])
        return out, self.scalp.look_up(self.radius, out)

    def sheet(self, points: Array, directions: Array, from_row: int, occlusion: float = 1.0) -> Sheet:
        """A grid of points [columns, rows, 3] bound to the skull below the given directions."""
        index, weight = self.scalp.bind(directions)
        bound = (self.scalp.head.mean[index] * weight[..., None]).sum(2)
        count = points.shape[0] * points.shape[1]
        return Sheet(
            index.reshape(-1, 3).astype(np.int32),
            weight.reshape(-1, 3).astype(np.float32),
            (points - bound).reshape(-1, 3).astype(np.float32),
            grid_faces(*points.shape[:2]),
            metric_uv(points, from_row),
            np.full(count, occlusion, np.float32),
            directions.reshape(-1, 3).astype(np.float32),
        )

    def build(self, wear: Headwear) -> Sheet:
        """Headwear of the kinds that have a rim (all but none and headscarf)."""
        make = {CAP: self._cap, BEANIE: self._beanie, HAT: self._hat, HEADBAND: self._band}
        return make[wear.kind](wear)

    def _beanie(self, wear: Headwear) -> Sheet:
        """Knitted: a cuff at the rim, more or less slack at the top."""
        share = np.array([0, 0.15, 0.32, 0.5, 0.66, 0.78, 0.79, 0.9, 0.99, 1.0], np.float32)
        thick = np.array([0.1, 0.1, 0.1, 0.1, 0.1, 0.09, 0.15, 0.155, 0.12, -0.02], np.float32)
        directions, radius = self.directions(wear, share)
        points = self.centre + directions * (radius + thick)[..., None]
        slack = (wear.crown**2 * 0.45 * smoothstep(0.75, 0.0, share))[None, :, None]
        points = points + slack * np.array([0, 0.7, -0.7], np.float32)
        return self.sheet(points, directions, 8)

    def _cap(self, wear: Headwear) -> Sheet:
        """A round crown, higher in front, and a visor."""
        share = np.array([0, 0.2, 0.4, 0.6, 0.8, 0.95, 1.0], np.float32)
        directions, radius = self.directions(wear, share)
        azimuth = np.linspace(-math.pi, math.pi, COLUMNS).astype(np.float32)
        raised = np.exp(-((azimuth / 0.9) ** 2))[:, None] * np.sin(np.clip(share * 1.1, 0, 1) * math.pi)[None]
        thick = np.array([0.11, 0.11, 0.1, 0.09, 0.075, 0.07, -0.02])[None] + (0.05 + 0.1 * wear.crown) * raised
        points = self.centre + directions * (radius + thick)[..., None]
        crown = self.sheet(np.asarray(points, np.float32), directions, 5)
        front = np.linspace(-VISOR, VISOR, 15).astype(np.float32)
        column = np.interp(front, azimuth, np.arange(COLUMNS))
        rim = np.stack([np.interp(column, np.arange(COLUMNS), points[:, 5, k]) for k in range(3)], 1)
        length = (0.45 + 0.4 * wear.brim) * np.clip(np.cos(front / VISOR * math.pi / 2), 0, 1) ** 0.5
        reach = np.linspace(0, 1, 4)[None, :, None]
        ahead = np.stack([0.25 * front, -0.22 - 0.35 * np.abs(front) ** 2, np.ones_like(front)], 1)
        visor = rim[:, None] + reach * ahead[:, None] * length[:, None, None]
        visor[:, :, 1] += 0.06 * np.sin(reach[..., 0] * math.pi) * length[:, None]
        rays = np.repeat(spherical(front[:, None], np.full((1, 1), 1.2, np.float32)), 4, 1)
        return join_sheets([crown, self.sheet(visor.astype(np.float32), rays, 0, 0.9)])

    def _hat(self, wear: Headwear) -> Sheet:
        """A wall and a dented top over the rim, and a brim all round."""
        directions, radius = self.directions(wear, np.ones(1, np.float32))
        normal, distance = self.plane(wear)
        rim = self.centre + directions[:, 0] * (radius + 0.06)
        middle = rim.mean(0)
        top = float(((self.scalp.points.reshape(-1, 3) @ normal) - distance).max()) + 0.12 + 0.3 * wear.crown
        azimuth = np.linspace(-math.pi, math.pi, COLUMNS)
        outwards = np.stack([np.sin(azimuth), np.zeros(COLUMNS), np.cos(azimuth)], 1)
        curl = 0.25 * np.sin(azimuth) ** 2 - 0.22 * np.cos(azimuth) ** 2
        rows = []
        for wide, high in ((0.0, top - 0.14), (0.5, top - 0.1), (0.8, top), (0.89, top - 0.06), (0.97, top * 0.5)):
            rows.append(middle + (rim - middle) * wide + normal * high)
        rows += [rim + normal * 0.02]
        for reach in (0.5, 1.0):
            level = curl * wear.brim * reach**2
            rows.append(rim + outwards * wear.brim * reach + normal * level[:, None])
        rows.append(self.centre + directions[:, 0] * (radius - 0.02))
        points = np.stack(rows, 1).astype(np.float32)
        rays = np.repeat(directions, len(rows), 1)
        up = np.array([0, 1, 0], np.float32)
        for row, lift in enumerate((1.0, 0.9, 0.7, 0.6, 0.3)):
            rays[:, row] = rays[:, row] * (1 - lift) + up * lift
        rays /= np.linalg.norm(rays, axis=2, keepdims=True)
        sheet = self.sheet(points, rays, 5)
        keep = np.ones((COLUMNS - 1, len(rows) - 1), bool)
        keep[:, -1] = False
        return replace(sheet, faces=sheet.faces[np.tile(keep.reshape(-1), 2)])

    def _band(self, wear: Headwear) -> Sheet:
        """A strip around the head, over pressed hair."""
        share = np.array([0, 0.05, 0.5, 0.95, 1.0], np.float32)
        directions, radius = self.directions(wear, np.ones(1, np.float32))
        normal, _ = self.plane(wear)
        low = self.centre + directions[:, 0] * radius
        width = BAND_WIDTH * (0.6 + 0.8 * wear.crown)
        rays = low[:, None] + normal * (width * (1 - share))[None, :, None] - self.centre
        rays = (rays / np.linalg.norm(rays, axis=2, keepdims=True)).astype(np.float32)
        thick = np.array([-0.02, 0.06, 0.085, 0.06, -0.02], np.float32)
        points = self.centre + rays * (self.scalp.look_up(self.radius, rays) + thick)[..., None]
        return self.sheet(np.asarray(points, np.float32), rays, 3)

    def inside(self, wear: Headwear, points: Array) -> Array:
        """Depth [n] of points of the mean head inside the headwear, negative outside, in decimetres."""
        normal, distance = self.plane(wear)
        depth = points @ normal - distance
        if wear.kind == HEADBAND:
            width = BAND_WIDTH * (0.6 + 0.8 * wear.crown)
            depth = np.minimum(depth, width - depth)
        return np.asarray(depth, np.float32)

    def press(self, wear: Headwear, hair: HairSheet) -> HairSheet:
        """Hair as the headwear leaves it: thin below the fabric, swelling out below the rim, left out deep inside."""
        mean = self.scalp.head.mean
        points = (mean[hair.index] * hair.weight[..., None]).sum(1) + hair.offset
        apart = points - self.centre
        far = np.linalg.norm(apart, axis=1) + 1e-6
        direction = apart / far[:, None]
        skull = self.scalp.look_up(self.scalp.radius, direction)
        on_skull = self.centre + direction * skull[:, None]
        depth = self.inside(wear, np.asarray(on_skull, np.float32))
        allowed = UNDER + SWELL * np.maximum(0, -depth - MARGIN) - (UNDER - BURIED) * np.clip(depth / 0.06 - 0.7, 0, 1)
        moved = np.minimum(far, skull + allowed)
        offset = hair.offset + direction * (moved - far)[:, None]
        hidden = (depth > HIDDEN) & (wear.kind != HEADBAND)
        seen = ~hidden[hair.faces].all(1)
        return replace(hair, offset=offset.astype(np.float32), faces=hair.faces[seen], uv_faces=hair.uv_faces[seen])
