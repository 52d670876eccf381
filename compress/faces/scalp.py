"""Look-up of the skull by direction: its radius, height over the hairline and triangles. No hair (see hair.py)."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from compress.faces.head import SKULL_POLAR_MAX, Head

Array = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]
Cells = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Array, Array]


class Scalp:
    """Look-up of skull points by direction, on the mean head."""

    def __init__(self, head: Head) -> None:
        self.head = head
        self.points = (head.mean[head.skull_index] * head.skull_weight[..., None]).sum(2)
        self.radius = np.linalg.norm(self.points - head.centre, axis=2).astype(np.float32)
        self.height = (head.hairline[head.skull_index] * head.skull_weight).sum(2)

    def cells(self, direction: Array) -> Cells:
        """Fractional table cell of unit directions [..., 3]: azimuth and polar index with their fractions."""
        azimuths, polars = self.radius.shape
        azimuth = np.arctan2(direction[..., 0], direction[..., 2]) / (2 * math.pi) * azimuths % azimuths
        polar = np.arccos(np.clip(direction[..., 1], -1, 1)) / SKULL_POLAR_MAX * (polars - 1)
        polar = np.clip(polar, 0, polars - 1.001)
        a, p = azimuth.astype(np.int64) % azimuths, polar.astype(np.int64)
        return a, p, (azimuth - np.floor(azimuth)).astype(np.float32), (polar - p).astype(np.float32)

    def look_up(self, table: Array, direction: Array) -> Array:
        """Bilinear value of a table [A, P] in the given directions."""
        return self.mix(table, self.cells(direction))

    def mix(self, table: Array, cells: Cells) -> Array:
        """Bilinear value of a table [A, P] at cells."""
        a, p, fa, fp = cells
        b = (a + 1) % table.shape[0]
        return np.asarray(
            (table[a, p] * (1 - fa) + table[b, p] * fa) * (1 - fp)
            + (table[a, p + 1] * (1 - fa) + table[b, p + 1] * fa) * fp,
            np.float32,
        )

    def bind(self, direction: Array) -> tuple[Ints, Array]:
        """Triangle (vertices [..., 3], weights [..., 3]) nearest to each direction."""
        return self.nearest(self.cells(direction))

    def nearest(self, cells: Cells) -> tuple[Ints, Array]:
        """Triangle nearest to each cell, as `bind`."""
        a, p, fa, fp = cells
        a = (a + (fa > 0.5)) % self.radius.shape[0]
        p = p + (fp > 0.5)
        return self.head.skull_index[a, p], self.head.skull_weight[a, p]
