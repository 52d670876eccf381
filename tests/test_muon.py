"""The optimizer of distillation: what a step is, what Adam keeps, what a checkpoint must hold."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

import students
import teachers
from compress.stages import distill, teach
from compress.training.muon import BETAS, Muon, groups, orthogonalised

TEACHER = {
    "family": "kstylegan", "channels": [16, 16, 16, 32, 32], "blocks": [1, 1, 1, 1], "render_blocks": [1, 1, 1],
    "coefficients": 5, "style_channels": 16, "size": 32,
}  # fmt: skip


def muon_of(matrices: list[nn.Parameter], others: list[nn.Parameter], learning_rate: float) -> Muon:
    return Muon([{"params": others}, {"params": matrices, "matrices": True}], learning_rate)


@pytest.mark.parametrize("shape", [(8, 27), (27, 8), (12, 12)])
def test_orthogonalised_has_the_singular_vectors_and_values_near_one(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    left, _, right = torch.linalg.svd(matrix.double(), full_matrices=False)
    found = left.T @ orthogonalised(matrix).double() @ right.T
    values = found.diagonal()
    assert (found - torch.diag(values)).abs().max() < 1e-3
    assert values.min() > 0.6 and values.max() < 1.25


def test_orthogonalised_does_not_depend_on_the_size_of_a_gradient() -> None:
    matrix = torch.randn(6, 20, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(orthogonalised(matrix * 1e-4), orthogonalised(matrix), atol=1e-4)
    assert torch.equal(orthogonalised(torch.zeros(3, 5)), torch.zeros(3, 5))


def test_orthogonalised_takes_the_steps_of_newton_schulz() -> None:
    matrix = torch.randn(7, 30, generator=torch.Generator().manual_seed(1))
    x = (matrix / matrix.norm()).double()
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    assert torch.allclose(orthogonalised(matrix).double(), x, atol=1e-4)


def test_others_move_as_adam_moves_them() -> None:
    ours, theirs = nn.Parameter(torch.ones(5)), nn.Parameter(torch.ones(5))
    muon = muon_of([nn.Parameter(torch.ones(2, 2))], [ours], 0.1)
    adam = torch.optim.Adam([theirs], 0.1, betas=BETAS)
    for step in range(4):
        for parameter in (ours, theirs):
            parameter.grad = torch.linspace(-1, 2, 5) * (step + 1)
        muon.step()
        adam.step()
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_a_step_of_a_matrix_is_as_large_as_adams() -> None:
    """Root mean square 0.2 of a learning rate, whatever the shape and the gradient (Liu et al., equation 4)."""
    for shape in ((16, 3, 3, 3), (64, 16, 1, 1), (32, 32, 3, 3)):
        weight = nn.Parameter(torch.zeros(shape))
        weight.grad = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 1e-3
        muon_of([weight], [], 0.01).step()
        assert float(weight.detach().square().mean().sqrt()) == pytest.approx(0.2 * 0.01, rel=0.25)


def test_all_directions_are_learned_alike() -> None:
    """A map whose directions weigh from 1 to 1/100 in the data: Adam leaves the weak ones, orthogonal steps do not."""
    generator = torch.Generator().manual_seed(0)
    turn = torch.linalg.qr(torch.randn(8, 8, generator=generator))[0]
    data = torch.randn(256, 8, generator=generator) @ torch.diag(torch.logspace(0, -2, 8)) @ turn
    wanted = torch.randn(8, 8, generator=generator)
    left = {}
    for name in ("muon", "adam"):
        weight = nn.Parameter(torch.zeros(8, 8))
        optimizer = muon_of([weight], [], 0.1) if name == "muon" else torch.optim.Adam([weight], 0.1, betas=BETAS)
        for step in range(300):
            for group in optimizer.param_groups:
                group["lr"] = 0.1 * (1 - step / 300)
            optimizer.zero_grad()
            (data @ (weight - wanted).T).square().mean().backward()  # type: ignore[no-untyped-call]  # torch's
            optimizer.step()
        left[name] = float(((weight - wanted) @ turn.T).detach().norm(dim=0)[-1])
    assert left["muon"] < 0.5 * left["adam"]


def names_of(network: nn.Module, heads: tuple[str, ...]) -> list[set[str]]:
    """The names of the parameters in each group."""
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    return [{names[id(parameter)] for parameter in group["params"]} for group in groups(network, heads)]


def test_groups_of_a_student_are_what_mixes_channels_and_the_rest() -> None:
    student = students.build(students.record_for("map", 8, 32, 1, "inverted"))
    left, mixed = names_of(student, distill.HEADS)
    assert {"core.stem.0.weight", "core.bottom.0.body.0.0.weight", "core.fuse_stem.0.weight"} <= mixed
    assert {"core.head.weight", "core.head.bias", "core.bottom.0.body.1.0.weight", "core.stem.1.weight"} <= left
    assert mixed | left == {name for name, _ in student.named_parameters()} and not mixed & left


def test_groups_of_a_teacher_leave_to_adam_what_gives_quantities() -> None:
    teacher = teachers.build(TEACHER)
    left, mixed = names_of(teacher, teach.HEADS)
    assert {"encoder.stem.weight", "style.mapping.0.weight", "render.0.sta.project.weight"} <= mixed
    heads = {"geometry.globals.weight", "geometry.dense8.weight", "style.displacement.weight", "render.2.head.weight"}
    assert heads | {"style.codes.weight", "render.0.sta.gate.weight", "encoder.blocks.0.0.wide.weight"} <= left


def test_a_restored_state_goes_on_as_if_nothing_had_happened() -> None:
    def gradient(step: int, shape: tuple[int, ...]) -> Tensor:
        return torch.randn(shape, generator=torch.Generator().manual_seed(step))

    def run(weight: nn.Parameter, bias: nn.Parameter, optimizer: Muon, first: int, last: int) -> None:
        for step in range(first, last):
            weight.grad, bias.grad = gradient(step, (4, 6)), gradient(step, (4,))
            optimizer.step()

    weight, bias = nn.Parameter(torch.ones(4, 6)), nn.Parameter(torch.ones(4))
    optimizer = muon_of([weight], [bias], 0.05)
    run(weight, bias, optimizer, 0, 3)
    again, again_bias = nn.Parameter(weight.detach().clone()), nn.Parameter(bias.detach().clone())
    restored = muon_of([again], [again_bias], 0.05)
    restored.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    run(weight, bias, optimizer, 3, 6)
    run(again, again_bias, restored, 3, 6)
    assert torch.equal(weight, again) and torch.equal(bias, again_bias)
