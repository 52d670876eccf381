"""What each channel of a core is worth: one score a channel, comparable between groups, for pruning to choose by.

Not covered: the choice itself (pruning.py). Importance by BatchNorm's scales is left out: after fusing there are none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch_pruning
from torch import Tensor, nn

from compress.errors import InputError
from compress.shrinking.channel_groups import ChannelGroup, pruning_group, trace
from compress.shrinking.quantization import fuse

IMPORTANCES = ("group_magnitude", "lamp", "activation", "taylor", "random")
TAYLOR_DRAWS = 4


def score(core: nn.Module, groups: list[ChannelGroup], low: Tensor, importance: str) -> dict[str, Tensor]:
    """What each channel of each group is worth, comparable between groups; computed on the core with BatchNorm fused.

    Fused, because BatchNorm undoes the scale of the weights before it: unfused magnitudes say little. `low`
    [N, 3, r, r] float32 in [-1, 1] drives the importances "activation" and "taylor".
    Raises InputError for an unknown importance.
    """
    if importance not in IMPORTANCES:
        raise InputError(f"prune.importance: {importance!r} is unknown; choose one of {', '.join(IMPORTANCES)}")
    fused = fuse(core)
    if importance == "activation":
        return activation_scores(fused, groups, low)
    if importance == "taylor":
        return taylor_scores(fused, groups, low)
    if importance == "random":
        generator = torch.Generator().manual_seed(0)
        return {group.name: torch.rand(group.channels, generator=generator) for group in groups}
    scorer = {
        "group_magnitude": torch_pruning.importance.GroupMagnitudeImportance,
        "lamp": torch_pruning.importance.LAMPImportance,
    }[importance](p=2)
    graph = trace(fused, low[:1])
    return {g.name: scorer(pruning_group(graph, fused, g.name, range(g.channels))) for g in groups}


def activation_scores(core: nn.Module, groups: list[ChannelGroup], low: Tensor) -> dict[str, Tensor]:
    """Share of each channel in the energy of what its consumers receive: E[x_c^2] |W_c|^2, summed over consumers.

    Source: Wanda (Sun et al., ICLR 2024), equation 1, squared and summed over the consumer's outputs.
    """

    def share(consumer: nn.Module, received: Tensor) -> Tensor:
        weight = consumer.get_parameter("weight").detach()
        energy = received.square().mean((0, 2, 3)) * weight.square().sum((0, 2, 3))
        return energy / energy.sum().clamp_min(torch.finfo().tiny)

    shares: dict[str, Tensor] = {}
    with torch.no_grad(), _at_inputs(core, groups, lambda name, c, x: shares.__setitem__(name, share(c, x))):
        core(low)
    return {group.name: torch.stack([shares[name] for name in group.consumers]).sum(0) for group in groups}


def taylor_scores(core: nn.Module, groups: list[ChannelGroup], low: Tensor) -> dict[str, Tensor]:
    """First-order estimate of the squared change of the raw maps when a channel is silenced; needs no teacher.

    A gate g_c = 1 multiplies each channel where it is consumed. For noise n of unit variance, E_n[(d<raw, n> / dg_c)^2]
    is |d raw / dg_c|^2; it is averaged over pictures and TAYLOR_DRAWS draws of n. (The distillation loss itself has no
    gradient where the student is its own teacher.)
    Source: Molchanov et al., Importance Estimation for Neural Network Pruning (CVPR 2019), equation 8, with gates.
    """
    gates: dict[str, Tensor] = {}

    def gated(name: str, _: nn.Module, received: Tensor) -> Tensor:
        gates[name] = torch.ones(*received.shape[:2], 1, 1, requires_grad=True)
        return received * gates[name]

    with _at_inputs(core, groups, gated):
        raw = core(low)
    generator = torch.Generator().manual_seed(0)
    scores = {group.name: torch.zeros(group.channels) for group in groups}
    for _ in range(TAYLOR_DRAWS):
        noise = torch.randn(raw.shape, generator=generator)
        slopes = torch.autograd.grad((raw * noise).sum(), list(gates.values()), retain_graph=True)
        slope = dict(zip(gates, slopes, strict=True))
        for group in groups:
            gates_slope = torch.stack([slope[name] for name in group.consumers]).sum(0)
            scores[group.name] += gates_slope.square().mean((0, 2, 3)) / TAYLOR_DRAWS
    return scores


@contextmanager
def _at_inputs(
    core: nn.Module, groups: list[ChannelGroup], see: Callable[[str, nn.Module, Tensor], Tensor | None]
) -> Iterator[None]:
    """While open, `see(name, layer, input)` is called at each consumer's input and may replace it."""

    def hook(name: str) -> Callable[[nn.Module, tuple[Tensor]], Tensor | None]:
        return lambda layer, inputs: see(name, layer, inputs[0])

    names = sorted({name for group in groups for name in group.consumers})
    handles = [core.get_submodule(name).register_forward_pre_hook(hook(name)) for name in names]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
