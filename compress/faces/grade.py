"""From linear light to 8-bit pictures: a style's grade of the cartoon. Not that of the photograph (see film.py)."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from compress.faces.film import blur, exposure, luma
from compress.faces.lighting import Lighting
from compress.faces.styles import Look

Array = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]


def develop_cartoon(image: Array, cover: Array, lighting: Lighting, look: Look) -> Bytes:
    """Animated-film frame [S, S, 3] uint8: even exposure, a style's saturation, bloom, tints and contrast."""
    size = image.shape[0]
    image = image * exposure(image, cover, lighting, look.level, look.metered, 0.45)
    level = luma(image)
    image = level + (image - level) * look.saturation
    small = cv2.resize(image, (size // 4, size // 4), interpolation=cv2.INTER_AREA)
    glow = look.bloom * blur(np.clip(small - 0.8, 0, 2), size / 128) + 0.02 * blur(small, size / 80)
    image = image + cv2.resize(glow, (size, size), interpolation=cv2.INTER_LINEAR)
    tone = np.clip(1 - np.exp(-1.35 * np.clip(image * 0.97, 0, None)), 0, 1) ** (1 / 2.2)
    shadows, highlights = np.array(look.shadows), np.array(look.highlights)
    tone = np.clip(tone + (1 - tone) ** 2 * shadows + tone**2 * highlights, 0, 1)
    tone = tone * tone * (3 - 2 * tone) * look.contrast + tone * (1 - look.contrast)
    return np.asarray(np.clip(tone, 0, 1) * 255 + 0.5, np.uint8)
