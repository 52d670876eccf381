"""Quantization of a student's core: calibrated by NNCF, trained as fake quantization, exported as plain ONNX operators.

The layout is the one that ONNX Runtime runs in integers: unsigned 8-bit activations with one range a tensor, signed 8-bit
weights with one range an output channel, and a quantizer behind every convolution (after its ReLU6) and addition. Only the
head, the last convolution, stays in float: flow needs fractions of a pixel. NNCF finds the places, the ranges and the
corrections of the biases, and runs the quantizers by its hooks; the quantizers themselves are those of fakequant.py.

Not covered: the training loop (stages/quantize.py) and the ONNX file (stages/export.py).
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import logging
import os
from pathlib import Path
from typing import Any

import torch
import torch.ao.quantization.fx._decomposed  # registers torch.ops.quantized_decomposed
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import students
from compress.errors import StageError, StorageError, storage_error
from compress.fakequant import WEIGHTS, FakeQuantizer, Grid

HEAD = "head"
RELU6_CEILING = 6.0
RECORD_FILE = "architecture.json"
QUANTIZER_FILE = "quantizer.json"
WEIGHTS_FILE = "weights.safetensors"


def count_norms(core: nn.Module) -> int:
    """How many BatchNorms the core has."""
    return sum(isinstance(module, nn.BatchNorm2d) for module in core.modules())


def fuse(core: nn.Module) -> nn.Module:
    """A copy of the core, in eval mode, in which every BatchNorm is folded into the convolution before it.

    Raises StageError for a BatchNorm that does not directly follow a convolution in a Sequential.
    """
    core = copy.deepcopy(core).eval()
    for sequence in [module for module in core.modules() if isinstance(module, nn.Sequential)]:
        layers = list(sequence.named_children())
        for (name, layer), (norm_name, norm) in zip(layers, layers[1:]):
            if isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(sequence, name, torch.nn.utils.fuse_conv_bn_eval(layer, norm))
                delattr(sequence, norm_name)
    left = [name for name, module in core.named_modules() if isinstance(module, nn.BatchNorm2d)]
    if left:
        raise StageError(
            f"quantize, layer {left[0]!r}: this BatchNorm does not follow a convolution in a Sequential and cannot be "
            "folded; build the core of such pairs"
        )
    return core


def quantize(core: nn.Module, calibration: Tensor) -> nn.Module:
    """A fused copy of the core with calibrated fake quantizers in it, in eval mode, on the CPU.

    `calibration` [N, 3, r, r] float32 in [-1, 1]: what the core sees, 200 to 300 pictures, dark and bright ones among
    them; they are fed one by one.
    """
    nncf = _quiet_nncf()
    core = fuse(core).cpu()
    advanced = nncf.AdvancedQuantizationParameters(
        overflow_fix=nncf.OverflowFix.ENABLE,  # weights of 7 bits, see fakequant.WEIGHTS
        # ranges of activations by channel have no integer kernel
        activations_quantization_params=nncf.quantization.advanced_parameters.QuantizationParameters(per_channel=False),
    )
    with contextlib.redirect_stdout(io.StringIO()):  # its progress bars; ours tell what the stage does
        quantized: nn.Module = nncf.quantize(
            copy.deepcopy(core),
            nncf.Dataset(list(calibration.cpu().split(1))),
            subset_size=len(calibration),
            preset=nncf.QuantizationPreset.MIXED,
            advanced_parameters=advanced,
        )
    _replace_quantizers(quantized, calibration[:1].cpu())
    _check_layout(quantized)
    _restore_head(quantized, core, calibration)
    return quantized.eval()


def _restore_head(quantized: nn.Module, core: nn.Module, calibration: Tensor) -> None:
    """Take the head's weights out of quantization again, and correct its biases for what remains.

    It takes part up to here, because NNCF quantizes the output of a layer only for a consumer in integers.
    """
    _storage(quantized).delete_hook(f"pre_hooks.{HEAD}/conv2d/0__1.0")
    head, original = quantized.get_submodule(HEAD), core.get_submodule(HEAD)
    with torch.no_grad():
        head.load_state_dict(original.state_dict())
        errors = [(core(low) - quantized(low)).mean((0, 2, 3)) for low in calibration.cpu().split(1)]
        head.get_parameter("bias").add_(torch.stack(errors).mean(0))


def _quiet_nncf() -> Any:
    """The nncf package without telemetry, without chatter and without a compiler."""
    os.environ["NNCF_CI"] = "1"  # read at import: nothing is sent, no client number is written to the home folder
    import nncf
    from nncf.torch.quantization.extensions import QuantizedFunctionsCPU
    from nncf.torch.quantization.reference import torch_executor

    class PureTorch:
        Quantize_forward = staticmethod(torch_executor.forward)
        Quantize_backward = staticmethod(torch_executor.backward)

    # Otherwise the first use compiles C++ (minutes, and a failure without a compiler) or calls torch.compile (slower).
    QuantizedFunctionsCPU._loaded_namespace = PureTorch
    nncf.set_log_level(logging.ERROR)
    return nncf


class Repeat(nn.Module):
    """Marks a place whose values lie on the grid of quantizer `source` already; only the exported graph needs it."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source = source

    def forward(self, x: Tensor) -> Tensor:
        """The tensor as it is."""
        return x


