"""Structural pruning of a student's core: whole channels go until a stated budget of true MACs is met.

Plan, check, cut. `choose` (pure) finds the one threshold of score for all groups at which the core fits the budget;
`cut` alone changes tensors. Before a plan is carried out it is proven sound: with every parameter that produces a
removed channel set to zero, the uncut core must give what the cut core gives. The head's outputs and the colour inputs
are never pruned. Not covered: the training that brings the quality back, single weights (no runtime gains from those),
and the compositor, which has nothing to prune.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

import students
from compress.errors import InputError, StageError
from compress.shrinking import macs
from compress.shrinking.channel_groups import HEAD, ChannelGroup, find_groups, pruning_group, trace
from compress.shrinking.importance import score

EQUIVALENCE_TOLERANCE = 1e-5  # of float64 passes, whose own rounding stays under 1e-12: anything above is a wrong index


@dataclass(frozen=True)
class Plan:
    """Channel indices to keep in each group, the MACs predicted for that, and the threshold of score."""

    keep: dict[str, tuple[int, ...]]
    macs: int
    threshold: float


@dataclass(frozen=True)
class PruneReport:
    """Channels removed and kept by group, what was not pruned and why, and the core's MACs on one picture."""

    importance: str
    budget_macs: int
    macs_before: int
    macs_after: int
    removed: dict[str, int]
    kept: dict[str, int]
    not_pruned: dict[str, str]
    max_abs_error: float

    def numbers(self) -> dict[str, Any]:
        """The same as plain JSON data."""
        return asdict(self)


def prune_to_macs(
    student: students.Student, budget: int, examples: Tensor, importance: str = "group_magnitude", round_to: int = 8
) -> tuple[students.Student, PruneReport]:
    """A pruned copy of `student` whose core needs at most `budget` true MACs a picture; `student` stays as it is.

    `examples` [N, 3, H, W] float32 in [-1, 1] drive some importances and the proof of equivalence. Channel counts
    become multiples of `round_to`, except where a group has fewer from the start.
    Raises InputError for an unknown importance and for a budget below the reachable minimum (which it names),
    StageError where cutting would change the function by more than EQUIVALENCE_TOLERANCE.
    """
    low = students.downsample(examples, student.core_resolution)
    core = copy.deepcopy(student.core).eval()
    before = macs.count(core, low[:1])
    groups = find_groups(core, low[:1])
    plan = choose(score(core, groups, low, importance), cost_model(before, groups), budget, round_to)
    pruned_core, error = cut_checked(core, groups, plan, low)
    after = macs.count(pruned_core, low[:1]).total
    assert after == plan.macs, f"the plan predicted {plan.macs} MACs, the cut core has {after}"
    report = PruneReport(
        importance=importance,
        budget_macs=budget,
        macs_before=before.total,
        macs_after=after,
        removed={g.name: g.channels - len(plan.keep[g.name]) for g in groups},
        kept={name: len(channels) for name, channels in plan.keep.items()},
        not_pruned=_reasons(core, groups, plan, round_to),
        max_abs_error=error,
    )
    return _rebuild(student, pruned_core), report


def cost_model(report: macs.MacReport, groups: list[ChannelGroup]) -> Callable[[Mapping[str, int]], int]:
    """A function from channel counts by group to the MACs of the whole core."""
    outputs = {layer: group for group in groups for layer in group.producers}
    inputs = {layer: group for group in groups for layer in group.consumers}

    def cost(widths: Mapping[str, int]) -> int:
        total = 0
        for layer, amount in report.by_layer.items():
            for group in (inputs.get(layer), outputs.get(layer)):
                if group is not None:
                    amount = amount * widths[group.name] // group.channels  # exact: MACs are a multiple of the channels
            total += amount
        return total

    return cost


