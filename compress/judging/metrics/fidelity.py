"""How close one image is to another: PSNR, SSIM at one and at several scales, Haar detail, distance in feature space.

Images are uint8 [N, H, W, 3], as a user sees them; each function returns one number per image [N]. None of these judges
whether a picture is good; only whether it is the teacher's.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Bytes = NDArray[np.uint8]

BEST_PSNR_DB = 100.0  # of identical images, so that means stay finite
HAAR_LEVELS = 3
_WINDOW, _SIGMA = 11, 1.5  # the Gaussian window of the SSIM paper
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # finest first


def psnr(images: NDArray[np.generic], targets: NDArray[np.generic], peak: float = 255.0) -> Floats:
    """Peak signal-to-noise ratio [N] in dB of `images` against `targets` [N, ...] with values in 0..peak.

    At most 100 dB, which is what identical images get.
    """
    error = images.astype(np.float64) - targets.astype(np.float64)
    mse = np.square(error).mean(axis=tuple(range(1, error.ndim)))
    floor = peak**2 * 10 ** (-BEST_PSNR_DB / 10)
    decibels: Floats = 10 * np.log10(peak**2 / np.maximum(mse, floor))
    return decibels


def _gaussian() -> Floats:
    taps = np.exp(-np.square(np.arange(_WINDOW) - _WINDOW // 2) / (2 * _SIGMA**2))
    normal: Floats = taps / taps.sum()
    return normal


def ssim(images: Bytes, targets: Bytes) -> Floats:
    """Structural similarity [N], mean over pixels and colours; 1 is identical.

    Raises ValueError for images below 11 px. Source: Wang et al., IEEE TIP 13(4), 2004, equation 13, window without
    padding.
    """
    return structure(images, targets, 1)[0]


def ms_ssim(images: Bytes, targets: Bytes) -> Floats:
    """Structural similarity over five scales [N], each half as large; 1 is identical.

    Pictures below 176 px have fewer scales that the window of 11 px fits into (4 from 88 px, as at 128 px), and the
    weights of those are scaled to a sum of 1. Raises ValueError below 11 px.
    Source: Wang, Simoncelli and Bovik, Asilomar 2003, equation 7, each colour on its own and then their mean.
    """
    return structure(images, targets)[1]


def structure(images: Bytes, targets: Bytes, scales: int = len(_SCALE_WEIGHTS)) -> tuple[Floats, Floats]:
    """`ssim` and, of at most `scales` scales, `ms_ssim` in one go; uint8 [N, H, W, 3] -> [N] and [N]."""
    side = min(images.shape[1:3])
    if side < _WINDOW:
        raise ValueError(f"ssim of {images.shape[1]} x {images.shape[2]} px needs at least {_WINDOW} px")
    fitting = [scale for scale in range(scales) if side >> scale >= _WINDOW]
    weights = np.array(_SCALE_WEIGHTS[: len(fitting)])
    weights /= weights.sum()
    single, multiple = np.empty(len(images)), np.empty(len(images))
    for row, pair in enumerate(zip(images, targets)):
        planes: tuple[Floats, ...] = tuple(np.ascontiguousarray(p.transpose(2, 0, 1), np.float64) for p in pair)
        x, y = planes
        colours = np.ones(len(x))
        for scale in fitting:
            full, contrast = _similarity(x, y)
            if scale == 0:
                single[row] = full.mean()
            # The luminance counts at the coarsest scale alone; what is negative has no fractional power.
            part = full if scale == fitting[-1] else contrast
            colours *= np.maximum(part, 0) ** weights[scale]
            if scale < fitting[-1]:
                x, y = _halved(x), _halved(y)
        multiple[row] = colours.mean()
    return single, multiple


def _similarity(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Mean over pixels of SSIM, and of its contrast and structure alone, of each colour: [C, H, W] -> [C] and [C]."""
    mx, my = _window(x), _window(y)
    both, squares = mx * my, mx * mx + my * my
    contrast = (2 * (_window(x * y) - both) + _C2) / (_window(x * x + y * y) - squares + _C2)
    full = contrast * ((2 * both + _C1) / (squares + _C1))
    return full.mean(axis=(1, 2)), contrast.mean(axis=(1, 2))


def _window(x: Floats) -> Floats:
    """Gaussian mean over 11 x 11, only where the window fits: [C, H, W] -> [C, H-10, W-10]."""
    margin, taps = _WINDOW // 2, _gaussian()
    # All colours below one another are one picture for OpenCV; what mixes them is in the margin.
    means: Floats = cv2.sepFilter2D(x.reshape(-1, x.shape[2]), cv2.CV_64F, taps, taps).reshape(x.shape)
    inside: Floats = means[:, margin:-margin, margin:-margin]
    return inside


def _halved(x: Floats) -> Floats:
    """Mean of each 2 x 2 pixels, [C, H, W] -> [C, H/2, W/2]; an odd last row or column is left out."""
    height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    x = x[:, :height, :width]
    return (x[:, ::2, ::2] + x[:, ::2, 1::2] + x[:, 1::2, ::2] + x[:, 1::2, 1::2]) / 4


def haar_energy(images: Bytes) -> Floats:
    """Energy of the high bands of an orthonormal Haar transform, [N, 3], finest level first.

    What does not fit a multiple of 8 px at the right and lower edge is left out. Raises ValueError below 8 px. The
    ratio of a student's sum to its teacher's is below 1 for blur, above 1 for ringing and noise.
    """
    side = 2**HAAR_LEVELS
    height, width = images.shape[1] // side * side, images.shape[2] // side * side
    if not height or not width:
        raise ValueError(f"haar_energy of {images.shape[1]} x {images.shape[2]} px needs at least {side} px")
    low = images[:, :height, :width].astype(np.float64)
    energies = []
    for _ in range(HAAR_LEVELS):
        a, b, c, d = low[:, ::2, ::2], low[:, ::2, 1::2], low[:, 1::2, ::2], low[:, 1::2, 1::2]
        bands = ((a - b + c - d) / 2, (a + b - c - d) / 2, (a - b - c + d) / 2)
        energies.append(sum(np.square(band).sum(axis=(1, 2, 3)) for band in bands))
        low = (a + b + c + d) / 2
    return np.stack(energies, axis=1)


def feature_distance(maps: Sequence[Floats], targets: Sequence[Floats]) -> Floats:
    """Distance in feature space [N], 0..4: squared difference of unit channel vectors, mean over pixels and layers.

    `maps` and `targets`: one [N, C, h, w] per layer of the named backbone. Source: Zhang et al., LPIPS, CVPR 2018,
    equation 1, without its learned weights.
    """
    layers = []
    for s, t in zip(maps, targets, strict=True):
        s = s / np.maximum(np.linalg.norm(s, axis=1, keepdims=True), 1e-8)
        t = t / np.maximum(np.linalg.norm(t, axis=1, keepdims=True), 1e-8)
        layers.append(np.square(s - t).sum(axis=1).mean(axis=(1, 2)))
    each: Floats = np.mean(layers, axis=0)
    return each
