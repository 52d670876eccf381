"""From linear light to 8-bit pictures: a photograph's film curve, or the warm fairy-tale grade of the cartoon."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from compress.faces.scene import Film, Lighting

Array = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
SHORTEST_BLUR = 0.12
FILM_SATURATION = 1.15


def blur(image: Array, sigma: float) -> Array:
    """Gaussian blur of a float image."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.float32)


def luma(image: Array) -> Array:
    """Mean of the channels [S, S, 1]; three additions are faster than a reduction over a short axis."""
    return np.asarray(((image[..., 0] + image[..., 1] + image[..., 2]) / 3)[..., None])


def exposure(image: Array, cover: Array, lighting: Lighting, target: float, own: float, light: float) -> float:
    """Gain that brings the person near the target level: a mix of metering the picture and metering the light."""
    person = cover > 0.5
    mean = float(image[person].mean()) if person.any() else target
    level = float((lighting.key_colour * 0.42 + lighting.harmonics[0] * 0.2821 * 0.8).mean())
    return float((target / max(mean, 0.05)) ** own * (0.58 / level) ** light)


def develop_photo(image: Array, cover: Array, lighting: Lighting, film: Film) -> Bytes:
    """Photograph [S, S, 3] uint8 of linear light [S, S, 3]: exposure, tint, lens blur, film curve, grain."""
    size = image.shape[0]
    gain = exposure(image, cover, lighting, 0.29, 0.30, 0.45) * math.exp(film.exposure)
    image = image * gain * film.white_balance
    level = luma(image)
    image = np.maximum(level + (image - level) * FILM_SATURATION, 0)
    if film.blur > SHORTEST_BLUR:
        image = blur(image, film.blur * size / 200)
    tone = np.clip(1 - np.exp(-1.5 * image), 0, 1) ** (1 / 2.2)
    tone = tone * tone * (3 - 2 * tone) * film.contrast + tone * (1 - film.contrast)
    random = np.random.default_rng(lighting.background_seed + 1)
    tone = tone + random.standard_normal(tone.shape, np.float32) * film.noise
    return np.asarray(np.clip(tone, 0, 1) * 255 + 0.5, np.uint8)


def develop_cartoon(image: Array, cover: Array, lighting: Lighting) -> Bytes:
    """Animated-film frame [S, S, 3] uint8: even exposure, richer colour, bloom, warm lights and violet shadows."""
    size = image.shape[0]
    image = image * exposure(image, cover, lighting, 0.40, 0.55, 0.45)
    level = luma(image)
    image = level + (image - level) * 1.22
    small = cv2.resize(image, (size // 4, size // 4), interpolation=cv2.INTER_AREA)
    glow = 0.25 * blur(np.clip(small - 0.8, 0, 2), size / 128) + 0.02 * blur(small, size / 80)
    image = image + cv2.resize(glow, (size, size), interpolation=cv2.INTER_LINEAR)
    tone = np.clip(1 - np.exp(-1.35 * np.clip(image * 0.97, 0, None)), 0, 1) ** (1 / 2.2)
    violet, warm = np.array([0.014, -0.004, 0.024]), np.array([0.024, 0.006, -0.020])
    tone = np.clip(tone + (1 - tone) ** 2 * violet + tone**2 * warm, 0, 1)
    tone = tone * tone * (3 - 2 * tone) * 0.6 + tone * 0.4
    return np.asarray(np.clip(tone, 0, 1) * 255 + 0.5, np.uint8)
