"""Defects of single pictures: what blurs, recolours, moves or replaces a good student's picture.

Each function takes pictures uint8 [N, H, W, 3], what is known about them, and an amount whose unit its first line
names; 0 is no defect. Lengths are in pixels of a picture of 128 px. Random numbers have no part in it.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from compress.judging.defects.scene import Bytes, Indices, Scene, hit

Floats = NDArray[np.float32]

_HALO_PX = 1.5
_FACE_ABOVE, _FACE_SIDE, _FACE_BELOW = 1.15, 1.1, 1.25  # of the distance from eyes to mouth
_HEAD = 1.4  # times the face
_EYE = 0.25  # of the distance of the eyes: so far lids are pressed whole; three times as far nothing moves
_MODES = 2


def blur(pictures: Bytes, scene: Scene, sigma: float) -> Bytes:
    """Gaussian blur; sigma in px."""
    return _each(pictures, lambda image: _blurred(image, sigma * scene.px))


def halos(pictures: Bytes, scene: Scene, gain: float) -> Bytes:
    """Unsharp masking with radius 1.5 px; gain of what it adds."""
    return _each(pictures, lambda image: image + gain * (image - _blurred(image, _HALO_PX * scene.px)))


def colour_cast(pictures: Bytes, scene: Scene, levels: float) -> Bytes:
    """Red up and blue down, by levels of 255."""
    return _bytes(pictures + np.array([levels, 0, -levels], np.float32))


def gamma(pictures: Bytes, scene: Scene, exponent: float) -> Bytes:
    """Tone curve 255 (v / 255)^(1 + exponent): darker mid-tones."""
    return _bytes(255 * (pictures / np.float32(255)) ** np.float32(1 + exponent))


def wrong_normalisation(photos: Bytes, rows: Indices, share: float) -> Bytes:
    """The photo arrives in [0, 1] where [-1, 1] is expected; share of the way from right to wrong."""
    return _mix(photos, photos / np.float32(2) + np.float32(127.5), share)


def swapped_channels(photos: Bytes, rows: Indices, share: float) -> Bytes:
    """A share of the photos arrives as BGR."""
    return _where(hit(rows, share), photos[..., ::-1], photos)


def other_identity(pictures: Bytes, scene: Scene, share: float) -> Bytes:
    """Share of another person's face, moved onto this one by the five points, inside the face."""
    count = len(scene.first.pictures)
    partners = (scene.rows + 1) % count
    moved = np.stack([
        _onto(scene.first.pictures[partner], scene.first.points[partner], points)
        for partner, points in zip(partners, scene.points)
    ])  # fmt: skip
    return _mix(pictures, moved, share * _faces(scene))


def averaged_face(pictures: Bytes, scene: Scene, share: float) -> Bytes:
    """Share of the mean of the first faces drawn, each moved onto this one by the five points, inside the face."""
    means = []
    for points in scene.points:
        moved = [_onto(image, own, points) for image, own in zip(scene.first.pictures, scene.first.points)]
        means.append(np.mean(moved, axis=0, dtype=np.float32))
    return _mix(pictures, np.stack(means), share * _faces(scene))


def frozen_output(pictures: Bytes, scene: Scene, share: float) -> Bytes:
    """A share of the photos gets the first picture that was ever drawn."""
    return _where(scene.hit(share), scene.first.pictures[:1], pictures)


def copied_input(pictures: Bytes, scene: Scene, share: float) -> Bytes:
    """A share of the photos comes back as it is, without style."""
    return _where(scene.hit(share), scene.photo, pictures)


def weakened_style(pictures: Bytes, scene: Scene, share: float) -> Bytes:
    """Share of the photo that is left in every picture."""
    return _mix(pictures, scene.photo, share)


def half_style(pictures: Bytes, scene: Scene, share: float) -> Bytes:
    """Share of the photo that is left in the left half of every head, which has hair and neck beside the face."""
    heads = _faces(scene, _HEAD)
    columns = np.arange(pictures.shape[2], dtype=np.float32) + 0.5
    middle = scene.points[:, 2, :1]
    left = np.clip((middle - columns) / np.float32(4 * scene.px) + np.float32(0.5), 0, 1)[:, None, :, None]
    return _mix(pictures, scene.photo, share * heads * left)


def geometry_shift(pictures: Bytes, scene: Scene, shift: float) -> Bytes:
    """Everything moved to the right and down, by px each."""
    return moved(pictures, np.full((len(pictures), 2), shift * scene.px, np.float32))


def narrowed_eyes(pictures: Bytes, scene: Scene, share: float) -> Bytes:
    """Eyes are pressed together between their lids, which follow; share of the opening that is lost."""
    return np.stack([_pressed(image, points[:2], share) for image, points in zip(pictures, scene.points)])


def checkerboard(pictures: Bytes, scene: Scene, levels: float) -> Bytes:
    """Every second pixel lighter, the others darker, by levels of 255: what transposed convolutions leave."""
    rows, columns = np.indices(pictures.shape[1:3])
    sign = np.where((rows + columns) % 2, -1, 1).astype(np.float32)[None, :, :, None]
    return _bytes(pictures + levels * sign)


def mode_collapse(pictures: Bytes, scene: Scene, share: float) -> Bytes:
    """Share of one of two pictures, the first two ever drawn, in every picture."""
    modes = scene.first.pictures[: min(_MODES, len(scene.first.pictures))]
    return _mix(pictures, modes[scene.rows % len(modes)], share)


