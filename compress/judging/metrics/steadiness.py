"""How steady pictures are when little changes: by known transforms of the photo, and from frame to frame of a video.

Both errors are absolute, in levels of 255, and small for a blurred picture: they judge a student only beside the
teacher's. Pictures are square, uint8 [N, S, S, 3]; coordinates are pixels with centres at +0.5.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from compress.photographs.alignment import inverse, resample

Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]

MARGIN = 1 / 16
"""Share of the side, at each edge, that is not compared: what a network draws there depends on what lies outside."""


def equivariance_error(changed: Bytes, still: Bytes, matrices: NDArray[np.floating]) -> Floats:
    """Mean |draw(T x) - T draw(x)| of each picture [N], over what the changed one shows of the still one.

    `changed` is what was drawn of T x, `still` of x; `matrices` [N, 2, 3] lead from pixels of x to those of T x.
    Source: Karras et al. 2021 (StyleGAN3), section 3.2, EQ-T, as a mean instead of decibels.
    """
    size = still.shape[1]
    errors = []
    for drawn, picture, matrix in zip(changed, still, matrices.astype(np.float64), strict=True):
        apart = cv2.absdiff(drawn, resample(picture, matrix, size))
        errors.append(apart[shown(matrix, size)].mean())
    return np.array(errors, np.float64)


def shown(matrix: NDArray[np.floating], size: int) -> NDArray[np.bool_]:
    """Pixels [S, S] of the transformed picture that lie within both pictures and not at an edge of either."""
    centres = np.arange(size) + 0.5
    x, y = np.meshgrid(centres, centres)
    back = inverse(matrix.astype(np.float64))
    places = [x, y, *(row[0] * x + row[1] * y + row[2] for row in back)]
    low, high = size * MARGIN, size * (1 - MARGIN)
    return np.asarray(np.all([(low <= place) & (place <= high) for place in places], axis=0))


def flicker_error(pictures: Bytes, flow: NDArray[np.floating], visible: Bytes) -> Floats:
    """Mean |frame t - frame t-1 led along the true flow| of a video's frames 1 to T-1 [T - 1], over visible pixels.

    `pictures` [T, S, S, 3]; `flow` [T, 2, S, S] leads from a pixel of frame t to its place in frame t-1, (x, y) in
    pixels; `visible` [T, S, S] is 1 where both show the same point. A frame that shows nothing again is 0.
    Source: Lai et al. 2018 (Learning Blind Video Temporal Consistency), equation 11.
    """
    errors = []
    for frame in range(1, len(pictures)):
        apart = cv2.absdiff(pictures[frame], follow(pictures[frame - 1], flow[frame]))
        seen = visible[frame] > 0
        errors.append(apart[seen].mean() if seen.any() else 0.0)
    return np.array(errors, np.float64)


def follow(previous: Bytes, flow: NDArray[np.floating]) -> Bytes:
    """The previous frame [S, S, 3] moved to where its points are now, by flow [2, S, S]: bicubic, reflected outside."""
    rows, columns = np.mgrid[0 : previous.shape[0], 0 : previous.shape[1]].astype(np.float32)
    x, y = columns + flow[0].astype(np.float32), rows + flow[1].astype(np.float32)
    moved = cv2.remap(previous, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(moved, np.uint8)
