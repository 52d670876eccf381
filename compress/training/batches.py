"""Training batches read from shards: which samples, which augmentation and where in the epoch follow from (seed, step).

One flip, zoom and shift moves the photo, the teacher's result, its maps, its tap and the five points alike. There is no
colour augmentation: the teacher's result depends on the photo's colours, and it is not run here. The same for noise.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from compress.errors import InputError, StageError
from compress.shards import Shards

# Photos are aligned before they reach a student: this is how far alignment strays in the gates, and no more.
ZOOM = (0.85, 1.05)
SHIFT = 0.1
MAX_CHANNELS = 64  # OpenCV 5 refuses pictures of more than 128 channels, which taps have
INPUT_FIELDS = ("photo", "points")
TARGET_FIELDS = ("image", "identity", "photo_identity")
OFFERED_FIELDS = ("maps", "tap")  # not every teacher gives them
# Mirroring exchanges the eyes and the corners of the mouth, which are ordered from left to right in the picture.
MIRRORED_POINTS = np.array([1, 0, 2, 4, 3])

Array = NDArray[np.generic]
Floats = NDArray[np.float32]
T = TypeVar("T")


@dataclass(frozen=True)
class Batch:
    """N samples: pictures in [-1, 1], channels last in memory; all float32 but `flipped` (bool)."""

    photo: Tensor  # [N, 3, S, S]
    image: Tensor  # [N, 3, S, S], the teacher's result
    maps: Tensor | None  # [N, 8, h, w], the teacher's flow (grid units), gain, bias; None if it gives none
    inside: Tensor  # [N, 1, S/4, S/4], 1 where the maps' pixel lies within the original photo, else 0
    tap: Tensor | None  # [N, C, h', w'], the teacher's features; None if it gives none
    identity: Tensor  # [N, D], unit embedding of the teacher's result before augmentation
    photo_identity: Tensor  # [N, D], the same of the photo
    points: Tensor  # [N, 5, 2], pixels
    flipped: Tensor  # [N]


@dataclass(frozen=True)
class Window:
    """What the augmented picture shows: position q in [-1, 1] shows position (scale_x * q_x + shift_x, ...)."""

    scale_x: float  # negative: mirrored
    scale_y: float
    shift_x: float = 0.0
    shift_y: float = 0.0

    @property
    def is_whole(self) -> bool:
        """Whether nothing but a mirror image is asked for, which needs no interpolation."""
        return abs(self.scale_x) == self.scale_y == 1 and self.shift_x == self.shift_y == 0


def draw_windows(rng: np.random.Generator, count: int, zooms: tuple[float, float] = ZOOM) -> list[Window]:
    """Random windows: half of them mirrored, zoom within `zooms` (above 1 shows more), shift to 10 % of half the
    size.
    """
    zoom = rng.uniform(*zooms, count)
    mirror = np.where(rng.random(count) < 0.5, -1.0, 1.0)
    shift = rng.uniform(-SHIFT, SHIFT, (count, 2))
    return [Window(float(m * z), float(z), float(x), float(y)) for m, z, (x, y) in zip(mirror, zoom, shift)]


def affine(window: Window, width: int, height: int) -> NDArray[np.float64]:
    """Matrix [2, 3] from pixel indices of the augmented picture to those of the source (centres at whole numbers)."""

    def offset(scale: float, shift: float, size: int) -> float:
        return scale * (1 - size) / 2 + ((shift + 1) * size - 1) / 2

    return np.array(
        [
            [window.scale_x, 0, offset(window.scale_x, window.shift_x, width)],
            [0, window.scale_y, offset(window.scale_y, window.shift_y, height)],
        ]
    )


def warp_picture(picture: Array, window: Window) -> Array:
    """`picture` [H, W, C] (uint8 or float32) as seen through `window`; bilinear, reflected beyond its edge."""
    if window.is_whole:
        return picture[:, ::-1] if window.scale_x < 0 else picture
    height, width, channels = picture.shape
    if channels > MAX_CHANNELS:
        parts = np.split(picture, range(MAX_CHANNELS, channels, MAX_CHANNELS), axis=2)
        return np.concatenate([warp_picture(np.ascontiguousarray(part), window) for part in parts], axis=2)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    matrix = affine(window, width, height)
    warped: Array = cv2.warpAffine(picture, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT)
    return warped.reshape(picture.shape)


def warp_maps(maps: Floats, window: Window) -> Floats:
    """`maps` [h, w, 8] as seen through `window`: the flow (first two channels) is also scaled and mirrored.

    Photo and result move by p = L q + t, so a displacement F of p is L^-1 F of q.
    """
    warped = np.array(warp_picture(maps, window), np.float32)
    warped[..., 0] /= window.scale_x
    warped[..., 1] /= window.scale_y
    return warped


def warp_points(points: Floats, window: Window, size: int) -> Floats:
    """Five `points` [5, 2] in pixels of a square picture, where `window` shows them, again from left to right."""
    position = points * (2 / size) - 1
    seen = (position - [window.shift_x, window.shift_y]) / [window.scale_x, window.scale_y]
    moved = ((seen + 1) * (size / 2)).astype(np.float32)
    return moved[MIRRORED_POINTS] if window.scale_x < 0 else moved


def inside(window: Window, height: int, width: int) -> Floats:
    """[h, w]: 1 where the centre of the pixel that `window` shows lies within the source, else 0."""

    def axis(scale: float, shift: float, size: int) -> NDArray[np.bool_]:
        centres = (2 * np.arange(size) + 1) / size - 1
        return np.abs(scale * centres + shift) <= 1

    rows = axis(window.scale_y, window.shift_y, height)
    columns = axis(window.scale_x, window.shift_x, width)
    return np.outer(rows, columns).astype(np.float32)


def _channels_last(rows: Array) -> Floats:
    """[N, C, h, w] of any float dtype -> float32 [N, h, w, C], contiguous."""
    return np.ascontiguousarray(rows.transpose(0, 2, 3, 1), np.float32)


def augment(rows: dict[str, Array], windows: list[Window]) -> dict[str, Array]:
    """Rows of a batch as stored -> the same through one window a sample: pictures and maps as [N, h, w, C].

    Adds `inside` and `flipped`; embeddings stay as they are.
    """
    size = rows["photo"].shape[1]
    offered = {name: _channels_last(rows[name]) for name in OFFERED_FIELDS if name in rows}
    seen: dict[str, Array] = {name: np.empty_like(rows[name]) for name in ("photo", "image", "points")}
    seen |= {name: np.empty_like(value) for name, value in offered.items()}
    seen["inside"] = np.empty((len(windows), size // 4, size // 4), np.float32)
    for row, window in enumerate(windows):
        for name in ("photo", "image"):
            seen[name][row] = warp_picture(rows[name][row], window)
        for name, value in offered.items():
            seen[name][row] = (warp_maps if name == "maps" else warp_picture)(value[row], window)
        seen["inside"][row] = inside(window, size // 4, size // 4)
        seen["points"][row] = warp_points(rows["points"][row].astype(np.float32), window, size)
    seen["flipped"] = np.array([window.scale_x < 0 for window in windows])
    return seen | {name: rows[name] for name in ("identity", "photo_identity")}


def to_picture(rows: Array) -> Tensor:
    """uint8 [N, H, W, 3] -> float32 [N, 3, H, W] in [-1, 1], channels last in memory."""
    return torch.from_numpy(rows).permute(0, 3, 1, 2).to(torch.float32).mul_(1 / 127.5).sub_(1)


def to_batch(seen: dict[str, Array], device: str) -> Batch:
    """Augmented rows -> tensors on `device`."""
    plain = {name: torch.from_numpy(seen[name]) for name in ("points", "inside", "flipped")}
    offered = {n: torch.from_numpy(seen[n]).permute(0, 3, 1, 2).to(device) for n in OFFERED_FIELDS if n in seen}
    return Batch(
        photo=to_picture(seen["photo"]).to(device),
        image=to_picture(seen["image"]).to(device),
        maps=offered.get("maps"),
        inside=plain["inside"].unsqueeze(1).to(device),
        tap=offered.get("tap"),
        identity=torch.from_numpy(seen["identity"].astype(np.float32)).to(device),
        photo_identity=torch.from_numpy(seen["photo_identity"].astype(np.float32)).to(device),
        points=plain["points"].to(device),
        flipped=plain["flipped"].to(device),
    )


class Batches:
    """Batch number `step` of a training: each epoch is another permutation, each sample is augmented anew.

    Everything follows from (seed, step), so a resumed training sees what an uninterrupted one would have seen. Memory
    is that of a few batches. Raises InputError for no samples, StageError when inputs and targets differ in number.
    """

    def __init__(
        self, inputs: Shards, targets: Shards, batch: int, seed: int, augment: bool = True, device: str = "cpu"
    ) -> None:
        if len(inputs) == 0:
            raise InputError("inputs: 0 images to train on; raise inputs.rendered or name a folder in inputs.photos")
        if len(inputs) != len(targets):
            raise StageError(f"targets: {len(targets)} samples for {len(inputs)} inputs; delete the targets' folder")
        self._inputs, self._targets = inputs, targets
        self._target_fields = (*TARGET_FIELDS, *(name for name in OFFERED_FIELDS if name in targets.fields))
        self._batch, self._seed, self._augment, self._device = batch, seed, augment, device
        self._epoch: tuple[int, NDArray[np.int64]] = (-1, np.empty(0, np.int64))

    def indices(self, step: int) -> NDArray[np.int64]:
        """Which samples batch `step` holds; an epoch's end may lie within a batch."""
        positions = np.arange(step * self._batch, (step + 1) * self._batch)
        epochs, places = np.divmod(positions, len(self._inputs))
        return np.array([self._permutation(int(e))[p] for e, p in zip(epochs, places)], np.int64)

    def _permutation(self, epoch: int) -> NDArray[np.int64]:
        if self._epoch[0] != epoch:
            rng = np.random.default_rng([self._seed, 0, epoch])
            self._epoch = (epoch, rng.permutation(len(self._inputs)))
        return self._epoch[1]

    def at(self, step: int) -> Batch:
        """Batch number `step`, on the device."""
        return to_batch(self._rows(step), self._device)

    def _rows(self, step: int) -> dict[str, Array]:
        indices = self.indices(step)
        rows = self._inputs.read(indices, INPUT_FIELDS) | self._targets.read(indices, self._target_fields)
        if self._augment:
            windows = draw_windows(np.random.default_rng([self._seed, 1, step]), len(indices))
        else:
            windows = [Window(1.0, 1.0)] * len(indices)
        return augment(rows, windows)

    def iterate(self, start: int, stop: int) -> Iterator[Batch]:
        """Batches `start` .. `stop` - 1 in order; the next ones are read and augmented by a thread meanwhile."""
        for rows in prefetch(self._rows, start, stop):
            yield to_batch(rows, self._device)


def prefetch(make: Callable[[int], T], start: int, stop: int, depth: int = 3) -> Iterator[T]:
    """`make(start)` .. `make(stop - 1)` in order, up to `depth` of them made ahead by one thread.

    An exception in `make` is raised here, at its place in the order. Leaving the loop early ends the thread.
    """
    ready: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(depth)
    stopped = threading.Event()

    def work() -> None:
        for step in range(start, stop):
            if stopped.is_set():
                return
            try:
                ready.put((make(step), None))
            except BaseException as error:  # handed to the consumer, which raises it
                ready.put((None, error))
                return

    thread = threading.Thread(target=work, name="prefetch", daemon=True)
    thread.start()
    try:
        for _ in range(start, stop):
            value, error = ready.get()
            if error is not None:
                raise error
            yield value  # type: ignore[misc]  # None only beside an error
    finally:
        stopped.set()
        while thread.is_alive():  # it may wait for a free place in the queue
            while not ready.empty():
                ready.get_nowait()
            thread.join(0.01)
