"""What every training here shares: learning rate, averaged weights, mixed precision, checkpoints, the stop at NaN.

Budgets are images; a step is one batch. A training is deterministic by (seed, step), so a checkpoint needs no random
state. Not covered: which losses (losses.py), which samples (batches.py), the loops themselves (stages).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import get_ema_multi_avg_fn

from compress.errors import NonFiniteError, StorageError, storage_error
from compress.training.batches import Batch, Batches
from compress.training.muon import BETAS

__all__ = [
    "Batch",
    "Batches",
    "Checkpoints",
    "Ema",
    "adam",
    "autocast",
    "cosine",
    "require_finite",
    "steps_of",
    "supported_precision",
    "to_channels_last",
]

CHECKPOINT = "checkpoint.safetensors"
CHECKPOINT_SECONDS = 30.0
WARM_UP_STEPS = 100
WARM_UP_SHARE = 0.1


def steps_of(images: int, batch: int) -> int:
    """Steps that a budget of `images` buys, the last batch being whole."""
    return -(-images // batch)


def cosine(step: int, steps: int, learning_rate: float) -> float:
    """Learning rate at `step` of `steps`: a linear rise (100 steps, at most a tenth), then half a cosine to 0.

    Source: Loshchilov and Hutter, SGDR (ICLR 2017), equation 5, without restarts.
    """
    rise = max(1, min(WARM_UP_STEPS, round(WARM_UP_SHARE * steps)))
    warm_up = min(1.0, (step + 1) / rise)
    return learning_rate * warm_up * 0.5 * (1 + math.cos(math.pi * step / steps))


def adam(parameters: list[nn.Parameter], learning_rate: float) -> torch.optim.Adam:
    """Adam with the moments that image translation uses (0.5, 0.999), in its fused form: one call for all tensors.

    Source: Radford et al., DCGAN (ICLR 2016), section 4.
    """
    return torch.optim.Adam(parameters, learning_rate, betas=BETAS, fused=True)


def set_learning_rate(optimizer: Optimizer, learning_rate: float) -> None:
    """Use `learning_rate` for all parameters from now on."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate


def supported_precision(precision: str, device: str = "cpu") -> str:
    """`precision` (float32 or bfloat16) if `device` computes in it, otherwise float32.

    Processors without bfloat16 instructions emulate it: a convolution took 10 to 20 times as long as in float32.
    """
    if precision != "bfloat16" or not device.startswith("cpu"):
        return precision
    able = torch.cpu.get_capabilities()
    return precision if able.get("avx512_bf16") or able.get("amx_bf16") or able.get("bf16") else "float32"


def autocast(precision: str, device: str = "cpu") -> AbstractContextManager[object]:
    """Autocast to bfloat16 where asked for and supported; float32 otherwise."""
    kind = torch.device(device).type
    enabled = supported_precision(precision, device) == "bfloat16"
    return torch.autocast(kind, torch.bfloat16, enabled=enabled)


def to_channels_last(network: nn.Module) -> None:
    """Lay the weights of `network` out with channels last, in place: the order that convolutions are fastest in."""
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's overloads leave it out


def require_finite(loss: Tensor | float, step: int, place: str) -> float:
    """The loss as a number; raises NonFiniteError with the step if it is NaN or infinite."""
    value = float(loss.detach()) if isinstance(loss, Tensor) else loss
    if not math.isfinite(value):
        raise NonFiniteError(
            f"{place}: the loss became {value} at step {step}; lower its learning_rate and run again"
            " (the checkpoint before it is kept)"
        )
    return value


class Ema:
    """Exponential moving average of a model's weights and buffers, the later steps weighing more at the start.

    Source: Karras et al., Progressive Growing of GANs (ICLR 2018), appendix A; the rise (1 + t) / (10 + t):
    TensorFlow, ExponentialMovingAverage.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"decay {decay} is not within 0..1")
        self._decay = decay
        self._source = dict(model.state_dict(keep_vars=True))
        self.state = {name: value.detach().clone() for name, value in self._source.items()}
        floating = [name for name, value in self.state.items() if value.is_floating_point()]
        self._averages = [self.state[name] for name in floating]
        self._current = [self._source[name].detach() for name in floating]

    def update(self, step: int) -> None:
        """Take in the model's weights after `step` (0, 1, ...)."""
        decay = min(self._decay, (1 + step) / (10 + step))
        with torch.no_grad():
            get_ema_multi_avg_fn(decay)(self._averages, self._current, 0)  # type: ignore[no-untyped-call]  # torch's

    def copy_to(self, model: nn.Module) -> None:
        """Give `model` (of the same architecture) the averaged weights; counters are taken from the trained model."""
        counters = {n: v.detach() for n, v in self._source.items() if not v.is_floating_point()}
        model.load_state_dict(self.state | counters)


