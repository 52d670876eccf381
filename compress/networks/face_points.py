"""Face points: a small network that finds 24 points of a face in photographs and in cartoons alike.

Detectors of real faces do not see how far a cartoon's eyes are open: MediaPipe's mesh found 1.10 times the photo's
opening in rendered cartoons where 1.61 is true. This one was trained on rendered photos and cartoons, whose points are
known exactly (`build_face_points`), and is independent of every teacher. Order and meaning of the points:
`faces.build_assets.landmark_vertices`. Not covered: finding the face; pictures are aligned (`photographs.alignment`).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from compress.artifact import hash_file
from compress.errors import InputError

POINTS = 24
SIDE = 96
WEIGHTS = Path(__file__).parent / "data" / "face_points.safetensors"
WIDTHS = (8, 24, 48, 64)
SHA256 = "8e3beb8b0f509a2ae55b3e7b4bf20940583cd2dfc6136a9332f55beca2b772eb"
LIDS = ((2, 3), (6, 7))
"""Upper and lower lid of the left and the right eye."""
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


class FacePointsNetwork(nn.Module):
    """[N, 3, 96, 96] in [-1, 1] -> points [N, 24, 2], 0..1 across the picture.

    Each point is the mean place of its own heat map. Source: Sun et al., Integral Human Pose Regression, ECCV 2018.
    """

    def __init__(self) -> None:
        super().__init__()
        pairs = list(zip((3, *WIDTHS), WIDTHS))
        self.down = nn.ModuleList(_Stage(a, b, 2) for a, b in pairs)
        self.up = nn.ModuleList(_Stage(a + b, b, 1) for b, a in reversed(pairs[2:]))
        self.heat = nn.Conv2d(WIDTHS[1], POINTS, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        pyramid = []
        for stage in self.down:
            x = stage(x)
            pyramid.append(x)
        for stage, shallow in zip(self.up, reversed(pyramid[1:-1])):
            x = stage(torch.cat([F.interpolate(x, scale_factor=2, mode="nearest"), shallow], dim=1))
        heat: Tensor = self.heat(x).flatten(2).softmax(dim=2).unflatten(2, tuple(x.shape[2:]))
        side = heat.shape[-1]
        places = (torch.arange(side, dtype=heat.dtype, device=heat.device) + 0.5) / side
        return torch.stack([(heat.sum(2) * places).sum(2), (heat.sum(3) * places).sum(2)], dim=2)

    @torch.inference_mode()
    def find(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Points [N, 24, 2] in pixels of aligned pictures uint8 [N, S, S, 3] of any size."""
        size = pictures.shape[1]
        x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
        if size != SIDE:
            x = F.interpolate(x, size=(SIDE, SIDE), mode="bilinear", align_corners=False, antialias=True)
        found: NDArray[np.float32] = self(x).numpy() * size
        return found


def eye_opening(points: NDArray[np.floating]) -> NDArray[np.floating]:
    """Mean distance of upper and lower lid over that of bridge and chin: points [N, 24, 2] -> [N]."""
    lids = [np.linalg.norm(points[:, upper] - points[:, lower], axis=1) for upper, lower in LIDS]
    height = np.linalg.norm(points[:, BRIDGE] - points[:, CHIN], axis=1)
    share: NDArray[np.floating] = np.mean(lids, axis=0) / np.maximum(height, 1e-6)
    return share


def load() -> FacePointsNetwork:
    """The trained network. Raises InputError if its weights are missing or changed."""
    if not WEIGHTS.is_file():
        raise InputError(f"{WEIGHTS}: missing; install kcompress again")
    if (digest := hash_file(WEIGHTS)) != SHA256:
        raise InputError(f"{WEIGHTS}: SHA-256 {digest[:12]}... where {SHA256[:12]}... is expected; install it again")
    network = FacePointsNetwork()
    network.load_state_dict({name: tensor.float() for name, tensor in load_file(WEIGHTS).items()}, strict=False)
    return network.eval()