def _storage(core: nn.Module) -> Any:
    from nncf.torch.function_hook.wrapper import get_hook_storage

    return get_hook_storage(core)


def _hooks(core: nn.Module) -> dict[str, nn.Module]:
    """NNCF's hooks by name: `post_hooks.stem/1/hardtanh/0__0.0` is behind the first call of hardtanh in module stem.1."""
    return dict(_storage(core).named_hooks(remove_duplicate=False))


def quantizers(core: nn.Module) -> dict[str, FakeQuantizer]:
    """The fake quantizers of a quantized core by the name of their place."""
    return {name: hook for name, hook in _hooks(core).items() if isinstance(hook, FakeQuantizer)}


def _replace_quantizers(core: nn.Module, low: Tensor) -> None:
    """Put ours in the places of NNCF's, with the same grids; behind nearest upsampling none is needed."""
    from nncf.torch.function_hook.hook_storage import decode_hook_name
    from nncf.torch.function_hook.nncf_graph.nncf_graph_builder import build_nncf_graph

    graph = build_nncf_graph(core, low)
    storage = _storage(core)
    for name, theirs in _hooks(core).items():
        place, operation, _ = decode_hook_name(name)
        if place == "post_hooks" and _is_nearest(core, operation):
            rounding = graph.get_previous_nodes(graph.get_node_by_name(operation))[0]
            producer = graph.get_previous_nodes(rounding)[0].node_name
            storage.set_submodule(name, Repeat(f"post_hooks.{storage._generate_key(producer, 0)}.0"))
        else:
            storage.set_submodule(name, _translate(theirs, _module_of(core, operation)))
    unknown = [hook.source for hook in _hooks(core).values() if isinstance(hook, Repeat)]
    assert set(unknown) <= quantizers(core).keys(), f"upsampled places without a quantizer among {unknown}"


def _translate(theirs: Any, module: nn.Module | None) -> FakeQuantizer:
    """Our quantizer with the grid and range of one of NNCF's; signed activations become unsigned ones on the same grid."""
    low, high, step, zero_point = theirs.get_parameters_for_torch_fq()
    if theirs.per_channel:
        return FakeQuantizer(WEIGHTS, step * WEIGHTS.levels)
    shift = -low
    ceiling = RELU6_CEILING if isinstance(module, nn.ReLU6) else None
    grid = Grid(low + shift, high + shift, int(zero_point) + shift, ceiling=ceiling)
    return FakeQuantizer(grid, step * grid.levels)


def _module_of(core: nn.Module, operation: str) -> nn.Module | None:
    """The module that runs an operation of NNCF's graph (`stem/1/hardtanh/0`); None for an input or the core itself."""
    path = ".".join(operation.split("/")[:-2])
    return core.get_submodule(path) if path else None


def _is_nearest(core: nn.Module, operation: str) -> bool:
    module = _module_of(core, operation)
    return isinstance(module, nn.Upsample) and module.mode == "nearest"


def _check_layout(core: nn.Module) -> None:
    """Raises StageError for a convolution whose weights stayed in float, other than the head."""
    weighted = {".".join(name.split(".")[1].split("/")[:-2]) for name in quantizers(core) if name.startswith("pre_")}
    for name, module in core.named_modules():
        if isinstance(module, nn.Conv2d) and name != HEAD and name not in weighted:
            raise StageError(
                f"quantize, layer {name!r}: NNCF placed no quantizer on its weights; build the core of modules in "
                "Sequentials, and call each convolution once"
            )


def freeze_ranges(core: nn.Module) -> None:
    """From now on training leaves the ranges of all quantizers alone."""
    for quantizer in quantizers(core).values():
        quantizer.reach.requires_grad_(False)


