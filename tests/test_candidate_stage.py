"""The candidate stage: a foreign file becomes an artifact that opens like an export."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from compress.artifact import Artifact, hash_file
from compress.context import Context
from compress.errors import InputError, StageError
from compress.judging import candidate
from compress.judging.candidate import bytes_of
from compress.shards import ShardWriter
from compress.stages import candidate as stage
from compress.steps import CandidateStep
from tiny_onnx import model, node, saved

SIDE = 32
PHOTOS = np.random.default_rng(0).integers(0, 256, (9, SIDE, SIDE, 3)).astype(np.uint8)


@pytest.fixture
def inputs(tmp_path: Path) -> Mapping[str, Artifact]:
    """A test set whose teacher darkens the photos to 0.8."""
    teacher = bytes_of(0.8 * (PHOTOS.astype(np.float32) / 127.5 - 1))
    with ShardWriter(tmp_path / "photos") as photos, ShardWriter(tmp_path / "teacher") as targets:
        for photo, image in zip(PHOTOS, teacher):
            photos.add({"photo": photo})
            targets.add({"image": image})
    return {"test_inputs": Artifact(tmp_path / "photos", {}), "test_targets": Artifact(tmp_path / "teacher", {})}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "candidate").mkdir()
    return tmp_path / "candidate"


def test_file_and_its_float_version_open_as_they_were_admitted(
    tmp_path: Path, folder: Path, inputs: Mapping[str, Artifact]
) -> None:
    last = ("n", "h", "w", 3)
    file = saved(tmp_path / "mine.onnx", model(taken=last, given=last, kind=TensorProto.FLOAT16))
    float_file = saved(tmp_path / "mine_float.onnx", model())
    settings = CandidateStep(file=str(file), float_file=str(float_file), size=SIDE)
    numbers = stage.run(settings, inputs, folder, Context())
    assert numbers["sha256"] == hash_file(file) == hash_file(folder / "model.onnx")
    assert (numbers["opset"], numbers["integer_convolutions"], numbers["convolutions"]) == (18, 0, 0)
    assert numbers["psnr_db"] > 40
    judged, reference = candidate.open_folder(folder)
    assert reference is not None
    assert (judged.signature.layout, reference.signature.layout) == ("nhwc", "nchw")
    assert np.allclose(judged.stylise(PHOTOS), reference.stylise(PHOTOS), atol=2e-3)


def test_external_data_is_taken_into_the_artifact(tmp_path: Path, folder: Path, inputs: Mapping[str, Artifact]) -> None:
    gain = np.full((1, 3, SIDE, SIDE), 0.8, np.float32)
    made = model(node("Mul", "photo gain", "image"), constants={"gain": gain})
    onnx.save(made, tmp_path / "mine.onnx", save_as_external_data=True, location="mine.data", size_threshold=0)
    numbers = stage.run(CandidateStep(file=str(tmp_path / "mine.onnx"), size=SIDE), inputs, folder, Context())
    assert {path.name for path in folder.iterdir()} == {"model.onnx", "admission.json"}
    assert numbers["size_bytes"] == (folder / "model.onnx").stat().st_size > gain.nbytes
    (tmp_path / "mine.data").unlink()
    assert candidate.open_folder(folder)[0].stylise(PHOTOS[:1]).shape == (1, SIDE, SIDE, 3)


def test_values_in_another_range_are_refused_before_anything_is_measured(
    tmp_path: Path, folder: Path, inputs: Mapping[str, Artifact]
) -> None:
    settings = CandidateStep(file=str(saved(tmp_path / "mine.onnx", model())), output_range="0..255", size=SIDE)
    with pytest.raises(InputError, match="give --input-range -1..1 --output-range -1..1"):
        stage.run(settings, inputs, folder, Context())


def write_levels(path: Path) -> Path:
    """A file that takes and gives uint8, and darkens to 0.8 as the teacher does."""
    steps = [
        node("Cast", "photo", "levels", to=TensorProto.FLOAT), node("Mul", "levels gain", "darker"),
        node("Add", "darker offset", "free"), node("Cast", "free", "image", to=TensorProto.UINT8),
    ]  # fmt: skip
    constants = {"gain": np.array(0.8, np.float32), "offset": np.array(0.2 * 127.5 + 0.5, np.float32)}
    return saved(path, model(*steps, kind=TensorProto.UINT8, constants=constants))


def test_stated_ranges_are_those_of_the_file_whose_type_leaves_them_open(
    tmp_path: Path, folder: Path, inputs: Mapping[str, Artifact], capsys: pytest.CaptureFixture[str]
) -> None:
    constants = {"gain": np.array(0.8, np.float32), "offset": np.array(0.1, np.float32)}
    share = model(node("Mul", "photo gain", "darker"), node("Add", "darker offset", "image"), constants=constants)
    file, float_file = write_levels(tmp_path / "mine.onnx"), saved(tmp_path / "float.onnx", share)
    settings = CandidateStep(
        file=str(file), float_file=str(float_file), input_range="0..1", output_range="0..1", size=SIDE
    )
    assert stage.run(settings, inputs, folder, Context())["psnr_db"] > 40
    judged, reference = candidate.open_folder(folder)
    assert reference is not None
    assert (judged.signature.input_range, reference.signature.input_range) == ("0..255", "0..1")
    assert np.abs(judged.stylise(PHOTOS) - reference.stylise(PHOTOS)).max() < 0.02
    told = capsys.readouterr()
    line = f"--input-range 0..1 does not hold for {file}, whose uint8 values are 0..255"
    assert line in told.out + told.err


@pytest.mark.parametrize("stated", [{"input_range": "0..1"}, {"output_range": "-1..1"}])
def test_range_that_holds_for_no_file_is_refused(
    tmp_path: Path, folder: Path, inputs: Mapping[str, Artifact], stated: dict[str, str]
) -> None:
    settings = CandidateStep.model_validate({"file": str(write_levels(tmp_path / "mine.onnx")), "size": SIDE, **stated})
    with pytest.raises(InputError, match="-range: .*1 is not possible in the uint8 values of .*mine.onnx; leave the"):
        stage.run(settings, inputs, folder, Context())


def test_folder_without_a_file_or_with_a_damaged_admission_is_refused(folder: Path) -> None:
    with pytest.raises(StageError, match="model.onnx: missing; delete the step's folder"):
        candidate.open_folder(folder)
    (folder / "admission.json").write_text(json.dumps({"model.onnx": {"input": "photo"}}))
    with pytest.raises(StageError, match="admission.json: not a record of admission .*; delete the step's folder"):
        candidate.open_folder(folder)
