"""Spectacles: rims, bridge and temples as thin tubes, and lenses, fitted to eyes, nose bridge and ears of a head.

What lenses do to the light is in lenses.py.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

LENS_BULGE = 0.015
RIM_STEPS, BRIDGE_STEPS, TEMPLE_STEPS, SIDES = 26, 5, 5, 5
LENS_HALF_WIDTH, LENS_HALF_HEIGHT, OUTWARDS = 0.25, 0.195, 0.02
"""Size of an average lens and its shift away from the nose, in decimetres."""


def _tube_faces(steps: int, closed: bool, base: int) -> list[list[int]]:
    """Triangles of a tube of SIDES-sided rings."""
    faces = []
    for k in range(steps if closed else steps - 1):
        following = (k + 1) % steps
        for s in range(SIDES):
            t = (s + 1) % SIDES
            a, b = base + k * SIDES + s, base + k * SIDES + t
            c, d = base + following * SIDES + s, base + following * SIDES + t
            faces += [[a, b, c], [b, d, c]]
    return faces


def frame_faces() -> Ints:
    """Triangles [m, 3] of every pair of spectacles."""
    faces: list[list[int]] = []
    base = 0
    parts = ((RIM_STEPS, True), (RIM_STEPS, True), (BRIDGE_STEPS, False), (TEMPLE_STEPS, False), (TEMPLE_STEPS, False))
    for steps, closed in parts:
        faces += _tube_faces(steps, closed, base)
        base += steps * SIDES
    return np.array(faces, np.int32)


def lens_faces() -> Ints:
    """Triangles [m, 3] of both lenses: fans around a middle vertex, which follow the tubes' vertices."""
    tubes = (2 * RIM_STEPS + BRIDGE_STEPS + 2 * TEMPLE_STEPS) * SIDES
    step = np.arange(RIM_STEPS)
    fans = []
    for lens in range(2):
        first = tubes + lens * (RIM_STEPS + 1)
        fan = np.stack([np.full(RIM_STEPS, first + RIM_STEPS), first + step, first + (step + 1) % RIM_STEPS], 1)
        fans.append(fan)
    return np.concatenate(fans).astype(np.int32)


def _lens(path: Array) -> Array:
    """A slightly curved lens [RIM_STEPS + 1, 3] within a rim's path."""
    middle = path.mean(0) + np.array([0, 0, LENS_BULGE])
    return np.asarray(np.concatenate([path, middle[None]]), np.float32)


def _tube(path: Array, radius: float, closed: bool) -> Array:
    """Rings [steps * SIDES, 3] around a path [steps, 3]."""
    along = np.roll(path, -1, 0) - np.roll(path, 1, 0) if closed else np.gradient(path, axis=0)
    along = along / (np.linalg.norm(along, axis=1, keepdims=True) + 1e-9)
    side = np.cross(along, np.array([0.0, 0.25, 1.0]))
    side /= np.linalg.norm(side, axis=1, keepdims=True) + 1e-9
    up = np.cross(side, along)
    turn = np.arange(SIDES) * 2 * math.pi / SIDES
    ring = side[:, None] * np.cos(turn)[None, :, None] + up[:, None] * np.sin(turn)[None, :, None]
    return np.asarray((path[:, None] + radius * ring).reshape(-1, 3), np.float32)


def frame_vertices(shape: Array, left_eye: Array, right_eye: Array, bridge: Array, ears: Array) -> Array:
    """Vertices [k, 3] of spectacles on a head, in decimetres.

    shape: (worn, width, height, roundness, wire radius, brightness); left_eye, right_eye: eyeball centres [3]; bridge:
    a point [3] of the nose bridge; ears: attachment of the left and right temple [2, 3].
    """
    _, width, height, roundness, radius, _ = (float(x) for x in shape)
    half_height = LENS_HALF_HEIGHT * height
    half_width = min(LENS_HALF_WIDTH * width, 0.82 * abs(float(left_eye[0] - right_eye[0])) / 2)
    front = float(bridge[2]) + 0.07
    turn = np.arange(RIM_STEPS) * 2 * math.pi / RIM_STEPS
    power = 2 / roundness
    across = np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** power
    level = np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** power
    y = (left_eye[1] + right_eye[1]) / 2 - 0.02
    parts, lenses, inner, outer = [], [], [], []
    for eye, sign in ((left_eye, 1.0), (right_eye, -1.0)):
        x = eye[0] + sign * OUTWARDS + across * half_width
        bend = 0.32 * np.clip(np.abs(x) - 0.12, 0, None) ** 2 + 0.05 * np.clip(-level, 0, 1)
        path = np.stack([x, y + level * half_height, front - bend], 1)
        parts.append(_tube(path, radius, True))
        lenses.append(_lens(path))
        inner.append(np.array([eye[0] + sign * (OUTWARDS - half_width), y + 0.25 * half_height, front - 0.01]))
        edge = abs(eye[0]) + OUTWARDS + half_width
        outer.append(np.array([sign * edge, y + 0.45 * half_height, front - 0.32 * (edge - 0.12) ** 2]))
    share = np.linspace(0, 1, BRIDGE_STEPS)[:, None]
    arch = np.array([0, 0.35 * half_height, 0.02]) * np.sin(share * math.pi)
    parts.append(_tube(inner[0] * (1 - share) + inner[1] * share + arch, radius, False))
    share = np.linspace(0, 1, TEMPLE_STEPS)[:, None]
    for start, ear, sign in ((outer[0], ears[0], 1.0), (outer[1], ears[1], -1.0)):
        wide = np.array([sign * 0.05, 0, 0]) * np.sin(share * math.pi)
        parts.append(_tube(start * (1 - share) + (ear + np.array([sign * 0.04, 0, 0])) * share + wide, radius, False))
    return np.concatenate([*parts, *lenses]).astype(np.float32)
