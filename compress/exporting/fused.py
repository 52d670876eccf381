"""The compositor and the downsampling in one pass over a photo's bytes, for stylize: no full-size float image is made.

Same functions as `students.compositor`, rows at a time in compiled loops (numba, one thread; the first call compiles or
loads the cache). The result agrees with torch within 1 level of 255. Not covered: batches, gradients, RGB students.
"""

from __future__ import annotations

import cv2
import numba
import numpy as np
from numpy.typing import NDArray

Photo = NDArray[np.uint8]
Floats = NDArray[np.float32]
Words = NDArray[np.uint32]

FEWEST_PIXELS = 2  # bilinear sampling reads a pixel and its neighbour


def composite(photo: Photo, maps: Floats) -> Photo:
    """Apply maps [8, h, w] float32 (flow 2, A 3, B 3) to a photo uint8 [H, W, 3]: the image, uint8 [H, W, 3].

    Raises ValueError for other shapes or types, and for a photo less than 2 pixels high or wide.
    """
    _check_photo(photo)
    if maps.ndim != 3 or len(maps) != 8:
        raise ValueError(f"maps: shape {maps.shape} is not [8, h, w]; give the maps of one photo")
    height, width = photo.shape[:2]
    left, right = _cells(width, maps.shape[2])
    wide = _widen(_in_bytes(maps, height, width), left, right)
    # Four bytes a pixel: one load fetches all colours, and the compiler can turn the loop over pixels into vectors.
    source = cv2.cvtColor(photo, cv2.COLOR_RGB2RGBA)
    image = np.empty_like(source)
    _composite_rows(_words(source), wide, *_cells(height, maps.shape[1]), _words(image))
    result: Photo = cv2.cvtColor(image, cv2.COLOR_RGBA2RGB)
    return result


def _words(pixels: Photo) -> NDArray[np.uint32]:
    """The pixels [H, W, 4] as little-endian words [H, W], red in the lowest byte; shares memory."""
    return pixels.view("<u4")[..., 0]


def _in_bytes(maps: Floats, height: int, width: int) -> Floats:
    """Maps [8, h, w] with flow in pixels, and A and B for colours in bytes.

    With p = 127.5 (x + 1) in place of x, warp * A + B becomes p * A + 127.5 (B - A + 1).
    """
    scaled = np.empty(maps.shape, np.float32)
    scaled[0], scaled[1] = maps[0] * (width / 2), maps[1] * (height / 2)
    scaled[2:5] = maps[2:5]
    scaled[5:8] = 127.5 * (maps[5:8] - maps[2:5] + 1) + 0.5  # a half, for bytes are cut off and not rounded
    return scaled


def _widen(maps: Floats, left: NDArray[np.int32], right: Floats) -> Floats:
    """Maps [8, h, w] at the photo's width, one row of all maps after the other: [h, 8, W]."""
    rows = maps.transpose(1, 0, 2)
    beside = np.minimum(left + 1, maps.shape[2] - 1)
    return np.ascontiguousarray(rows[..., left] * (1 - right) + rows[..., beside] * right)


def downsample(photo: Photo, resolution: int) -> Floats:
    """Antialiased photo uint8 [H, W, 3] as the core's input: float32 [3, resolution, resolution] in [-1, 1].

    Source: `students.compositor.downsample`. Raises ValueError for another shape or type.
    """
    _check_photo(photo)
    height, width = photo.shape[:2]
    low = np.empty((resolution, resolution, 3), np.float32)
    _filter(np.ascontiguousarray(photo), *_triangles(height, resolution), *_triangles(width, resolution), low)
    return np.ascontiguousarray(low.transpose(2, 0, 1)) / np.float32(127.5) - np.float32(1)


def _check_photo(photo: Photo) -> None:
    if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3:
        raise ValueError(f"photo: {photo.dtype} {photo.shape} is not uint8 [H, W, 3]; convert it to 8-bit RGB")
    if min(photo.shape[:2]) < FEWEST_PIXELS:
        raise ValueError(f"photo: {photo.shape[1]} x {photo.shape[0]} pixels is too small; it needs 2 x 2")


def _cells(size: int, resolution: int) -> tuple[NDArray[np.int32], Floats]:
    """Left neighbour and weight of the right one, for each of `size` positions on `resolution` samples."""
    source = np.clip((np.arange(size) + 0.5) * (resolution / size) - 0.5, 0, resolution - 1)
    left = np.minimum(source.astype(np.int32), max(resolution - 2, 0)).astype(np.int32)
    return left, (source - left).astype(np.float32)


