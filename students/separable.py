"""The compositor as matrix products, for runtimes: the same function as compositor.py, far cheaper in ONNX Runtime.

Bilinear upsampling is linear along each axis, so it is rows @ maps @ columns, a form that runtimes compute at the
speed of matrix multiplication, for any height and width. The sampling grid comes out of the same product, already
interleaved (x, y). The warp uses zero padding on a grid clamped to the outermost pixel centres, which equals border
padding: ONNX Runtime 1.31 has a fast kernel for that form only (5 against 19 ms at 512 px). Not covered: training,
where compositor.py is simpler and as fast.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def composite(photo: Tensor, maps: Tensor) -> Tensor:
    """Apply maps [N, 8, h, w] to photo [N, 3, H, W] in [-1, 1], both float32: the image, clamped to [-1, 1]."""
    height, width = photo.shape[-2:]
    rows = bilinear_matrix(height, maps.shape[-2])
    columns = bilinear_matrix(width, maps.shape[-1]).T
    grid = sampling_grid(maps[:, 0:2], rows, columns)
    warped = F.grid_sample(photo, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    gain, bias = rows @ (maps[:, 2:5] @ columns), rows @ (maps[:, 5:8] @ columns)
    return (warped * gain + bias).clamp(-1, 1)


def bilinear_matrix(size: int, resolution: int) -> Tensor:
    """Weights [size, resolution] float32 that enlarge one axis bilinearly (align_corners=False); each row sums to 1."""
    source = (torch.arange(size, dtype=torch.float32) + 0.5) * (resolution / size) - 0.5
    distance = source.clamp(0, resolution - 1)[:, None] - torch.arange(resolution, dtype=torch.float32)
    return (1 - distance.abs()).clamp(min=0)


def sampling_grid(flow: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Grid [N, H, W, 2] of `warp`: pixel centres plus the flow [N, 2, h, w] enlarged by rows [H, h] and columns [w, W].

    The x of a pixel centre is added before the rows are enlarged (their weights sum to 1), its y is one more column
    of `rows`.
    """
    batch, _, low_height, low_width = flow.shape
    height, width = rows.shape[0], columns.shape[1]
    x, y = _centres(width), _centres(height)
    zero = torch.zeros_like(columns)
    interleave = torch.stack([torch.stack([columns, zero], dim=-1), torch.stack([zero, columns], dim=-1)])
    enlarged = flow.permute(0, 2, 1, 3).reshape(batch, low_height, 2 * low_width) @ interleave.reshape(-1, 2 * width)
    none, one = torch.zeros_like(x), torch.ones_like(x)
    enlarged = enlarged + torch.stack([x, none], dim=-1).reshape(1, 1, -1)
    unit_y = torch.stack([none, one], dim=-1).reshape(1, 1, -1).expand(batch, -1, -1)
    grid = torch.cat([rows, y[:, None]], dim=1) @ torch.cat([enlarged, unit_y], dim=1)
    limit = torch.stack([one * x[-1], one * y[-1]], dim=-1).reshape(-1)
    return torch.maximum(torch.minimum(grid, limit), -limit).reshape(batch, height, width, 2)


def _centres(size: int) -> Tensor:
    return (torch.arange(size, dtype=torch.float32) + 0.5) * (2 / size) - 1