class Checkpoints:
    """One checkpoint file in a step's folder: model, averaged weights, optimizer, steps done; always whole.

    Everything is tensors and JSON (in the file's header): no pickle. `maybe_save` saves at most every `seconds`
    (CHECKPOINT_SECONDS by default).
    """

    def __init__(
        self, folder: Path, model: nn.Module, optimizer: Optimizer, ema: Ema | None, seconds: float | None = None
    ) -> None:
        self.path = folder / CHECKPOINT
        self._model, self._optimizer, self._ema = model, optimizer, ema
        self._seconds = CHECKPOINT_SECONDS if seconds is None else seconds
        self._saved = time.monotonic()

    def maybe_save(self, done: int) -> None:
        """Save after `done` steps if the last time is `seconds` ago."""
        if time.monotonic() - self._saved >= self._seconds:
            self.save(done)

    def save(self, done: int) -> None:
        """Write the state after `done` steps. Raises NonFiniteError rather than replace a good state by a bad one."""
        tensors, groups = _optimizer_tensors(self._optimizer)
        tensors |= {f"model.{name}": value for name, value in self._model.state_dict().items()}
        if self._ema is not None:
            tensors |= {f"ema.{name}": value for name, value in self._ema.state.items()}
        tensors = {name: value.detach().contiguous().cpu().clone() for name, value in tensors.items()}
        broken = [n for n, v in tensors.items() if v.is_floating_point() and not bool(torch.isfinite(v).all())]
        if broken:
            raise NonFiniteError(
                f"{self.path}: {broken[0]} is not finite after step {done}; lower the learning_rate and run again"
                " (the checkpoint before it is kept)"
            )
        unfinished = self.path.with_suffix(".tmp")
        try:
            save_file(tensors, unfinished, {"done": str(done), "groups": json.dumps(groups)})
            unfinished.replace(self.path)
        except OSError as error:
            raise storage_error(error, self.path) from error
        except SafetensorError as error:
            raise StorageError(f"{self.path}: not written ({error}); free some space and run again") from error
        finally:
            unfinished.unlink(missing_ok=True)
        self._saved = time.monotonic()

    def resume(self) -> int:
        """Restore the stored state and return the steps done; 0 without a checkpoint.

        Raises StorageError for a damaged file or one of another model.
        """
        if not self.path.exists():
            return 0
        try:
            with safe_open(self.path, "pt") as file:
                header = file.metadata()
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a mapping)
            self._model.load_state_dict(_under("model", tensors))
            if self._ema is not None:
                for name, value in self._ema.state.items():
                    value.copy_(tensors[f"ema.{name}"])
            self._optimizer.load_state_dict(_optimizer_state(tensors, json.loads(header["groups"])))
            _match_layout(self._optimizer)
            return int(header["done"])
        except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise StorageError(f"{self.path}: does not fit this training ({error}); delete it to start anew") from error

    def remove(self) -> None:
        """Delete the checkpoint of a finished training."""
        self.path.unlink(missing_ok=True)


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(f"{prefix}."): t for name, t in tensors.items() if name.startswith(f"{prefix}.")}


def _optimizer_tensors(optimizer: Optimizer) -> tuple[dict[str, Tensor], list[dict[str, object]]]:
    """Optimizer state as flat tensors named optimizer.<parameter>.<moment>, and its plain settings."""
    state = optimizer.state_dict()
    moments = {f"optimizer.{i}.{n}": t for i, slots in state["state"].items() for n, t in slots.items()}
    return moments, state["param_groups"]


def _optimizer_state(tensors: Mapping[str, Tensor], groups: list[dict[str, object]]) -> dict[str, object]:
    slots: dict[int, dict[str, Tensor]] = {}
    for name, value in _under("optimizer", tensors).items():
        number, moment = name.split(".", 1)
        slots.setdefault(int(number), {})[moment] = value
    return {"state": slots, "param_groups": groups}


def _match_layout(optimizer: Optimizer) -> None:
    """Lay moments out in memory as their parameters are: the fused Adam walks through both and ignores strides."""
    for parameter, slots in optimizer.state.items():
        for moment, value in slots.items():
            if value.shape == parameter.shape:
                slots[moment] = torch.empty_like(parameter).copy_(value)
