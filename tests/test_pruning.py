"""Pruning: groups, scores by hand, the choice as a pure function, the proof of equivalence, and the stage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import students
from compress.artifact import Artifact
from compress.context import Context
from compress.errors import InputError, StageError
from compress.recipe import PruneSettings
from compress.shards import ShardWriter
from compress.shrinking import channel_groups, importance, macs, pruning
from compress.stages import prune


def random_student(block: str = "plain", family: str = "map") -> students.Student:
    """A tiny student whose every parameter is away from its starting value."""
    torch.manual_seed(0)
    student = students.build(students.record_for(family, 16, 32, 1, block)).eval()
    for tensor in student.state_dict().values():
        if tensor.is_floating_point():
            tensor.add_(0.2 * torch.rand_like(tensor))
    return student


def pictures(count: int = 2, size: int = 32) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(1)) * 2 - 1


def half_the_macs(student: students.Student) -> int:
    return macs.count(student.core, pictures(1)).total // 2


class Chain(nn.Module):
    """Two convolutions and a head: one group of channels each, to score by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Conv2d(1, 2, 1), nn.Conv2d(2, 2, 1), nn.Conv2d(2, 12, 1)

    def forward(self, x: Tensor) -> Tensor:
        raw: Tensor = self.head(self.second(self.first(x)))
        return raw


def test_find_groups_couples_layers_that_are_added() -> None:
    groups = {g.name: g for g in channel_groups.find_groups(random_student().core, pictures(1))}
    assert {"down.0", "bottom.0.body.1.0"} <= set(groups["down.0"].producers)
    assert all("head" not in group.producers for group in groups.values())
    assert "head" in {name for group in groups.values() for name in group.consumers}


def test_choose_keeps_best_channels_above_one_threshold() -> None:
    scores = {"a": torch.tensor([4.0, 1.0, 3.0, 2.0]), "b": torch.tensor([8.0, 7.0, 6.0, 5.0])}
    plan = pruning.choose(scores, lambda widths: widths["a"] + widths["b"], budget=6, round_to=1)
    assert plan.keep == {"a": (0, 2), "b": (0, 1, 2, 3)}
    assert (plan.macs, plan.threshold) == (6, 2.0)


def test_choose_rounds_up_then_spends_what_is_left() -> None:
    scores = {"a": torch.arange(8.0), "b": torch.arange(8.0) + 0.5}
    plan = pruning.choose(scores, lambda widths: widths["a"] + widths["b"], budget=13, round_to=4)
    assert {name: len(kept) for name, kept in plan.keep.items()} == {"a": 4, "b": 8}


def test_choose_names_reachable_minimum() -> None:
    with pytest.raises(InputError, match=r"prune.macs: 7 cannot be reached; .* still needs 8 MACs"):
        pruning.choose({"a": torch.arange(16.0)}, lambda widths: widths["a"], budget=7, round_to=8)


def test_choose_prunes_nothing_within_budget() -> None:
    plan = pruning.choose({"a": torch.tensor([0.0, 0.0])}, lambda widths: widths["a"], budget=2, round_to=1)
    assert plan.keep == {"a": (0, 1)}


def test_activation_scores_match_hand_computation() -> None:
    core = Chain()
    with torch.no_grad():
        core.first.weight.copy_(torch.tensor([1.0, 2.0]).view(2, 1, 1, 1))
        core.first.get_parameter("bias").zero_()
        core.second.weight.copy_(torch.tensor([[3.0, 1.0], [0.0, 1.0]]).view(2, 2, 1, 1))
    group = channel_groups.ChannelGroup("first", 2, ("first",), ("second",))
    scores = importance.activation_scores(core, [group], torch.ones(1, 1, 2, 2))
    # energies 1 * (9 + 0) and 4 * (1 + 1)
    torch.testing.assert_close(scores["first"], torch.tensor([9 / 17, 8 / 17]))


def test_taylor_scores_match_jacobian() -> None:
    torch.manual_seed(0)
    core = Chain()
    group = channel_groups.ChannelGroup("first", 2, ("first",), ("second",))
    # 2000 pictures times 4 draws of noise: the mean of their squares is within 5 % of |J|^2
    scores = importance.taylor_scores(core, [group], torch.ones(2000, 1, 1, 1))["first"]
    hidden = core.first(torch.ones(1, 1, 1, 1)).detach()

    def raw(gate: Tensor) -> Tensor:
        gated: Tensor = core.head(core.second(hidden * gate.view(1, 2, 1, 1)))
        return gated.flatten()

    jacobian = torch.autograd.functional.jacobian(raw, torch.ones(2))  # type: ignore[no-untyped-call]  # torch's
    torch.testing.assert_close(scores, jacobian.square().sum(0), rtol=0.05, atol=0)


