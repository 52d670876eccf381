"""Students as ONNX files: the whole student for photos of any size, and its core alone for other compositors.

Both take `photo` and carry the architecture record in their metadata. In int8 files the upsampling is lowered
(lowering.py). Not covered: checking the files (parity.py), quantized cores themselves (qdq.py).
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

import students
from compress.errors import InputError, storage_error
from compress.exporting import compositor_graph, lowering

FEWEST_OPSET = 18  # the first with antialiased Resize
LARGEST_BATCH = 1024


class CoreMaps(nn.Module):
    """photo [N, 3, r, r] in [-1, 1], already downsampled, to the eight maps [N, 8, r/2, r/2]."""

    def __init__(self, core: nn.Module) -> None:
        super().__init__()
        self.core = core

    def forward(self, photo: Tensor) -> Tensor:
        """Core and fold."""
        return students.fold(self.core(photo), photo)


def export_core(student: students.Student, core: nn.Module, opset: int) -> onnx.ModelProto:
    """The core (float, or quantized and decomposed) of a student as ONNX, N free, with lowered upsampling.

    `photo` [N, 3, r, r] to `maps` [N, 8, r/2, r/2] of a map student, to `raw` [N, 12, r/2, r/2] of an RGB student.
    Raises InputError for an opset before 18.
    """
    if opset < FEWEST_OPSET:
        raise InputError(f"export.opset: {opset} has no antialiased Resize; give {FEWEST_OPSET} or more")
    module, output = (CoreMaps(core), "maps") if student.family == "map" else (core, "raw")
    side = student.core_resolution
    with quiet_exporter():
        program = torch.onnx.export(
            module.eval(),
            (torch.zeros(2, 3, side, side),),  # not 1: that could be taken for a constant
            dynamo=True,
            opset_version=opset,
            input_names=["photo"],
            output_names=[output],
            dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=LARGEST_BATCH)},),
        )
    assert program is not None
    model: onnx.ModelProto = program.model_proto
    lowering.gather_upsampling(model)
    return model


def whole(core: onnx.ModelProto, student: students.Student, opset: int) -> onnx.ModelProto:
    """The whole student around an exported core: `photo` [N, 3, H, W] to `image`, clamped to [-1, 1]; N, H, W free."""
    return compositor_graph.surround(core, student.core_resolution, opset)


def write(path: Path, model: onnx.ModelProto, student: students.Student, notes: Mapping[str, str]) -> None:
    """Write a model with the student's record and `notes` as metadata; raises StorageError if that is not possible."""
    described = onnx.ModelProto()
    described.CopyFrom(model)
    _describe(described, student, notes)
    onnx.checker.check_model(described, full_check=True)
    try:
        onnx.save(described, path)
    except OSError as error:
        raise storage_error(error, path) from error


def _describe(model: onnx.ModelProto, student: students.Student, notes: Mapping[str, str]) -> None:
    """Set the metadata, and remove the exporter's notes on every node (paths of source files, a third of the bytes)."""
    del model.metadata_props[:]
    for part in (model.graph, *model.graph.node, *model.graph.input, *model.graph.output, *model.graph.value_info):
        del part.metadata_props[:]
        part.doc_string = ""
    del model.graph.value_info[:]
    model.producer_name = "kcompress"
    record = {"kcompress.record": json.dumps(student.record)}
    onnx.helper.set_model_props(model, record | {f"kcompress.{name}": text for name, text in notes.items()})


@contextlib.contextmanager
def quiet_exporter() -> Iterator[None]:
    """Keep the exporter's banners, warnings and logged advice from the user's terminal; errors still rise."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
