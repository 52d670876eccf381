"""Does the student open a face's eyes as far as the teacher does: distance of the lids, in both pictures.

Few pixels, and the first thing that a weak student leaves as it was. Pixel distances hardly see it: half-open eyes in a
thirtieth of the picture. Found by networks that were trained on renders alone (`networks.face_points`), and that no
training of students uses. Not covered: what is drawn between the lids.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from compress.networks import face_points

Floats = NDArray[np.floating]
Bytes = NDArray[np.uint8]

SMALLEST = 0.01
"""Of the face's height; a teacher's closed eyes are taken to be open so far, for the ratio to exist."""


class EyeFinder:
    """Measures how far eyes are open in aligned pictures."""

    name, sha256 = "face-points", face_points.SHA256

    def __init__(self) -> None:
        """Raises InputError if the weights are missing or changed."""
        self._points = face_points.load()

    def opening(self, images: Bytes) -> Floats:
        """Distance of the lids over the face's height, [N], of uint8 [N, S, S, 3]."""
        return face_points.eye_opening(self._points.find(images))


def opened(student: Floats, teacher: Floats) -> Floats:
    """How far the student's eyes are open, in the teacher's: [N] of two openings [N]."""
    ratio: Floats = student / np.maximum(teacher, SMALLEST)
    return ratio
