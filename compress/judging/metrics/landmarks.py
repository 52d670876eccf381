"""Does the student's face stand where the teacher's stands: five points of YuNet in both pictures.

A detector's points jump by a few hundredths of the distance of the eyes when a picture is merely compressed, so each
picture is looked at in two sizes and mirrored, and the four answers are averaged. Not covered: whether the face is
the right person's (`identity`), and the shape of what lies between the points.
"""

from __future__ import annotations

import threading

import cv2
import numpy as np
from numpy.typing import NDArray

from compress.networks.yunet import YuNet

Floats = NDArray[np.floating]
Bytes = NDArray[np.uint8]

SIDES = (144, 192)  # an aligned face is found best at about this size, whatever the picture's
TEACHER_SCORE = 0.7
STUDENT_SCORE = 0.5  # lower, so that a face at the edge of being one is not lost by chance
LOST = 1.0
_MIRRORED = [1, 0, 2, 4, 3]


class Finder:
    """Finds one face in each aligned picture. Safe to share between threads: each has its own detector."""

    name, sha256 = YuNet.name, YuNet.sha256

    def __init__(self) -> None:
        """Raises InputError if the weights are missing or changed."""
        self._local = threading.local()
        self._opening = threading.Lock()
        self._detector()

    def find(self, images: Bytes, expected: Floats, score: float) -> Floats:
        """Points [N, 5, 2] in pixels of the face nearest to `expected` [N, 5, 2] in each of uint8 [N, H, W, 3].

        NaN where no face reaches `score` (at least 0.5) in any look at the picture.
        """
        found = np.full((len(images), 5, 2), np.nan, np.float32)
        for row, (image, points) in enumerate(zip(images, expected)):
            looks = [self._look(image, points, side, mirrored) for side in SIDES for mirrored in (False, True)]
            seen = [points for points, certainty in looks if certainty > 0]
            if seen and max(certainty for _, certainty in looks) >= score:
                found[row] = np.mean(seen, axis=0)
        return found

    def _detector(self) -> YuNet:
        """The calling thread's own; opened one at a time, because that changes OpenCV's log level for a moment."""
        if not hasattr(self._local, "detector"):
            with self._opening:
                self._local.detector = YuNet(STUDENT_SCORE)
        detector: YuNet = self._local.detector
        return detector

    def _look(self, image: Bytes, expected: Floats, side: int, mirrored: bool) -> tuple[Floats, float]:
        """Points and score of the face nearest to `expected`, seen at `side` px; score 0 is none."""
        scale = side / max(image.shape[:2])
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        seen = cv2.resize(image, None, fx=scale, fy=scale, interpolation=how)
        rows = self._detector().detect(np.ascontiguousarray(seen[:, ::-1] if mirrored else seen))
        if not len(rows):
            return expected, 0.0
        points = rows[:, 4:14].reshape(-1, 5, 2)
        if mirrored:
            points = points[:, _MIRRORED] * [-1, 1] + [seen.shape[1], 0]
        points = points / scale
        nearest = int(np.argmin(np.linalg.norm(points - expected, axis=2).sum(axis=1)))
        return points[nearest], float(rows[nearest, 14])


def error(student: Floats, teacher: Floats) -> Floats:
    """Mean distance of five points [N, 5, 2] over the distance of the teacher's eyes, at most 1, [N].

    1 where the student has no face (NaN), and NaN where the teacher has none: there is nothing to compare with.
    """
    eyes = np.linalg.norm(teacher[:, 0] - teacher[:, 1], axis=1)
    far = np.linalg.norm(student - teacher, axis=2).mean(axis=1) / np.maximum(eyes, 1e-6)
    each: Floats = np.where(np.isnan(eyes), np.nan, np.minimum(np.where(np.isnan(far), LOST, far), LOST))
    return each
