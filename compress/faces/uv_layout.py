"""The packed texture space of the body: the head fills most of it, not a corner as in the MakeHuman layout.

Boxes are (u0, v0, u1, v1), v up. Skins in the MakeHuman layout go through pack_texture.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Box = tuple[float, float, float, float]

ISLANDS: tuple[tuple[Box, Box], ...] = (
    ((0.638, 0.145, 0.998, 0.822), (0.0, 0.0, 0.625, 1.0)),  # head
    ((0.168, 0.752, 0.594, 0.978), (0.63, 0.75, 1.0, 1.0)),  # neck and shoulders
    ((0.754, 0.008, 0.928, 0.140), (0.63, 0.49, 1.0, 0.74)),  # inside of the mouth
    ((0.008, 0.543, 0.081, 0.637), (0.63, 0.30, 0.81, 0.48)),  # right eye socket
    ((0.082, 0.543, 0.155, 0.637), (0.82, 0.30, 1.0, 0.48)),  # left eye socket
)
"""Source box in the MakeHuman layout, target box in the packed one."""


def pack_uv(uv: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Packed coordinates of MakeHuman body coordinates [n, 2]."""
    out = uv.copy()
    for source, target in ISLANDS:
        inside = (uv[:, 0] >= source[0]) & (uv[:, 0] <= source[2]) & (uv[:, 1] >= source[1]) & (uv[:, 1] <= source[3])
        for axis in (0, 1):
            low, high = source[axis], source[axis + 2]
            share = (uv[inside, axis] - low) / (high - low)
            out[inside, axis] = target[axis] + share * (target[axis + 2] - target[axis])
    return out


def pack_texture(image: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    """A square body texture [s, s(, c)] of the MakeHuman layout, resampled to the packed layout [size, size(, c)]."""
    side = image.shape[0]
    out = np.zeros((size, size, *image.shape[2:]), np.uint8)
    out[:] = np.median(image.reshape(side * side, -1), 0).astype(np.uint8).reshape(image.shape[2:])
    for source, target in ISLANDS:
        columns = [round(source[0] * side), round(source[2] * side)]
        rows = [round((1 - source[3]) * side), round((1 - source[1]) * side)]
        left, right = round(target[0] * size), round(target[2] * size)
        top, bottom = round((1 - target[3]) * size), round((1 - target[1]) * size)
        patch = image[rows[0] : rows[1], columns[0] : columns[1]]
        out[top:bottom, left:right] = cv2.resize(patch, (right - left, bottom - top), interpolation=cv2.INTER_AREA)
    return out
