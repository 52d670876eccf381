"""Reads an ONNX file that anybody may have made, with its external data, or says in one sentence why it cannot be read.

Nothing of the file is run here. Not covered: whether it takes a photo and gives a picture (`judging.admission`), and
models above protobuf's limit of 2 GB.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import onnx
import onnxruntime as ort
from google.protobuf.message import DecodeError

from compress.errors import InputError, storage_error

LARGEST_BYTES = 2**31 - 1
DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})  # what a plain ONNX Runtime has kernels for
_EXPORT = "export the model to ONNX and give that file"
_DAMAGED = "copy or export it again"
# Offset and bytes that other kinds of file have there, what to call them, and the way out.
_OTHERS = (
    (0, b"version https://git-lfs", "a Git LFS pointer in the place of the file", "fetch the file with: git lfs pull"),
    (0, b"PK\x03\x04", "a zip archive, such as a PyTorch checkpoint", _EXPORT),
    (0, b"\x80\x02", "a pickle, such as an old PyTorch checkpoint", _EXPORT),
    (4, b"TFL3", "a TensorFlow Lite model", _EXPORT),
    (4, b"ORTM", "a model in ONNX Runtime's ORT format", "give the .onnx file that it was made from"),
    (0, b"<?xml", "XML, such as OpenVINO's IR", "give the .onnx file that it was made from"),
    (8, b"{", "a file of weights (safetensors)", _EXPORT),
    (0, b"\x89HDF", "an HDF5 file, such as a Keras model", _EXPORT),
)


def read(path: Path) -> onnx.ModelProto:
    """The model with all its data in memory.

    Raises InputError for anything that is not a whole ONNX model of operators that ONNX Runtime has.
    """
    model = _parse(path, _bytes(path))
    _require_parts(path, model)
    for tensor in _tensors(model):
        if is_external(tensor):
            _require_data(path, tensor)
    if any(is_external(tensor) for tensor in _tensors(model)):
        onnx.load_external_data_for_model(model, str(path.parent))
        if model.ByteSize() > LARGEST_BYTES:
            raise InputError(f"{path}: {model.ByteSize()} bytes with its data, 2 GB are the most; give a smaller model")
    return model


def is_external(tensor: onnx.TensorProto) -> bool:
    """Whether a tensor's data lies in a file of its own."""
    return bool(tensor.data_location == onnx.TensorProto.EXTERNAL)


def has_external_data(path: Path) -> bool:
    """Whether data of the model lies in other files, as `read` has found it sound."""
    return any(is_external(tensor) for tensor in _tensors(onnx.load(path, load_external_data=False)))


def nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """All nodes of the graph, of the graphs within it, and of the model's own functions."""
    yield from _nodes(model.graph.node)
    for function in model.functions:
        yield from _nodes(function.node)


def operators(model: onnx.ModelProto) -> dict[str, int]:
    """How often each operator stands in the model, by its name with its domain unless that is ONNX's own."""
    return dict(sorted(Counter(operator(node) for node in nodes(model)).items()))


def operator(node: onnx.NodeProto) -> str:
    """A node's operator for people and tables: `Conv`, `com.microsoft::FusedConv`."""
    return str(node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}::{node.op_type}")


def opset(model: onnx.ModelProto) -> int:
    """Version of ONNX's own operators; 0 if the model names none."""
    return max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)


def refusal(path: Path, model: onnx.ModelProto, error: Exception) -> InputError:
    """ONNX Runtime's refusal to open a file in one sentence, with the way out where it is known."""
    text = str(error)
    runtime = f"ONNX Runtime {ort.__version__}"
    if found := re.search(r"support for domain (\S+) is till opset (\d+)", text):
        domain, most = found.groups()
        return InputError(f"{path}: opset {opset(model)} of {domain}, {runtime} runs up to {most}; export with {most}")
    if found := re.search(r"model IR version: (\d+), max supported IR version: (\d+)", text):
        given, most = found.groups()
        return InputError(f"{path}: IR version {given}, {runtime} reads up to {most}; save with ir_version {most}")
    if found := re.search(r"No Op registered for (\S+) with domain_version of (\d+)", text):
        name, version = found.groups()
        return InputError(f"{path}: operator {name} is not in opset {version}; export with operators of that opset")
    if found := re.search(r"Could not find an implementation for (\w+)\(\d+\) node with name '([^']*)'", text):
        name, node = found.groups()
        place = f"operator {name} at node {node!r}"
        return InputError(f"{path}: {runtime} has no {place} for its types on the CPU; export it with other operators")
    return InputError(f"{path}: {runtime} cannot open it ({plain(error)}); {_DAMAGED}")


