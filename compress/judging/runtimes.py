"""The same file under other runtimes than the optimised ONNX Runtime that everything else here uses.

ONNX Runtime without its rewriting of the graph computes int8 as the file has it written: DequantizeLinear, float
arithmetic, QuantizeLinear. Where the optimised graph differs by more than rounding, integer kernels saturate (16-bit
sums on processors without VNNI) or a fusion is wrong. OpenVINO is the extra `openvino`. All differences are in levels
of 255 (`exporting.parity`). Not covered: other providers than the CPU, and time.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import numpy as np

from compress.errors import MissingExtraError, StageError
from compress.exporting import model_file
from compress.exporting.parity import Parity, difference
from compress.judging.candidate import FAILURES, Candidate, create_session
from compress.judging.signature import Bytes, Floats, Tensor

Runner = Callable[[Tensor], Tensor]


def unoptimised(file: Candidate, photos: Bytes) -> Parity:
    """ONNX Runtime with against without graph optimisation, on photos uint8 [N, H, W, 3].

    Raises StageError if the runtime cannot run the graph as it is written.
    """
    try:
        session = create_session(file.path, optimise=False)
        pictures = _pictures(file, photos, lambda tensor: session.run(None, {file.signature.input: tensor})[0])
    except FAILURES as error:
        reason = model_file.plain(error)
        raise StageError(f"{file.path}: without optimisation ONNX Runtime fails ({reason}); export it again") from error
    return difference([file.stylise(photos)], [pictures])


def has_openvino() -> bool:
    """Whether the extra is installed; imports nothing."""
    return importlib.util.find_spec("openvino") is not None


def openvino(file: Candidate, photos: Bytes) -> Parity:
    """OpenVINO on this CPU against ONNX Runtime, on photos uint8 [N, H, W, 3], one thread, float32 where not int8.

    Raises MissingExtraError without the extra, StageError if OpenVINO cannot run the file.
    """
    run = _open_openvino(file)
    try:
        pictures = _pictures(file, photos, run)
    except RuntimeError as error:
        raise StageError(f"{file.path}: OpenVINO fails on it ({model_file.plain(error)}); drop its gate") from error
    return difference([file.stylise(photos)], [pictures])


def levels(file: Candidate, photos: Bytes, need_openvino: bool = False) -> dict[str, float | str]:
    """Differences by gate name, with OpenVINO where it is installed; `openvino_problem` says why it gave none.

    With `need_openvino` its absence is a MissingExtraError and its failure a StageError. Raises StageError for a file
    that ONNX Runtime cannot run unoptimised.
    """
    numbers: dict[str, float | str] = {"parity_unoptimised_levels": unoptimised(file, photos).levels}
    if need_openvino or has_openvino():
        try:
            numbers["parity_openvino_levels"] = openvino(file, photos).levels
        except StageError as error:
            if need_openvino:
                raise
            numbers["openvino_problem"] = str(error)
    return numbers


def _open_openvino(file: Candidate) -> Runner:
    try:
        import openvino as ov
    except ImportError:
        raise MissingExtraError("parity_openvino_levels", "openvino") from None
    # bfloat16 is the default on processors that have it, which is another question than whether the file is right.
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": "1", "NUM_STREAMS": "1"}
    core = ov.Core()
    try:
        compiled = core.compile_model(core.read_model(str(file.path)), "CPU", settings)
    except RuntimeError as error:
        reason = model_file.plain(error)
        raise StageError(f"{file.path}: OpenVINO cannot open it ({reason}); drop the gate") from error
    return lambda tensor: np.asarray(compiled([tensor])[0])


def _pictures(file: Candidate, photos: Bytes, run: Runner) -> Floats:
    """Pictures float32 [N, H, W, 3] in [-1, 1] under another runtime, in the batches that the file takes."""
    step = file.signature.batch or len(photos)
    parts = []
    for start in range(0, len(photos), step):
        batch = photos[start : start + step]
        answer, expected = run(file.tensor(batch))[: len(batch)], file.signature.picture_shape(batch)
        if answer.shape != expected:
            raise StageError(f"{file.path}: another runtime gives {answer.shape}, not {expected}; export it again")
        parts.append(file.signature.decode(answer))
    pictures = np.concatenate(parts)
    if not np.isfinite(pictures).all():
        raise StageError(f"{file.path}: under another runtime its picture holds NaN or infinity; mend the model")
    return pictures
