"""From linear light to 8-bit pictures: a style's grade of the cartoon. Not that of the photograph (see film.py)."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from compress.faces.film import blur, exposure, luma
from compress.faces.lighting import Lighting
from compress.faces.look import Look

Array = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
COMMON_TONE, TONE_KEPT = 0.35, 0.3
"""Mean albedo of skin that is exposed to the style's level, and power of the share in which others are aimed off it."""


def develop_cartoon(image: Array, cover: Array, lighting: Lighting, tone: Array, look: Look) -> Bytes:
    """Animated-film frame [S, S, 3] uint8: even exposure, a style's saturation, bloom, tints and contrast.

    tone [3]: albedo of the skin; metering alone would make all skins alike.
    """
    size = image.shape[0]
    target = look.level * (float(tone.mean()) / COMMON_TONE) ** TONE_KEPT
    image = image * exposure(image, cover, lighting, target, look.metered, 0.45)
    level = luma(image)
    image = level + (image - level) * look.saturation
    small = cv2.resize(image, (size // 4, size // 4), interpolation=cv2.INTER_AREA)
    glow = look.bloom * blur(np.clip(small - 0.8, 0, 2), size / 128) + 0.02 * blur(small, size / 80)
    image = image + cv2.resize(glow, (size, size), interpolation=cv2.INTER_LINEAR)
    shade = cv2.pow(np.maximum(1 - cv2.exp(-1.35 * 0.97 * np.maximum(image, 0)), 0), 1 / 2.2)
    shadows, highlights = np.array([look.shadows, look.highlights], np.float32)
    shade = np.clip(shade + (1 - shade) ** 2 * shadows + shade**2 * highlights, 0, 1)
    shade = shade * (shade * (3 - 2 * shade) * look.contrast + (1 - look.contrast))
    return np.asarray(shade * 255 + 0.5, np.uint8)
