"""The core: the small network that sees the photo at low resolution, built only of what integer hardware runs well.

3x3 convolutions of stride 2, residual blocks at stride 8, and twice: 1x1 convolution, nearest upsampling, addition of
the skip, 3x3 convolution. BatchNorm (fused before quantization) and ReLU6. The 1x1 before the upsampling halves the
MACs and the bytes that are upsampled, which 8-bit runtimes do slowly; the float head is 1x1, so that nearly all work
is in integers. No instance normalisation, reflection padding, transposed convolution, concatenation or attention. Not
covered: what the twelve output channels mean (compositor.py, rgb.py).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from students.architecture import RAW_CHANNELS, Architecture, BlockKind, Channels

BATCH_NORM_MOMENTUM = 0.05  # short distillations of small batches: half the default averages over 20 steps, not 10


def conv_norm(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution without bias and BatchNorm; zero padding keeps the size at stride 1."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, momentum=BATCH_NORM_MOMENTUM),
    )


def conv_norm_act(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """`conv_norm` followed by ReLU6, whose fixed range suits 8 bits."""
    return conv_norm(inputs, outputs, kernel, stride, groups).append(nn.ReLU6())


class Residual(nn.Module):
    """x + f(x), then ReLU6: f is two 3x3 convolutions (plain) or 1x1, depthwise 3x3, 1x1 (inverted)."""

    def __init__(self, channels: int, hidden: int, kind: BlockKind) -> None:
        super().__init__()
        layers = [conv_norm_act(channels, hidden), conv_norm(hidden, channels)]
        if kind == "inverted":
            depthwise = conv_norm_act(hidden, hidden, groups=hidden)
            layers = [conv_norm_act(channels, hidden, 1), depthwise, conv_norm(hidden, channels, 1)]
        self.body = nn.Sequential(*layers)
        self.act = nn.ReLU6()

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, h, w] to the same shape, values in [0, 6]."""
        out: Tensor = self.act(x + self.body(x))
        return out


class Core(nn.Module):
    """[N, 3, r, r] float32 in [-1, 1] to raw [N, 12, r/2, r/2]; `bottom` gives the tap, `head` stays in float."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        channels = architecture.channels
        self.stem = conv_norm_act(3, channels.stem, stride=2)
        self.middle = conv_norm_act(channels.stem, channels.middle, stride=2)
        self.down = conv_norm_act(channels.middle, channels.bottom, stride=2)
        blocks = [Residual(channels.bottom, hidden, architecture.block) for hidden in channels.blocks]
        self.bottom = nn.Sequential(*blocks) if blocks else nn.Identity()
        self.up = nn.Upsample(scale_factor=2.0, mode="nearest")
        self.lift_middle = conv_norm_act(channels.bottom, channels.middle, 1)
        self.fuse_middle = conv_norm_act(channels.middle, channels.fuse_middle)
        self.lift_stem = conv_norm_act(channels.fuse_middle, channels.stem, 1)
        self.fuse_stem = conv_norm_act(channels.stem, channels.fuse_stem)
        self.head = nn.Conv2d(channels.fuse_stem, RAW_CHANNELS, 1)
        nn.init.zeros_(self.head.weight)
        assert self.head.bias is not None
        nn.init.zeros_(self.head.bias)

    def forward(self, low: Tensor) -> Tensor:
        """[N, 3, r, r] to raw [N, 12, r/2, r/2], unbounded."""
        stem = self.stem(low)
        middle = self.middle(stem)
        bottom = self.bottom(self.down(middle))
        middle = self.fuse_middle(self.up(self.lift_middle(bottom)) + middle)
        stem = self.fuse_stem(self.up(self.lift_stem(middle)) + stem)
        raw: Tensor = self.head(stem)
        return raw


def widths_of(core: nn.Module) -> Channels:
    """The channel counts that the tensors of a core have now, also after pruning cut them in place."""
    return Channels(
        stem=_outputs(core, "stem.0"),
        middle=_outputs(core, "middle.0"),
        bottom=_outputs(core, "down.0"),
        blocks=tuple(
            _outputs(core, f"bottom.{i}.body.0.0") for i, _ in enumerate(core.get_submodule("bottom").children())
        ),
        fuse_middle=_outputs(core, "fuse_middle.0"),
        fuse_stem=_outputs(core, "fuse_stem.0"),
    )


def _outputs(core: nn.Module, name: str) -> int:
    weight = core.get_submodule(name).get_parameter("weight")
    assert isinstance(weight, torch.Tensor)
    return int(weight.shape[0])
