"""The camera: perspective projection with the five-point alignment folded in, shared by photo and cartoon.

The turn of the alignment is a rotation of the whole scene about the optical axis, so that positions, normals and lights
are in the axes of the picture; what is left is a zoom and a shift.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compress.faces.scene import Framing

Array = npt.NDArray[np.float32]
HALF_HEIGHT = 2.0
"""Half of the scene's height in the unaligned view, in units of scene (head height 2.2)."""


@dataclass(frozen=True)
class Camera:
    """Screen x = (focal * X / (distance - Z) - centre) * zoom + .5, in frame sides; y grows downwards."""

    distance: float
    focal: float
    zoom: float
    centre_x: float
    centre_y: float

    @property
    def position(self) -> Array:
        """The camera in the scene [3]."""
        return np.array([0, 0, self.distance], np.float32)

    def project(self, points: Array, size: int) -> Array:
        """Screen position in pixels and depth [..., 3] of scene points [..., 3]."""
        out = np.empty(points.shape, np.float32)
        out[..., 2] = depth = self.distance - points[..., 2]
        gain = (self.focal * self.zoom * size) / depth
        out[..., 0] = points[..., 0] * gain + (0.5 - self.centre_x * self.zoom) * size
        out[..., 1] = (0.5 - self.centre_y * self.zoom) * size - points[..., 1] * gain
        return out


def alignment(points: Array) -> tuple[Array, float, float]:
    """Centre [2], side and angle of the aligned square of five points [5, 2].

    Points: eye at the image's left, eye at its right, nose tip, mouth corner at the left, at the right. Source: Karras
    et al. 2019 (FFHQ), recreate_aligned_images.
    """
    eye_to_eye = points[1] - points[0]
    eyes = (points[0] + points[1]) / 2
    eye_to_mouth = (points[3] + points[4]) / 2 - eyes
    x = eye_to_eye + np.array([eye_to_mouth[1], -eye_to_mouth[0]])
    length = max(2.0 * float(np.hypot(*eye_to_eye)), 1.8 * float(np.hypot(*eye_to_mouth)))
    angle = math.atan2(x[1], x[0])
    return np.asarray(eyes + 0.1 * eye_to_mouth, np.float32), 2 * length, angle


def aim(face_points: Array, framing: Framing) -> tuple[Camera, Array]:
    """Camera that frames five scene points [5, 3], and the rotation [3, 3] about the axis to apply to the scene."""
    tangent = math.tan(math.radians(framing.field_of_view) / 2)
    focal = 0.5 / tangent
    distance = HALF_HEIGHT / tangent
    wide = Camera(distance, focal, 1.0, 0.0, 0.0)
    centre, side, angle = alignment(wide.project(face_points, 1)[:, :2])
    angle = angle + framing.turn
    c, s = math.cos(angle), math.sin(angle)
    # The picture's y axis points down and the scene's up: turning the picture by -angle turns the scene by +angle.
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]], np.float32)
    across, down = centre - 0.5
    turned = np.array([c * across + s * down, -s * across + c * down])
    shifted = turned + np.array([framing.shift_x, framing.shift_y]) * side
    return Camera(distance, focal, 1 / (side * framing.scale), float(shifted[0]), float(shifted[1])), turn
