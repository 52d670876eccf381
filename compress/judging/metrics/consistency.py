"""Does a stylised head turn with the head: frames of a turning head against the true flow between them.

The frame before is led along the true flow; what then differs, over points that both frames show and that move, is the
error. Beside it stands the motion that is left, as optical flow sees it. Pictures uint8 [T, S, S, 3]; flow [T, 2, S, S]
leads from a pixel of frame t to its place in frame t - 1, (x, y) in pixels. Blur makes errors small, so both are
judged beside those of the photo's own frames. Not covered: what a video's noise does (`steadiness.flicker_error`).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from compress.judging.metrics.steadiness import follow

Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]

MOVING = 0.5
"""Pixels from which a point counts as moved: shoulders and backdrop stand still and would hide the head."""
FEWEST = 32  # pixels; a frame that shows fewer moving points says nothing


def moving(flow: NDArray[np.floating], visible: Bytes) -> NDArray[np.bool_]:
    """Points [S, S] that are seen in both frames and move, of flow [2, S, S] and visible [S, S]."""
    length = np.hypot(flow[0].astype(np.float32), flow[1].astype(np.float32))
    return np.asarray((visible > 0) & (length >= MOVING))


def turning_error(pictures: Bytes, flow: NDArray[np.floating], visible: Bytes) -> Floats:
    """Mean |frame t - frame t-1 led along the true flow| in levels of 255 over moving points, of frames 1 to T-1.

    NaN where fewer than 32 points move. Source: Lai et al. 2018 (Learning Blind Video Temporal Consistency), eq. 11.
    """
    errors = []
    for frame in range(1, len(pictures)):
        seen = moving(flow[frame], visible[frame])
        apart = cv2.absdiff(pictures[frame], follow(pictures[frame - 1], flow[frame]))
        errors.append(apart[seen].mean() if seen.sum() >= FEWEST else np.nan)
    return np.array(errors, np.float64)


def residual_motion(pictures: Bytes, flow: NDArray[np.floating], visible: Bytes) -> Floats:
    """Mean length in pixels of the optical flow from frame t to frame t-1 led along the true flow, as `turning_error`.

    Source: Kroeger et al., Fast Optical Flow using Dense Inverse Search, ECCV 2016, OpenCV's medium preset.
    """
    finder = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    lengths = []
    for frame in range(1, len(pictures)):
        seen = moving(flow[frame], visible[frame])
        led = follow(pictures[frame - 1], flow[frame])
        now, before = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (pictures[frame], led))
        # What is not comparable must not pull at its surroundings.
        before[~seen] = now[~seen]
        left = finder.calc(now, before, np.zeros((*now.shape, 2), np.float32))
        lengths.append(np.hypot(left[..., 0], left[..., 1])[seen].mean() if seen.sum() >= FEWEST else np.nan)
    return np.array(lengths, np.float64)
