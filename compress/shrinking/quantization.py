"""Quantization of a student's core: BatchNorm fused, places and ranges found by NNCF, stored and loaded as plain data.

The layout is the one that ONNX Runtime runs in integers: unsigned 8-bit activations with one range a tensor, signed
weights with one range an output channel, and a quantizer behind every convolution (after its ReLU6) and addition. Only
the head, the last convolution, stays in float: flow needs fractions of a pixel. NNCF finds the places, the ranges and
the corrections of the biases, and runs the quantizers by its hooks; the quantizers themselves are fakequant.py's.

Not covered: the training loop (stages/quantize.py), and plain operators for export (qdq.py; `decompose` is theirs).
"""

from __future__ import annotations

import contextlib
import copy
import io
import itertools
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import students
from compress.errors import StageError, StorageError, storage_error
from compress.shrinking.fakequant import WEIGHTS, FakeQuantizer, Grid
from compress.shrinking.hooks import (
    Repeat,
    behind,
    hooks,
    module_of,
    of_weights,
    operation_of,
    quantizers,
    quiet_nncf,
    storage,
)
from compress.shrinking.qdq import decompose

__all__ = [
    "constrain_ranges",
    "count_norms",
    "decompose",
    "freeze_ranges",
    "fuse",
    "load",
    "quantize",
    "quantizers",
    "round_biases",
    "save",
]

HEAD = "head"
RELU6_CEILING = 6.0
CALIBRATION_BATCH = 8  # a range is the mean over batches of their extremes; one by one takes four times as long
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
        for (name, layer), (norm_name, norm) in itertools.pairwise(list(sequence.named_children())):
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
    them.
    """
    nncf = quiet_nncf()
    core, low = fuse(core).cpu(), calibration.cpu()
    batches = [low[first : first + CALIBRATION_BATCH] for first in range(0, len(low), CALIBRATION_BATCH)]
    advanced = nncf.AdvancedQuantizationParameters(
        overflow_fix=nncf.OverflowFix.ENABLE,  # weights of 7 bits, see fakequant.WEIGHTS
        # ranges of activations by channel have no integer kernel
        activations_quantization_params=nncf.quantization.advanced_parameters.QuantizationParameters(per_channel=False),
    )
    with contextlib.redirect_stdout(io.StringIO()):  # its progress bars; ours tell what the stage does
        quantized: nn.Module = nncf.quantize(
            copy.deepcopy(core),
            nncf.Dataset(batches),
            subset_size=len(batches),
            preset=nncf.QuantizationPreset.MIXED,
            advanced_parameters=advanced,
        )
    _replace_quantizers(quantized, low[:1])
    _check_layout(quantized)
    round_biases(quantized, low[:1])
    _restore_head(quantized, core, batches)
    return quantized.eval()


def _replace_quantizers(core: nn.Module, low: Tensor) -> None:
    """Put ours in the places of NNCF's, with the same grids; behind nearest upsampling none is needed."""
    from nncf.torch.function_hook.nncf_graph.nncf_graph_builder import build_nncf_graph

    graph = build_nncf_graph(core, low)
    for place, theirs in hooks(core).items():
        try:
            module = module_of(core, place)
        except AttributeError as error:
            raise StageError(f"quantize, {place}: {error}; build the core of Sequentials, not ModuleLists") from error
        if isinstance(module, nn.Upsample) and module.mode == "nearest":
            rounding = graph.get_previous_nodes(graph.get_node_by_name(operation_of(place)))[0]
            producer = graph.get_previous_nodes(rounding)[0]
            storage(core).set_submodule(place, Repeat(behind(producer.node_name)))
        else:
            storage(core).set_submodule(place, _translate(theirs, module))
    sources = {hook.source for hook in hooks(core).values() if isinstance(hook, Repeat)}
    assert sources <= quantizers(core).keys(), f"nothing quantizes what is upsampled: {sources}"


def _translate(theirs: Any, module: nn.Module | None) -> FakeQuantizer:
    """Our quantizer with the grid and range of one of NNCF's; signed activations become unsigned on the same grid."""
    low, high, step, zero_point = theirs.get_parameters_for_torch_fq()
    if theirs.per_channel:
        return FakeQuantizer(WEIGHTS, step * WEIGHTS.levels)
    ceiling = RELU6_CEILING if isinstance(module, nn.ReLU6) else None
    grid = Grid(0, high - low, int(zero_point) - low, ceiling=ceiling)
    return FakeQuantizer(grid, step * grid.levels)


