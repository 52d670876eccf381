"""Any identity network that comes as an ONNX file: ArcFace and its kin, looked at once when it is opened.

Faces are aligned from five points into the 112-pixel template that these networks share (`compress.networks.sface`) and
encoded by ONNX Runtime on the CPU; nothing is differentiable, so such a network judges and does not train. Not covered:
networks of other sizes or another alignment, and weights kept outside of the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import onnxruntime as ort
import torch
from onnxruntime.capi import onnxruntime_pybind11_state as failures
from torch import Tensor
from torch.nn import functional as F

from compress.artifact import hash_file
from compress.errors import InputError
from compress.networks.sface import SIDE, TEMPLATE, fit_similarity, sample

Colour = Literal["rgb", "bgr"]
Range = Literal["-1..1", "0..1", "0..255"]

# How a value in -1..1 becomes one of the range: (value + shift) * scale.
_RANGES: dict[str, tuple[float, float]] = {"-1..1": (0.0, 1.0), "0..1": (1.0, 0.5), "0..255": (1.0, 127.5)}
_FAILURES = (
    failures.Fail,
    failures.InvalidArgument,
    failures.InvalidGraph,
    failures.InvalidProtobuf,
    failures.NoSuchFile,
    failures.NotImplemented,
    failures.RuntimeException,
)
SMALLEST_DIMENSION = 16
_SAME = 0.9999  # cosine of two pictures with nothing in common, from which an encoder tells nothing apart
_WAY_OUT = "give an ArcFace-like ONNX file in judges.identity, or sface"


class OnnxEncoder:
    """An identity network in an ONNX file: `embed(images, points)` like SFace's. Safe to share between threads."""

    def __init__(self, path: Path, colour: Colour = "rgb", values: Range = "-1..1", threads: int = 1) -> None:
        """`colour` and `values`: the order of channels and the range that the network expects.

        Raises InputError for a file that is missing, cannot be opened, has not one float input [N, 3, 112, 112] and one
        output [N, d], or gives embeddings that are not finite, of no length, or all alike.
        """
        self.path, self.name = path, path.stem
        if not path.is_file():
            raise InputError(f"{path}: no such file; {_WAY_OUT}")
        self.sha256 = hash_file(path)
        self._colour, self._range = colour, _RANGES[values]
        self._session = self._open(threads)
        self._input, self._batch = self._check_input()
        self._template = torch.tensor(TEMPLATE)
        self.dimension = self._check_embeddings()

    def to(self, device: str) -> OnnxEncoder:
        """Itself: it runs on the CPU whatever the device, and returns embeddings where the pictures are."""
        return self

    def embed(self, images: Tensor, points: Tensor) -> Tensor:
        """Embed faces: images [N, 3, H, W] float32 RGB in [-1, 1], points [N, 5, 2] in pixels -> [N, d], unit length.

        Raises ValueError when shapes disagree, InputError if the runtime fails.
        """
        if images.ndim != 4 or points.shape != (images.shape[0], 5, 2):
            raise ValueError(f"images {tuple(images.shape)}, points {tuple(points.shape)}: want [N,3,H,W] and [N,5,2]")
        crops = sample(images, fit_similarity(points.to(images), self._template.to(images)), SIDE)
        return F.normalize(self._encode(crops), dim=1).to(images.device)

    def _open(self, threads: int) -> ort.InferenceSession:
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            return ort.InferenceSession(str(self.path), options, providers=["CPUExecutionProvider"])
        except _FAILURES as error:
            raise InputError(f"{self.path}: ONNX Runtime cannot open it ({_first_line(error)}); {_WAY_OUT}") from error

    def _check_input(self) -> tuple[str, int]:
        """Name of the input, and the batch that the file is fixed to (0: any)."""
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1:
            counts = f"{len(inputs)} inputs and {len(outputs)} outputs"
            raise InputError(f"{self.path}: {counts} where an encoder has one of each; {_WAY_OUT}")
        shape, wanted = list(inputs[0].shape), (3, SIDE, SIDE)
        fixed = [(have, want) for have, want in zip(shape[1:], wanted) if isinstance(have, int) and have > 0]
        if inputs[0].type != "tensor(float)" or len(shape) != 4 or any(have != want for have, want in fixed):
            found = f"input {inputs[0].type} {shape}"
            raise InputError(f"{self.path}: {found} where tensor(float) [N, 3, {SIDE}, {SIDE}] is needed; {_WAY_OUT}")
        return inputs[0].name, shape[0] if isinstance(shape[0], int) and shape[0] > 0 else 0

    def _check_embeddings(self) -> int:
        """Length of the embeddings, by encoding two patterns that no encoder should take for one another."""
        generator = torch.Generator().manual_seed(0)
        coarse = torch.rand((2, 3, 7, 7), generator=generator) * 2 - 1
        probe = F.interpolate(coarse, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
        found = self._encode(probe)
        if found.shape[1] < SMALLEST_DIMENSION:
            raise InputError(f"{self.path}: embeddings of {found.shape[1]} numbers tell no people apart; {_WAY_OUT}")
        lengths = found.norm(dim=1)
        if not bool(torch.isfinite(found).all()) or float(lengths.min()) < 1e-6:
            raise InputError(f"{self.path}: embeddings that are not finite or of no length; {_WAY_OUT}")
        likeness = float((found[0] @ found[1]) / lengths.prod())
        if likeness > _SAME:
            problem = f"the same embedding for different pictures (cosine {likeness:.5f})"
            raise InputError(f"{self.path}: {problem}; check judges.colour and judges.range, or {_WAY_OUT}")
        return int(found.shape[1])

    def _encode(self, crops: Tensor) -> Tensor:
        """Aligned crops [N, 3, 112, 112] in [-1, 1] -> [N, d] as the file gives them."""
        shift, scale = self._range
        tensor = (crops.detach().cpu().float() + shift) * scale
        if self._colour == "bgr":
            tensor = tensor.flip(1)
        values = np.ascontiguousarray(tensor.numpy())
        step = self._batch or max(len(values), 1)
        parts = [self._run(values[start : start + step], step) for start in range(0, len(values), step)]
        return torch.from_numpy(np.concatenate(parts))

    def _run(self, values: np.ndarray, step: int) -> np.ndarray:
        count = len(values)
        if self._batch and count < step:  # a fixed batch is filled with its last picture
            values = np.concatenate([values, np.repeat(values[-1:], step - count, axis=0)])
        try:
            found = np.asarray(self._session.run(None, {self._input: values})[0], np.float32)
        except _FAILURES as error:
            raise InputError(f"{self.path}: fails on a face ({_first_line(error)}); {_WAY_OUT}") from error
        if found.shape[0] != len(values) or found.ndim < 2 or found[0].size != found.shape[1]:
            shape = "x".join(map(str, found.shape))
            raise InputError(f"{self.path}: output {shape} for {len(values)} faces that need [N, d]; {_WAY_OUT}")
        return found.reshape(len(values), -1)[:count]


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or ["no reason given"])[0][:200]