def choose(scores: Mapping[str, Tensor], cost: Callable[[Mapping[str, int]], int], budget: int, round_to: int) -> Plan:
    """The lowest threshold for all groups at which `cost` is at most `budget`, by bisection over the scores themselves.

    A group keeps its channels above the threshold, rounded up to a multiple of `round_to`, best first.
    Raises InputError where even the smallest widths cost more than the budget.
    """

    def widths(threshold: float) -> dict[str, int]:
        rounded = {name: -(-int((s > threshold).sum()) // round_to) * round_to for name, s in scores.items()}
        return {name: min(max(rounded[name], round_to), len(s)) for name, s in scores.items()}

    thresholds = [float("-inf"), *torch.cat(list(scores.values())).sort().values.tolist()]
    smallest = cost(widths(thresholds[-1]))
    if smallest > budget:
        raise InputError(
            f"prune.macs: {budget} cannot be reached; with every group at {round_to} channels the core still needs "
            f"{smallest} MACs: raise the budget to that, lower round_to, or begin with a smaller core"
        )
    low, high = 0, len(thresholds) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if cost(widths(thresholds[middle])) <= budget else (middle + 1, high)
    chosen = _spend_rest(widths(thresholds[low]), scores, cost, budget, round_to)
    keep = {name: tuple(sorted(s.topk(chosen[name]).indices.tolist())) for name, s in scores.items()}
    return Plan(keep, cost(chosen), thresholds[low])


def _spend_rest(
    widths: dict[str, int],
    scores: Mapping[str, Tensor],
    cost: Callable[[Mapping[str, int]], int],
    budget: int,
    round_to: int,
) -> dict[str, int]:
    """Give back whole steps of channels that still fit: one threshold moves several groups at once, by `round_to` each.

    The next best channel by score goes first.
    """
    ranked = {name: s.sort(descending=True).values.tolist() for name, s in scores.items()}
    while True:
        wider = {n: min(w + round_to, len(scores[n])) for n, w in widths.items() if w < len(scores[n])}
        fitting = [name for name, width in wider.items() if cost({**widths, name: width}) <= budget]
        if not fitting:
            return widths
        best = max(fitting, key=lambda name: float(ranked[name][widths[name]]))
        widths = {**widths, best: wider[best]}


def cut_checked(core: nn.Module, groups: list[ChannelGroup], plan: Plan, low: Tensor) -> tuple[nn.Module, float]:
    """The core cut by the plan, and by how much it differs from the uncut core with the same channels silenced.

    Raises StageError above EQUIVALENCE_TOLERANCE: then an index was mapped wrongly.
    """
    doubles = low.double()
    silenced = silence(copy.deepcopy(core).double(), groups, plan)
    shrunk = cut(copy.deepcopy(core).double(), groups, plan, doubles)
    with torch.no_grad():
        error = float((shrunk(doubles) - silenced(doubles)).abs().max())
    if not error <= EQUIVALENCE_TOLERANCE:
        raise StageError(
            f"prune: the cut core differs by {error:.2e} from the core with the same channels silenced "
            f"(limit {EQUIVALENCE_TOLERANCE:.0e}); this architecture cannot be pruned with the installed torch-pruning"
        )
    return cut(copy.deepcopy(core), groups, plan, low), error


def silence(core: nn.Module, groups: list[ChannelGroup], plan: Plan) -> nn.Module:
    """Set to zero, in place, every parameter that produces a channel which the plan removes; returns the core."""
    with torch.no_grad():
        for group in groups:
            gone = _gone(group, plan)
            for name in group.producers:
                for parameter in core.get_submodule(name).parameters(recurse=False):
                    parameter[gone] = 0
    return core


def cut(core: nn.Module, groups: list[ChannelGroup], plan: Plan, low: Tensor) -> nn.Module:
    """Remove, in place, every channel that the plan does not keep; returns the core."""
    graph = trace(core, low[:1])
    for group in groups:
        gone = _gone(group, plan)
        if gone:
            pruning_group(graph, core, group.name, gone).prune()
    return core


def _gone(group: ChannelGroup, plan: Plan) -> list[int]:
    keep = set(plan.keep[group.name])
    return [channel for channel in range(group.channels) if channel not in keep]


def _reasons(core: nn.Module, groups: list[ChannelGroup], plan: Plan, round_to: int) -> dict[str, str]:
    """Why a layer or a group kept all its channels."""
    reasons = {}
    grouped = {layer for group in groups for layer in group.producers}
    consuming = {layer for group in groups for layer in group.consumers}
    for name, module in core.named_modules():
        if not isinstance(module, nn.Conv2d | nn.Linear):
            continue
        if name == HEAD:
            reasons[f"{name} outputs"] = "they are the student's raw maps"
        elif name not in grouped:
            reasons[f"{name} outputs"] = "torch-pruning found no group that could be cut"
        if name in grouped and name not in consuming and getattr(module, "groups", 1) == 1:
            reasons[f"{name} inputs"] = "they are the colours of the photo"
    for group in groups:
        if len(plan.keep[group.name]) == group.channels:
            smallest = group.channels <= round_to
            reasons[group.name] = (
                f"it has {group.channels} channels, the smallest step is {round_to}"
                if smallest
                else f"all its {group.channels} channels are needed by score and rounding"
            )
    return reasons


def _rebuild(student: students.Student, core: nn.Module) -> students.Student:
    """The pruned student built anew from its record: proof that record and weights are all that it is."""
    altered = copy.deepcopy(student)
    altered.core = core
    rebuilt = students.build(students.record_of(altered))
    try:
        rebuilt.load_state_dict(altered.state_dict())
    except RuntimeError as problem:
        raise StageError(f"prune: the record {rebuilt.record} does not describe the cut core ({problem})") from problem
    return rebuilt.train(student.training)
