"""Procedural backgrounds: studio gradients, blurred lights, rooms, foliage, in linear light."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from compress.faces.lighting import Lighting
from compress.faces.styles import Look

Array = npt.NDArray[np.float32]
SIZE = 64


def blur(image: Array, sigma: float) -> Array:
    """Gaussian blur of a float image."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.float32)


def paint_background(lighting: Lighting) -> Array:
    """Background [64, 64, 3] of a place; depends on the lighting's seed and palette alone."""
    random = np.random.default_rng(lighting.background_seed)
    kind = int(random.choice(5, p=[0.34, 0.12, 0.18, 0.18, 0.18]))
    yy, xx = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32) / SIZE
    palette = lighting.palette.astype(np.float64)
    if kind == 0 and random.random() < 0.5:
        palette = palette.mean() * np.exp(random.normal(0, 0.35) * np.array([-1, 0, 1.3]))
    first = palette * np.exp(random.normal(0, 0.3)) * random.uniform(0.3, 0.9)
    second = np.clip(palette * np.exp(random.normal(0, 0.5) + random.normal(0, 0.15, 3)), 0.02, 1.2) * 0.7
    slope = xx * random.normal() + yy * random.normal()
    slope = ((slope - slope.min()) / (np.ptp(slope) + 1e-6))[..., None]
    image = first * (1 - slope) + second * slope
    if kind == 0:
        spot = np.exp(-((xx - random.uniform(0.2, 0.8)) ** 2 + (yy - random.uniform(0.2, 0.8)) ** 2) / 0.15)
        image = image * (1 + random.uniform(0, 0.6) * spot[..., None])
    elif kind == 1:
        for _ in range(int(random.integers(8, 30))):
            cx, cy, radius = random.random(), random.random(), random.uniform(0.02, 0.09)
            colour = np.clip(palette * np.exp(random.normal(0.5, 0.6) + random.normal(0, 0.25, 3)), 0, 1.6)
            disc = (xx - cx) ** 2 + (yy - cy) ** 2 < radius * radius
            image[disc] = image[disc] * 0.5 + colour * 0.6
    elif kind == 2:
        for _ in range(int(random.integers(4, 14))):
            x0, y0 = random.random(2)
            w, h = random.uniform(0.05, 0.5, 2)
            colour = np.clip(palette * np.exp(random.normal(-0.1, 0.7) + random.normal(0, 0.25, 3)), 0, 1.4)
            box = (np.abs(xx - x0) < w / 2) & (np.abs(yy - y0) < h)
            image[box] = image[box] * 0.25 + colour * 0.75
    elif kind == 3:
        wide = blur(random.standard_normal((SIZE, SIZE, 3)).astype(np.float32), 5)
        fine = blur(random.standard_normal((SIZE, SIZE)).astype(np.float32), 2)
        image = image * np.exp(0.15 * wide / wide.std() + 0.35 * (fine / fine.std())[..., None])
        image[yy < random.uniform(0.3, 0.8)] *= np.array([1, 1.05, 1.2]) * random.uniform(1, 1.8)
    return blur(np.clip(image, 0, 2).astype(np.float32), float(random.uniform(0.7, 2.5)))


def dream_background(image: Array, look: Look) -> Array:
    """The cartoon's copy: softer, in the colours and the haze of a style."""
    soft = blur(image, 1.6)
    level = ((soft[..., 0] + soft[..., 1] + soft[..., 2]) / 3)[..., None]
    rich = (level + (soft - level) * look.background_saturation) * look.background_gain
    haze = look.haze_share * np.array(look.haze) * rich.mean()
    return np.asarray(rich * (1 - look.haze_share) + haze + 0.02, np.float32)
