"""Reading recipes: what is accepted, and each mistake with its sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

import small_line
from compress.errors import RecipeError
from compress.planning.reading import load, schema
from compress.recipe import STYLES, Recipe, TeacherRecipe


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(RecipeError) as error:
        load(small_line.recipe(folder, text))
    return list(error.value.problems)


def changed(old: str, new: str, text: str = small_line.RECIPE) -> str:
    assert text.count(old) == 1
    return text.replace(old, new)


def test_recipe_in_order_becomes_frozen_sections(tmp_path: Path) -> None:
    recipe = load(small_line.recipe(tmp_path)).recipe
    assert isinstance(recipe, Recipe)
    assert recipe.tiers["cpu"].distill.learning_rate == 0.002
    assert recipe.tiers["npu"] == recipe.tiers["cpu"]
    with pytest.raises(ValueError, match="frozen"):
        recipe.seed = 4  # type: ignore[misc]  # what the test is about


def test_recipe_with_training_becomes_a_teacher_recipe(tmp_path: Path) -> None:
    recipe = load(small_line.recipe(tmp_path, small_line.TRAINING)).recipe
    assert isinstance(recipe, TeacherRecipe)
    assert recipe.training.architecture.channels == (16, 16, 32, 32, 32)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("seed: 3", "sede: 3", "sede (line 2): unknown key 'sede'; did you mean 'seed'?"),
        ("seed: 3", "colour: 3", "colour (line 2): unknown key 'colour'; known here: name, seed, teacher"),
        ("name: small", "name: Small One", "name (line 1): 'Small One' is not text (lower-case"),
        ("name: small", "name: 12", "(lower-case letters, digits, . _ -); put it in quotes"),
        ("seed: 3", "seed: 010", "seed (line 2): 010 starts with a zero; write 10 for the number, '010' for text"),
        ("seed: 3", "seed: 1_000", "seed (line 2): 1_000 is written with underscores; write 1000"),
        ("seed: 3", "seed: off", "seed (line 2): 'off' is not a whole number from 0 to"),
        ("seed: 3", "seed: true", "seed (line 2): true is not a whole number from 0 to"),
        ("seed: 3", "seed: 1.5", "seed (line 2): 1.5 is not a whole number from 0 to"),
        ("seed: 3", "seed: 0x1F", "seed (line 2): '0x1F' is not a whole number from 0 to"),
        ("seed: 3", "seed:", "seed (line 2): is empty; write a value or remove the key"),
        ("seed: 3", "seed: 3\nseed: 4", "seed (line 3): stands here and on line 2; keep one of them"),
        ("seed: 3", "seed: !!int 3", "line 2: the tag !!int is not allowed; recipes are plain data, remove it"),
        ("seed: 3", "seed: !!python/object/apply:os.system [ls]", "line 2: the tag !!python/object/apply:os"),
        ("seed: 3", "seed: 1e999", "seed (line 2): 1e999 is too large for a number; write a smaller one"),
        ("seed: 3", "seed: " + "9" * 5000, "seed (line 2): a number of 5000 characters; write a shorter one"),
        ("seed: 3", "seed: .inf", "seed (line 2): '.inf' is not a whole number"),
        ("seed: 3", "? [a, b]\n: 3", "line 2: a key is not a plain word; write `key: value`"),
        ("size: 64, rendered: 100", "size: 65, rendered: 100", "inputs.size (line 4): 65 is not a whole number from"),
        ("photos: []}\ntest", "photos: [1]}\ntest", "inputs.photos[0] (line 4): 1 is not text; put it in quotes"),
        ("photos: []}\ntest", "photos: faces}\ntest", "inputs.photos (line 4): 'faces' is not a list (folders of"),
        ("rendered_seed: 2", "rendered_seed: 1", "test.rendered_seed (line 5): 1 is the seed of inputs.rendered_seed"),
        ("rendered: 80", "rendered: 0", "test.rendered (line 5): 0 rendered images and no folder of photos"),
        ("  npu: *tier", "  Npu X: *tier", "tiers.Npu X (line 15): 'Npu X' is not a name of lower-case letters"),
        ("  npu: *tier", "  npu: 4", "tiers.npu (line 15): 4 is not a section"),
        ("width: 8", "width: 9", "tiers.cpu.student.width (line 8): 9 is not a whole number from 8 to 2048 or a list"),
        ("width: 8", "width: [8, 16]", "tiers.cpu.student.width (line 8): a list is not a whole number from 8 to"),
        ("width: 8", "width: [8, 16, 9]", "tiers.cpu.student.width (line 8): a list is not a whole number from 8"),
        ("width: 8", "width: 8, family: maps", "'maps' is not one of map, rgb; did you mean 'map'?"),
        ("core_resolution: 32", "core_resolution: 128", "128 is above inputs.size (line 4), which is 64; lower"),
        ("learning_rate: 2e-3", "learning_rate: 2", "2 is not a number above 0 and at most 1 (learning rate"),
        ("learning_rate: 2e-3", "lerning_rate: 2e-3", "unknown key 'lerning_rate'; did you mean 'learning_rate'?"),
        ("learning_rate: 2e-3, ", "", "tiers.cpu.distill.learning_rate (line 10): is missing; write a number above 0"),
        ("batch: 16, ", "batch: 512, ", "512 is above tiers.cpu.distill.images (line 10), which is 320"),
        ("images: 160, ", "images: 8, ", "tiers.cpu.quantize.batch (line 13): 16 is above tiers.cpu.quantize.images"),
        ("haar: 5", "hare: 5", "tiers.cpu.distill.weights.hare (line 10): unknown key 'hare'; did you mean 'haar'?"),
        ("weights: {pixel: 10, haar: 5}", "weights: {}", "an empty section is not a section with at least one entry"),
        ("macs: 5e5", "macs: 3e6", "prune.macs (line 11): 3000000 is above tiers.cpu.budget.macs (line 9)"),
        ("{psnr_mean_db: {min: 20}}", "{psnr_mean: {min: 20}}", "key 'psnr_mean'; did you mean 'psnr_mean_db'?"),
        ("{psnr_mean_db: {min: 20}}", "{ssim_mean: {}}", "ssim_mean (line 14): has neither min nor max"),
        ("{psnr_mean_db: {min: 20}}", "{ssim_mean: {min: 1, max: 0}}", "1 is above tiers.cpu.gates.ssim_mean.max"),
        ("{psnr_mean_db: {min: 20}}", "{macs: {max: 9e6}}", "9000000 is above tiers.cpu.budget.macs (line 9)"),
    ],
)
def test_mistake_is_named_with_place_line_and_way_out(tmp_path: Path, old: str, new: str, problem: str) -> None:
    found = problems(tmp_path, changed(old, new))
    assert any(problem in sentence for sentence in found), found


def test_recipe_knows_the_styles_of_the_renderer() -> None:
    from compress.faces.styles import STYLES as DRAWN

    assert tuple(DRAWN) == STYLES


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("seed: 2}", "seed: 1}", "training.validation.seed (line 5): 1 is the seed of training.pairs.seed"),
        ("size: 32", "size: 128", "training.phases[0].size (line 6): 128 is above training.pairs.size (line 4)"),
        ("[16, 16, 32, 32, 32]", "[16, 16, 32]", "training.architecture.channels"),
        ("[16, 16, 32, 32, 32]", "[16, 16, 32, 32, 33]", "training.architecture.channels[4] (line 3): 33 is not"),
        ("size: 64}", "size: 64, styles: [toi]}", "training.pairs.styles[0] (line 4): 'toi' is not one of fairy-tale"),
        ("size: 64}", "size: 64, styles: [toy, toy]}", "training.pairs.styles[1] (line 4): 'toy' is there already"),
        ("size: 64}", "size: 64, styles: []}", "training.pairs.styles (line 4): an empty list is not a list of at"),
        ("flow: 10", "flows: 10", "training.weights.flows (line 7): unknown key 'flows'; did you mean"),
        (
            "phases: [{",
            "unpaired: {photos: [portraits], painted: 2}\n  phases: [{",
            "training.unpaired.painted (line 6): 2, but there are no weights whose results could be painted over; name",
        ),
        (
            "phases: [{",
            "unpaired: {photos: [portraits], painter: kstylegan-128}\n  phases: [{",
            "training.unpaired.painter (line 6): kstylegan-128 draws nothing while painted is 0; give painted a",
        ),
        ("phases: [{", "tiers: {}\n  phases: [{", "training.tiers (line 6): unknown key 'tiers'"),
    ],
)
def test_mistake_in_a_teacher_recipe_is_named(tmp_path: Path, old: str, new: str, problem: str) -> None:
    found = problems(tmp_path, changed(old, new, small_line.TRAINING))
    assert any(sentence.startswith(problem) for sentence in found), found


def test_all_problems_are_reported_at_once_in_the_order_of_lines(tmp_path: Path) -> None:
    text = changed("seed: 3", "sede: 07").replace("rendered_seed: 2", "rendered_seed: 1")
    text = text.replace("npu: *tier", "npu: 1")
    places = [sentence.split(" (")[0] for sentence in problems(tmp_path, text)]
    assert places == ["sede", "sede", "test.rendered_seed", "tiers.npu"]


def test_yaml_11_words_and_dates_are_text(tmp_path: Path) -> None:
    for word in ("off", "yes", "n", "2026-01-01", "1e3x"):
        recipe = load(small_line.recipe(tmp_path, changed("name: small", f"name: {word}"))).recipe
        assert recipe.name == word


@pytest.mark.parametrize("number", ["2e-3", "2E-3", ".002", "0.002", "+0.002"])
def test_number_is_read_however_it_is_written(tmp_path: Path, number: str) -> None:
    recipe: Any = load(small_line.recipe(tmp_path, changed("2e-3", number))).recipe
    assert recipe.tiers["cpu"].distill.learning_rate == 0.002


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "the file is empty"),
        (b"# only a comment\n", "the file is empty"),
        (b"- a\n- b\n", "the file is not a list of `key: value` lines"),
        (b"name: a\nseed: \xff\n", "line 2: byte 14 is not UTF-8 text; save the file as UTF-8"),
        (b"name: a\n\x00", "line 2: unprintable character U+0000; remove it"),
        (b"name: [a\nseed: 1\n", "not valid YAML"),
        (b"name: a\n\tseed: 1\n", "line 2: not valid YAML"),
        (b"name: a\n---\nname: b\n", "not valid YAML (expected a single document"),
        (b"name: *nobody\n", "undefined alias"),
        (b"a: &a [*a]\n", "the alias refers to a section around it"),
        (b"[" * 2_000, "nested too deeply"),
        (b"x" * (1 << 20) + b"y", "is larger than 1048576 bytes"),
    ],
)
def test_file_that_is_no_recipe_is_explained(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(content)
    with pytest.raises(RecipeError) as error:
        load(path)
    assert problem in str(error.value)


def test_missing_file_and_folder_are_explained(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="there is no such file"):
        load(tmp_path / "nothing.yaml")
    with pytest.raises(RecipeError, match="is a folder"):
        load(tmp_path)


def test_multiplying_aliases_are_stopped(tmp_path: Path) -> None:
    levels = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 8))
    found = problems(tmp_path, "a0: &a0 [1]\n" + levels)
    assert any("more than 10000 values" in sentence for sentence in found)


def test_schema_describes_both_kinds_of_recipe() -> None:
    described = schema()
    assert set(described["$defs"]) >= {"Recipe", "TeacherRecipe", "TierSettings"}
    assert described["$defs"]["PruneSettings"]["properties"]["macs"]["minimum"] == 1000


def test_quoted_number_stays_text(tmp_path: Path) -> None:
    assert load(small_line.recipe(tmp_path, changed("name: small", "name: '010'"))).recipe.name == "010"


def test_reader_agrees_with_yaml_on_a_plain_recipe(tmp_path: Path) -> None:
    plain = small_line.RECIPE.replace("2e-3", "0.002").replace("2e6", "2000000").replace("5e5", "500000")
    plain = plain.replace("100e3", "100000")
    assert load(small_line.recipe(tmp_path, plain)).document.data == yaml.safe_load(plain)
