"""Face points: two small networks that find 24 points of a face, and its lids exactly, in photographs and in cartoons.

Detectors of real faces do not see how far a cartoon's eyes are open: MediaPipe's mesh found 1.10 times the photo's
opening in rendered cartoons where 1.61 is true. A network that sees the whole face learns that cartoons have large
eyes, and does not look. So one finds the face's points, and another the lids in a small picture of each eye, which in
training was stretched at random: it has to measure. Both were trained on rendered photos and cartoons, whose points are
known (`build_face_points`), and are independent of every teacher. Order and meaning of the points:
`faces.build_assets.landmark_vertices`.

Measured on 96 rendered people whom it has not seen, at 128 px: lids 0.9 to 1.1 px off; three styles open eyes 1.89,
1.77 and 1.88 times, found are 1.76, 1.72 and 1.74. On 120 real portraits whose eyes were magnified 0.8, 1.25 and 1.5
times: 0.87, 1.24 and 1.51. Not covered: finding the face; pictures are aligned (`photographs.alignment`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from compress.artifact import hash_file
from compress.errors import InputError

Bytes = NDArray[np.uint8]
Floats = NDArray[np.floating]

POINTS = 24
FACE_SIDE, EYE_SIDE = 96, 48
EYE_SPAN = 0.9
"""Side of the picture of an eye, in distances of the two eyes."""
WEIGHTS = Path(__file__).parent / "data" / "face_points.safetensors"
SHA256 = "e25bb680df792c231f37ba039e61ae605fc14ea3bed6dff150765452fd653141"
EYES = ((0, 1, 2, 3), (4, 5, 6, 7))
"""Inner and outer corner, upper and lower lid of the left eye (right in the picture) and of the right one."""
BRIDGE, CHIN = 22, 13
# The same points in a mirrored picture: left and right change places.
MIRRORED = (4, 5, 6, 7, 0, 1, 2, 3, 8, 10, 9, 11, 12, 13, 18, 19, 20, 21, 14, 15, 16, 17, 22, 23)


class _Stage(nn.Module):
    """Two 3x3 convolutions with batch normalisation; the first may halve the picture."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(outputs) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norms[0](self.first(x)))
        return F.relu(self.norms[1](self.second(x)))


class HeatMaps(nn.Module):
    """[N, 3, S, S] in [-1, 1] -> points [N, K, 2], 0..1 across the picture: the mean place of each one's heat map.

    widths: channels at strides 2, 4, ...; the maps are as large as the scale number `level` of these.
    Source: Sun et al., Integral Human Pose Regression, ECCV 2018.
    """

    def __init__(self, widths: Sequence[int], points: int, level: int) -> None:
        super().__init__()
        pairs = list(zip((3, *widths), widths))
        self.level = level
        self.down = nn.ModuleList(_Stage(a, b, 2) for a, b in pairs)
        self.up = nn.ModuleList(_Stage(a + b, a, 1) for a, b in reversed(pairs[level + 1 :]))
        self.heat = nn.Conv2d(widths[level], points, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        pyramid = []
        for stage in self.down:
            x = stage(x)
            pyramid.append(x)
        for stage, shallow in zip(self.up, reversed(pyramid[self.level : -1])):
            x = stage(torch.cat([F.interpolate(x, scale_factor=2, mode="nearest"), shallow], dim=1))
        heat: Tensor = self.heat(x).flatten(2).softmax(dim=2).unflatten(2, tuple(x.shape[2:]))
        places = (torch.arange(heat.shape[-1], dtype=heat.dtype, device=heat.device) + 0.5) / heat.shape[-1]
        return torch.stack([(heat.sum(2) * places).sum(2), (heat.sum(3) * places).sum(2)], dim=2)


class FacePoints(nn.Module):
    """The two networks. `find` is what is used; each is trained on its own."""

    def __init__(self) -> None:
        super().__init__()
        self.face = HeatMaps((8, 24, 48, 64), POINTS, level=1)
        self.eye = HeatMaps((16, 32, 48), len(EYES[0]), level=0)

    @torch.inference_mode()
    def find(self, pictures: Bytes) -> Floats:
        """Points [N, 24, 2] in pixels of aligned pictures uint8 [N, S, S, 3] of any size."""
        size = pictures.shape[1]
        x = tensor_of(pictures)
        if size != FACE_SIDE:
            x = F.interpolate(x, size=(FACE_SIDE, FACE_SIDE), mode="bilinear", align_corners=False, antialias=True)
        points: Floats = self.face(x).numpy() * size
        frames = np.stack([[eye_frame(face, eye) for eye in (0, 1)] for face in points])
        eyes = np.stack([cut(picture, m) for picture, both in zip(pictures, frames) for m in both])
        places = self.eye(tensor_of(eyes)).numpy().reshape(len(points), 2, -1, 2) * EYE_SIDE
        for row, both in enumerate(frames):
            for eye, matrix in enumerate(both):
                points[row, list(EYES[eye])] = (places[row, eye] - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
        return points


def tensor_of(pictures: Bytes) -> Tensor:
    """uint8 [N, H, W, 3] -> [N, 3, H, W] in [-1, 1]."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1


def eye_frame(points: Floats, eye: int) -> NDArray[np.float64]:
    """Matrix [2, 3] from a picture with these 24 points to that of one eye, level, the right eye mirrored to a left."""
    left, right = (points[list(lids)].mean(axis=0).astype(np.float64) for lids in EYES)
    across = left - right
    apart = max(float(np.linalg.norm(across)), 1.0)
    x, y = across / apart * (EYE_SIDE / (EYE_SPAN * apart))
    turn = np.array([[x, y], [-y, x]])
    if eye == 1:
        turn[0] *= -1
    return np.column_stack([turn, EYE_SIDE / 2 - turn @ (left, right)[eye]])


def cut(picture: Bytes, matrix: NDArray[np.float64]) -> Bytes:
    """The picture uint8 [EYE_SIDE, EYE_SIDE, 3] that a matrix [2, 3] leads to; pixel centres are at +0.5."""
    pixels = np.column_stack([matrix[:, :2], matrix[:, 2] + matrix[:, :2] @ [0.5, 0.5] - 0.5])
    seen = cv2.warpAffine(
        picture, pixels, (EYE_SIDE, EYE_SIDE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
    )
    return np.asarray(seen, np.uint8)


def eye_opening(points: Floats) -> Floats:
    """Mean distance of upper and lower lid over that of bridge and chin: points [N, 24, 2] -> [N]."""
    lids = [np.linalg.norm(points[:, upper] - points[:, lower], axis=1) for _, _, upper, lower in EYES]
    height = np.linalg.norm(points[:, BRIDGE] - points[:, CHIN], axis=1)
    share: Floats = np.mean(lids, axis=0) / np.maximum(height, 1e-6)
    return share


def load() -> FacePoints:
    """The trained networks. Raises InputError if their weights are missing or changed."""
    if not WEIGHTS.is_file():
        raise InputError(f"{WEIGHTS}: missing; install kcompress again")
    if (digest := hash_file(WEIGHTS)) != SHA256:
        raise InputError(f"{WEIGHTS}: SHA-256 {digest[:12]}... where {SHA256[:12]}... is expected; install it again")
    networks = FacePoints()
    networks.load_state_dict({name: tensor.float() for name, tensor in load_file(WEIGHTS).items()}, strict=False)
    return networks.eval()