def constrain_ranges(core: nn.Module) -> None:
    """Bring all ranges back to where they may be; call it after each step of training."""
    for quantizer in quantizers(core).values():
        quantizer.constrain()


def save(student: students.Student, folder: Path) -> None:
    """Write a student with a quantized core: its record, its quantizers (JSON) and all weights (safetensors)."""
    data = {name: _hook_data(hook) for name, hook in _hooks(student.core).items()}
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in student.state_dict().items()}
    try:
        (folder / RECORD_FILE).write_text(json.dumps(student.record, indent=2) + "\n", encoding="utf-8")
        (folder / QUANTIZER_FILE).write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
        save_file(tensors, folder / WEIGHTS_FILE)
    except OSError as error:
        raise storage_error(error, folder) from error


def _hook_data(hook: nn.Module) -> dict[str, Any]:
    if isinstance(hook, Repeat):
        return {"repeat_of": hook.source}
    assert isinstance(hook, FakeQuantizer)
    return {"grid": hook.grid.data(), "channels": len(hook.reach)}


def load(folder: Path) -> students.Student:
    """The student that `save` wrote, in eval mode, with its core fused and quantized.

    Raises StorageError where a file is missing, damaged or does not fit the others.
    """
    from nncf.torch.function_hook.wrapper import wrap_model

    _quiet_nncf()
    try:
        student = students.build(json.loads((folder / RECORD_FILE).read_text(encoding="utf-8")))
        student.core = wrap_model(fuse(student.core))
        for name, data in json.loads((folder / QUANTIZER_FILE).read_text(encoding="utf-8")).items():
            repeat = "repeat_of" in data
            hook = (
                Repeat(data["repeat_of"])
                if repeat
                else FakeQuantizer(Grid(**data["grid"]), torch.ones(data["channels"]))
            )
            _storage(student.core).insert_hook_by_name(name, hook)
        student.load_state_dict(load_file(folder / WEIGHTS_FILE))
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as error:
        raise StorageError(f"{folder}: not a quantized student ({error}); delete the folder and run again") from error
    return student.eval()


class _Activation(nn.Module):
    """QuantizeLinear and DequantizeLinear with one range for the tensor."""

    def __init__(self, quantizer: FakeQuantizer) -> None:
        super().__init__()
        grid = quantizer.grid
        self.arguments = (float(quantizer.step), grid.zero_point, grid.low, grid.high, torch.uint8)

    def forward(self, x: Tensor) -> Tensor:
        operators = torch.ops.quantized_decomposed
        integers = operators.quantize_per_tensor(x, *self.arguments)
        restored: Tensor = operators.dequantize_per_tensor(integers, *self.arguments)
        return restored


class _Weights(nn.Module):
    """DequantizeLinear of stored 8-bit weights, by output channel; the float weights that come in are not used."""

    integers: Tensor
    steps: Tensor
    zeros: Tensor

    def __init__(self, quantizer: FakeQuantizer, weight: Tensor) -> None:
        super().__init__()
        self.axis, self.ends = quantizer.grid.axis, (quantizer.grid.low, quantizer.grid.high)
        self.register_buffer("integers", quantizer.integers(weight))
        self.register_buffer("steps", quantizer.step.clone())
        self.register_buffer("zeros", torch.zeros(len(quantizer.step), dtype=torch.int64))

    def forward(self, _: Tensor) -> Tensor:
        dequantize = torch.ops.quantized_decomposed.dequantize_per_channel
        restored: Tensor = dequantize(self.integers, self.steps, self.zeros, self.axis, *self.ends, torch.int8)
        return restored


def decompose(core: nn.Module) -> nn.Module:
    """A copy of a quantized core, in eval mode, made of plain quantize and dequantize operators with 8-bit weights.

    `torch.onnx.export(..., dynamo=True)` writes it as QuantizeLinear and DequantizeLinear. It cannot be trained.
    """
    from nncf.torch.function_hook.hook_storage import decode_hook_name

    plain = copy.deepcopy(core).eval().cpu()
    places = quantizers(plain)
    storage = _storage(plain)
    for name, hook in _hooks(plain).items():
        place, operation, _ = decode_hook_name(name)
        if place == "pre_hooks":
            module = _module_of(plain, operation)
            assert isinstance(module, nn.Conv2d)
            storage.set_submodule(name, _Weights(places[name], module.weight))
        else:
            storage.set_submodule(name, _Activation(places[hook.source if isinstance(hook, Repeat) else name]))
    return plain
