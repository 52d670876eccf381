"""The five ways of naming a teacher: the documented example of each through plan and targets, and what is refused."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
import torch
import yaml
from PIL import Image
from torch import Tensor, nn

from compress import faces, networks
from compress.artifact import Artifact
from compress.context import Context, Progress
from compress.errors import InputError, RecipeError, StageError
from compress.plan import plan
from compress.recipe import InputSettings, Section, TeacherSettings
from compress.shards import Shards
from compress.stages import inputs as inputs_stage
from compress.stages import targets
from compress.teaching.source import open_teacher
from compress.teaching.teacher_pairs import Pairs

DOCS = Path(__file__).parent.parent / "docs"
TEXT = (DOCS / "teachers.md").read_text(encoding="utf-8")
EXAMPLES = {next(iter(example["teacher"])): example for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.S)
            for example in [yaml.safe_load(block)]}  # fmt: skip
CODE = "\n".join(re.findall(r"```python\n(.*?)```", TEXT, re.S))
SIZE = 64
PHOTOS = 6
RECIPE: dict[str, Any] = {
    "name": "own",
    "inputs": {"size": SIZE, "rendered": PHOTOS, "rendered_seed": 1},
    "test": {"size": SIZE, "rendered": 30, "rendered_seed": 2},
    "tiers": {
        "cpu": {
            "student": {"width": 8, "core_resolution": 32, "blocks": 1},
            "budget": {"macs": 1_000_000, "size_bytes": 400_000, "latency_ms": 1000},
            "distill": {"images": 32, "batch": 8, "learning_rate": 2e-3, "weights": {"pixel": 10}},
            "prune": {"macs": 600_000, "images": 4},
            "finetune": {"images": 16, "batch": 8, "learning_rate": 1e-3, "weights": {"pixel": 10}},
            "quantize": {"calibration_images": 4, "images": 0, "weights": {"pixel": 10}},
            "gates": {"psnr_mean_db": {"min": 5}},
        }
    },
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that the examples of the documentation name."""
    folder = tmp_path_factory.mktemp("teachers")
    shutil.copy(DOCS / "examples" / "teacher.py", folder)
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.chdir(folder)
        patch.syspath_prepend(folder)
        warnings.simplefilter("ignore")  # of torch's exporter about itself
        exec(compile(CODE, "teachers.md", "exec"), {})
    portraits = list(faces.render_many(5, range(PHOTOS), 160, processes=1, what="photo"))
    for index in range(PHOTOS + 30):  # those for the test are only counted
        part, face = "train" if index < PHOTOS else "test", portraits[index % PHOTOS]
        for kind, ending, side in (("photos", "png", 160), ("results", "jpg", 96)):
            path = folder / "pairs" / kind / part / f"{index}.{ending}"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture = face["photo"] if kind == "photos" else 255 - (255 - face["photo"]) // 2
            picture = picture.copy()
            picture[0, 0] = index  # no two test pictures are the same
            Image.fromarray(picture).resize((side, side)).save(path)
    return folder


@pytest.fixture(autouse=True)
def cheap_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    class Identity(nn.Module):
        def embed(self, images: Tensor, points: Tensor) -> Tensor:
            return images.mean((2, 3))

    monkeypatch.setattr(networks, "identity", lambda name: Identity())


