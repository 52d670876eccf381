"""Where fake quantizers sit: NNCF's function hooks of a quantized core, and NNCF itself without its side effects.

A place is named as NNCF does: `post_hooks.stem/1/hardtanh/0__0.0` is behind the first call of hardtanh in module
`stem.1`, `pre_hooks.stem/0/conv2d/0__1.0` before input 1 (the weights) of a convolution. Not covered: which places get
a quantizer (quantization.py).
"""

from __future__ import annotations

import logging
import os
from typing import Any

from torch import Tensor, nn

from compress.shrinking.fakequant import FakeQuantizer


def quiet_nncf() -> Any:
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


def storage(core: nn.Module) -> Any:
    """NNCF's container of the hooks."""
    quiet_nncf()
    from nncf.torch.function_hook.wrapper import get_hook_storage

    return get_hook_storage(core)


def hooks(core: nn.Module) -> dict[str, nn.Module]:
    """The hooks of a core by place."""
    return dict(storage(core).named_hooks(remove_duplicate=False))


def quantizers(core: nn.Module) -> dict[str, FakeQuantizer]:
    """The fake quantizers of a quantized core by place."""
    return {place: hook for place, hook in hooks(core).items() if isinstance(hook, FakeQuantizer)}


def of_weights(place: str) -> bool:
    """Whether a place is before the weights of a layer (otherwise it is behind an operation)."""
    return place.startswith("pre_hooks.")


def behind(operation: str) -> str:
    """The place behind an operation of NNCF's graph, such as `stem/1/hardtanh/0`."""
    return f"post_hooks.{operation.replace('.', ':')}__0.0"


def operation_of(place: str) -> str:
    """The operation that a place belongs to."""
    return place.split(".")[1].rsplit("__", 1)[0].replace(":", ".")


def module_of(core: nn.Module, place: str) -> nn.Module | None:
    """The module that runs the operation of a place; None for an input and for the core's own operations.

    Raises AttributeError where NNCF's name is not the module's path (it leaves ModuleLists out).
    """
    path = ".".join(operation_of(place).split("/")[:-2])
    return core.get_submodule(path) if path else None