@pytest.mark.parametrize(
    ("chosen", "block"), [*((name, "plain") for name in importance.IMPORTANCES), ("group_magnitude", "inverted")]
)
def test_prune_to_macs_meets_budget_in_steps_of_eight(chosen: str, block: str) -> None:
    student = random_student(block)
    budget = half_the_macs(student)
    pruned, report = pruning.prune_to_macs(student, budget, pictures(), chosen)
    assert budget * 0.6 < report.macs_after <= budget
    assert macs.count(pruned.core, pictures(1)).total == report.macs_after
    assert all(kept % 8 == 0 for kept in report.kept.values())
    assert report.max_abs_error < 1e-10


def test_prune_to_macs_keeps_head_and_input_and_leaves_the_original() -> None:
    student = random_student()
    before = {name: value.clone() for name, value in student.state_dict().items()}
    pruned, report = pruning.prune_to_macs(student, half_the_macs(student), pictures())
    assert pruned.core.get_submodule("head").get_parameter("weight").shape[0] == 12
    assert pruned.core.get_submodule("stem.0").get_parameter("weight").shape[1] == 3
    assert "head outputs" in report.not_pruned
    assert "colours" in report.not_pruned["stem.0 inputs"]
    assert all(torch.equal(value, before[name]) for name, value in student.state_dict().items())


def test_pruned_student_gives_what_silenced_student_gives() -> None:
    student, photo = random_student(), pictures()
    groups = channel_groups.find_groups(student.core, photo[:1])
    keep = {g.name: tuple(range(0, g.channels, 2)) for g in groups}
    core, error = pruning.cut_checked(student.core, groups, pruning.Plan(keep, 0, 0.0), photo)
    assert error < 1e-10
    assert not torch.allclose(core(photo), student.core(photo), atol=1e-3)


def test_wrong_cut_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    student, photo = random_student(), pictures()
    groups = channel_groups.find_groups(student.core, photo[:1])
    plan = pruning.Plan({g.name: tuple(range(g.channels // 2)) for g in groups}, 0, 0.0)
    other = pruning.Plan({g.name: tuple(range(g.channels // 2, g.channels)) for g in groups}, 0, 0.0)
    right = pruning.cut
    monkeypatch.setattr(pruning, "cut", lambda core, groups, _, low: right(core, groups, other, low))
    with pytest.raises(StageError, match="the cut core differs by"):
        pruning.cut_checked(student.core, groups, plan, photo)


def test_prune_to_macs_refuses_unknown_importance() -> None:
    with pytest.raises(InputError, match=r"prune.importance: 'magic' is unknown"):
        pruning.prune_to_macs(random_student(), 10**9, pictures(), "magic")


def test_find_groups_refuses_concatenation() -> None:
    class Concatenating(Chain):
        def forward(self, x: Tensor) -> Tensor:
            first = self.first(x)
            raw: Tensor = self.head(torch.cat([self.second(first), first], 1))
            return raw

    core = Concatenating()
    core.head = nn.Conv2d(4, 12, 1)
    with pytest.raises(StageError, match="avoid concatenation and chunks"):
        channel_groups.find_groups(core, torch.ones(1, 1, 2, 2))


@pytest.fixture
def stored(tmp_path: Path) -> dict[str, Artifact]:
    students.save(random_student(), folder(tmp_path / "student"))
    rng = np.random.default_rng(0)
    with ShardWriter(tmp_path / "inputs") as inputs:
        for _ in range(4):
            inputs.add({"photo": rng.integers(0, 256, (48, 48, 3), np.uint8)})
    return {name: Artifact(tmp_path / name, {}) for name in ("student", "inputs")}


def folder(path: Path) -> Path:
    path.mkdir()
    return path


def test_stage_stores_a_student_that_loads(stored: dict[str, Artifact], tmp_path: Path) -> None:
    budget = half_the_macs(random_student())
    settings = PruneSettings(macs=budget, images=4, importance="lamp")
    numbers: dict[str, Any] = prune.run(settings, stored, folder(tmp_path / "out"), Context())
    loaded = students.load(tmp_path / "out")
    assert macs.count(loaded.core, pictures(1)).total == numbers["macs_after"] <= budget


def test_stage_names_a_student_that_is_missing(stored: dict[str, Artifact], tmp_path: Path) -> None:
    stored["student"] = Artifact(folder(tmp_path / "empty"), {})
    with pytest.raises(StageError, match=r"architecture.json: is missing"):
        prune.run(PruneSettings(macs=10**6), stored, tmp_path, Context())
