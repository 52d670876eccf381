"""Which channels of a core belong together: found by torch-pruning's dependency graph, described as plain names.

Only cores whose layers all see the channels of a group in the same order are handled: no concatenation, no chunks. Not
covered: which channels go (pruning.py), and what they are worth (importance.py).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch_pruning
from torch import Tensor, nn

from compress.errors import StageError

HEAD = "head"


@dataclass(frozen=True)
class ChannelGroup:
    """Channels that can only go together: `producers` lose outputs, `consumers` lose inputs.

    These are layers with parameters by their dotted names in the core; `name` is the first producer.
    """

    name: str
    channels: int
    producers: tuple[str, ...]
    consumers: tuple[str, ...]


def trace(core: nn.Module, low: Tensor) -> Any:
    """torch-pruning's dependency graph of a core; `low` [N, 3, r, r]. Leaves the core in eval mode."""
    return torch_pruning.DependencyGraph().build_dependency(core, example_inputs=low)


def find_groups(core: nn.Module, low: Tensor) -> list[ChannelGroup]:
    """The groups of coupled channels of a core, by torch-pruning's dependency graph; the head's outputs are in none."""
    core = copy.deepcopy(core)  # tracing switches modes and leaves traces behind
    graph = trace(core, low)
    names = {module: name for name, module in core.named_modules()}
    found = graph.get_all_groups(ignored_layers=[core.get_submodule(HEAD)], root_module_types=(nn.Conv2d, nn.Linear))
    order = list(names.values())
    groups = [_describe(graph, group, names) for group in found]
    return sorted(groups, key=lambda group: order.index(group.name))


def _describe(graph: Any, group: Any, names: Mapping[nn.Module, str]) -> ChannelGroup:
    root = group[0].dep.target.module
    producers: set[str] = set()
    consumers: set[str] = set()
    for dependency, indices in group:
        module = dependency.target.module
        if module not in names or next(module.parameters(recurse=False), None) is None:
            continue
        if list(indices) != list(range(len(indices))):
            raise StageError(
                f"prune, layer {names[module]!r}: its channels are a permutation or part of group {names[root]!r}, "
                "which pruning does not handle; avoid concatenation and chunks in the core"
            )
        # A depthwise convolution's outputs are its inputs: one handler for both, so it is a producer.
        outputs = graph.is_out_channel_pruning_fn(dependency.handler)
        (producers if outputs else consumers).add(names[module])
    ordered = [name for name in names.values() if name in producers]
    return ChannelGroup(
        name=ordered[0],  # the first layer of the network that produces these channels
        channels=int(graph.get_out_channels(root)),
        producers=tuple(ordered),
        consumers=tuple(name for name in names.values() if name in consumers),
    )


def pruning_group(graph: Any, core: nn.Module, name: str, channels: range | list[int]) -> Any:
    """torch-pruning's own group for some `channels` of the group that begins with layer `name`."""
    root = core.get_submodule(name)
    return graph.get_pruning_group(root, graph.get_pruner_of_module(root).prune_out_channels, list(channels))
