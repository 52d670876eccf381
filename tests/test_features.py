"""The features stage: one description per test picture, resumed where it stopped, and never of mixed judges."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import small_test_set as small
from compress.artifact import Artifact
from compress.context import Context
from compress.errors import StorageError
from compress.judging import description
from compress.judging.testset import TestSet
from compress.recipe import JudgeSettings
from compress.shards import Shards
from compress.stages import features


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Artifact]:
    monkeypatch.setattr(features, "open_judges", lambda settings, device: small.judges(settings.identity))
    photos, targets = small.write(tmp_path, 20)
    return {"test_inputs": Artifact(photos, {}), "test_targets": Artifact(targets, {})}


def run(inputs: dict[str, Artifact], folder: Path, identity: str = "coarse") -> dict[str, object]:
    folder.mkdir(exist_ok=True)
    return features.run(JudgeSettings(identity=identity), inputs, folder, Context())


def test_features_are_what_describe_says_row_by_row(inputs: dict[str, Artifact], tmp_path: Path) -> None:
    numbers = run(inputs, tmp_path / "features")
    test = TestSet(Shards(inputs["test_inputs"].path), Shards(inputs["test_targets"].path))
    expected = description.describe(test.read([17]), small.judges(), "cpu")
    stored = description.open_features(tmp_path / "features", small.judges())
    assert numbers["samples"] == len(stored) == 20
    assert set(stored.fields) == set(expected)
    for name, value in stored.read([17]).items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-5, atol=1e-5, err_msg=name)


def test_features_resume_behind_the_last_whole_shard(
    inputs: dict[str, Artifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "SHARD_SIZE", 4)
    monkeypatch.setattr("compress.judging.testset._BATCH_PIXELS", 4 * small.SIDE**2)
    rows: list[int] = []
    whole = description.describe

    def killed(sample: dict[str, np.ndarray], *rest: object) -> dict[str, np.ndarray]:
        if b"p-8" in sample["name"]:
            raise KeyboardInterrupt
        return whole(sample, *rest)  # type: ignore[arg-type]

    def counted(sample: dict[str, np.ndarray], *rest: object) -> dict[str, np.ndarray]:
        rows.extend(int(name.decode()[2:]) for name in sample["name"])
        return whole(sample, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(features, "describe", killed)
    with pytest.raises(KeyboardInterrupt):
        run(inputs, tmp_path / "features")
    monkeypatch.setattr(features, "describe", counted)
    run(inputs, tmp_path / "features")
    assert sorted(rows) == list(range(8, 20))
    assert len(description.open_features(tmp_path / "features", small.judges())) == 20


def test_identities_of_sface_are_those_of_the_targets(inputs: dict[str, Artifact], tmp_path: Path) -> None:
    run(inputs, tmp_path / "features", "sface")
    stored, targets = Shards(tmp_path / "features"), Shards(inputs["test_targets"].path)
    assert (stored.read([5])["identity_photo"] == targets.read([5])["photo_identity"]).all()


def test_features_of_other_judges_are_not_gone_on_with(inputs: dict[str, Artifact], tmp_path: Path) -> None:
    run(inputs, tmp_path / "features")
    with pytest.raises(StorageError, match="features of other judges or another version; delete the test-features"):
        run(inputs, tmp_path / "features", "another")
