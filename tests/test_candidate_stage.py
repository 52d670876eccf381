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
from compress.recipe import CandidateStep
from compress.shards import ShardWriter
from compress.stages import candidate as stage
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


def test_external_data_is_taken_into_the_artifact(
    tmp_path: Path, folder: Path, inputs: Mapping[str, Artifact]
) -> None:
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


def test_folder_without_a_file_or_with_a_damaged_admission_is_refused(folder: Path) -> None:
    with pytest.raises(StageError, match="model.onnx: missing; delete the step's folder"):
        candidate.open_folder(folder)
    (folder / "admission.json").write_text(json.dumps({"model.onnx": {"input": "photo"}}))
    with pytest.raises(StageError, match="admission.json: not a record of admission .*; delete the step's folder"):
        candidate.open_folder(folder)