def _triangles(size: int, resolution: int) -> tuple[NDArray[np.int32], Floats]:
    """First tap [resolution] and weights [resolution, taps] (sum 1) of a triangle filter as wide as the reduction."""
    scale = size / resolution
    support = max(scale, 1.0)
    centres = (np.arange(resolution) + 0.5) * scale
    taps = min(2 * int(np.ceil(support)) + 1, size)
    first = np.clip(np.floor(centres - support + 0.5), 0, size - taps).astype(np.int32)
    distance = np.abs(first[:, None] + np.arange(taps) + 0.5 - centres[:, None]) / support
    weights = np.maximum(1 - distance, 0)
    return first, (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


@numba.njit(cache=True, fastmath=True, nogil=True)
def _composite_rows(source: Words, wide: Floats, top: NDArray[np.int32], down: Floats, image: Words) -> None:
    """Row by row: maps between two rows of `wide`, the four pixels around each sample, the samples times A plus B."""
    height, width = image.shape
    row = np.empty((8, width), np.float32)
    corner = np.empty(width, np.uint32)
    four = np.empty((4, width), np.uint32)
    for y in range(height):
        above, below = wide[top[y]], wide[min(top[y] + 1, wide.shape[0] - 1)]
        for c in range(8):
            for x in range(width):
                row[c, x] = above[c, x] + (below[c, x] - above[c, x]) * down[y]
        _locate_row(row[0], row[1], y, height, corner)
        _gather_row(source.reshape(-1), corner, four)
        _blend_row(four, row, image[y])


@numba.njit(cache=True, fastmath=True, nogil=True)
def _locate_row(flow_x: Floats, flow_y: Floats, y: int, height: int, corner: Words) -> None:
    """Flow in pixels, in place, to the index of the upper left of four pixels and the fractions between them."""
    width = corner.size
    for x in range(width):
        source_x = min(max(np.float32(x) + flow_x[x], np.float32(0)), np.float32(width - 1))
        source_y = min(max(np.float32(y) + flow_y[x], np.float32(0)), np.float32(height - 1))
        x0, y0 = min(np.int32(source_x), np.int32(width - 2)), min(np.int32(source_y), np.int32(height - 2))
        flow_x[x], flow_y[x] = source_x - np.float32(x0), source_y - np.float32(y0)
        corner[x] = np.uint32(y0 * np.int32(width) + x0)


@numba.njit(cache=True, fastmath=True, nogil=True)
def _gather_row(source: Words, corner: Words, four: Words) -> None:
    """The four pixels around each sample; a loop of its own, so that the arithmetic that follows becomes vectors."""
    stride, one = np.uint32(corner.size), np.uint32(1)
    for x in range(corner.size):
        a = corner[x]
        b = np.uint32(a + stride)
        four[0, x], four[1, x] = source[a], source[np.uint32(a + one)]
        four[2, x], four[3, x] = source[b], source[np.uint32(b + one)]


@numba.njit(cache=True, fastmath=True, nogil=True)
def _blend_row(four: Words, row: Floats, target: Words) -> None:
    """Bilinear samples of the four pixels, by the fractions of rows 0 and 1, times A (rows 2 to 4) plus B (5 to 7)."""
    for x in range(target.size):
        a, b, c, d = four[0, x], four[1, x], four[2, x], four[3, x]
        red = _blend(a, b, c, d, np.uint32(0), row[0, x], row[1, x])
        green = _blend(a, b, c, d, np.uint32(8), row[0, x], row[1, x])
        blue = _blend(a, b, c, d, np.uint32(16), row[0, x], row[1, x])
        target[x] = (
            _byte(red * row[2, x] + row[5, x])
            | _byte(green * row[3, x] + row[6, x]) << np.uint32(8)
            | _byte(blue * row[4, x] + row[7, x]) << np.uint32(16)
        )


@numba.njit(cache=True, fastmath=True, nogil=True, inline="always")
def _blend(
    a: np.uint32, b: np.uint32, c: np.uint32, d: np.uint32, shift: np.uint32, fx: np.float32, fy: np.float32
) -> np.float32:
    """Bilinear blend of the bytes at `shift` of four pixels."""
    byte = np.uint32(255)
    top, top_right = np.float32(np.int32((a >> shift) & byte)), np.float32(np.int32((b >> shift) & byte))
    low, low_right = np.float32(np.int32((c >> shift) & byte)), np.float32(np.int32((d >> shift) & byte))
    top += fx * (top_right - top)
    low += fx * (low_right - low)
    return np.float32(top + fy * (low - top))


@numba.njit(cache=True, fastmath=True, nogil=True, inline="always")
def _byte(value: np.float32) -> np.uint32:
    """A value with its half for rounding already added, clamped, as a whole number."""
    clamped = np.float32(min(max(value, np.float32(0)), np.float32(255)))
    return np.uint32(np.int32(clamped))


@numba.njit(cache=True, fastmath=True, nogil=True)
def _filter(
    photo: Photo, top: NDArray[np.int32], rows: Floats, left: NDArray[np.int32], columns: Floats, low: Floats
) -> None:
    width = photo.shape[1]
    line = np.empty((width, 3), np.float32)
    flat = line.reshape(-1)
    for i in range(low.shape[0]):
        flat[:] = 0
        for k in range(rows.shape[1]):
            weight = rows[i, k]
            if weight != 0:
                source = photo[top[i] + k].reshape(-1)
                for x in range(3 * width):
                    flat[x] += weight * np.float32(source[x])
        for j in range(low.shape[1]):
            for c in range(3):
                total = np.float32(0)
                for k in range(columns.shape[1]):
                    total += columns[j, k] * line[left[j] + k, c]
                low[i, j, c] = total
