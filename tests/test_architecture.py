"""Rules of the repository that are tests, not memory: directions of imports, lean imports, plain data only."""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

import compress
import students
import teachers
from compress.judging import gates
from compress.photographs import photos
from compress.plan import STAGES, plan
from compress.planning import contents
from compress.planning.estimate import core_macs
from compress.recipe import Gate, Recipe, StudentSettings
from compress.shrinking import macs

ROOT = Path(compress.__file__).parent.parent
PACKAGES = {name: Path(package.__file__).parent for name, package in
            {"compress": compress, "students": students, "teachers": teachers}.items() if package.__file__}  # fmt: skip
RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))
SOURCES = sorted(path for folder in PACKAGES.values() for path in folder.rglob("*.py"))
# Each layer may import those before it.
LAYERS = ["recipe", "plan", "stages", "run", "cli"]
LEAN = ["errors", "artifact", "context", "recipe", "plan", "publish", "run", "folder", "process", "cli",
        "planning/document", "planning/conflicts", "planning/reading", "planning/survey", "planning/estimate",
        "planning/teacher_files", "planning/verification", "judging/gates", "judging/gate_table", "judging/verdict",
        "reporting/formats"]  # fmt: skip
HEAVY = {"torch", "numpy", "numba", "cv2", "onnx", "onnxruntime", "nncf", "torch_pruning", "PIL", "rich", "jinja2"}


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(tree: ast.AST, deep: bool = True) -> Iterator[str]:
    """Modules that a module imports: all, or (not deep) those at its top outside functions and TYPE_CHECKING."""
    for node in ast.walk(tree) if deep else ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name: str, modules: Sequence[str]) -> bool:
    """Whether a dotted name is one of the modules or in one: `judging.runtimes` is not in `compress.run`."""
    return any(name == module or name.startswith(f"{module}.") for module in modules)


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("package", ["students", "teachers"])
def test_networks_import_nothing_of_compress(package: str) -> None:
    for path in PACKAGES[package].rglob("*.py"):
        assert not [name for name in imports(parsed(path)) if name.split(".")[0] == "compress"], path


def test_stages_never_import_each_other() -> None:
    for path in (PACKAGES["compress"] / "stages").glob("*.py"):
        others = [name for name in imports(parsed(path)) if name.startswith("compress.stages")]
        assert not others, f"{path}: {others}"


@pytest.mark.parametrize(("layer", "later"), [(layer, LAYERS[i + 1 :]) for i, layer in enumerate(LAYERS[:-1])])
def test_layers_import_only_earlier_ones(layer: str, later: list[str]) -> None:
    folder = PACKAGES["compress"] / layer
    paths = sorted(folder.glob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]
    forbidden = [f"compress.{name}" for name in later]
    for path in paths:
        assert not [name for name in imports(parsed(path)) if within(name, forbidden)], path


def test_nothing_else_imports_stages_run_or_cli() -> None:
    upper = ("compress.stages", "compress.run", "compress.cli")
    for path in SOURCES:
        if name_of(path) in ("compress.run", "compress.cli", "compress.__main__"):
            continue
        assert not [name for name in imports(parsed(path)) if within(name, upper)], path


@pytest.mark.parametrize("module", LEAN)
def test_lean_modules_import_nothing_heavy_at_the_top(module: str) -> None:
    tops = {name.split(".")[0] for name in imports(parsed(PACKAGES["compress"] / f"{module}.py"), deep=False)}
    assert not tops & HEAVY


def test_no_pickle_and_no_yaml_that_builds_objects() -> None:
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        assert not {"pickle", "dill", "joblib", "marshal", "shelve"} & set(imports(parsed(path))), path
        assert not re.search(r"yaml\.(unsafe_|full_)?load\(|allow_pickle=True|weights_only=False", text), path
        for call in ast.walk(parsed(path)):
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "torch.load":
                given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
                assert given.get("weights_only") == "True", path


def test_broad_except_stands_only_at_borders() -> None:
    # The run loop explains whatever a stage throws, the stopwatch notes its time; the reading thread hands it on.
    borders = {"compress.run", "compress.folder", "compress.training.batches"}
    for path in SOURCES:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ExceptHandler):
                caught = "BaseException" if node.type is None else ast.unparse(node.type)
                if re.search(r"\b(Base)?Exception\b", caught):
                    assert name_of(path) in borders, f"{path}, line {node.lineno}"


def test_modules_and_public_functions_are_documented() -> None:
    for path in SOURCES:
        tree = parsed(path)
        assert ast.get_docstring(tree), path
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{path}: {node.name}"


def test_no_module_is_named_after_nothing() -> None:
    for path in SOURCES:
        assert path.stem not in {"utils", "util", "common", "helpers", "helper", "manager", "base", "misc"}, path


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_of_the_table_has_the_one_signature(stage: str) -> None:
    module, _, name = STAGES[stage].function.partition(":")
    function = getattr(importlib.import_module(module), name)
    assert list(inspect.signature(function).parameters) == ["settings", "inputs", "folder", "context"]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_shipped_recipe_is_planned(path: Path) -> None:
    made = plan(path)
    assert made.name == path.stem
    assert made.seconds > 0


def test_shipped_recipes_are_there() -> None:
    assert {path.stem for path in RECIPES} >= {"quickstart", "teacher-128"}


def test_recipe_knows_the_gates_that_exist() -> None:
    assert set(Gate.__args__) == set(gates.GATES)


def test_shipped_teachers_are_found_without_importing_them() -> None:
    assert contents.shipped_teachers() == teachers.SHIPPED


def test_survey_lists_the_photographs_that_are_read(tmp_path: Path) -> None:
    for name in ("b.JPG", "a/c.png", "a/.d.png", ".e/f.jpg", "g.txt", "h.webp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert contents.photo_files(tmp_path) == photos.find(tmp_path)
    assert contents.PHOTO_SUFFIXES == photos.SUFFIXES


def test_prune_offers_the_importances_that_exist() -> None:
    from compress.shrinking import importance

    offered = set(Recipe.model_json_schema()["$defs"]["PruneSettings"]["properties"]["importance"]["enum"])
    assert offered == set(importance.IMPORTANCES)


@pytest.mark.parametrize(
    "settings",
    [
        {"width": 8, "core_resolution": 32, "blocks": 2},
        {"width": 16, "core_resolution": 64, "blocks": 1, "block": "inverted"},
        {"width": (8, 24, 16), "core_resolution": 32, "blocks": (8, 40)},
    ],
)
def test_macs_known_to_the_plan_are_those_of_the_network(settings: dict[str, Any]) -> None:
    student = StudentSettings(**settings)
    network = students.build(students.record_for(**student.model_dump())).eval()
    side = student.core_resolution
    assert core_macs(student) == macs.count(network.core, torch.zeros(1, 3, side, side)).total


def test_product_names_no_place_outside_itself() -> None:
    for path in [*SOURCES, *RECIPES, ROOT / "Makefile", ROOT / "pyproject.toml"]:
        assert not re.search(r"/(work|tmp)/|\.\./shared", path.read_text(encoding="utf-8")), path
