"""The optimizer Muon: orthogonalised momentum for the weights of convolutions, Adam for everything else.

A step moves all singular directions of a layer's weights alike, not mostly those in which gradients happen to be
large; students learn far faster by it (docs/ablations.md). Not covered: rates over time (loop.py).
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

MOMENTUM = 0.95
BETAS = (0.5, 0.999)  # of Adam, as image translation uses them (DCGAN, ICLR 2016, section 4)
ITERATIONS = 5
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
# Root mean square of a step's entries, in learning rates: that of Adam's steps, so that one learning rate serves both.
RMS = 0.2


class Muon(torch.optim.Adam):
    """Muon for the groups of parameters marked as `matrices` (see `groups`), Adam for the others.

    Sources: Jordan et al., Muon (2024); the size of the steps: Liu et al., Muon is Scalable for LLM Training (2025),
    equation 4. `torch.optim.Muon` takes matrices alone, and computes in bfloat16, which many processors emulate.
    """

    def __init__(
        self, groups: Sequence[dict[str, Any]], learning_rate: float, betas: tuple[float, float] = BETAS
    ) -> None:
        whole = [{"matrices": False} | group for group in groups if group["params"]]
        super().__init__(whole, learning_rate, betas=betas, fused=True)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]  # torch's overloads
        """One step; gradients of the matrices are gone afterwards, by which Adam passes over them."""
        assert closure is None, "trainings compute their gradients themselves"
        for group in self.param_groups:
            if group["matrices"]:
                for matrix in group["params"]:
                    self._move(matrix, float(group["lr"]))
        super().step()

    def _move(self, matrix: nn.Parameter, learning_rate: float) -> None:
        gradient, matrix.grad = matrix.grad, None
        if gradient is None:
            return
        state = self.state[matrix]
        if not state:
            state["step"] = torch.zeros(())  # Adam looks for it when a state is loaded
            state["momentum"] = torch.zeros_like(gradient)
        momentum = state["momentum"].lerp_(gradient, 1 - MOMENTUM)
        ahead = gradient.lerp(momentum, MOMENTUM).flatten(1)
        size = RMS * max(ahead.shape) ** 0.5
        matrix.add_(orthogonalised(ahead).view_as(matrix), alpha=-learning_rate * size)


def orthogonalised(matrix: Tensor) -> Tensor:
    """[m, n] with its singular vectors, and singular values that are brought near 1 (0.7 to 1.2).

    The same five Newton-Schulz steps as Muon's, but on the smaller Gram matrix alone: a wide layer costs two products
    as large as itself instead of fifteen.
    """
    matrix = matrix.float()
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    wide = wide / wide.norm().clamp(min=1e-7)
    gram = wide @ wide.T
    a, b, c = COEFFICIENTS
    turned = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    for _ in range(ITERATIONS):
        factor = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal().add_(a)
        turned = factor @ turned
        gram = factor @ gram @ factor
    result: Tensor = turned @ wide
    return result if matrix.shape[0] <= matrix.shape[1] else result.T


def groups(network: nn.Module, heads: Sequence[str]) -> list[dict[str, Any]]:
    """All parameters of a network in two groups: those that are no matrices, and those that are.

    The weights of convolutions and linear layers are matrices, a row an output. Left to Adam: the layers named by
    `heads` (patterns of fnmatch), whose rows mean different things, and depthwise weights, which mix nothing.
    """
    mixing: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        mixes = parameter.ndim > 1 and min(parameter.shape[:2]) > 1
        layer = name.rpartition(".")[0]
        left = any(fnmatch.fnmatchcase(layer, head) for head in heads)
        (mixing if mixes and not left else others).append(parameter)
    return [{"params": others}, {"params": mixing, "matrices": True}]