def plain(error: Exception) -> str:
    """The first line of an error of ONNX Runtime without its codes and source files, short enough for a sentence."""
    line = (str(error).splitlines() or [""])[0]
    line = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", line)
    line = re.sub(r"^Load model from .*? failed: ?|(/\S+:\d+ )(.*?\) )?", "", line)
    return line.strip()[:200] or "no reason given"


def _bytes(path: Path) -> bytes:
    if path.is_dir():
        raise InputError(f"{path}: a folder; give the .onnx file in it")
    try:
        size = path.stat().st_size
        if size > LARGEST_BYTES:
            raise InputError(f"{path}: {size} bytes, an ONNX file has 2 GB at most; keep its data in a file beside it")
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path") from None
    except OSError as error:
        raise storage_error(error, path) from error


def _parse(path: Path, data: bytes) -> onnx.ModelProto:
    if not data:
        raise InputError(f"{path}: empty; {_DAMAGED}")
    for offset, mark, name, way_out in _OTHERS:
        if data[offset : offset + len(mark)] == mark:
            raise InputError(f"{path}: {name}, not an ONNX file; {way_out}")
    try:
        return onnx.load_model_from_string(data)
    except DecodeError as error:
        # A model starts with the field of its IR version.
        if data[0] == 0x08:
            raise InputError(f"{path}: cut off or damaged after {len(data)} bytes; {_DAMAGED}") from error
        raise InputError(f"{path}: not an ONNX file; {_EXPORT}") from error


def _require_parts(path: Path, model: onnx.ModelProto) -> None:
    if not model.graph.node or not model.graph.output or not model.opset_import:
        raise InputError(f"{path}: holds no whole graph, it is cut off or not an ONNX model; {_DAMAGED}")
    own = {(function.domain, function.name) for function in model.functions}
    for node in nodes(model):
        if node.domain not in DOMAINS and (node.domain, node.op_type) not in own:
            place = f"operator {operator(node)} at node {node.name!r}"
            raise InputError(f"{path}: {place} is not one of ONNX's; export it with standard operators")
    if model.graph.sparse_initializer:
        name = model.graph.sparse_initializer[0].values.name
        raise InputError(f"{path}: sparse constant {name!r}, which is not supported; save it as a dense one")


def _require_data(path: Path, tensor: onnx.TensorProto) -> None:
    """External data must lie in the file's own folder, be there, and be long enough."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    folder = path.parent.resolve()
    file = (folder / location).resolve()
    place = f"{path}: data of {tensor.name!r} in {location!r}"
    if not location or Path(location).is_absolute() or not file.is_relative_to(folder):
        raise InputError(f"{place}, outside the file's own folder; save the model with its data beside it")
    if not file.is_file():
        raise InputError(f"{place}, which is missing; put that file beside the model")
    try:
        end = int(entries.get("offset", 0)) + int(entries.get("length", 0))
    except ValueError:
        raise InputError(f"{place}, at a place that is no number; {_DAMAGED}") from None
    if file.stat().st_size < end:
        raise InputError(f"{place}, cut off: {file.stat().st_size} of {end} bytes; {_DAMAGED}")


def _nodes(level: Iterator[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    for node in level:
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _nodes(graph.node)


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """All constants: of the graph, of the graphs within it, and those that stand in nodes."""
    yield from model.graph.initializer
    for node in nodes(model):
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for graph in (attribute.g, *attribute.graphs):
                yield from graph.initializer
