"""Five small changes of an aligned photo under which a stylised picture should change likewise or not at all.

Each comes with the affine matrix that it is, exactly; what it does follows from a random generator alone. Resampling is
that of `photographs.alignment`, so that an unchanged photo commutes with every change to the last bit. Not covered: how
steady a network is under them (`judging.metrics.steadiness`).
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from compress.photographs.alignment import resample

U8 = NDArray[np.uint8]
F64 = NDArray[np.float64]

SHIFTS = (0.5, 1.0, 1.5, 2.0)
"""Pixels along each axis, either way; a network of stride 2 sees each differently."""
ZOOM = (1.05, 1.15)
TURN_DEGREES = (2.0, 6.0)
JPEG_QUALITY = (75, 85)
READ_NOISE, SHOT_NOISE = 1.5, 0.06
"""Of a small sensor at dusk: standard deviation in levels in the dark, and variance added for each level of light."""
STILL = np.array([[1.0, 0, 0], [0, 1, 0]])


@dataclass(frozen=True)
class Variant:
    """A changed photo uint8 [S, S, 3] and the matrix [2, 3] from pixels of the original (centres at +0.5) to its."""

    photo: U8
    matrix: F64


def change(photo: U8, kind: str, random: np.random.Generator) -> Variant:
    """Change a photo uint8 [S, S, 3] in one of KINDS; what lies outside of it is filled by reflection."""
    size = photo.shape[0]
    if kind in PICTURED:
        return Variant(PICTURED[kind](photo, random), STILL)
    matrix = MOVED[kind](size, random)
    return Variant(resample(photo, matrix, size), matrix)


def shift(size: int, random: np.random.Generator) -> F64:
    """Matrix of a shift by SHIFTS; the size plays no part."""
    steps = random.choice(SHIFTS, 2) * random.choice([-1, 1], 2)
    return np.column_stack([np.eye(2), steps])


def crop(size: int, random: np.random.Generator) -> F64:
    """Matrix of a cut-out anywhere in the picture, enlarged by ZOOM."""
    zoom = random.uniform(*ZOOM)
    corner = random.uniform(0, size - size / zoom, 2)
    return np.column_stack([np.eye(2) * zoom, -zoom * corner])


def rotation(size: int, random: np.random.Generator) -> F64:
    """Matrix of a turn about the middle by TURN_DEGREES, either way."""
    angle = math.radians(random.uniform(*TURN_DEGREES)) * random.choice([-1, 1])
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    middle = np.full(2, size / 2)
    return np.column_stack([turn, middle - turn @ middle])


def jpeg(photo: U8, random: np.random.Generator) -> U8:
    """The photo written as a JPEG file (JPEG_QUALITY, chroma halved) and read again."""
    quality = int(random.integers(JPEG_QUALITY[0], JPEG_QUALITY[1] + 1))
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file), np.uint8)


def noise(photo: U8, random: np.random.Generator) -> U8:
    """The photo with a sensor's noise: normal, of variance READ_NOISE^2 + SHOT_NOISE * level."""
    level = photo.astype(np.float32)
    noisy = level + random.standard_normal(photo.shape, np.float32) * np.sqrt(READ_NOISE**2 + SHOT_NOISE * level)
    return np.asarray(np.rint(noisy).clip(0, 255), np.uint8)


MOVED: dict[str, Callable[[int, np.random.Generator], F64]] = {"shift": shift, "crop": crop, "rotation": rotation}
PICTURED: dict[str, Callable[[U8, np.random.Generator], U8]] = {"jpeg": jpeg, "noise": noise}
KINDS = (*MOVED, *PICTURED)
