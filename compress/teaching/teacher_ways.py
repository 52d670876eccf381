"""Opens what names a teacher as one callable: a shipped network, an ONNX file, a program of torch, a Python file.

Each takes float32 [N, 3, S, S] (or [N, S, S, 3]) in the teacher's own range and order of channels and gives tensors by
the names image, maps and tap. Not covered: ranges, colours and sizes (`teaching.source`), and pairs, which are no
network (`teaching.teacher_pairs`).
"""

from __future__ import annotations

import importlib.util
import io
import sys
import zipfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
from torch import Tensor, nn

import teachers
from compress.errors import InputError
from compress.exporting.model_file import plain
from compress.judging.candidate import FAILURES
from compress.planning.style_choice import name_of, weights_of
from compress.planning.teacher_files import Port, port_of, read_program
from compress.recipe import Output, TeacherSettings
from compress.training.loop import autocast, to_channels_last

Call = Callable[[Tensor], Mapping[str, Tensor]]
FREE = Port(channels_last=False, batch=0, side=0)
_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}


@dataclass(frozen=True)
class Opened:
    """A teacher's `call`, what it takes, and the style that it draws in, for one with several."""

    call: Call
    port: Port = FREE
    style: str = ""


def open_network(settings: TeacherSettings, device: str) -> Opened:
    """A shipped teacher or a checkpoint of its family, in one style. Raises InputError with the way out."""
    try:
        network = teachers.load(settings.network, device=device)
    except (ValueError, OSError) as error:
        raise InputError(f"teacher.network: {settings.network!r} cannot be loaded: {error}") from error
    try:
        weights = torch.tensor(weights_of(settings.style, network.architecture.styles), device=device)
    except ValueError as error:
        raise InputError(f"teacher.style: {error}") from error
    to_channels_last(network)
    network.eval()

    def call(photo: Tensor) -> dict[str, Tensor]:
        with autocast("bfloat16", device):
            output = network(photo, weights.expand(len(photo), -1))
        return {"image": output.image, "maps": output.maps, "tap": output.tap}

    return Opened(call, style=name_of(settings.style, network.architecture.styles))


def open_onnx(settings: TeacherSettings, device: str) -> Opened:
    """An ONNX file in ONNX Runtime, on the GPU where this build of it has one. Raises InputError if it is refused."""
    path = Path(settings.onnx)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    fastest = ["CUDAExecutionProvider"] if device.startswith("cuda") else []
    available = [name for name in fastest if name in ort.get_available_providers()]
    try:
        session = ort.InferenceSession(str(path), options, providers=[*available, "CPUExecutionProvider"])
    except FAILURES as error:
        raise InputError(f"{path}: ONNX Runtime does not open it ({plain(error)}); export it again") from error
    photo_input = session.get_inputs()[0]
    if photo_input.type not in _TYPES:
        raise InputError(f"{path}: takes {photo_input.type}; export it with one of {', '.join(_TYPES)}")
    dtype = _TYPES[photo_input.type]
    names = named_outputs(str(path), settings.outputs, [value.name for value in session.get_outputs()])

    def call(photo: Tensor) -> dict[str, Tensor]:
        taken = photo.cpu().numpy()
        taken = np.rint(taken).clip(0, 255).astype(dtype) if dtype is np.uint8 else taken.astype(dtype)
        given = session.run(list(names.values()), {photo_input.name: np.ascontiguousarray(taken)})
        return {name: torch.from_numpy(np.asarray(value, np.float32)) for name, value in zip(names, given)}

    return Opened(call, port_of(path, photo_input.shape, ()))


