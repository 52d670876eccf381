"""Multiply-accumulates (MACs) of a network, counted on the operators that PyTorch really dispatches.

One multiply-accumulate is one product that is added to a sum. The rules, a result being one element of the output:

| operator | MACs |
|---|---|
| convolution | results x input channels / groups x kernel area |
| transposed convolution | *input* elements x output channels / groups x kernel area (each input meets each tap once)
| | matrix products, linear layers, attention | rows x inner size x columns, for each product |
| `grid_sample`, `interpolate`: bilinear, bicubic, nearest | 4, 16, 0 for each result |
| `interpolate` with antialiasing | first along rows, then columns: 2 (bicubic 4) x reduction for each result |
| everything in `FREE` (elementwise arithmetic, activations, normalisation, pooling, reductions, copies) | 0 |

An operator that is in neither table is an error, never zero. `torchprofile_count` counts by the convention of
torchprofile, whose numbers many papers print: it counts multiplications, affine normalisations and means too, and
transposed convolutions over their *output* (four times too much at stride 2).

Not covered: bytes moved, and time. The same MACs can take times that differ by a factor of three.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil, prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from compress.errors import StageError

Rule = Callable[[tuple[Any, ...], Any], int]


@dataclass(frozen=True)
class MacReport:
    """MACs of one forward pass of the example as given: give a batch of one to get MACs per picture.

    `by_layer` has the dotted module name ("" for the network itself) whose `forward` was running; it lists only
    layers with at least one MAC. The values of `by_layer`, like those of `by_operator`, sum up to `total`.
    """

    total: int
    by_layer: dict[str, int]
    by_operator: dict[str, int]


def _convolution(inputs: tuple[Any, ...], output: Tensor) -> int:
    data, weight, transposed = inputs[0], inputs[1], inputs[6]
    # A weight is [out, in / groups, *kernel], a transposed one [in, out / groups, *kernel]: same product, other extent.
    positions = data.shape[0] * prod(data.shape[2:]) if transposed else output.shape[0] * prod(output.shape[2:])
    return int(positions * weight.numel())


def _convolution_over_output(inputs: tuple[Any, ...], output: Tensor) -> int:
    weight = inputs[1]
    channels = weight.shape[1] if output.shape[1] == weight.shape[0] else weight.shape[0]
    return int(output.numel() * channels * prod(weight.shape[2:]))


def _product(left: int, right: int) -> Rule:
    """Matrix product of inputs number `left` and `right`: each of left's elements meets each column of right once."""

    def rule(inputs: tuple[Any, ...], _output: Any) -> int:
        columns = inputs[right].shape[-1] if inputs[right].dim() > 1 else 1
        return int(inputs[left].numel() * columns)

    return rule


def _attention(inputs: tuple[Any, ...], _output: Any) -> int:
    query, key, value = inputs[:3]  # [N, heads, length, width]
    return int(prod(query.shape[:-1]) * key.shape[-2] * (query.shape[-1] + value.shape[-1]))


def _per_result(taps: int) -> Rule:
    return lambda _inputs, output: int((output[0] if isinstance(output, tuple) else output).numel() * taps)


def _grid_sample(inputs: tuple[Any, ...], output: Tensor) -> int:
    dimensions = inputs[0].dim() - 2
    taps = {0: 2**dimensions, 1: 0, 2: 4**dimensions}[inputs[2]]  # bilinear, nearest, bicubic
    return int(output.numel() * taps)


def _antialiased(taps: int) -> Rule:
    """Two passes, each with `taps` times the reduction (at least 1) for each of its results; a pass that keeps its
    size is left out, as PyTorch does it."""

    def rule(inputs: tuple[Any, ...], output: Tensor) -> int:
        (rows, columns), (high, wide) = inputs[0].shape[-2:], output.shape[-2:]
        planes = output.shape[0] * output.shape[1]
        across = rows * wide * ceil(taps * max(1, columns / wide)) if columns != wide else 0
        down = high * wide * ceil(taps * max(1, rows / high)) if rows != high else 0
        return int(planes * (across + down))

    return rule


def _affine(inputs: tuple[Any, ...], output: Any) -> int:
    return int(output[0].numel()) if isinstance(inputs[1], Tensor) else 0


def _affine_after_shape(inputs: tuple[Any, ...], output: Any) -> int:
    return int(output[0].numel()) if isinstance(inputs[2], Tensor) else 0


_PRODUCTS: dict[str, Rule] = {
    "mm": _product(0, 1),
    "bmm": _product(0, 1),
    "mv": _product(0, 1),
    "dot": _product(0, 1),
    "addmm": _product(1, 2),
    "addmv": _product(1, 2),
    "baddbmm": _product(1, 2),
    "_scaled_dot_product_flash_attention_for_cpu": _attention,
    "_scaled_dot_product_flash_attention": _attention,
    "_scaled_dot_product_efficient_attention": _attention,
    "_scaled_dot_product_fused_attention_overrideable": _attention,
    "grid_sampler_2d": _grid_sample,
    "grid_sampler_3d": _grid_sample,
    "upsample_bilinear2d": _per_result(4),
    "_upsample_bilinear2d_aa": _antialiased(2),
    "_upsample_bicubic2d_aa": _antialiased(4),
}

COUNTED: dict[str, Rule] = {
    **_PRODUCTS,
    "convolution": _convolution,
    "upsample_linear1d": _per_result(2),
    "upsample_trilinear3d": _per_result(8),
    "upsample_bicubic2d": _per_result(16),
}

