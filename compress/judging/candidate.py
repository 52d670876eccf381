"""A candidate: one exported ONNX file, run as a user's device would run it, on photographs as they are on disk.

It hides the file's tensors (`judging.signature`) behind pictures [N, H, W, 3], and a batch of fixed size behind any
number of photos. It judges nothing; other runtimes than ONNX Runtime are `judging.runtimes`.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as failures

from compress.errors import StageError
from compress.judging.signature import Signature, Tensor

if TYPE_CHECKING:
    from compress.judging.evaluation import Batch

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

INT8, FLOAT, ADMISSION = "model.onnx", "float.onnx", "admission.json"
FAILURES = (
    failures.Fail,
    failures.InvalidArgument,
    failures.InvalidGraph,
    failures.InvalidProtobuf,
    failures.NoModel,
    failures.NoSuchFile,
    failures.NotImplemented,
    failures.RuntimeException,
    UnicodeDecodeError,  # of a damaged file's names in the text of an error
)
_WAY_OUT = "delete the step's folder and run the same command again"


class Candidate:
    """An ONNX file with one input and one output, opened on the CPU with `threads` threads that do not spin."""

    def __init__(self, path: Path, threads: int = 1, signature: Signature | None = None) -> None:
        """`signature` says what the tensors mean; without it, they are those of our own exports.

        Raises StageError if the runtime refuses the file or it has not exactly one input and one output.
        """
        self.path = path
        try:
            self._session = create_session(path, threads)
        except FAILURES as error:
            raise StageError(f"{path}: ONNX Runtime cannot open it ({first_line(error)}); {_WAY_OUT}") from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1:
            counts = f"{len(inputs)} inputs and {len(outputs)} outputs"
            raise StageError(f"{path}: {counts} where a student has one of each; {_WAY_OUT}")
        self.signature = signature or Signature(input=inputs[0].name, output=outputs[0].name)

    @property
    def size_bytes(self) -> int:
        """Size of the file."""
        return self.path.stat().st_size

    def draw(self, batch: Batch) -> Bytes:
        """Pictures uint8 [N, H, W, 3] of the batch's photos, as they would be written to a file."""
        return bytes_of(self.stylise(batch.photo))

    def stylise(self, photos: Bytes) -> Floats:
        """Photos uint8 [N, H, W, 3] to pictures float32 [N, H, W, 3], clipped to [-1, 1].

        Raises StageError if the runtime fails, or the result has another shape or is not finite.
        """
        step = self.signature.batch or max(len(photos), 1)
        parts = [self._stylise(photos[start : start + step]) for start in range(0, len(photos), step)]
        return np.concatenate(parts) if parts else np.zeros(photos.shape, np.float32)

    def read_as(self, signature: Signature) -> Candidate:
        """The same open file, its tensors taken to mean something else."""
        other = copy.copy(self)
        other.signature = signature
        return other

    def tensor(self, photos: Bytes) -> Tensor:
        """What one run takes for `photos` uint8 [N, H, W, 3], repeated to the batch that the file wants."""
        size = self.signature.batch or len(photos)
        return self.signature.encode(photos[np.arange(size) % len(photos)])

    def timed_call(self, tensor: Tensor) -> Callable[[], object]:
        """One run on `tensor` as a callable, nothing else inside, for `judging.metrics.latency`."""
        feed, run = {self.signature.input: tensor}, self._session.run
        self.run(tensor)
        return lambda: run(None, feed)

    def run(self, tensor: Tensor) -> Tensor:
        """One run as the file has it; raises StageError, caused by the runtime's own, if it fails."""
        try:
            output: Tensor = self._session.run(None, {self.signature.input: tensor})[0]
        except FAILURES as error:
            shape = "x".join(map(str, tensor.shape))
            raise StageError(f"{self.path}: fails on a photo {shape} ({first_line(error)}); {_WAY_OUT}") from error
        return output

    def _stylise(self, photos: Bytes) -> Floats:
        image = self.run(self.tensor(photos))[: len(photos)]
        expected = self.signature.picture_shape(photos)
        if image.shape != expected:
            raise StageError(f"{self.path}: result {image.shape} for photos that need {expected}; {_WAY_OUT}")
        if not np.isfinite(image).all():
            raise StageError(f"{self.path}: its picture holds NaN or infinity; train with a lower learning rate")
        return self.signature.decode(image)


def create_session(
    path: Path, threads: int = 1, optimise: bool = True, optimised: Path | None = None
) -> ort.InferenceSession:
    """An ONNX file on the CPU, with or without ONNX Runtime's rewriting of the graph, written to `optimised`.

    Raises one of `FAILURES`.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A spinning thread keeps a core busy after its work is done, which others and the next measurement pay for.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # its errors are raised, so they need not be printed as well
    if not optimise:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    if optimised is not None:
        options.optimized_model_filepath = str(optimised)
    # The fallback is a second try of the same, announced on the standard output.
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"], enable_fallback=0)


def open_folder(folder: Path, threads: int = 1) -> tuple[Candidate, Candidate | None]:
    """The file to judge and its float reference if there is one, of an export or of an admitted foreign file.

    Raises StageError for a folder without `model.onnx`, or with an admission that cannot be read.
    """
    signatures = read_signatures(folder)
    if not (folder / INT8).is_file():
        raise StageError(f"{folder / INT8}: missing; {_WAY_OUT}")
    names = [name for name in (INT8, FLOAT) if (folder / name).is_file()]
    files = [Candidate(folder / name, threads, signatures.get(name)) for name in names]
    return files[0], files[1] if len(files) > 1 else None


def read_signatures(folder: Path) -> dict[str, Signature]:
    """Signatures by file name, from `admission.json`; none for our own exports, which have no such file."""
    path = folder / ADMISSION
    if not path.is_file():
        return {}
    try:
        records: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return {name: Signature.from_dict(record) for name, record in records.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StageError(f"{path}: not a record of admission ({error}); {_WAY_OUT}") from error


def tensor_of(photos: Bytes) -> Floats:
    """Photos uint8 [N, H, W, 3] to the network's float32 [N, 3, H, W] in [-1, 1]."""
    return np.ascontiguousarray(photos.transpose(0, 3, 1, 2), np.float32) / np.float32(127.5) - np.float32(1)


def bytes_of(pictures: Floats) -> Bytes:
    """Pictures float32 in [-1, 1] to uint8, as they are written to a file."""
    picture: Bytes = np.rint((pictures + 1) * 127.5).clip(0, 255).astype(np.uint8)
    return picture


def first_line(error: Exception) -> str:
    """The first line of an error of a library, short enough for a sentence."""
    return (str(error).splitlines() or ["no reason given"])[0][:200]
