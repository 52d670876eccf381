"""What `stylize` can apply: the shipped teacher or a checkpoint of its family, a tier folder, or an exported ONNX file.

Each turns the aligned face of one photograph into pictures. A student changes the photograph, so it works at the
photograph's own resolution; a teacher redraws at the size that it was trained for, and its maps are applied at the
photograph's resolution as well. Not covered: finding faces, reading and writing files (`photographs.stylize`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from compress import artifact
from compress.errors import InputError, StorageError
from compress.exporting import fused
from compress.judging.candidate import FAILURES
from compress.photographs.alignment import F32, U8, align, natural_size
from compress.planning.style_choice import FIRST, Choice, weights_of

if TYPE_CHECKING:
    from teachers import KStyleGAN

LARGEST_SIDE = 2048
MODEL, CORE, MANIFEST = "model.onnx", "core.onnx", "manifest.json"
MAP_CHANNELS = 8


@dataclass(frozen=True, eq=False)
class Picture:
    """One result: the aligned photo and what became of it, both uint8 [S, S, 3]; `kind` goes into the file's name."""

    kind: str
    photo: U8
    image: U8


# Photograph uint8 [H, W, 3] and five points [5, 2] of one face in it, to pictures.
Stylizer = Callable[[U8, F32], list[Picture]]


def open_model(model: str, style: Choice = FIRST) -> Stylizer:
    """Open the network that `model` names: a shipped teacher, a tier folder, an ONNX file, or a teacher's checkpoint.

    `style` is one of a teacher's, or a mixture; a student has the one that it was made with. Raises InputError, with
    the way out, when there is no such model or style, or it cannot be applied to photographs.
    """
    path = Path(model)
    if style != FIRST and (path.is_dir() or path.suffix.lower() == ".onnx"):
        raise InputError(f"--style: {model} is a student, which draws in the style of its teacher; leave --style out")
    if path.is_dir():
        return _open_tier(path)
    if path.suffix.lower() == ".onnx":
        return _open_onnx(path)
    return _open_teacher(model, style)


def _open_teacher(model: str, style: Choice) -> Stylizer:
    """A shipped teacher by name, or a checkpoint of the same family; only this one needs torch."""
    import teachers

    if model not in teachers.SHIPPED and not Path(model).is_file():
        known = ", ".join(teachers.SHIPPED)
        raise InputError(f"{model}: no such model; give a shipped teacher ({known}), a tier folder or an ONNX file")
    try:
        network = teachers.load(model)
    except (ValueError, TypeError) as error:
        raise InputError(f"{model}: not a teacher that can be loaded ({error}); give its .safetensors file") from error
    try:
        return TeacherStylizer(network, weights_of(style, network.architecture.styles))
    except ValueError as error:
        raise InputError(f"--style: {error}") from error


def _open_tier(folder: Path) -> Stylizer:
    """A tier: the core with the fused compositor if the folder has one, otherwise the whole file."""
    if not (folder / MODEL).is_file():
        raise InputError(f"{folder}: no {MODEL} in it, so it is not a tier's folder; give runs/NAME/tiers/TIER")
    if not (folder / MANIFEST).is_file():
        raise InputError(f"{folder}: no {MANIFEST} in it, so nothing vouches for it; give {folder / MODEL} to apply it")
    try:
        artifact.load(folder)
    except StorageError as error:
        raise InputError(f"{folder}: damaged tier ({error})") from error
    return _open_onnx(folder / (CORE if (folder / CORE).is_file() else MODEL))


def _open_onnx(path: Path) -> Stylizer:
    """An exported file: one with maps goes through the compositor, one with an image is the whole student."""
    network = OnnxFile(path)
    if network.output == "maps":
        return CoreStylizer(network)
    return WholeStylizer(network)


