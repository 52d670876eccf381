"""The framing shared by photographs, renders and networks: align a face by its five points, as FFHQ does.

Coordinates are pixels with centres at +0.5: a picture of width W spans [0, W]; matrices [2, 3] map (x, y). Not covered:
finding the points (`photographs.photos.detect`) and pasting a face back (`inverse` gives the matrix for it).
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]


def frame(points: F32, size: int) -> F64:
    """Matrix [2, 3] from photograph to aligned picture of `size` px, from five points [5, 2].

    Raises ValueError when the points have no extent. Source: Karras et al., FFHQ dataset, recreate_aligned_images.
    """
    left_eye, right_eye, _, left_mouth, right_mouth = np.asarray(points, np.float64)
    eyes, mouth = (left_eye + right_eye) / 2, (left_mouth + right_mouth) / 2
    eye_to_eye, eye_to_mouth = right_eye - left_eye, mouth - eyes
    x = eye_to_eye + np.array([eye_to_mouth[1], -eye_to_mouth[0]])
    length = float(np.linalg.norm(x))
    half = max(2.0 * float(np.linalg.norm(eye_to_eye)), 1.8 * float(np.linalg.norm(eye_to_mouth)))
    if not (length > 0 and math.isfinite(length) and half > 0):
        raise ValueError(f"points {np.asarray(points).tolist()} have no extent")
    x = x / length
    centre = eyes + 0.1 * eye_to_mouth
    turn = np.array([[x[0], x[1]], [-x[1], x[0]]]) * (size / 2 / half)
    return np.column_stack([turn, size / 2 - turn @ centre])


def natural_size(points: F32) -> float:
    """Side of the aligned picture, in pixels of the photograph: aligning at this size neither enlarges nor shrinks."""
    matrix = frame(points, 1)
    return 1 / math.hypot(matrix[0, 0], matrix[0, 1])


def align(image: U8, points: F32, size: int) -> tuple[U8, F64]:
    """Cut the FFHQ framing out of a photograph: uint8 RGB [size, size, 3] and the matrix [2, 3] photograph -> aligned.

    What lies outside of the photograph is filled by reflection. Raises ValueError when the points have no extent.
    """
    matrix = frame(points, size)
    return resample(image, matrix, size), matrix


def inverse(matrix: F64) -> F64:
    """The matrix [2, 3] of the way back, aligned -> photograph."""
    return np.asarray(cv2.invertAffineTransform(matrix), np.float64)


def transform(points: F32 | F64, matrix: F64) -> F32:
    """Move points [K, 2] by a matrix [2, 3]."""
    moved = np.asarray(points, np.float64) @ matrix[:, :2].T + matrix[:, 2]
    return moved.astype(np.float32)


def resample(image: U8, matrix: F64, size: int) -> U8:
    """Sample a square of `size` px by a similarity [2, 3] source -> target, averaging where it shrinks: no aliasing."""
    shrink = 1 / math.hypot(matrix[0, 0], matrix[0, 1])
    factor = max(1, int(shrink / 2))
    corners = transform(np.array([[0, 0], [size, 0], [0, size], [size, size]], np.float32), inverse(matrix))
    # Two source pixels of the last filter, and whole blocks for the averaging.
    low = np.floor(corners.min(axis=0)).astype(int) - 2 * factor
    blocks = np.ceil((corners.max(axis=0) + 2 * factor - low) / factor).astype(int)
    region = _region(image, low, low + blocks * factor)
    if factor > 1:
        region = cv2.resize(region, (int(blocks[0]), int(blocks[1])), interpolation=cv2.INTER_AREA)
    turn = matrix[:, :2] * factor
    shift = matrix[:, 2] + matrix[:, :2] @ low
    dense = max(1, math.ceil(shrink / factor - 0.05))
    turn, shift = turn * dense, shift * dense
    # OpenCV counts from pixel centres: v + 0.5 = turn (u + 0.5) + shift.
    shift = shift + turn @ np.array([0.5, 0.5]) - 0.5
    filter_ = cv2.INTER_CUBIC if dense == 1 else cv2.INTER_LINEAR
    wide = (size * dense, size * dense)
    pixels = np.column_stack([turn, shift])
    sampled = cv2.warpAffine(region, pixels, wide, flags=filter_, borderMode=cv2.BORDER_REFLECT_101)
    if dense > 1:
        sampled = cv2.resize(sampled, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(sampled, np.uint8)


def _region(image: U8, low: NDArray[np.int_], high: NDArray[np.int_]) -> U8:
    """The picture between two corners (x, y), reflected where they lie outside of it; a view where nothing is."""
    height, width = image.shape[:2]
    rows, columns = _reflected(np.arange(low[1], high[1]), height), _reflected(np.arange(low[0], high[0]), width)
    # Only what is needed is copied: reflection may need more of the picture than lies between the corners.
    x, y = int(columns.min()), int(rows.min())
    part = image[y : rows.max() + 1, x : columns.max() + 1]
    left, top = max(0, -int(low[0])), max(0, -int(low[1]))
    right, bottom = max(0, int(high[0]) - width), max(0, int(high[1]) - height)
    if left or top or right or bottom:
        part = np.asarray(cv2.copyMakeBorder(part, top, bottom, left, right, cv2.BORDER_REFLECT_101), np.uint8)
    x, y = max(0, int(low[0])) - x, max(0, int(low[1])) - y
    return part[y : y + len(rows), x : x + len(columns)]


def _reflected(indices: NDArray[np.int_], length: int) -> NDArray[np.int_]:
    """Indices folded into [0, length) by mirroring at the outermost pixels."""
    if length == 1:
        return np.zeros_like(indices)
    folded = np.abs(indices) % (2 * length - 2)
    return np.where(folded < length, folded, 2 * length - 2 - folded)