def bleached_dark_skin(pictures: Bytes, scene: Scene, lift: float) -> Bytes:
    """Faces of dark skin are lightened: 255 (v / 255)^(1 / (1 + lift)) inside the face."""
    lighter = 255 * (pictures / np.float32(255)) ** np.float32(1 / (1 + lift))
    return _where(_labelled(scene, "skin", b"dark"), _mix(pictures, lighter, _faces(scene)), pictures)


def smeared_glasses(pictures: Bytes, scene: Scene, sigma: float) -> Bytes:
    """The face of those who wear glasses is smeared; sigma of the blur in px."""
    smeared = blur(pictures, scene, sigma)
    return _where(_labelled(scene, "glasses", b"yes"), _mix(pictures, smeared, _faces(scene)), pictures)


def doubled_profiles(pictures: Bytes, scene: Scene, shift: float) -> Bytes:
    """Faces in profile are drawn twice, half of each, `shift` px apart."""
    step = np.zeros((len(pictures), 2), np.float32)
    step[:, 0] = shift * scene.px
    double = _mix(pictures, moved(pictures, step), 0.5)
    return _where(_labelled(scene, "pose", b"profile"), double, pictures)


def moved(pictures: Bytes, shifts: Floats) -> Bytes:
    """Pictures [N, H, W, 3] moved by (x, y) px [N, 2], between pixels too; the border is repeated."""
    size = (pictures.shape[2], pictures.shape[1])
    results = []
    for image, (x, y) in zip(pictures, shifts):
        matrix = np.array([[1, 0, x], [0, 1, y]], np.float32)
        # Bilinear sampling between pixels would blur, and be caught as blur.
        results.append(cv2.warpAffine(image, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE))
    return np.stack(results)


def _labelled(scene: Scene, category: str, label: bytes) -> NDArray[np.bool_]:
    """Which images [N] carry a label; none where nothing is known, as in videos."""
    labels = scene.labels.get(category)
    return np.zeros(len(scene.photo), bool) if labels is None else np.asarray(labels == label)


def _faces(scene: Scene, size: float = 1) -> Floats:
    """Soft ellipses over the faces, `size` times as large, [N, H, W, 1] in 0..1."""
    height, width = scene.photo.shape[1:3]
    x, y = np.arange(width, dtype=np.float32) + 0.5, (np.arange(height, dtype=np.float32) + 0.5)[:, None]
    masks = []
    for points in scene.points:
        eyes, mouth = points[:2].mean(axis=0), points[3:].mean(axis=0)
        length = size * max(float(np.linalg.norm(mouth - eyes)), 1.0)
        centre = (eyes + mouth) / 2
        reach = np.where(y < centre[1], _FACE_ABOVE, _FACE_BELOW) * length
        distance = np.sqrt(((x - centre[0]) / (_FACE_SIDE * length)) ** 2 + ((y - centre[1]) / reach) ** 2)
        masks.append(np.clip((1 - distance) * 4, 0, 1))
    return np.stack(masks)[..., None].astype(np.float32)


def _pressed(image: Bytes, eyes: Floats, share: float) -> Bytes:
    """A picture whose rows are pressed towards each of two `eyes` [2, 2], and return to their places away from them."""
    if share <= 0:
        return image
    y, x = np.indices(image.shape[:2], np.float32) + np.float32(0.5)
    reach = _EYE * max(float(np.linalg.norm(eyes[1] - eyes[0])), 1.0)
    from_y = y.copy()
    for eye_x, eye_y in eyes:
        near = np.clip(1.5 - np.hypot(x - eye_x, y - eye_y) / (2 * reach), 0, 1)
        from_y += (share / (1 - share)) * near * (y - eye_y)
    there = (x - np.float32(0.5), from_y.astype(np.float32) - np.float32(0.5))
    pressed: Bytes = cv2.remap(image, *there, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return pressed


def _onto(image: Bytes, points: Floats, target: Floats) -> Bytes:
    """A picture moved so that its five points [5, 2] come to lie on `target`, by a similarity."""
    matrix = _similarity(points.astype(np.float64), target.astype(np.float64))
    size = (image.shape[1], image.shape[0])
    moved: Bytes = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return moved


def _similarity(source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotation, scale and shift [2, 3] that brings points [K, 2] nearest to others; a shift where they have no extent.

    Source: Umeyama, IEEE TPAMI 13(4), 1991; in the plane least squares of complex numbers gives the same.
    """
    middle, goal = source.mean(axis=0), target.mean(axis=0)
    z, w = ((points - centre) @ np.array([1, 1j]) for points, centre in ((source, middle), (target, goal)))
    extent = float((np.abs(z) ** 2).sum())
    turn = complex((np.conj(z) * w).sum() / extent) if extent > 0 else 1 + 0j
    linear = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])
    return np.column_stack([linear, goal - linear @ middle])


def _blurred(image: Floats, sigma: float) -> Floats:
    if sigma <= 0:
        return image
    soft: Floats = cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
    return soft


def _each(pictures: Bytes, change: Callable[[Floats], Floats]) -> Bytes:
    return np.stack([_bytes(change(image.astype(np.float32))) for image in pictures])


def _mix(pictures: Bytes, others: NDArray[np.generic], share: float | NDArray[np.floating]) -> Bytes:
    here, there = pictures.astype(np.float32), np.asarray(others, np.float32)
    return _bytes(here + share * (there - here))


def _where(chosen: NDArray[np.bool_], these: Bytes, others: Bytes) -> Bytes:
    return np.where(chosen[:, None, None, None], these, others)


def _bytes(values: NDArray[np.generic]) -> Bytes:
    return np.rint(np.asarray(values, np.float32)).clip(0, 255).astype(np.uint8)
