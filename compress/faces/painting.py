"""Brushes of the procedural textures: blur, smooth noise, 8-bit images."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from compress.faces.atlas import Bytes

Array = npt.NDArray[np.float32]


def blur(image: Array, sigma: float) -> Array:
    """Gaussian blur with wrapped edges left to OpenCV's default reflection."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.float32)


def noise(random: np.random.Generator, height: int, width: int, sigma_y: float, sigma_x: float) -> Array:
    """Smooth noise of zero mean and unit deviation, periodic in x."""
    raw = random.standard_normal((height, width)).astype(np.float32)
    margin = min(width, int(4 * sigma_x) + 1)
    wide = np.concatenate([raw[:, -margin:], raw, raw[:, :margin]], 1)
    wide = np.asarray(cv2.GaussianBlur(wide, (0, 0), sigmaX=sigma_x, sigmaY=sigma_y), np.float32)
    out = wide[:, margin : margin + width]
    return np.asarray(out / out.std(), np.float32)


def quantise(image: Array) -> Bytes:
    """0..1 to uint8."""
    return np.asarray(np.clip(image, 0, 1) * 255 + 0.5, np.uint8)
