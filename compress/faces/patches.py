"""Parts that ride on the base mesh: brows, lashes, tongue; and which vertices belong to the ears."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compress.faces.head import Head

Array = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Patch:
    """A part that rides on base vertices: which ones, offset, triangles, texture coordinates."""

    index: Ints
    offset: Array
    faces: Ints
    uv: Array

    def place(self, body: Array) -> Array:
        """Points [k, 3] on a body [n, 3]."""
        return np.asarray(body[self.index] + self.offset, np.float32)


def ear_share(head: Head) -> Array:
    """1 for vertices of the ears, else 0: [n]."""
    mask = head.masks["ears"]
    side = mask.shape[0]
    uv = np.zeros((head.count, 2), np.float32)
    uv[head.faces["body"].ravel()] = head.body_uv[head.body_uv_faces.ravel()]
    columns = np.clip((uv[:, 0] * side).astype(int), 0, side - 1)
    rows = np.clip(((1 - uv[:, 1]) * side).astype(int), 0, side - 1)
    return np.asarray((mask[rows, columns] / 255.0) * (np.abs(head.mean[:, 0]) > 0.5), np.float32)


def ride(faces: Ints) -> tuple[Ints, Ints]:
    """Base vertices [k] that triangles use, and the triangles in numbers of these."""
    index, inverse = np.unique(faces, return_inverse=True)
    return index.astype(np.int32), inverse.reshape(-1, 3).astype(np.int32)


def brow_patch(head: Head, normals: Array, eye: Array) -> Patch:
    """Face triangles around the brows; uv holds distance from the middle and height over the eyes."""
    body = head.faces["body"]
    middle = head.mean[body].mean(1)
    across = np.abs(middle[:, 0])
    near = (across < 0.8) & (across > 0.02) & (np.abs(middle[:, 1] - eye[1] - 0.22) < 0.26)
    index, faces = ride(body[near & (middle[:, 2] > 0.8)])
    at = head.mean[index]
    uv = np.stack([np.abs(at[:, 0]), at[:, 1] - eye[1]], 1)
    return Patch(index, (normals[index] * 0.012).astype(np.float32), faces, uv.astype(np.float32))


def brow_uv(brow: Patch, shape: Array) -> Array:
    """Texture coordinates of the brow patch for (arch, thickness, length, height, tilt)."""
    arch, thick, length, height, tilt = (float(x) for x in shape)
    along = (brow.uv[:, 0] - 0.10) / length
    level = height + arch * np.sin(np.clip(along, 0, 1) * math.pi * 0.8) + tilt * along
    across = (brow.uv[:, 1] - level) / (thick * 1.5)
    return np.stack([along * 0.8 + 0.1, across * 0.5 + 0.5], 1).astype(np.float32)


def lash_patch(head: Head, eye: Array) -> Patch:
    """The lash strips of the base mesh, shortened; v above .5 for upper lashes."""
    parts: list[tuple[Ints, Array, Ints, Array]] = []
    count = 0
    for name in ("helper-l-eyelashes-1", "helper-l-eyelashes-2", "helper-r-eyelashes-1", "helper-r-eyelashes-2"):
        index, faces = ride(head.faces[name])
        at = head.mean[index]
        centre = eye * np.array([np.sign(at[:, 0].mean()), 1, 1])
        apart = np.linalg.norm(at - centre, axis=1)
        up = name.endswith("2")
        along = (at[:, 0] - at[:, 0].min()) / np.ptp(at[:, 0])
        reach = np.clip((apart - 0.155) / (apart.max() - 0.155), 0, 1)
        offset = (at - centre) * np.array([0.45, 0.25, 0.2]) * (reach**1.5)[:, None] * (1 if up else 0.3)
        v = 0.5 + 0.49 * reach if up else 0.49 - 0.49 * reach
        parts.append((index, offset.astype(np.float32), faces + count, np.stack([along, v], 1)))
        count += len(index)
    index, offset, faces, uv = (np.concatenate([part[k] for part in parts]) for k in range(4))
    return Patch(index, offset, faces, uv.astype(np.float32))


def whole_patch(head: Head, name: str) -> Patch:
    """A part of the base mesh as it is, without texture coordinates of its own."""
    index, faces = ride(head.faces[name])
    none = np.zeros((len(index), 3), np.float32)
    return Patch(index, none, faces, np.full((len(index), 2), 0.5, np.float32))
