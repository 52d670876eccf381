"""Caps, beanies, hats, headbands and headscarves as sheets over the skull, and how they press the hair below.

Built on the mean head and bound to the skull's triangles like hair sheets, hence they follow any identity,
expression and style. Fabrics are in fabric.py, scarves of the neck in neckwear.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from compress.faces.hair import HairSheet, Scalp, smoothstep
from compress.faces.wear import BEANIE, CAP, HAT, HEADBAND, Headwear

Array = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

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
LEAST_ROOM = 0.05
"""Distance between skull and hat that no head may shrink, in decimetres."""
HIDDEN = 0.14
"""Hair this far inside a hat is left out."""


@dataclass(frozen=True)
class Sheet:
    """Geometry on the mean head: binding [k, 3] and offset of each vertex, triangles, uv in decimetres, occlusion.

    A sheet with `outwards` [k, 3], unit directions away from the skull, keeps its shape: of the difference between a
    body and the mean head it follows the smooth part, and is lifted where that leaves less than LEAST_ROOM.
    """

    index: Ints
    weight: Array
    offset: Array
    faces: Ints
    uv: Array
    occlusion: Array
    outwards: Array | None = None

    def place(self, body: Array, mean: Array, grow: float) -> Array:
        """Vertices [k, 3] on a body [n, 3] with offsets scaled by `grow`; mean [n, 3] is the mean head."""
        bound = (body[self.index] * self.weight[..., None]).sum(1)
        if self.outwards is None:
            return np.asarray(bound + self.offset * grow, np.float32)
        rest = (mean[self.index] * self.weight[..., None]).sum(1)
        smooth = rest + smooth_part(rest, bound - rest)
        room = (((smooth - bound) + self.offset * grow) * self.outwards).sum(1)
        wanted = np.minimum(LEAST_ROOM, (self.offset * self.outwards).sum(1) * grow)
        lift = np.maximum(0, wanted - room)[:, None] * self.outwards
        return np.asarray(smooth + self.offset * grow + lift, np.float32)


def smooth_part(points: Array, displacement: Array) -> Array:
    """The part of a displacement [k, 3] of points [k, 3] that is quadratic in their position, by least squares."""
    x, y, z = ((points - points.mean(0)) / (points.std(0) + 1e-6)).T
    terms = np.stack([np.ones_like(x), x, y, z, x * x, y * y, z * z, x * y, x * z, y * z], 1)
    normal = terms.T @ terms + 1e-4 * len(points) * np.eye(terms.shape[1])
    return np.asarray(terms @ np.linalg.solve(normal, terms.T @ displacement), np.float32)


def grid_faces(columns: int, rows: int) -> Ints:
    """Triangles of an open grid whose vertices are numbered column by column; outwards if rows run downwards."""
    column, row = (x.reshape(-1) for x in np.meshgrid(np.arange(columns - 1), np.arange(rows - 1), indexing="ij"))
    a, b = column * rows + row, (column + 1) * rows + row
    return np.concatenate([np.stack([a, a + 1, b], 1), np.stack([b, a + 1, b + 1], 1)]).astype(np.int32)


def metric_uv(points: Array, from_row: int) -> Array:
    """Lengths along the rows (u) and down the columns (v, 0 at row `from_row`) of a grid [columns, rows, 3]."""
    around = np.linalg.norm(np.diff(points, axis=0), axis=2).max(1)
    down = np.linalg.norm(np.diff(points, axis=1), axis=2).mean(0)
    u = np.concatenate([[0], np.cumsum(around)])
    v = np.concatenate([[0], np.cumsum(down)])
    grid = np.meshgrid(u, v - v[from_row], indexing="ij")
    return np.stack([part.reshape(-1) for part in grid], 1).astype(np.float32)


def join_sheets(sheets: list[Sheet]) -> Sheet:
    """One sheet of several."""
    starts = np.cumsum([0] + [len(sheet.index) for sheet in sheets])
    faces = [sheet.faces + start for sheet, start in zip(sheets, starts, strict=False)]
    rest = (np.concatenate([getattr(sheet, name) for sheet in sheets]) for name in ("index", "weight", "offset"))
    index, weight, offset = rest
    uv, occlusion = (np.concatenate([getattr(sheet, name) for sheet in sheets]) for name in ("uv", "occlusion"))
    stiff = [sheet.outwards for sheet in sheets if sheet.outwards is not None]
    outwards = np.concatenate(stiff) if len(stiff) == len(sheets) else None
    return Sheet(index, weight, offset, np.concatenate(faces).astype(np.int32), uv, occlusion, outwards)


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


def spherical(azimuth: Array, polar: Array) -> Array:
    """Unit directions [..., 3] in head axes: azimuth 0 in front, polar 0 at the crown."""
    azimuth, polar = np.broadcast_arrays(azimuth, polar)
    return np.stack([np.sin(azimuth) * np.sin(polar), np.cos(polar), np.cos(azimuth) * np.sin(polar)], -1).astype(
        np.float32
    )
