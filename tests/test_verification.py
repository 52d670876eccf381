"""The plan of a verification: the test set of the run, the candidate by its content, and no gate lost silently."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import small_line
import small_model
from compress.errors import InputError, RecipeError
from compress.plan import Plan, plan
from compress.planning.verification import candidate_name, verification_plan

NEEDY = small_line.RECIPE.replace(
    "gates: {psnr_mean_db: {min: 20}}",
    "gates: {psnr_mean_db: {min: 20}, int8_psnr_db: {min: 30}, parity_int8_levels: {max: 2}}",
)


def planned(folder: Path, text: str = small_line.RECIPE, gain: float = 1.0, **options: Any) -> Plan:
    candidate = small_model.write(folder / "mine.onnx", gain)
    return verification_plan(small_line.recipe(folder, text), candidate, **{"tier": "cpu", **options})


def keys(found: Plan) -> dict[str, str]:
    return {step.name: step.key for step in found.steps}


def test_steps_of_the_test_set_are_those_of_the_run(tmp_path: Path) -> None:
    found, whole = keys(planned(tmp_path)), keys(plan(small_line.recipe(tmp_path)))
    tests = ["test-inputs", "test-targets", "test-features", "test-motion"]
    assert list(found) == [*tests, "candidate", "verify-cpu", "report"]
    assert [found[name] for name in tests] == [whole[name] for name in tests]
    assert found["verify-cpu"] != whole["verify-cpu"]


def test_candidate_is_known_by_its_content_not_its_place(tmp_path: Path) -> None:
    first = planned(tmp_path)
    moved = shutil.move(tmp_path / "mine.onnx", tmp_path / "moved.onnx")
    again = verification_plan(tmp_path / "recipe.yaml", Path(moved), "cpu")
    assert keys(first) == keys(again)
    assert candidate_name(again).startswith("moved-")
    assert keys(planned(tmp_path, gain=0.5))["candidate"] != keys(first)["candidate"]


def test_weights_in_a_file_of_their_own_are_part_of_the_content(tmp_path: Path) -> None:
    path = small_line.recipe(tmp_path)
    found, names, files = [], [], []
    for gain in (1.0, 0.5):
        candidate = small_model.write(tmp_path / "mine.onnx", gain, external=True)
        the_plan = verification_plan(path, candidate, "cpu")
        found.append(keys(the_plan)["candidate"])
        names.append(candidate_name(the_plan))
        files.append(candidate.read_bytes())
    assert files[0] == files[1]
    assert found[0] != found[1] and names[0] != names[1]


@pytest.mark.parametrize("option", [{"input_range": "0..1"}, {"layout": "nhwc"}, {"without": ["latency_ms"]}])
def test_what_is_said_of_the_file_is_part_of_the_keys(tmp_path: Path, option: dict[str, Any]) -> None:
    assert keys(planned(tmp_path))["verify-cpu"] != keys(planned(tmp_path, **option))["verify-cpu"]


def test_pictures_of_the_training_need_not_exist(tmp_path: Path) -> None:
    text = small_line.RECIPE.replace(
        "rendered: 100, rendered_seed: 1, photos: []", "rendered: 0, rendered_seed: 1, photos: [gone]"
    )
    expected = keys(planned(tmp_path))
    assert keys(planned(tmp_path, text)) == expected
    with pytest.raises(RecipeError, match="gone: there is no such folder"):
        plan(tmp_path / "recipe.yaml")


def test_problems_of_the_test_set_are_still_found(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="test.rendered|test .*has 9 rendered"):
        planned(tmp_path, small_line.RECIPE.replace("rendered: 80", "rendered: 9"))


def test_only_tier_needs_no_name(tmp_path: Path) -> None:
    found = planned(tmp_path, small_line.RECIPE.replace("  npu: *tier\n", ""), tier=None)
    assert "verify-cpu" in keys(found)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tier": None}, "has the tiers cpu, npu; choose one with --tier"),
        ({"tier": "cp"}, "--tier cp: .* has no such tier; did you mean cpu?"),
        ({"without": ["latncy_ms"]}, "--without latncy_ms: unknown gate; did you mean latency_ms?"),
        ({"without": ["ssim_mean"]}, "--without ssim_mean: tier cpu has no such gate; known are psnr_mean_db, macs"),
        ({"without": ["psnr_mean_db", "macs", "size_bytes", "latency_ms"]}, "leaves no gate to judge by"),
        ({"float_file": Path("absent.onnx")}, "absent.onnx"),
    ],
)
def test_argument_that_is_wrong_is_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        planned(tmp_path, **options)


def test_recipe_of_a_teacher_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="trains a teacher and has no gates; name a recipe with tiers"):
        planned(tmp_path, small_line.TRAINING)


@pytest.mark.parametrize("content", [None, b"", b"no network"])
def test_file_that_is_no_model_is_refused_at_once(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "bad.onnx").write_bytes(content)
    with pytest.raises(InputError, match="bad.onnx"):
        verification_plan(small_line.recipe(tmp_path), tmp_path / "bad.onnx", "cpu")


def test_gate_that_the_file_cannot_be_judged_by_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        planned(tmp_path, NEEDY)
    assert "tiers.cpu.gates: int8_psnr_db needs " in str(caught.value)
    assert (
        "give --float FILE, or leave them out on record with --without int8_psnr_db --without parity_int8_levels"
        in str(caught.value)
    )


@pytest.mark.parametrize("float_file", [False, True])
def test_gate_on_the_core_alone_is_refused_with_and_without_a_float_file(tmp_path: Path, float_file: bool) -> None:
    text = small_line.RECIPE.replace("{psnr_mean_db: {min: 20}}", "{int8_core_speedup: {min: 1}}")
    options = {"float_file": small_model.write(tmp_path / "float.onnx", 0.9)} if float_file else {}
    reason = "int8_core_speedup needs the core as a file of its own, which only kcompress exports; leave them out"
    with pytest.raises(InputError, match=f"gates: {reason} on record with --without int8_core_speedup"):
        planned(tmp_path, text, **options)
    assert planned(tmp_path, text, without=["int8_core_speedup"], **options)


def test_float_file_leaves_only_what_torch_is_needed_for(tmp_path: Path) -> None:
    float_file = small_model.write(tmp_path / "float.onnx", 0.9)
    with pytest.raises(
        InputError, match=r"gates: parity_int8_levels needs .*; leave them out on record with --without p"
    ):
        planned(tmp_path, NEEDY, float_file=float_file)
    found = planned(tmp_path, NEEDY, float_file=float_file, without=["parity_int8_levels"])
    (verify,) = (step for step in found.steps if step.stage == "verify")
    assert verify.settings.model_dump()["left_out"] == ("parity_int8_levels",)
