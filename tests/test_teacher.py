"""KStyleGAN: shapes, the identity at the start, exact fusion, and files that are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

import teachers
from teachers.blocks import STA, FSBlock, ModulatedConv, RepConv, smooth, warp
from teachers.geometry import rotation_from_6d
from teachers.kstylegan import HEAD, gain_and_bias

TINY = {
    "family": "kstylegan", "channels": [16, 16, 16, 32, 32], "blocks": [1, 1, 1, 1], "render_blocks": [1, 1, 1],
    "coefficients": 5, "style_channels": 16, "size": 32,
}  # fmt: skip
FUSION_TOLERANCE = 1e-5  # sums in another order, float32


@pytest.fixture
def tiny() -> teachers.KStyleGAN:
    torch.manual_seed(0)
    return teachers.build(TINY).eval()


def test_forward_gives_pictures_at_four_scales_and_maps_at_a_quarter(tiny: teachers.KStyleGAN) -> None:
    output = tiny(torch.zeros(2, 3, 32, 48))
    assert [tuple(i.shape[-2:]) for i in output.images] == [(4, 6), (8, 12), (16, 24), (32, 48)]
    assert output.maps.shape == (2, 8, 8, 12)
    assert output.tap.shape == (2, 32, 2, 3)
    assert output.geometry.landmarks.shape == (2, 24, 2)


@pytest.mark.parametrize("size", [256, 512])
def test_the_same_code_builds_larger_teachers(size: int) -> None:
    larger = teachers.build({**TINY, "size": size}).eval()
    with torch.no_grad():
        assert larger(torch.zeros(1, 3, size, size)).image.shape == (1, 3, size, size)


def test_maps_reproduce_the_picture_of_a_flat_head(tiny: teachers.KStyleGAN) -> None:
    photo = torch.rand(1, 3, 32, 32) * 2 - 1
    output = tiny(photo)
    flow, gain, bias = output.maps.split([2, 3, 3], dim=1)
    up = lambda x: F.interpolate(x, size=(32, 32), mode="bilinear", align_corners=False)  # noqa: E731
    assert torch.allclose(warp(photo, flow) * up(gain) + up(bias), output.image, atol=1e-4)


@pytest.mark.parametrize("channels", [32, 48])  # halves of one group and of a width that 16 does not divide
def test_training_computes_what_evaluation_does(channels: int) -> None:
    torch.manual_seed(0)
    block, x = FSBlock(channels), torch.randn(2, channels, 9, 7)
    results, slopes = [], []
    for training in (True, False):
        block.train(training).zero_grad()
        results.append(block(x))
        results[-1].square().sum().backward()
        assert block.wide.weight.grad is not None
        slopes.append(block.wide.weight.grad.clone())
    assert torch.allclose(*results, atol=1e-5)
    assert torch.allclose(*slopes, rtol=1e-3, atol=1e-3)


def test_fuse_keeps_the_function(tiny: teachers.KStyleGAN) -> None:
    for parameter in tiny.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    photo = torch.rand(1, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        before = tiny(photo).image
        after = tiny.fuse()(photo).image
    assert torch.allclose(before, after, atol=FUSION_TOLERANCE)
    assert not any(name.endswith("point.weight") for name, _ in tiny.named_parameters())


def test_one_kernel_equals_the_branches_and_learns_through_them() -> None:
    torch.manual_seed(0)
    conv, x = RepConv(8), torch.randn(2, 8, 5, 5)
    assert conv.point is not None
    branches = conv.wide(x) + conv.point(x) + x
    assert torch.allclose(conv(x), branches, atol=1e-5)
    parameters = list(conv.parameters())
    fast, slow = (torch.autograd.grad(out.square().sum(), parameters) for out in (conv(x), branches))
    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-3) for a, b in zip(fast, slow, strict=True))


def test_fs_block_costs_a_third_of_a_resnet_block() -> None:
    weights = sum(p.numel() for name, p in FSBlock(64).named_parameters() if "weight" in name and "norm" not in name)
    assert weights < 0.45 * 2 * 9 * 64 * 64


def test_modulated_convolution_equals_per_sample_weights() -> None:
    torch.manual_seed(0)
    conv, x, style = ModulatedConv(4, 6, 8), torch.randn(2, 4, 5, 5), torch.randn(2, 8)
    scale = conv.affine(style)
    weight = conv.weight[None] * scale[:, None, :, None, None]
    weight = weight * torch.rsqrt(weight.square().sum(dim=(2, 3, 4), keepdim=True) + 1e-6)
    conv.bias.data.uniform_()
    doubled = F.interpolate(x, scale_factor=2, mode="nearest")
    slow = torch.stack([F.conv2d(doubled[i : i + 1], weight[i], conv.bias, padding=1)[0] for i in range(2)])
    assert torch.allclose(conv(x, style), slow, atol=1e-5)


def test_antialiased_doubling_is_bilinear() -> None:
    torch.manual_seed(0)
    conv, x, style = ModulatedConv(4, 6, 8, antialias=True), torch.randn(1, 4, 6, 6), torch.randn(1, 8)
    scale = conv.affine(style)
    weight = conv.weight * scale[0, None, :, None, None]
    weight = weight * torch.rsqrt(weight.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-6)
    doubled = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    inside = (..., slice(3, -3), slice(3, -3))
    assert torch.allclose(conv(x, style)[inside], F.conv2d(doubled, weight, padding=1)[inside], atol=1e-5)


def test_smoothing_keeps_what_is_even_and_removes_what_alternates() -> None:
    even, row = torch.full((1, 2, 6, 6), 0.7), torch.tensor([1.0, -1.0]).repeat(3)
    assert torch.allclose(smooth(even), even)
    assert torch.allclose(smooth(row.expand(1, 2, 6, 6))[..., 1:-1], torch.zeros(1, 2, 6, 4))


def shifted_apart(antialias: bool) -> float:
    """Of a random network, how far its picture of a photo moved by one pixel is from its picture moved by one pixel."""
    torch.manual_seed(0)
    network = teachers.build({**TINY, "size": 64, "antialias": antialias}).eval()
    for level in network.render:
        torch.nn.init.normal_(level.head.weight, std=0.05)
    photo = smooth(torch.rand(4, 3, 64, 64) * 2 - 1)
    with torch.no_grad():
        still, moved = network(photo).image, network(photo.roll(1, dims=3)).image
    drawn = (still - photo).std()
    return float((moved - still.roll(1, dims=3))[..., 16:-16, 16:-16].abs().mean() / drawn)


def test_antialiased_teacher_is_steadier_under_shifts() -> None:
    assert shifted_apart(antialias=True) < 0.8 * shifted_apart(antialias=False)


def test_detail_gain_removes_or_doubles_what_lies_above_the_smoothed_photo() -> None:
    torch.manual_seed(0)
    teacher = teachers.build({**TINY, "detail_gain": True}).eval()
    photo = torch.rand(1, 3, 32, 32) * 2 - 1
    detail = photo - smooth(smooth(photo))
    with torch.no_grad():
        plain = teacher(photo).image
        for gain in (-1.0, 1.0):
            teacher.render[-1].head.bias[HEAD] = gain
            share = 1 - torch.sigmoid(teacher.render[-1].head.bias[HEAD - 1])  # the mask takes the rest
            assert torch.allclose(teacher(photo).image, plain + gain * share * detail, atol=1e-5)


def test_sta_with_an_open_gate_passes_the_shallow_feature() -> None:
    sta, shallow, deep = STA(3, 4), torch.randn(1, 3, 5, 5), torch.randn(1, 4, 5, 5)
    torch.nn.init.zeros_(sta.gate.weight)
    torch.nn.init.constant_(sta.gate.bias, 50.0)
    assert torch.allclose(sta(shallow, deep), sta.project(shallow), atol=1e-5)


def test_warp_by_one_pixel_shifts_the_picture() -> None:
    picture = torch.rand(1, 3, 8, 8)
    flow = torch.zeros(1, 2, 8, 8)
    flow[:, 0] = 2 / 8
    assert torch.allclose(warp(picture, flow)[..., :-1], picture[..., 1:], atol=1e-6)


def test_rotation_of_identity_columns_is_the_identity() -> None:
    assert torch.allclose(rotation_from_6d(torch.tensor([[1.0, 0, 0, 0, 1, 0]])), torch.eye(3)[None])


def test_gain_and_bias_with_a_closed_mask_leave_the_photo() -> None:
    head = torch.zeros(1, 10, 1, 1)
    head[:, 9] = -50
    gain, bias = gain_and_bias(head)
    assert torch.allclose(gain, torch.ones_like(gain)) and torch.allclose(bias, torch.zeros_like(bias))


def test_input_that_is_no_multiple_of_16_is_refused(tiny: teachers.KStyleGAN) -> None:
    with pytest.raises(ValueError, match=r"\(1, 3, 20, 32\) is not"):
        tiny(torch.zeros(1, 3, 20, 32))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"family": "stylegan9"}, "family 'stylegan9' is unknown"),
        ({"chanels": 3}, "unknown fields chanels"),
        ({"channels": [16, 16, 16, 16, 20]}, "not five positive multiples of 16"),
        ({"size": 50}, "50 is not a multiple of 16"),
        ({"styles": ["toy", "toy"]}, "not one or more different names"),
    ],
)
def test_wrong_architecture_is_refused(change: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        teachers.build({**TINY, **change})


def test_saved_teacher_loads_to_the_same_function(tiny: teachers.KStyleGAN, tmp_path: Path) -> None:
    teachers.save(tiny, tmp_path / "t.safetensors", torch.float32)
    photo = torch.rand(1, 3, 32, 32)
    assert torch.equal(teachers.load(tmp_path / "t.safetensors")(photo).image, tiny(photo).image)


def test_loading_what_is_no_teacher_names_file_and_problem(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    with pytest.raises(ValueError, match="neither a shipped teacher"):
        teachers.load("kstylegan-9000")
    path.write_bytes(b"no tensors")
    with pytest.raises(ValueError, match="not a readable safetensors file"):
        teachers.load(path)
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match="no 'architecture' in the metadata"):
        teachers.load(path)
    save_file({"a": torch.zeros(1)}, path, {"architecture": json.dumps(TINY)})
    with pytest.raises(ValueError, match="do not fit its architecture"):
        teachers.load(path)


def test_styles_are_chosen_by_number_and_interpolated_by_weights() -> None:
    torch.manual_seed(0)
    network = teachers.build({**TINY, "styles": ["fairy-tale", "toy"]}).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    photo = torch.rand(1, 3, 32, 32).repeat(3, 1, 1, 1)
    with torch.no_grad():
        first, second, third = network(photo, torch.tensor([0, 1, 1])).image
        between = network(photo, torch.tensor([[1.0, 0], [0, 1], [0.5, 0.5]])).image
        assert torch.allclose(network(photo).image[1], first, atol=1e-6)
    assert torch.allclose(second, third, atol=1e-5) and not torch.allclose(first, second, atol=1e-3)
    assert torch.allclose(between[0], first, atol=1e-5) and torch.allclose(between[1], second, atol=1e-5)
    assert min((between[2] - one).abs().max() for one in (first, second)) > 1e-4


@pytest.mark.parametrize("style", [torch.zeros(2, dtype=torch.int64), torch.zeros(1, 3), torch.zeros(1)])
def test_style_of_a_wrong_shape_is_refused(tiny: teachers.KStyleGAN, style: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"kstylegan style: .* for 1 photos; give int64 \[1\] or weights \[1, 1\]"):
        tiny(torch.zeros(1, 3, 32, 32), style)
