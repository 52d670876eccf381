"""Students: records, the core, fold and composite against values worked out by hand, storage."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import students
from students import rgb

TINY = students.record_for("map", 8, 32, 1)


def tiny(family: str = "map", block: str = "plain") -> students.Student:
    torch.manual_seed(0)
    student = students.build(students.record_for(family, 8, 32, 1, block)).eval()
    torch.nn.init.normal_(student.core.get_submodule("head").get_parameter("weight"), std=0.1)
    return student


def photo(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_untrained_map_student_nearly_keeps_the_photo() -> None:
    x = photo(1, 3, 40, 48)
    changed = (students.build(TINY)(x).image - x).abs()
    assert changed.max() < 0.1  # 5 % of the way to its smoothed self, from which a pixel of noise may be 2 away
    assert changed.mean() < 0.03
    even = torch.full((1, 3, 40, 48), 0.7)
    assert (students.build(TINY)(even).image - even).abs().max() < 1e-5


@pytest.mark.parametrize("block", ["plain", "inverted"])
@pytest.mark.parametrize("family", ["map", "rgb"])
def test_student_of_any_photo_size_gives_image_maps_and_tap(family: str, block: str) -> None:
    output = tiny(family, block)(photo(2, 3, 50, 70))
    assert output.image.shape == (2, 3, 50, 70)
    assert output.tap.shape == (2, 32, 4, 4)
    assert output.maps is None if family == "rgb" else output.maps.shape == (2, 8, 16, 16)


def test_fold_of_one_pixel_equals_formula_by_hand() -> None:
    raw = torch.zeros(1, 12, 1, 1)
    raw[0, :2, 0, 0] = torch.tensor([1.0, -2.0])
    raw[0, 2, 0, 0], raw[0, 5, 0, 0], raw[0, 8, 0, 0], raw[0, 11, 0, 0] = 0.6931472, 0.25, 0.5493061, 3.0
    low = torch.tensor([[-1.0, 0.0], [0.5, 0.1]]).expand(1, 3, 2, 2)
    maps = students.fold(raw, low)[0, :, 0, 0]
    # g = 2, bias = 0.25, residual = 0.5 * 0.3, mask = 0.5, smooth = -0.1
    # A = 2 * 0.5, B = 2 - 1 + 0.25 + 0.5 (-0.2 + 0.15)
    assert maps.tolist() == pytest.approx([0.1, -0.2, 1.0, 0.5, 0.5, 1.225, -0.05, -0.05], abs=1e-6)


def test_where_the_mask_is_1_the_photo_is_smoothed_and_moved() -> None:
    x = photo(1, 3, 16, 16)
    raw = torch.zeros(1, 12, 8, 8)
    raw[:, 0], raw[:, 11] = 2 / 8 / 0.1, 40
    maps = students.fold(raw, x)
    assert torch.equal(maps[:, 2:5], torch.zeros(1, 3, 8, 8))
    assert torch.allclose(maps[:, 5:, :, :-1], F.avg_pool2d(x, 2)[..., 1:], atol=1e-5)


def test_composite_with_flow_of_one_pixel_shifts_the_photo() -> None:
    x = photo(1, 3, 8, 8)
    maps = torch.zeros(1, 8, 4, 4)
    maps[:, 0], maps[:, 2:5] = 2 / 8, 1
    assert torch.allclose(students.composite(x, maps)[..., :-1], x[..., 1:], atol=1e-5)


def test_composite_multiplies_and_adds_the_enlarged_maps() -> None:
    x, maps = photo(1, 3, 12, 20), torch.zeros(1, 8, 4, 4)
    maps[:, 2:8] = photo(1, 6, 4, 4)
    enlarged = F.interpolate(maps, size=(12, 20), mode="bilinear")
    assert torch.allclose(students.composite(x, maps), x * enlarged[:, 2:5] + enlarged[:, 5:8], atol=1e-5)


def test_composite_under_autocast_stays_float32() -> None:
    x, maps = photo(1, 3, 64, 64), photo(1, 8, 4, 4) * 0.1
    with torch.autocast("cpu", torch.bfloat16):
        image = students.composite(x, maps)
    assert torch.equal(image, students.composite(x, maps))


def test_downsample_to_half_is_the_triangle_filter() -> None:
    x = photo(1, 1, 16, 16)
    weights = torch.tensor([1.0, 3, 3, 1]) / 8
    filtered = F.conv2d(x, torch.outer(weights, weights)[None, None], stride=2, padding=1)
    assert torch.allclose(students.downsample(x, 8)[..., 1:-1, 1:-1], filtered[..., 1:-1, 1:-1], atol=1e-6)


def test_downsample_keeps_a_flat_photo_flat() -> None:
    assert torch.allclose(students.downsample(torch.full((1, 3, 37, 53), 0.3), 16), torch.tensor(0.3), atol=1e-6)


def test_rgb_draws_two_by_two_pixels_of_each_raw_position() -> None:
    raw = torch.arange(12.0).reshape(1, 12, 1, 1)
    assert rgb.draw(raw, 2, 2)[0, 1].tolist() == [[4, 5], [6, 7]]


def test_record_of_a_cut_core_is_read_from_its_tensors() -> None:
    record = copy.deepcopy(TINY)
    record["channels"] |= {"stem": 5, "middle": 9, "bottom": 11, "blocks": [7], "fuse_middle": 6, "fuse_stem": 3}
    assert students.record_of(students.build(record)) == record


def test_record_for_three_widths_and_block_widths_takes_them() -> None:
    channels = students.record_for("map", [8, 16, 24], 32, [4, 12])["channels"]
    assert channels == {"stem": 8, "middle": 16, "bottom": 24, "blocks": [4, 12], "fuse_middle": 16, "fuse_stem": 8}


def test_every_preset_builds() -> None:
    assert {tier: students.build(students.preset(tier)).family for tier in students.TIERS} == {
        "cpu": "map",
        "npu": "map",
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"family": "gan"}, "family: 'gan' is unknown; choose one of map, rgb"),
        ({"block": 3}, "block: 3 is unknown"),
        ({"core_resolution": 36}, "core_resolution: 36 is not a multiple of 8"),
        ({"core_resolution": True}, "core_resolution: True is not a positive whole number"),
        ({"channels": []}, "channels: .* is not a table of widths"),
        ({"extra": 1}, r"unknown \['extra'\]"),
        ({"channels": TINY["channels"] | {"blocks": 2}}, "channels.blocks: 2 is not a list"),
        ({"channels": TINY["channels"] | {"stem": 0}}, "channels.stem: 0 is not a positive whole number"),
        ({"channels": {"stem": 8}}, r"missing \['middle', 'bottom'"),
    ],
)
def test_build_from_a_wrong_record_names_the_field(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        students.build(TINY | change)


def test_record_for_two_widths_is_refused() -> None:
    with pytest.raises(ValueError, match="has 2 widths; give one, or those at strides 2, 4, 8"):
        students.record_for("map", [8, 16], 32, 1)


def test_preset_of_an_unknown_tier_names_the_tiers() -> None:
    with pytest.raises(ValueError, match="'gpu' is unknown; the presets are cpu, npu"):
        students.preset("gpu")


def test_load_after_save_gives_the_same_image(tmp_path: Path) -> None:
    student, x = tiny(), photo(1, 3, 32, 32)
    students.save(student, tmp_path)
    assert torch.equal(students.load(tmp_path)(x).image, student(x).image)


def _break_weights(folder: Path) -> None:
    (folder / "weights.safetensors").write_bytes(b"no tensors")


def _break_record(folder: Path) -> None:
    (folder / "architecture.json").write_text("{", encoding="utf-8")


def _list_record(folder: Path) -> None:
    (folder / "architecture.json").write_text("[]", encoding="utf-8")


def _widen_record(folder: Path) -> None:
    (folder / "architecture.json").write_text(json.dumps(students.record_for("map", 16, 32, 2)), encoding="utf-8")


def _remove_weights(folder: Path) -> None:
    (folder / "weights.safetensors").unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_break_weights, "weights.safetensors: is damaged"),
        (_break_record, "architecture.json: is not JSON"),
        (_list_record, "architecture.json: list is not a record"),
        (_widen_record, "does not fit architecture.json: missing .*bottom.1"),
        (_remove_weights, "weights.safetensors: is missing"),
    ],
)
def test_load_of_a_damaged_student_says_what_is_wrong(tmp_path: Path, damage: Any, message: str) -> None:
    students.save(tiny(), tmp_path)
    damage(tmp_path)
    with pytest.raises(ValueError, match=message):
        students.load(tmp_path)
