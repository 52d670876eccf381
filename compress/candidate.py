"""A candidate: one exported ONNX file, run as a user's device would run it, on photographs as they are on disk.

It hides the tensor layout ([N, 3, H, W] in [-1, 1]) behind pictures [N, H, W, 3]. It judges nothing, and other runtimes
than ONNX Runtime are not covered.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as failures

from compress.errors import StageError

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

_FAILURES = (
    failures.Fail,
    failures.InvalidArgument,
    failures.InvalidGraph,
    failures.InvalidProtobuf,
    failures.NoSuchFile,
    failures.NotImplemented,
    failures.RuntimeException,
)
_WAY_OUT = "delete the export step's folder and run the same command again"


class Candidate:
    """An ONNX file with one input and one output, opened on the CPU with `threads` threads that do not spin."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        """Raises StageError if the runtime refuses the file or it has not exactly one input and one output."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # A spinning thread keeps a core busy after its work is done, which others and the next measurement pay for.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        self.path = path
        try:
            self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except _FAILURES as error:
            raise StageError(f"{path}: ONNX Runtime cannot open it ({_first_line(error)}); {_WAY_OUT}") from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1:
            counts = f"{len(inputs)} inputs and {len(outputs)} outputs"
            raise StageError(f"{path}: {counts} where a student has one of each; {_WAY_OUT}")
        self._input = inputs[0].name

    @property
    def size_bytes(self) -> int:
        """Size of the file."""
        return self.path.stat().st_size

    def stylise(self, photos: Bytes) -> Floats:
        """Photos uint8 [N, H, W, 3] to pictures float32 [N, H, W, 3], clipped to [-1, 1].

        Raises StageError if the runtime fails, or the result has another shape or is not finite.
        """
        image = self._run(tensor_of(photos))
        expected = (len(photos), 3, *photos.shape[1:3])
        if image.shape != expected:
            raise StageError(f"{self.path}: result {image.shape} for photos that need {expected}; {_WAY_OUT}")
        if not np.isfinite(image).all():
            raise StageError(f"{self.path}: its picture holds NaN or infinity; train with a lower learning rate")
        return np.clip(image, -1, 1).transpose(0, 2, 3, 1)

    def timed_call(self, tensor: Floats) -> Callable[[], object]:
        """One run on `tensor` [N, 3, H, W] as a callable, nothing else inside, for `compress.metrics.latency`."""
        feed, run = {self._input: tensor}, self._session.run
        self._run(tensor)
        return lambda: run(None, feed)

    def _run(self, tensor: Floats) -> Floats:
        try:
            output: Floats = self._session.run(None, {self._input: tensor})[0]
        except _FAILURES as error:
            shape = "x".join(map(str, tensor.shape))
            raise StageError(f"{self.path}: fails on a photo {shape} ({_first_line(error)}); {_WAY_OUT}") from error
        return output


def tensor_of(photos: Bytes) -> Floats:
    """Photos uint8 [N, H, W, 3] to the network's float32 [N, 3, H, W] in [-1, 1]."""
    return np.ascontiguousarray(photos.transpose(0, 3, 1, 2), np.float32) / np.float32(127.5) - np.float32(1)


def bytes_of(pictures: Floats) -> Bytes:
    """Pictures float32 in [-1, 1] to uint8, as they are written to a file."""
    picture: Bytes = np.rint((pictures + 1) * 127.5).clip(0, 255).astype(np.uint8)
    return picture


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or ["no reason given"])[0][:200]
