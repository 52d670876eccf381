"""How close one image is to another: PSNR, SSIM, Haar detail and distance in feature space.

Images are uint8 [N, H, W, 3], as a user sees them; each function returns one number per image [N]. None of these judges
whether a picture is good; only whether it is the teacher's.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Bytes = NDArray[np.uint8]

BEST_PSNR_DB = 100.0  # of identical images, so that means stay finite
HAAR_LEVELS = 3
_WINDOW, _SIGMA = 11, 1.5  # the Gaussian window of the SSIM paper
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


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


def _window(x: Floats) -> Floats:
    """Gaussian mean over 11 x 11, only where the window fits: [N, H, W, C] -> [N, H-10, W-10, C]."""
    for axis in (1, 2):
        length = x.shape[axis] - _WINDOW + 1
        x = np.asarray(sum(w * x.take(range(k, k + length), axis) for k, w in enumerate(_gaussian())))
    return x


def ssim(images: Bytes, targets: Bytes) -> Floats:
    """Structural similarity [N], mean over pixels and colours; 1 is identical.

    Raises ValueError for images below 11 px. Source: Wang et al., IEEE TIP 13(4), 2004, equation 13, window without
    padding.
    """
    if min(images.shape[1:3]) < _WINDOW:
        raise ValueError(f"ssim of {images.shape[1]} x {images.shape[2]} px needs at least {_WINDOW} px")
    x, y = images.astype(np.float64), targets.astype(np.float64)
    mx, my = _window(x), _window(y)
    vx, vy, cxy = _window(x * x) - mx * mx, _window(y * y) - my * my, _window(x * y) - mx * my
    score = (2 * mx * my + _C1) * (2 * cxy + _C2) / ((mx * mx + my * my + _C1) * (vx + vy + _C2))
    each: Floats = score.mean(axis=(1, 2, 3))
    return each


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