TORCHPROFILE: dict[str, Rule] = {
    **_PRODUCTS,
    "convolution": _convolution_over_output,
    "mul": _per_result(1),
    "mul_": _per_result(1),
    "leaky_relu": _per_result(1),
    "mean": _per_result(1),
    "avg_pool2d": _per_result(1),
    "_adaptive_avg_pool2d": _per_result(1),
    "native_batch_norm": _affine,
    "cudnn_batch_norm": _affine,
    "_native_batch_norm_legit": _affine,
    "_native_batch_norm_legit_no_training": _affine,
    "native_group_norm": _affine,
    "native_layer_norm": _affine_after_shape,
}

_ELEMENTWISE = """
abs add add_ addcdiv addcmul atan2 bitwise_and bitwise_not bitwise_or ceil clamp clamp_ clamp_max clamp_min cos div
div_ eq exp expm1 floor floor_divide fmod ge gt isfinite isnan le lerp log log1p log2 logical_and logical_not
logical_or lt maximum minimum mul mul_ ne neg neg_ pow reciprocal remainder round rsqrt rsub sign sin sqrt square sub
sub_ tan where
"""
_ACTIVATIONS = """
celu elu gelu gelu_ glu hardsigmoid hardsigmoid_ hardswish hardswish_ hardtanh hardtanh_ leaky_relu leaky_relu_
_log_softmax mish prelu _prelu_kernel relu relu_ sigmoid sigmoid_ silu silu_ _softmax softplus tanh tanh_ threshold
native_dropout
"""
_NORMALISATION_POOLING_REDUCTION = """
native_batch_norm cudnn_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training native_group_norm
native_layer_norm linalg_vector_norm avg_pool2d _adaptive_avg_pool2d max_pool2d_with_indices adaptive_max_pool2d all
amax amin any argmax argmin cumsum max mean min prod std sum topk sort var var_mean
"""
_MOVEMENT = """
alias arange as_strided cat clone constant_pad_nd copy copy_ detach embedding empty empty_like expand eye fill fill_
flip full full_like gather index index_select lift_fresh _local_scalar_dense new_empty new_full new_ones new_zeros ones
ones_like permute pixel_shuffle pixel_unshuffle rand randn rand_like randn_like reflection_pad2d repeat
replication_pad2d roll scalar_tensor scatter select slice split split_with_sizes squeeze stack t _to_copy transpose
tril triu unbind unfold unsqueeze _unsafe_index _unsafe_view upsample_nearest1d upsample_nearest2d upsample_nearest3d
_upsample_nearest_exact2d view zeros zeros_like _reshape_alias
"""
FREE = frozenset((_ELEMENTWISE + _ACTIVATIONS + _NORMALISATION_POOLING_REDUCTION + _MOVEMENT).split())


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]  # PyTorch's class is not annotated
    """Adds up the rule of each operator below the module that runs it."""

    def __init__(self, rules: dict[str, Rule]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # PyTorch's class is not annotated
        self.rules = rules
        self.running = [""]
        self.by_layer: Counter[str] = Counter()
        self.by_operator: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        namespace, name = func.name().split("::")
        name = name.split(".")[0]
        if namespace not in ("aten", "prim") or (name not in self.rules and name not in FREE):
            raise StageError(
                f"macs, layer {self.running[-1]!r}: operator {namespace}::{name} has no counting rule; "
                "state one in COUNTED or FREE of compress/shrinking/macs.py"
            )
        if name in self.rules:
            macs = self.rules[name](args, output)
            self.by_layer[self.running[-1]] += macs
            self.by_operator[name] += macs
        return output


@contextmanager
def _layers_named(network: nn.Module, counter: _Counter) -> Iterator[None]:
    def enter(name: str) -> Callable[..., None]:
        return lambda *_: counter.running.append(name)

    def leave(*_: Any) -> None:
        counter.running.pop()

    handles = []
    for name, module in network.named_modules():
        handles += [module.register_forward_pre_hook(enter(name)), module.register_forward_hook(leave)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _count(network: nn.Module, example: Tensor | tuple[Tensor, ...], rules: dict[str, Rule]) -> MacReport:
    inputs = example if isinstance(example, tuple) else (example,)
    modes = {module: module.training for module in network.modules()}
    counter = _Counter(rules)
    network.eval()  # running statistics must not move because someone counted
    try:
        with torch.no_grad(), _layers_named(network, counter), counter:
            network(*inputs)
    finally:
        for module, training in modes.items():
            module.training = training
    by_layer = {name: macs for name, macs in counter.by_layer.items() if macs}
    by_operator = {name: macs for name, macs in counter.by_operator.items() if macs}
    return MacReport(sum(by_layer.values()), by_layer, by_operator)


def count(network: nn.Module, example: Tensor | tuple[Tensor, ...]) -> MacReport:
    """True MACs of `network(*example)`, by the rules above; the network's modes and statistics stay as they are.

    Raises StageError for an operator without a rule.
    """
    return _count(network, example, COUNTED)


def torchprofile_count(network: nn.Module, example: Tensor | tuple[Tensor, ...]) -> MacReport:
    """MACs as torchprofile 0.1 counts them, for comparison with published numbers.

    Where torchprofile knows no operator and counts it as zero with a warning (antialiasing, for one), the true rule
    holds.

    Raises StageError for an operator without a rule.
    Source: torchprofile/handlers.py of github.com/zhijian-liu/torchprofile.
    """
    return _count(network, example, TORCHPROFILE)
