"""One flat buffer of RGBA textures, so that a kernel can look up any of them. Does not make textures."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]


class Atlas:
    """Textures by name: `flat` uint8 and, for each name, (offset, width, height)."""

    def __init__(self) -> None:
        self.places: dict[str, tuple[int, int, int]] = {}
        self._parts: list[Bytes] = []
        self._size = 0
        self._flat: Bytes | None = None

    def add(self, name: str, image: Bytes) -> None:
        """Append an image [H, W, 3 or 4] uint8; a missing alpha is 255."""
        if image.shape[2] == 3:
            image = np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])
        self.places[name] = (self._size, image.shape[1], image.shape[0])
        self._parts.append(np.ascontiguousarray(image).reshape(-1))
        self._size += image.size
        self._flat = None

    def names(self, prefix: str) -> list[str]:
        """Names that begin with prefix, in the order of adding."""
        return [name for name in self.places if name.startswith(prefix)]

    @property
    def flat(self) -> Bytes:
        """All textures in one array."""
        if self._flat is None:
            self._flat = np.concatenate(self._parts)
            self._parts = [self._flat]
        return self._flat
