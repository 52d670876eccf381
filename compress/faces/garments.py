"""Sheets of cloth or hair that ride on a head of any identity, and the grids that they are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

LEAST_ROOM = 0.05
"""Distance between skull and hat that no head may shrink, in decimetres."""


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
        bound = np.einsum("nkc,nk->nc", body[self.index], self.weight)
        if self.outwards is None:
            return np.asarray(bound + self.offset * grow, np.float32)
        rest = np.einsum("nkc,nk->nc", mean[self.index], self.weight)
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


def spherical(azimuth: Array, polar: Array) -> Array:
    """Unit directions [..., 3] in head axes: azimuth 0 in front, polar 0 at the crown."""
    azimuth, polar = np.broadcast_arrays(azimuth, polar)
    return np.stack([np.sin(azimuth) * np.sin(polar), np.cos(polar), np.cos(azimuth) * np.sin(polar)], -1).astype(
        np.float32
    )
