"""The compositor: how a map student's twelve raw channels change the photo, in plain differentiable torch.

`image = warp(photo, up(flow)) * up(A) + up(B)`. Everything that is not linear in the maps (exponential of the gain,
mask) is folded at low resolution, so that only eight channels are upsampled. Always float32, whatever autocast says:
flow needs fractions of a pixel. Not covered: the fast forms for runtimes (ONNX, stylize).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

FLOW_SCALE = 0.1  # raw 1.0 is a tenth of grid_sample's unit, a twentieth of the width: the largest flows stay near 1
LOG_GAIN_LIMIT = 2.0
RESIDUAL_SCALE = 0.3  # the smoothed photo is near what is wanted
MASK_OFFSET = 3.0  # the untrained mask is sigmoid(-3) = 0.05: a student starts as nearly the identity


def downsample(photo: Tensor, resolution: int) -> Tensor:
    """Antialiased `photo` [N, C, H, W] float32 on a grid of `resolution` x `resolution`, any H and W.

    A triangle filter as wide as the reduction, so that the result hardly depends on the photo's size. Source: the
    Resize operator of ONNX opset 18 with antialias=1, which is Pillow's bilinear resize.
    """
    if not torch.compiler.is_exporting() and photo.shape[-2:] == (resolution, resolution):
        return photo
    size = (resolution, resolution)
    return F.interpolate(photo.float(), size=size, mode="bilinear", align_corners=False, antialias=True)


def fold(raw: Tensor, low: Tensor) -> Tensor:
    """Raw [N, 12, h, w] (flow 2, log gain 3, bias 3, residual 3, mask logit 1) to maps [N, 8, h, w] (flow 2, A 3, B 3).

    `low` [N, 3, 2h, 2w] in [-1, 1] is the photo as the core sees it. With g = exp(log gain), m = mask and r = residual
    in [-0.3, 0.3], the photo x gives (x + 1) g - 1 + bias where m is 0; where it is 1, the photo's own smoothed colour
    s, moved alike, takes the place of x, and r comes on top: skin is painted, which no gain of the photo can do. So
    A = g (1 - m) and B = g - 1 + bias + m (g s + r).
    """
    raw = raw.float()
    flow = raw[:, 0:2] * FLOW_SCALE
    gain = raw[:, 2:5].clamp(-LOG_GAIN_LIMIT, LOG_GAIN_LIMIT).exp()
    bias, residual = raw[:, 5:8], raw[:, 8:11].tanh() * RESIDUAL_SCALE
    mask = (raw[:, 11:12] - MASK_OFFSET).sigmoid()
    smooth = warp(F.avg_pool2d(low.float(), 2), flow)
    return torch.cat([flow, gain * (1 - mask), gain - 1 + bias + mask * (gain * smooth + residual)], dim=1)


def composite(photo: Tensor, maps: Tensor) -> Tensor:
    """Apply maps [N, 8, h, w] to photo [N, 3, H, W] in [-1, 1]: the image [N, 3, H, W], not clamped."""
    with torch.autocast(photo.device.type, enabled=False):
        full = enlarge(maps.float(), int(photo.shape[-2]), int(photo.shape[-1]))
        flow, gain, bias = torch.split(full, [2, 3, 3], dim=1)
        return warp(photo.float(), flow) * gain + bias


def enlarge(maps: Tensor, height: int, width: int) -> Tensor:
    """Bilinear [N, C, h, w] -> [N, C, height, width]: as `F.interpolate`, whose slope is slow on a CPU, but in two
    products of matrices.
    """
    rows, columns = (bilinear_weights(*sizes, maps) for sizes in ((maps.shape[-2], height), (maps.shape[-1], width)))
    return rows @ (maps.contiguous() @ columns.T)


def bilinear_weights(count: int, wanted: int, like: Tensor) -> Tensor:
    """[wanted, count]: how much each of `count` values weighs in each of `wanted` values along one axis."""
    source = torch.arange(count, dtype=like.dtype, device=like.device)
    place = (torch.arange(wanted, dtype=like.dtype, device=like.device) + 0.5) * (count / wanted) - 0.5
    return (1 - (place.clamp(0, count - 1)[:, None] - source).abs()).relu()


def warp(photo: Tensor, flow: Tensor) -> Tensor:
    """Backward warp: out(p) = photo(p + flow(p)); flow [N, 2, H, W] (x, y), the full width or height is 2."""
    grid = identity_grid(photo) + flow.permute(0, 2, 3, 1)
    return F.grid_sample(photo, grid, mode="bilinear", padding_mode="border", align_corners=False)


def identity_grid(photo: Tensor) -> Tensor:
    """Pixel centres [1, H, W, 2] (x, y) in [-1, 1] of a photo [N, C, H, W]."""
    height, width = photo.shape[-2:]
    y = (torch.arange(height, dtype=torch.float32, device=photo.device) + 0.5) * (2 / height) - 1
    x = (torch.arange(width, dtype=torch.float32, device=photo.device) + 0.5) * (2 / width) - 1
    return torch.stack([x.expand(height, width), y[:, None].expand(height, width)], dim=-1)[None]