def _restore_head(quantized: nn.Module, core: nn.Module, batches: list[Tensor]) -> None:
    """Take the head's weights out of quantization again, and correct its biases for what remains.

    It takes part up to here, because NNCF quantizes the output of a layer only for a consumer in integers.
    """
    for place in quantizers(quantized):
        if of_weights(place) and operation_of(place).split("/")[0] == HEAD:
            storage(quantized).delete_hook(place)
    head = quantized.get_submodule(HEAD)
    with torch.no_grad():
        head.load_state_dict(core.get_submodule(HEAD).state_dict())
        errors = [(core(low) - quantized(low)).mean((0, 2, 3)) for low in batches]
        head.get_parameter("bias").add_(torch.stack(errors).mean(0))


def _check_layout(core: nn.Module) -> None:
    """Raises StageError for a convolution whose weights stayed in float, other than the head."""
    weighted = {module_of(core, place) for place in quantizers(core) if of_weights(place)}
    for name, module in core.named_modules():
        if isinstance(module, nn.Conv2d) and name != HEAD and module not in weighted:
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


@torch.no_grad()
def round_biases(core: nn.Module, low: Tensor) -> int:
    """Put the biases on the grid of their integer sums (step of the input x step of the weights); returns how many.

    Runtimes do that when they load the file. Done before, the stored network is the one that runs: the difference is
    far below one step, but a value that falls on the other side of a step in one layer makes others fall in the next
    (measured: 64 dB from ONNX Runtime without this, 74 dB with it). `low` [N, 3, r, r] is any picture that the core
    accepts: it only shows which quantizer is before which convolution.
    """
    weights = {module_of(core, place): hook for place, hook in quantizers(core).items() if of_weights(place)}
    steps = _input_steps(core, low)
    rounded = 0
    for convolution, quantizer in weights.items():
        if isinstance(convolution, nn.Conv2d) and convolution.bias is not None:
            unit = steps[convolution] * quantizer.step
            convolution.bias.copy_((convolution.bias / unit).round() * unit)
            rounded += 1
    return rounded


def _input_steps(core: nn.Module, low: Tensor) -> dict[nn.Module, Tensor]:
    """The step of the grid on which the input of each convolution lies, found by running the core once."""
    placed, produced, steps = hooks(core), {}, {}
    kept: list[Tensor] = []  # while they live, no other tensor can take their addresses

    def note(hook: nn.Module, _: Any, output: Tensor) -> None:
        source = placed[hook.source] if isinstance(hook, Repeat) else hook
        assert isinstance(source, FakeQuantizer)
        kept.append(output)
        produced[output.data_ptr()] = source.step

    def look_up(convolution: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        step = produced.get(inputs[0].data_ptr())
        if step is not None:
            steps[convolution] = step

    handles = [hook.register_forward_hook(note) for place, hook in placed.items() if not of_weights(place)]
    handles += [m.register_forward_pre_hook(look_up) for m in core.modules() if isinstance(m, nn.Conv2d)]
    core.eval()(low)
    for handle in handles:
        handle.remove()
    return steps


def save(student: students.Student, folder: Path) -> None:
    """Write a student with a quantized core: its record, its quantizers (JSON) and all weights (safetensors)."""
    data = {place: _hook_data(hook) for place, hook in hooks(student.core).items()}
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


def _hook_from(data: dict[str, Any]) -> nn.Module:
    if "repeat_of" in data:
        return Repeat(str(data["repeat_of"]))
    return FakeQuantizer(Grid(**data["grid"]), torch.ones(data["channels"]))


def load(folder: Path) -> students.Student:
    """The student that `save` wrote, in eval mode, with its core fused and quantized.

    Raises StorageError where a file is missing, damaged or does not fit the others.
    """
    quiet_nncf()
    from nncf.torch.function_hook.wrapper import wrap_model

    try:
        student = students.build(json.loads((folder / RECORD_FILE).read_text(encoding="utf-8")))
        student.core = wrap_model(fuse(student.core))
        for place, data in json.loads((folder / QUANTIZER_FILE).read_text(encoding="utf-8")).items():
            storage(student.core).insert_hook_by_name(place, _hook_from(data))
        student.load_state_dict(load_file(folder / WEIGHTS_FILE))
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as error:
        raise StorageError(f"{folder}: not a quantized student ({error}); delete the folder and run again") from error
    return student.eval()