def open_program(settings: TeacherSettings, device: str) -> Opened:
    """A .pt2 file of torch.export. Raises InputError for one that is damaged or would be unpickled."""
    path = Path(settings.program)
    read_program(path)
    _require_plain_examples(path)
    try:
        program = torch.export.load(path)
    except (RuntimeError, ValueError, KeyError, AssertionError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise InputError(f"{path}: torch {torch.__version__} cannot open it ({reason}); save it again") from error
    if device != "cpu":
        from torch.export.passes import move_to_device_pass

        program = move_to_device_pass(program, device)
    module = program.module()
    (name,) = program.graph_signature.user_inputs
    shape = next(node.meta["val"].shape for node in program.graph.nodes if node.name == name)
    port = port_of(path, [size if isinstance(size, int) else None for size in shape], ())
    return Opened(_picking(module, str(path), settings.outputs), port)


def open_python(settings: TeacherSettings, device: str) -> Opened:
    """What the factory of a Python file makes: any callable; a torch module is put on `device` and into eval mode.

    Prints a warning, since the file runs with all rights of the user. Raises InputError without `trust`, or if the file
    has no such function or it makes nothing to call.
    """
    path = Path(settings.python)
    if not settings.trust:
        raise InputError(f"teacher.python: {path} would be executed; read it, then write trust: true beside it")
    print(f"warning: teacher.python: {path} is executed with all your rights (trust: true)", file=sys.stderr)
    spec = importlib.util.spec_from_file_location(f"teacher_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise InputError(f"teacher.python: {path} is no Python file; correct the path")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))  # the file may import what lies beside it
    try:
        spec.loader.exec_module(module)
        factory = getattr(module, settings.factory, None)
        if not callable(factory):
            raise InputError(f"teacher.factory: {path} has no function {settings.factory!r}; name one that it defines")
        network = factory()
    finally:
        sys.path.remove(str(path.parent))
    if not callable(network):
        kind = type(network).__name__
        raise InputError(f"teacher.factory: {settings.factory} makes a {kind}; return a network or a function")
    if isinstance(network, nn.Module):
        network.to(device).eval().requires_grad_(False)
    return Opened(_picking(network, str(path), settings.outputs))


def named_outputs(place: str, chosen: Mapping[Output, str], available: Collection[str]) -> dict[Output, str]:
    """The network's name for each of image, maps and tap; without a choice the image is `image` or the only output.

    Raises InputError for a name that is not available, or an image that is not told apart.
    """
    has = ", ".join(available)
    names = dict(chosen)
    if "image" not in names:
        if len(available) != 1 and "image" not in available:
            first = next(iter(available), "")
            raise InputError(f"{place}: has the outputs {has}; say which is the picture: outputs: {{image: {first}}}")
        names["image"] = "image" if "image" in available else next(iter(available))
    for name in names.values():
        if name not in available:
            raise InputError(f"{place}: no output {name!r}, it has {has}; correct teacher.outputs")
    return names


def _picking(network: Callable[[Tensor], Any], place: str, chosen: Mapping[Output, str]) -> Call:
    """A network that returns a tensor, a tuple, a dictionary or an object with attributes, as a `Call`."""

    def call(photo: Tensor) -> dict[str, Tensor]:
        result = network(photo)
        if isinstance(result, Mapping):
            parts = dict(result)
        elif isinstance(result, Tensor):
            parts = {"0": result}
        elif isinstance(result, tuple | list) and not hasattr(result, "_fields"):
            parts = {str(index): value for index, value in enumerate(result)}
        else:
            parts = {name: getattr(result, name) for name in dir(result) if not name.startswith("_")}
        tensors = {str(name): value for name, value in parts.items() if isinstance(value, Tensor)}
        if not tensors:
            raise InputError(f"{place}: returns a {type(result).__name__} without tensors; return the picture")
        return {name: tensors[own] for name, own in named_outputs(place, chosen, tensors).items()}

    return call


def _require_plain_examples(path: Path) -> None:
    """torch unpickles the example inputs in a .pt2 file; one that names more than tensors there is refused."""
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            content = archive.read(name) if "/sample_inputs/" in name else b""
            try:
                unsafe = torch.serialization.get_unsafe_globals_in_checkpoint(io.BytesIO(content)) if content else []
            except (RuntimeError, ValueError, EOFError, OSError) as error:
                raise InputError(f"{path}: its example inputs cannot be read ({error}); save it again") from error
            if unsafe:
                raise InputError(f"{path}: its example inputs hold {unsafe[0]}; export it with a tensor as example")
