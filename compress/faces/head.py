"""The embedded 3D head: mesh, sparse shape targets, sliders, skull table, landmarks. Loads `data/head.npz` (CC0).

Does not sample identities (population.py) nor make textures (textures.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from compress.faces.raster import accumulate_targets

Array = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

HEAD_FILE = Path(__file__).parent / "data" / "head.npz"
SKULL_POLAR_MAX = 2.6
FOREHEAD_DROP, NOT_BODY = 0.14, -5.0
"""Decimetres by which the file's hairline is lowered at the front; the file holds less where no hair grows."""
TARGET_PAIRS = (
    ("decr", "incr"),
    ("down", "up"),
    ("in", "out"),
    ("backward", "forward"),
    ("concave", "convex"),
    ("compress", "uncompress"),
)


@dataclass(frozen=True)
class Side:
    """Targets of one slider on one side of the face: number of the negative and the positive target, -1 for none."""

    negative: int
    positive: int


@dataclass(frozen=True)
class Head:
    """Arrays of the base head; n vertices in decimetres, x to the person's left, y up, z to the front."""

    vertices: Array
    mean: Array
    faces: dict[str, Ints]
    body_uv_faces: Ints
    body_uv: Array
    target_names: tuple[str, ...]
    target_starts: npt.NDArray[np.int64]
    target_vertex: Ints
    target_value: Array
    sliders: dict[str, tuple[Side, ...]]
    eye_index: Ints
    eye_weight: Array
    eye_offset: Array
    eye_uv: Array
    skull_index: Ints
    skull_weight: Array
    centre: Array
    hairline: Array
    landmarks: Ints
    occlusion: Array
    masks: dict[str, npt.NDArray[np.uint8]]

    @property
    def count(self) -> int:
        """Number of vertices of the base mesh."""
        return len(self.vertices)

    def shape(self, weights: Array) -> Array:
        """Vertices [n, 3] of target weights [K]: the base mesh plus the weighted sum of targets."""
        out = self.vertices.copy()
        accumulate_targets(weights, self.target_starts, self.target_vertex, self.target_value, out)
        return out

    def eyes(self, positions: Array) -> Array:
        """Eyeball vertices that belong to base vertices [n, 3]; the left eye fills the first half."""
        bound = np.einsum("nkc,nk->nc", positions[self.eye_index], self.eye_weight)
        return np.asarray(bound + self.eye_offset, np.float32)


def group_sliders(names: tuple[str, ...]) -> dict[str, tuple[Side, ...]]:
    """Pair the local targets (decr, incr; in, out; ...) and the two sides of the face into named sliders."""
    single: dict[str, list[int]] = {}
    for number, name in enumerate(names):
        if not name.startswith("l/"):
            continue
        for low, high in TARGET_PAIRS:
            if name.endswith("-" + low):
                single.setdefault(name[: -len(low) - 1], [-1, -1])[0] = number
                break
            if name.endswith("-" + high):
                single.setdefault(name[: -len(high) - 1], [-1, -1])[1] = number
                break
        else:
            single.setdefault(name, [-1, -1])[1] = number
    sliders: dict[str, list[Side]] = {}
    for name, (negative, positive) in single.items():
        leaf = name.rsplit("/", 1)[1]
        key = name.replace("/" + leaf, "/" + leaf[2:]) if leaf[:2] in ("l-", "r-") else name
        sliders.setdefault(key, []).append(Side(negative, positive))
    return {key: tuple(sliders[key]) for key in sorted(sliders)}


def lower_hairline(hairline: Array, mean: Array) -> Array:
    """Height over the hairline [n], lowered by FOREHEAD_DROP at the front of the mean head and by 0 at its sides."""
    front = np.clip((mean[:, 2] - 0.7) / 0.4, 0, 1)
    drop = FOREHEAD_DROP * front * front * (3 - 2 * front)
    return np.asarray(hairline + drop * (hairline > NOT_BODY), np.float32)


def load_head(path: Path = HEAD_FILE) -> Head:
    """Read the embedded head."""
    with np.load(path) as archive:
        z = {name: archive[name] for name in archive.files}
    count = z["targets/count"].astype(np.int64)
    names = tuple(str(name) for name in z["targets/names"])
    starts = np.concatenate([[0], np.cumsum(count)])
    vertices = z["vertices"].astype(np.float32)
    value = z["targets/value"].astype(np.float32)
    vertex = z["targets/vertex"].astype(np.int32)
    adult = np.zeros(len(names), np.float32)
    for number, name in enumerate(names):
        if name.startswith("m/") and name.endswith("-young"):
            adult[number] = 1 / 6
        if name.startswith("u/") and name.endswith("-young-averageweight"):
            adult[number] = 1 / 2
    mean = vertices.copy()
    accumulate_targets(adult, starts, vertex, value, mean)
    faces = {name[:-6]: a.astype(np.int32) for name, a in z.items() if name.endswith("/faces")}
    top = mean[np.unique(faces["body"]), 1].max()
    return Head(
        vertices=vertices,
        mean=mean,
        faces=faces,
        body_uv_faces=z["body/uv_faces"].astype(np.int32),
        body_uv=z["body/uv"].astype(np.float32),
        target_names=names,
        target_starts=starts,
        target_vertex=vertex,
        target_value=value,
        sliders=group_sliders(names),
        eye_index=z["eyes/index"].astype(np.int32),
        eye_weight=z["eyes/weight"].astype(np.float32),
        eye_offset=z["eyes/offset"].astype(np.float32),
        eye_uv=z["eyes/uv"].astype(np.float32),
        skull_index=z["skull/index"].astype(np.int32),
        skull_weight=z["skull/weight"].astype(np.float32),
        centre=np.array([0.0, top - 0.85, 0.2], np.float32),
        hairline=lower_hairline(z["hairline"].astype(np.float32), mean),
        landmarks=z["landmarks"].astype(np.int32),
        occlusion=z["occlusion"].astype(np.float32) / 255,
        masks={name[5:]: a for name, a in z.items() if name.startswith("mask/")},
    )
