"""MACs against numbers computed by hand and against PyTorch's own operation counter."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from compress.errors import StageError
from compress.shrinking import macs


class Functional(nn.Module):
    """Runs any function, so that operators without a module can be counted."""

    def __init__(self, function: object) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.function(*inputs)  # type: ignore[operator,no-any-return]  # any callable of tensors


def test_count_convolution_matches_hand_computation() -> None:
    report = macs.count(nn.Conv2d(3, 8, 3, stride=2, padding=1), torch.zeros(1, 3, 16, 16))
    assert report.total == 8 * 8 * 8 * 3 * 9


def test_count_grouped_convolution_divides_by_groups() -> None:
    assert macs.count(nn.Conv2d(8, 16, 3, padding=1, groups=4), torch.zeros(1, 8, 4, 4)).total == 4 * 4 * 16 * 2 * 9


def test_count_transposed_convolution_counts_each_input_once_per_tap() -> None:
    network, example = nn.ConvTranspose2d(8, 4, 4, stride=2, padding=1), torch.zeros(1, 8, 5, 5)
    assert macs.count(network, example).total == 5 * 5 * 8 * 4 * 16
    # the convention of torchprofile: over the 10 x 10 outputs, four times as many
    assert macs.torchprofile_count(network, example).total == 10 * 10 * 4 * 8 * 16


def test_count_linear_of_sequence_counts_rows() -> None:
    assert macs.count(nn.Linear(5, 7), torch.zeros(2, 3, 5)).total == 2 * 3 * 5 * 7


def test_count_matrix_products_and_attention() -> None:
    product = Functional(torch.matmul)
    assert macs.count(product, (torch.zeros(2, 3, 4), torch.zeros(2, 4, 5))).total == 2 * 3 * 4 * 5
    query, key = torch.zeros(1, 2, 3, 8), torch.zeros(1, 2, 5, 8)
    attention = Functional(F.scaled_dot_product_attention)
    assert macs.count(attention, (query, key, key)).total == 2 * 3 * 5 * (8 + 8)


@pytest.mark.parametrize(("mode", "taps"), [("bilinear", 4), ("bicubic", 16), ("nearest", 0)])
def test_count_resampling_counts_taps(mode: str, taps: int) -> None:
    image, grid = torch.zeros(1, 3, 8, 8), torch.zeros(1, 6, 5, 2)
    sample = Functional(lambda x, g: F.grid_sample(x, g, mode=mode, align_corners=False))
    assert macs.count(sample, (image, grid)).total == 3 * 6 * 5 * taps
    resize = Functional(lambda x: F.interpolate(x, scale_factor=2.0, mode=mode))
    assert macs.count(resize, image).total == 3 * 16 * 16 * taps


def test_count_antialiased_reduction_counts_two_passes() -> None:
    reduce = Functional(lambda x: F.interpolate(x, size=(4, 2), mode="bilinear", antialias=True))
    assert macs.count(reduce, torch.zeros(1, 3, 8, 8)).total == 3 * (8 * 2 * (2 * 4) + 4 * 2 * (2 * 2))


def test_count_agrees_with_flop_counter_of_pytorch() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1),
        nn.BatchNorm2d(8),
        nn.ReLU6(),
        nn.ConvTranspose2d(8, 4, 4, 2, 1),
        nn.Flatten(),
        nn.Linear(1024, 3),
    ).eval()
    example = torch.zeros(2, 3, 16, 16)
    with FlopCounterMode(display=False) as flops, torch.no_grad():
        network(example)
    assert macs.count(network, example).total * 2 == flops.get_total_flops()


def test_count_by_layer_names_the_running_module_and_sums_up() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.ReLU(), nn.Conv2d(4, 2, 1)))
    report = macs.count(network, torch.zeros(1, 3, 2, 2))
    assert report.by_layer == {"0": 48, "1.1": 32}
    assert report.total == sum(report.by_operator.values()) == 80


def test_count_leaves_modes_and_statistics() -> None:
    norm, dropout = nn.BatchNorm2d(3), nn.Dropout().eval()
    network = nn.Sequential(norm, dropout)
    macs.count(network, torch.ones(2, 3, 4, 4))
    assert norm.training
    assert not dropout.training
    assert torch.equal(norm.state_dict()["running_mean"], torch.zeros(3))


def test_count_unknown_operator_is_an_error() -> None:
    with pytest.raises(StageError, match=r"layer '0': operator aten::_?fft_r2c has no counting rule; state one"):
        macs.count(nn.Sequential(Functional(torch.fft.rfft)), torch.zeros(4))


def test_torchprofile_count_adds_elementwise_products_and_normalisation() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), Functional(lambda x: x * 2))
    assert macs.torchprofile_count(network, torch.zeros(1, 3, 2, 2)).total == 48 + 16 + 16
