"""Backgrounds in linear light: a blurred place under the light of the scene, and the cartoon's copy of it."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from compress.faces.lighting import Lighting
from compress.faces.look import Look
from compress.faces.places import PLACES

Array = npt.NDArray[np.float32]
SHARPEST = 0.9
"""Least blur, in pixels of 96; the most is 4.5 times that."""


def blur(image: Array, sigma: float) -> Array:
    """Gaussian blur of a float image."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.float32)


def paint_background(lighting: Lighting) -> Array:
    """Background [96, 96, 3] of a place in linear light; depends on the lighting's seed and palette alone."""
    random = np.random.default_rng(lighting.background_seed)
    names = list(PLACES)
    shares = np.array([PLACES[name][0] for name in names])
    image = PLACES[names[int(random.choice(len(names), p=shares / shares.sum()))]][1](random)
    width = SHARPEST * float(np.exp(random.uniform(0, 1.5)))
    return np.asarray(np.clip(blur(image, width), 0, 3) * lighting.palette, np.float32)


def dream_background(image: Array, look: Look) -> Array:
    """The cartoon's copy: softer, in the colours and the haze of a style."""
    soft = blur(image, 1.6)
    level = ((soft[..., 0] + soft[..., 1] + soft[..., 2]) / 3)[..., None]
    rich = (level + (soft - level) * look.background_saturation) * look.background_gain
    haze = look.haze_share * np.array(look.haze) * rich.mean()
    return np.asarray(rich * (1 - look.haze_share) + haze + 0.02, np.float32)
