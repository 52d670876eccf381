"""The optimizer of distillation: what a step is, what Adam keeps, what a checkpoint must hold."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

import students
from compress.training.muon import BETAS, Muon, matrices, orthogonalised


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
    muon = Muon([nn.Parameter(torch.ones(2, 2))], [ours], 0.1)
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
        Muon([weight], [], 0.01).step()
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
        optimizer = Muon([weight], [], 0.1) if name == "muon" else torch.optim.Adam([weight], 0.1, betas=BETAS)
        for step in range(300):
            for group in optimizer.param_groups:
                group["lr"] = 0.1 * (1 - step / 300)
            optimizer.zero_grad()
            (data @ (weight - wanted).T).square().mean().backward()  # type: ignore[no-untyped-call]  # torch's
            optimizer.step()
        left[name] = float(((weight - wanted) @ turn.T).detach().norm(dim=0)[-1])
    assert left["muon"] < 0.5 * left["adam"]


def test_matrices_of_a_student_are_what_mixes_channels_but_the_head() -> None:
    student = students.build(students.record_for("map", 8, 32, 1, "inverted"))
    mixing, others = matrices(student, "core.head")
    names = {id(parameter): name for name, parameter in student.named_parameters()}
    mixed = {names[id(parameter)] for parameter in mixing}
    assert {"core.stem.0.weight", "core.bottom.0.body.0.0.weight", "core.fuse_stem.0.weight"} <= mixed
    left = {names[id(parameter)] for parameter in others}
    assert {"core.head.weight", "core.head.bias", "core.bottom.0.body.1.0.weight", "core.stem.1.weight"} <= left
    assert mixed | left == set(names.values()) and not mixed & left


def test_a_restored_state_goes_on_as_if_nothing_had_happened() -> None:
    def gradient(step: int, shape: tuple[int, ...]) -> Tensor:
        return torch.randn(shape, generator=torch.Generator().manual_seed(step))

    def run(weight: nn.Parameter, bias: nn.Parameter, optimizer: Muon, first: int, last: int) -> None:
        for step in range(first, last):
            weight.grad, bias.grad = gradient(step, (4, 6)), gradient(step, (4,))
            optimizer.step()

    weight, bias = nn.Parameter(torch.ones(4, 6)), nn.Parameter(torch.ones(4))
    optimizer = Muon([weight], [bias], 0.05)
    run(weight, bias, optimizer, 0, 3)
    again, again_bias = nn.Parameter(weight.detach().clone()), nn.Parameter(bias.detach().clone())
    restored = Muon([again], [again_bias], 0.05)
    restored.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    run(weight, bias, optimizer, 3, 6)
    run(again, again_bias, restored, 3, 6)
    assert torch.equal(weight, again) and torch.equal(bias, again_bias)
