"""Defects that no single picture shows: pictures that change where nothing changed.

They hit the frames of videos and the changed copies of a photo, never the stills themselves.
"""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from compress.judging.defects.pictures import moved
from compress.judging.defects.scene import Bytes, Scene

STILL = "still"


def flicker(pictures: Bytes, scene: Scene, levels: float) -> Bytes:
    """Each picture lighter or darker than the one before it, by levels of 255."""
    changed = pictures + levels * _sign(scene)[:, None, None, None]
    return np.rint(changed).clip(0, 255).astype(np.uint8)


def jitter(pictures: Bytes, scene: Scene, shift: float) -> Bytes:
    """Each picture a little to the right or left of the one before it, by px."""
    steps = np.zeros((len(pictures), 2), np.float32)
    steps[:, 0] = shift * scene.px * _sign(scene)
    return moved(pictures, steps)


def _sign(scene: Scene) -> NDArray[np.float32]:
    """[N] in turns 1 and -1: by frame in a video, by row and kind among changed copies; 0 for stills."""
    if scene.kind == STILL:
        return np.zeros(len(scene.photo), np.float32)
    turn = np.where(scene.rows >= 0, scene.rows + zlib.crc32(scene.kind.encode()), scene.frame)
    return np.where(turn % 2, -1, 1).astype(np.float32)