def write(folder: Path, **changes: object) -> Path:
    path = folder / "own.yaml"
    path.write_text(json.dumps({**RECIPE, **changes}), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stage inputs of the examples whose teacher can draw."""
    folder = tmp_path_factory.mktemp("inputs")
    return stored(InputSettings(**RECIPE["inputs"]), folder)


def stored(settings: Section, folder: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "cpu_count", lambda: 1)  # processes take longer to start than to render six faces
        numbers = inputs_stage.run(settings, {}, folder, Context(progress=Progress(io.StringIO())))
    assert not numbers["skipped"]
    return folder


@pytest.mark.parametrize("way", EXAMPLES)
def test_documented_example_is_planned_and_makes_targets(way: str, place: Path, rendered: Path, tmp_path: Path) -> None:
    steps = {step.name: step for step in plan(write(place, **EXAMPLES[way])).steps}
    folder = stored(steps["inputs"].settings, tmp_path / "inputs") if way == "pairs" else rendered
    log = Context(progress=Progress(io.StringIO()))
    made = targets.run(steps["targets"].settings, {"inputs": Artifact(folder, {})}, tmp_path / "out", log)
    assert made["samples"] == PHOTOS and re.fullmatch("[0-9a-f]{64}", made["teacher"]["sha256"])
    rows, photos = Shards(tmp_path / "out"), Shards(folder).read(range(PHOTOS))["photo"]
    offers = {"network": ["maps", "taps"], "program": ["taps"]}.get(way, [])
    assert made["teacher"]["offers"] == offers
    assert ("maps" in rows.fields, "tap" in rows.fields) == ("maps" in offers, "taps" in offers)
    image = rows.read(range(PHOTOS))["image"].astype(float)
    if way == "pairs":
        assert np.abs(image - (255 - (255 - photos) // 2)).mean() < 3  # two resizings and JPEG
    elif way != "network":
        assert np.abs(image - poster(photos)).max() < 1


def poster(photos: np.ndarray) -> np.ndarray:
    """What docs/examples/teacher.py does, with OpenCV and numpy: edges are averaged over what is there."""
    shares = photos.astype(np.float64) / 255
    weight = cv2.boxFilter(np.ones(photos.shape[1:3]), -1, (5, 5), normalize=False, borderType=cv2.BORDER_CONSTANT)
    smooth = [
        cv2.boxFilter(share, -1, (5, 5), normalize=False, borderType=cv2.BORDER_CONSTANT) / weight[..., None]
        for share in shares
    ]
    return 255 / (1 + np.exp(-6 * (np.stack(smooth) - 0.5)))


def test_every_way_has_an_example() -> None:
    assert set(EXAMPLES) == {"network", "onnx", "program", "python", "pairs"}


def problems(folder: Path, **changes: object) -> str:
    with pytest.raises(RecipeError) as caught:
        plan(write(folder, **changes))
    return str(caught.value)


@pytest.mark.parametrize(
    ("teacher", "sentence"),
    [
        ({}, "teacher (line 1): is not named; give exactly one of network, onnx, program, pairs, python"),
        ({"onnx": "teacher.onnx", "program": "teacher.pt2"}, "is named in 2 ways (onnx, program); give exactly one"),
        ({"onnx": "absent.onnx"}, "absent.onnx: there is no such file"),
        ({"onnx": "teacher.pt2"}, "teacher.pt2: not a .onnx file; name it as `program:`"),
        ({"onnx": "cut.onnx"}, "cut.onnx: cut off or damaged"),
        ({"onnx": "teacher.onnx", "outputs": {"image": "picture"}}, "no output 'picture', it has the outputs image, "),
        ({"program": "cut.pt2"}, "cut.pt2: truncated or no .pt2 file"),
        ({"program": "fixed.pt2"}, "fixed.pt2: takes 48 px only, which 64 px is not; set teacher.size: 48"),
        ({"program": "grey.pt2"}, "its input 1x1x48x48 is greyscale, photos have 3 (RGB)"),
        ({"program": "evil.pt2"}, "evil.pt2: size \"exec('1')\" is no formula"),
        ({"program": "pickled.pt2"}, "pickled.pt2: holds pickled objects, which are not read"),
        ({"python": "teacher.py", "factory": "make"}, "executed with all your rights; read it, then write trust: true"),
        ({"python": "teacher.py", "trust": True}, "teacher.factory (line 1): is missing; write the name of the func"),
        ({"python": "teacher.py", "trust": True, "factory": "male"}, "no function 'male' in it; did you mean 'make'?"),
        ({"python": "broken.py", "trust": True, "factory": "make"}, "broken.py: not a Python file"),
        (
            {"python": "teacher.py", "trust": True, "factory": "make", "files": ["weights"]},
            "weights: there is no such file",
        ),
        ({"network": "kstylegan-128", "style": "fairytale"}, "teacher.style (line 1): 'fairytale' is no style of this"),
        (
            {"network": "kstylegan-128", "style": {"fairy-tale": 0.7}},
            "teacher.style (line 1): weights sum to 0.7; make",
        ),
        ({"network": "kstylegan-128", "style": 7}, "teacher.style (line 1): 7 is not text or a section (name of a net"),
        ({"network": "kstylegan-128", "input_range": "0..1"}, "input_range (line 1): means nothing for a teacher nam"),
        ({"onnx": "teacher.onnx", "trust": True}, "teacher.trust (line 1): means nothing for a teacher named by onnx"),
        ({"onnx": "teacher.onnx", "output_range": "0..2"}, "'0..2' is not one of -1..1, 0..1, 0..255"),
    ],
)
def test_problem_of_a_teacher_is_found_by_the_plan(teacher: dict[str, object], sentence: str, place: Path) -> None:
    spoil(place)
    assert sentence in problems(place, teacher=teacher)


class Fixed(nn.Module):
    def forward(self, photo: Tensor) -> Tensor:
        return photo * 0.5


def spoil(folder: Path) -> None:
    """Files that are each wrong in one way; made once."""
    if (folder / "cut.onnx").exists():
        return
    for name in ("teacher.onnx", "teacher.pt2"):
        content = (folder / name).read_bytes()
        (folder / f"cut{Path(name).suffix}").write_bytes(content[: len(content) // 2])
    for name, channels in (("fixed", 3), ("grey", 1)):
        torch.export.save(torch.export.export(Fixed(), (torch.zeros(1, channels, 48, 48),)), folder / f"{name}.pt2")

    def strange_size(model: Any) -> None:
        values = model["graph_module"]["graph"]["tensor_values"]
        next(iter(values.values()))["sizes"][0] = {"as_expr": {"expr_str": "exec('1')", "hint": None}}

    def pickled(weights: Any) -> None:
        entry = {"path_name": "weight_0", "is_param": True, "use_pickle": True, "tensor_meta": None}
        weights["config"]["w"] = entry

    forge(folder / "teacher.pt2", folder / "evil.pt2", "models/model.json", strange_size)
    forge(folder / "teacher.pt2", folder / "pickled.pt2", "weights/model_weights_config.json", pickled)
    (folder / "broken.py").write_text("def make(:\n")


def forge(source: Path, path: Path, name: str, change: Callable[[Any], None]) -> None:
    """A copy of an archive in which one JSON record is changed."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for entry in old.namelist():
            content = old.read(entry)
            if entry.endswith(name):
                record = json.loads(content)
                change(record)
                content = json.dumps(record).encode()
            new.writestr(entry, content)


def pairs(**changes: object) -> dict[str, object]:
    return {**EXAMPLES["pairs"], **changes}


def test_pairs_need_a_result_for_each_photo_and_nothing_rendered(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "pairs", tmp_path / "pairs")
    (tmp_path / "pairs/results/train/0.jpg").unlink()
    shutil.copy(tmp_path / "pairs/results/test/7.jpg", tmp_path / "pairs/results/test/7.png")
    found = problems(tmp_path, **EXAMPLES["pairs"])
    assert "results: 1 of 36 photos have no result, the first is train/0; add a picture of the same name" in found
    assert "results/test/7: 2 results of this name; keep one of them" in found
    set_ = {**EXAMPLES["pairs"]["inputs"], "rendered": 40}
    assert "inputs.rendered (line 1): 40 where the teacher is a folder" in problems(tmp_path, **pairs(inputs=set_))
    moving = {**EXAMPLES["pairs"]["test"], "steadiness": {"images": 4, "videos": 0}}
    assert "test.steadiness.images (line 1): is above 0, but pairs" in problems(tmp_path, **pairs(test=moving))
    outside = {**EXAMPLES["pairs"]["inputs"], "photos": ["pairs/results/train"]}
    assert "so it has no result; name folders in there as photos" in problems(tmp_path, **pairs(inputs=outside))


@pytest.mark.parametrize(
    ("teacher", "loss", "way_out"),
    [
        ({"onnx": "teacher.onnx"}, "maps", "set it to 0, or name maps in teacher.outputs"),
        (
            {"onnx": "teacher.onnx", "outputs": {"image": "image"}},
            "taps",
            "set it to 0, or name tap in teacher.outputs",
        ),
        ({"pairs": "pairs"}, "maps", "set it to 0"),
    ],
)
def test_loss_on_what_the_teacher_does_not_give_is_refused(
    teacher: dict[str, object], loss: str, way_out: str, place: Path
) -> None:
    tier = RECIPE["tiers"]["cpu"]
    weighed = {**tier, "finetune": {**tier["finetune"], "weights": {"pixel": 10, loss: 5}}}
    found = problems(place, teacher=teacher, tiers={"cpu": weighed})
    assert f"tiers.cpu.finetune.weights.{loss} (line 1): 5, but the teacher gives no " in found
    assert way_out in found


def test_named_output_allows_its_loss(place: Path) -> None:
    tier = RECIPE["tiers"]["cpu"]
    weighed = {**tier, "distill": {**tier["distill"], "weights": {"pixel": 10, "taps": 5}}}
    plan(write(place, **EXAMPLES["program"], tiers={"cpu": weighed}))


@pytest.mark.parametrize(
    ("way", "file"), [("onnx", "teacher.onnx"), ("python", "teacher.py"), ("pairs", "pairs/results/train/0.jpg")]
)
def test_changed_teacher_is_another_key(way: str, file: str, place: Path, tmp_path: Path) -> None:
    shutil.copytree(place, tmp_path / "own")
    key = keys(tmp_path / "own", way)
    assert keys(tmp_path / "own", way) == key
    path = tmp_path / "own" / file
    if way == "onnx":
        model = onnx.load(path)
        model.producer_name = "another"
        onnx.save(model, path)
    else:
        path.write_bytes(path.read_bytes() + b"\n")
    changed = keys(tmp_path / "own", way)
    assert changed["targets"] != key["targets"] and changed["inputs"] == key["inputs"]


def keys(folder: Path, way: str) -> dict[str, str]:
    return {step.name: step.key for step in plan(write(folder, **EXAMPLES[way])).steps}


def test_python_file_runs_only_if_trusted_and_with_a_warning(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = TeacherSettings(python=str(place / "teacher.py"), factory="make")
    with pytest.raises(InputError, match="would be executed; read it, then write trust: true"):
        open_teacher(settings, "cpu")
    assert not capsys.readouterr().err
    open_teacher(settings.model_copy(update={"trust": True}), "cpu")
    assert "teacher.py is executed with all your rights (trust: true)" in capsys.readouterr().err


def test_pairs_cannot_be_drawn_with_and_tell_a_changed_photo(place: Path) -> None:
    teacher = open_teacher(TeacherSettings(pairs=str(place / "pairs")), "cpu")
    assert not teacher.can_run and not teacher.offers
    photos = np.zeros((1, SIZE, SIZE, 3), np.uint8)
    with pytest.raises(StageError, match="pairs hold the results of their own photos only"):
        teacher.draw(photos)
    assert isinstance(teacher, Pairs)
    with pytest.raises(InputError, match="no photo train/0.png that looks as it did when it was read"):
        teacher.results(np.array([b"train/0.png"]), photos)


def test_teacher_of_one_size_and_one_photo_is_fed_resized_photos_one_by_one(place: Path) -> None:
    spoil(place)
    teacher = open_teacher(TeacherSettings(program=str(place / "fixed.pt2"), size=48), "cpu")
    photos = np.full((3, SIZE, SIZE, 3), 200, np.uint8)
    drawn = teacher.draw(photos)
    assert drawn.image.shape == photos.shape and np.abs(drawn.image.astype(int) - 164).max() <= 1
    with pytest.raises(StageError, match="teacher fixed: fails on photos 1x3x64x64 .*; set teacher.size"):
        open_teacher(TeacherSettings(program=str(place / "fixed.pt2")), "cpu").draw(photos)