class OnnxFile:
    """An ONNX file with the input `photo` [N, 3, H, W] and the output `image` or `maps`, on one thread.

    Raises InputError when the runtime refuses the file, or its inputs and outputs are others.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise InputError(f"{path}: no such file; give the path of an exported student")
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        try:
            self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except FAILURES as error:
            reason = _first_line(error)
            raise InputError(f"{path}: not an ONNX file that the runtime opens ({reason}); export it again") from error
        self.path = path
        inputs = {value.name: value for value in self._session.get_inputs()}
        outputs = {value.name: value for value in self._session.get_outputs()}
        self.output = next((name for name in ("image", "maps") if name in outputs), "")
        has = f"inputs {', '.join(inputs) or 'none'} and outputs {', '.join(outputs) or 'none'}"
        if set(inputs) != {"photo"} or not self.output:
            raise InputError(f"{path}: {has}, where 'photo' and 'image' (or 'maps') are needed; give a student's file")
        self.shape = tuple(inputs["photo"].shape)
        if inputs["photo"].type != "tensor(float)" or len(self.shape) != 4 or self.shape[1] != 3:
            is_ = f"{inputs['photo'].type} {list(self.shape)}"
            raise InputError(
                f"{path}: its input 'photo' is {is_}, where tensor(float) [N, 3, H, W] is needed; export it so"
            )

    def run(self, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        """One run: [1, 3, H, W] in [-1, 1] to the output. Raises InputError when the runtime fails."""
        try:
            return np.asarray(self._session.run([self.output], {"photo": tensor})[0], np.float32)
        except FAILURES as error:
            shape = "x".join(map(str, tensor.shape))
            raise InputError(
                f"{self.path}: fails on a photo {shape} ({_first_line(error)}); export it again"
            ) from error


class WholeStylizer:
    """A student in one ONNX file that takes any height and width. Raises InputError for a file of one fixed size."""

    def __init__(self, network: OnnxFile) -> None:
        fixed = [size for size in network.shape[2:] if isinstance(size, int)]
        if fixed:
            size = "x".join(map(str, network.shape[2:]))
            raise InputError(f"{network.path}: takes photos of {size} only; export it with free height and width")
        self._network = network

    def __call__(self, photo: U8, points: F32) -> list[Picture]:
        """Stylise at the photograph's resolution."""
        face = _face_at_own_size(photo, points)
        image = self._network.run(_tensor(face))
        if image.shape != (1, 3, *face.shape[:2]):
            shape = list(image.shape)
            raise InputError(f"{self._network.path}: result {shape} for a photo of {len(face)} px; export it again")
        return [Picture("", face, _bytes(image[0].transpose(1, 2, 0)))]


class CoreStylizer:
    """A map student's core in ONNX: it sees a small picture, the fused compositor changes the photograph.

    Raises InputError unless the file's input is a square of one fixed size.
    """

    def __init__(self, network: OnnxFile) -> None:
        height, width = network.shape[2:]
        if not isinstance(height, int) or height != width:
            shape = list(network.shape)
            raise InputError(f"{network.path}: input {shape} where a core has one fixed square size; export it again")
        self._network, self._resolution = network, height

    def __call__(self, photo: U8, points: F32) -> list[Picture]:
        """Stylise at the photograph's resolution."""
        face = _face_at_own_size(photo, points, smallest=self._resolution)
        maps = self._network.run(fused.downsample(face, self._resolution)[None])
        if maps.ndim != 4 or maps.shape[:2] != (1, MAP_CHANNELS):
            shape = list(maps.shape)
            raise InputError(
                f"{self._network.path}: maps {shape} where [1, {MAP_CHANNELS}, h, w] is needed; export it again"
            )
        return [Picture("", face, fused.composite(face, maps[0]))]


class TeacherStylizer:
    """A teacher: its picture at the size it was trained for, and its maps applied at the photograph's resolution.

    `weights`: of each of its styles.
    """

    def __init__(self, network: KStyleGAN, weights: Sequence[float]) -> None:
        self._network, self._weights = network, tuple(weights)
        self._size = network.architecture.size

    def __call__(self, photo: U8, points: F32) -> list[Picture]:
        """Two pictures: "" at the network's size, "large" from its maps."""
        import torch

        face, _ = align(photo, points, self._size)
        with torch.inference_mode():
            output = self._network(torch.from_numpy(_tensor(face)), torch.tensor([self._weights]))
        own = Picture("", face, _bytes(output.image[0].permute(1, 2, 0).numpy()))
        large = _face_at_own_size(photo, points)
        return [own, Picture("large", large, fused.composite(large, output.maps[0].numpy()))]


def _face_at_own_size(photo: U8, points: F32, smallest: int = 64) -> U8:
    """The aligned face at the resolution that the photograph has, within sensible bounds."""
    size = round(min(max(natural_size(points), smallest), LARGEST_SIDE))
    return align(photo, points, size)[0]


def _tensor(picture: U8) -> NDArray[np.float32]:
    """uint8 [H, W, 3] to float32 [1, 3, H, W] in [-1, 1]."""
    return np.ascontiguousarray(picture.transpose(2, 0, 1)[None], np.float32) / np.float32(127.5) - np.float32(1)


def _bytes(picture: NDArray[np.float32]) -> U8:
    """Float in [-1, 1] to uint8, clipped."""
    return np.asarray(np.rint((picture + 1) * 127.5).clip(0, 255), np.uint8)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or ["no reason given"])[0][:200]
