"""Ground truth of rendered samples: geometry of the photo, flow and labels of the cartoons. Renders nothing itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from compress.faces.mesh import HEAD_HEIGHT, Posed, Topology
from compress.faces.population import Person
from compress.faces.pose import Pose
from compress.faces.raster import interpolate
from compress.faces.view import SUPERSAMPLING, Scene, View

Array = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]
Sample = dict[str, npt.NDArray[Any]]

LIDS_LEFT, LIDS_RIGHT, NOSE, MOUTH = slice(0, 4), slice(4, 8), 8, (10, 9)
SEEN_SLACK = 0.06
"""A surface point counts as visible in the photo if at most this far behind the nearest one, in scene units."""


@dataclass(frozen=True)
class Subject:
    """A sampled person, posed before the camera, and the scene around."""

    person: Person
    pose: Pose
    topology: Topology
    posed: Posed
    scene: Scene
    turn: Array


def face_points(positions: Array, landmarks: Ints) -> Array:
    """Five points [5, 3] in image order: eyes from the left of the picture, nose tip, mouth corners."""
    at = positions[landmarks]
    return np.stack([at[LIDS_RIGHT].mean(0), at[LIDS_LEFT].mean(0), at[NOSE], at[MOUTH[0]], at[MOUTH[1]]])


def facts(person: Person) -> Array:
    """The renderer's numbers of a person [8]: see `PairRenderer.pair`."""
    return np.array([person.male, person.old, person.child, *person.ancestry, person.melanin, person.beard], np.float32)


def one_in_pixel(samples: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The sample [S, S] that stands for each pixel, of [S * SUPERSAMPLING] a side."""
    return samples[SUPERSAMPLING // 2 :: SUPERSAMPLING, SUPERSAMPLING // 2 :: SUPERSAMPLING].copy()


def photo_truth(subject: Subject, photo: View, landmarks: Ints, coefficients: Array) -> Sample:
    """The photo and what is known of it: the fields of `PairRenderer.pair` that no style changes."""
    size, camera, posed = photo.image.shape[0], subject.scene.camera, subject.posed
    centred = np.concatenate([posed.positions, posed.normals], 1)
    buffers = interpolate(photo.triangle, photo.bary0, photo.bary1, subject.topology.faces, centred, SUPERSAMPLING)
    label = one_in_pixel(photo.label)
    solid = (label > 0)[..., None]
    where, normal = buffers[..., :3], buffers[..., 3:]
    normal = normal / (np.sqrt(np.einsum("yxk,yxk->yx", normal, normal))[..., None] + 1e-6)
    depth = (where[..., 2] - posed.pivot[2]) / (HEAD_HEIGHT / 2)
    points = face_points(posed.positions, landmarks)
    return {
        "photo": photo.image,
        "labels_photo": label,
        "depth": (depth * solid[..., 0]).astype(np.float16),
        "position": (posed.to_head_frame(where) * solid).astype(np.float16),
        "normal": (normal * solid).astype(np.float16),
        "landmarks_photo": camera.project(posed.positions[landmarks], size)[:, :2],
        "points": camera.project(points, size)[:, :2],
        "rotation": posed.rotation.astype(np.float32),
        "translation": posed.translation,
        "camera": np.array([camera.distance, camera.focal, camera.zoom, camera.centre_x, camera.centre_y], np.float32),
        "coefficients": coefficients,
        "light": subject.scene.lighting.harmonics,
        "key_light": np.stack([subject.scene.lighting.key, subject.scene.lighting.key_colour]),
        "facts": facts(subject.person),
    }


def cartoon_truth(subject: Subject, photo: View, drawings: list[tuple[Posed, View]], landmarks: Ints) -> Sample:
    """The cartoons and what is known of them, one row a style."""
    flows = [trace(subject, photo, view) for _, view in drawings]
    size, camera = photo.image.shape[0], subject.scene.camera
    return {
        "cartoon": np.stack([view.image for _, view in drawings]),
        "flow": np.stack([flow for flow, _ in flows]).astype(np.float16),
        "visible": np.stack([visible for _, visible in flows]).astype(np.uint8),
        "labels_cartoon": np.stack([one_in_pixel(view.label) for _, view in drawings]),
        "landmarks_cartoon": np.stack(
            [camera.project(drawn.positions[landmarks], size)[:, :2] for drawn, _ in drawings]
        ),
    }


def trace(subject: Subject, photo: View, cartoon: View) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Displacement from each cartoon pixel to the same point in the photo, and whether the photo shows it."""
    size, step = photo.image.shape[0], SUPERSAMPLING
    source = interpolate(
        cartoon.triangle, cartoon.bary0, cartoon.bary1, subject.topology.faces, subject.posed.positions, step
    )
    solid = cartoon.triangle[step // 2 :: step, step // 2 :: step] >= 0
    there = subject.scene.camera.project(source, size)
    centres = np.arange(size, dtype=np.float32) + 0.5
    flow = there[..., :2] - np.stack(np.broadcast_arrays(centres, centres[:, None]), 2)
    flow *= solid[..., None]
    x, y = np.ascontiguousarray(there[..., 0]) * step, np.ascontiguousarray(there[..., 1]) * step
    column, row = np.clip(x, 0, size * step - 1).astype(int), np.clip(y, 0, size * step - 1).astype(int)
    # Truncated towards zero, a place up to one sample before the first is the first.
    inside = (x > -1) & (y > -1) & (x < size * step) & (y < size * step)
    visible = solid & inside & (there[..., 2] < photo.depth[row, column] + SEEN_SLACK)
    backdrop = ~solid & (photo.triangle[step // 2 :: step, step // 2 :: step] < 0)
    return flow, visible | backdrop
