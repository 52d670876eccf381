"""Plans: order, what a key depends on, and the user's mistakes that are found before anything starts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import small_line
from compress.errors import RecipeError
from compress.plan import Plan, machine, plan, table
from compress.planning.contents import shipped_teachers
from compress.steps import VerifyStep

TIER_STEPS = ["distill", "prune", "finetune", "quantize", "export", "verify"]


def keys(folder: Path, text: str = small_line.RECIPE) -> dict[str, str]:
    return {step.name: step.key for step in plan(small_line.recipe(folder, text)).steps}


def redone(folder: Path, old: str, new: str) -> set[str]:
    """Steps whose key changes with one edit of the recipe."""
    assert old in small_line.RECIPE
    before, after = keys(folder), keys(folder, small_line.RECIPE.replace(old, new, 1))
    return {name for name in after if before.get(name) != after[name]}


def problems(folder: Path, text: str) -> str:
    with pytest.raises(RecipeError) as error:
        plan(small_line.recipe(folder, text))
    return str(error.value)


def tier(name: str, *, since: str) -> set[str]:
    return {f"{step}-{name}" for step in TIER_STEPS[TIER_STEPS.index(since) :]} | {"report"}


def test_steps_come_in_an_order_in_which_parents_are_first(tmp_path: Path) -> None:
    steps = plan(small_line.recipe(tmp_path)).steps
    seen: set[str] = set()
    for step in steps:
        assert set(step.inputs.values()) <= seen
        seen.add(step.name)
    assert [step.name for step in steps[:6]] == [
        "inputs", "targets", "test-inputs", "test-targets", "test-features", "test-motion"
    ]  # fmt: skip
    assert len(steps) == 6 + 2 * len(TIER_STEPS) + 1


def test_teacher_recipe_is_planned(tmp_path: Path) -> None:
    steps = plan(small_line.recipe(tmp_path, small_line.TRAINING)).steps
    assert [step.name for step in steps] == ["pairs", "teach"]


def test_same_recipe_gives_the_same_keys_elsewhere(tmp_path: Path) -> None:
    text = small_line.RECIPE.replace("photos: []", "photos: [faces]", 1)
    found = []
    for name in ("here", "there"):
        small_line.photos(tmp_path / name / "faces", 3)
        found.append(keys(tmp_path / name, text))
    # Pictures of both folders have the same names and bytes.
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("old", "new", "first"),
    [
        ("psnr_mean_db: {min: 20}", "psnr_mean_db: {min: 21}", "verify"),
        ("latency_ms: 50", "latency_ms: 51", "verify"),
        ("calibration_images: 32", "calibration_images: 33", "quantize"),
        ("prune: {macs: 5e5", "prune: {macs: 6e5", "prune"),
        ("width: 8", "width: 16", "distill"),
    ],
)
def test_changed_setting_of_a_tier_redoes_what_depends_on_it(tmp_path: Path, old: str, new: str, first: str) -> None:
    # The second tier is an alias of the first one.
    assert redone(tmp_path, old, new) == tier("cpu", since=first) | tier("npu", since=first)


def test_changed_tier_leaves_the_other_one_alone(tmp_path: Path) -> None:
    own = "npu:\n    student: {width: 16, core_resolution: 32, blocks: 1}\n"
    rest = small_line.RECIPE[small_line.RECIPE.index("    budget") : small_line.RECIPE.index("  npu")]
    rest = rest.replace("&training ", "")
    assert redone(tmp_path, "npu: *tier\n", own + rest) == tier("npu", since="distill")


def test_changed_test_set_redoes_no_training(tmp_path: Path) -> None:
    judged = {"test-features", "test-motion", "verify-cpu", "verify-npu", "report"}
    assert redone(tmp_path, "rendered: 80", "rendered: 90") == {"test-inputs", "test-targets"} | judged
    moved = redone(tmp_path, "rendered_seed: 2", "rendered_seed: 2, steadiness: {images: 9}")
    assert moved == judged - {"test-features"}


def test_test_set_that_does_not_move_has_no_such_step_and_no_such_gates(tmp_path: Path) -> None:
    still = small_line.RECIPE.replace("rendered_seed: 2", "rendered_seed: 2, steadiness: {images: 0, videos: 0}")
    assert "test-motion" not in {step.name for step in plan(small_line.recipe(tmp_path, still)).steps}
    with pytest.raises(RecipeError, match="test.steadiness.videos is 0, it cannot be measured"):
        plan(small_line.recipe(tmp_path, still.replace("psnr_mean_db: {min: 20}", "flicker_ratio: {max: 1}")))


def test_changed_seed_leaves_inputs_and_targets(tmp_path: Path) -> None:
    assert redone(tmp_path, "seed: 3", "seed: 4") == tier("cpu", since="distill") | tier("npu", since="distill")


def test_changed_report_redoes_only_the_report(tmp_path: Path) -> None:
    assert redone(tmp_path, "seed: 3", "seed: 3\nreport: {worst: 3}") == {"report"}


def test_changed_teacher_file_redoes_what_it_made(tmp_path: Path) -> None:
    before = keys(tmp_path)
    path = small_line.recipe(tmp_path)
    small_line.checkpoint(tmp_path / "teacher.safetensors", {"architecture": '{"size": 1}'})
    after = {step.name: step.key for step in plan(path).steps}
    assert {name for name in after if before[name] == after[name]} == {"inputs", "test-inputs"}


def test_changed_style_draws_anew_and_its_name_must_be_known(tmp_path: Path) -> None:
    old = "teacher.safetensors}"
    made = redone(tmp_path, old, "teacher.safetensors, style: {fairy-tale: 1}}")
    assert {"targets", "test-targets", "test-motion"} <= made and not {"inputs", "test-inputs"} & made
    found = problems(tmp_path, small_line.RECIPE.replace(old, "teacher.safetensors, style: toy}"))
    assert "teacher.style (line 3): 'toy' is no style of this teacher; it has fairy-tale" in found


def test_changed_photograph_changes_the_key(tmp_path: Path) -> None:
    text = small_line.RECIPE.replace("photos: []", "photos: [faces]", 1)
    photo = small_line.photos(tmp_path / "faces", 3) / "001.jpg"
    before = keys(tmp_path, text)
    photo.write_bytes(b"another photo")
    after = keys(tmp_path, text)
    assert before["inputs"] != after["inputs"]
    assert before["test-inputs"] == after["test-inputs"]


@pytest.mark.parametrize(("size", "place"), [(100_000, 50_000), (100_000, 99_999), (2 << 20, (2 << 20) - 1)])
def test_photograph_changed_behind_its_first_bytes_changes_the_key(tmp_path: Path, size: int, place: int) -> None:
    text = small_line.RECIPE.replace("photos: []", "photos: [faces]", 1)
    photo = small_line.photos(tmp_path / "faces", 3) / "001.jpg"
    found = []
    for value in (0, 1):
        content = bytearray(size)
        content[place] = value
        photo.write_bytes(content)
        found.append(keys(tmp_path, text)["inputs"])
    assert found[0] != found[1]


def test_result_of_a_pair_changed_behind_its_first_bytes_draws_anew(tmp_path: Path) -> None:
    for kind in ("photos", "results"):
        for part, count in (("train", 40), ("test", 80)):
            small_line.photos(tmp_path / "pairs" / kind / part, count)
    text = small_line.RECIPE.replace("network: teacher.safetensors", "pairs: pairs")
    text = text.replace("rendered: 100", "rendered: 0").replace("photos: []", "photos: [pairs/photos/train]", 1)
    still = "photos: [pairs/photos/test], steadiness: {images: 0, videos: 0}"
    text = text.replace("rendered: 80", "rendered: 0").replace("photos: []", still)
    found = []
    for last in (b"0", b"1"):
        (tmp_path / "pairs" / "results" / "test" / "001.jpg").write_bytes(b"0" * 50_000 + last)
        found.append(keys(tmp_path, text))
    assert found[0]["test-inputs"] == found[1]["test-inputs"]
    assert found[0]["test-targets"] != found[1]["test-targets"]


@pytest.mark.parametrize("changed", ["onnxruntime", "openvino", "processor"])
def test_other_runtime_or_processor_verifies_anew_and_redoes_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    names = {"onnxruntime": "1.2", "openvino": "3.4", "processor": "Abacus"}
    monkeypatch.setattr("compress.plan.importlib.metadata.version", names.__getitem__)
    monkeypatch.setattr("compress.plan._processor", lambda: names["processor"])
    before = plan(small_line.recipe(tmp_path)).steps
    names[changed] = "another"
    after = keys(tmp_path)
    assert {step.name for step in before if step.key != after[step.name]} == {"verify-cpu", "verify-npu", "report"}
    told = {step.settings.machine for step in before if isinstance(step.settings, VerifyStep)}
    assert told == {"onnxruntime 1.2, openvino 3.4, Abacus"}


def test_machine_without_openvino_is_told_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compress.plan.RUNTIMES", ("onnxruntime", "no-such-runtime"))
    assert re.fullmatch(r"onnxruntime \d[\w.]+, \S.*", machine())


def test_missing_folders_and_teacher_are_found_together(tmp_path: Path) -> None:
    text = small_line.RECIPE.replace("photos: []", "photos: [nowhere]").replace("teacher.safe", "absent.safe")
    found = problems(tmp_path, text)
    assert "teacher.network (line 3): " in found
    assert "absent.safetensors: there is no such file; correct the path" in found
    assert f"inputs.photos[0] (line 4): {tmp_path}/nowhere: there is no such folder" in found
    assert "test.photos[0] (line 5): " in found


def test_folder_without_pictures_and_file_as_folder_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / ".hidden.jpg").touch()
    found = problems(tmp_path, small_line.RECIPE.replace("photos: []", "photos: [empty, recipe.yaml]", 1))
    assert "empty: no picture (" in found
    assert "recipe.yaml: is a file, not a folder" in found


def test_photos_shared_by_inputs_and_test_are_a_leak(tmp_path: Path) -> None:
    small_line.photos(tmp_path / "faces" / "val", 40)
    text = small_line.RECIPE.replace("photos: []", "photos: [faces]", 1).replace("photos: []", "photos: [faces/val]", 1)
    assert "the same faces would be learned and judged; keep the two apart" in problems(tmp_path, text)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"not a checkpoint", "not a safetensors file"),
        (b"", "not a safetensors file"),
        (b"\x02" + b"\0" * 7 + b"[]", "not a safetensors file"),
        (b"\x02" + b"\0" * 7 + b"{}", "has no architecture in its metadata"),
        (b"\x20" + b"\0" * 7 + b'{"a": {"data_offsets": [0, 10]}}', "the file is truncated; copy it again"),
    ],
)
def test_wrong_checkpoint_is_found_by_its_header(tmp_path: Path, content: bytes, problem: str) -> None:
    path = small_line.recipe(tmp_path)
    (tmp_path / "teacher.safetensors").write_bytes(content)
    with pytest.raises(RecipeError, match=f"teacher.safetensors: {problem}"):
        plan(path)


def test_unknown_teacher_is_named_with_what_is_shipped(tmp_path: Path) -> None:
    found = problems(tmp_path, small_line.RECIPE.replace("teacher.safetensors", "kstylegan"))
    assert "'kstylegan' is no shipped teacher and no .safetensors file; " in found
    assert all(name in found for name in shipped_teachers())


def test_sets_too_small_for_the_gates_are_named(tmp_path: Path) -> None:
    found = problems(tmp_path, small_line.RECIPE.replace("rendered: 80", "rendered: 20"))
    assert "test (line 5): has 20 rendered and 0 photographs; gates need at least 30 of one kind" in found
    fifth = small_line.RECIPE.replace("rendered: 80", "rendered: 40").replace("psnr_mean_db", "psnr_p5_db")
    assert "gates.psnr_p5_db (line 14): cannot pass on 40 rendered, it needs 72" in problems(tmp_path, fifth)


def test_pruning_to_more_than_the_student_has_is_named(tmp_path: Path) -> None:
    found = problems(tmp_path, small_line.RECIPE.replace("macs: 2e6", "macs: 9e6").replace("macs: 5e5", "macs: 9e6"))
    assert "tiers.cpu.prune.macs (line 11): 9000000 is above the 833536 of the unpruned student" in found


def test_more_calibration_than_inputs_is_named(tmp_path: Path) -> None:
    found = problems(tmp_path, small_line.RECIPE.replace("calibration_images: 32", "calibration_images: 101"))
    assert "calibration_images (line 13): 101 is more than the 100 images of inputs" in found


def test_table_shows_steps_keys_and_states(tmp_path: Path) -> None:
    the_plan: Plan = plan(small_line.recipe(tmp_path))
    lines = list(table(the_plan, {"inputs": "done"}))
    assert lines[0].startswith("small: 19 steps, about ")
    assert the_plan.steps[0].key[:12] in lines[2]
    assert lines[2].endswith("done")
    assert lines[3].endswith("to do")


def test_copies_among_the_test_pictures_are_named(tmp_path: Path) -> None:
    text = small_line.RECIPE.replace("rendered_seed: 2, photos: []", "rendered_seed: 2, photos: [faces]")
    folder = small_line.photos(tmp_path / "faces", 3)
    plan(small_line.recipe(tmp_path, text))
    (folder / "z.jpg").write_bytes((folder / "001.jpg").read_bytes())
    with pytest.raises(RecipeError, match="faces/z.jpg is a copy of .*faces/001.jpg; remove one of them"):
        plan(small_line.recipe(tmp_path, text))
