"""The evaluation of stills: one row a picture in order, estimates by the gates' names, clustered by person."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import small_test_set as small
from compress.context import Context
from compress.errors import InputError, StageError, StorageError
from compress.judging import description, evaluation, gates
from compress.judging.evaluation import Batch
from compress.shards import Shards, ShardWriter
from small_test_set import Gain

STILLS = {
    "psnr_mean_db", "psnr_p5_db", "ssim_mean", "ssim_p5", "ms_ssim_mean", "perceptual_mean", "haar_ratio",
    "haar_finest_ratio", "colour_shift_mean", "landmark_error_mean", "eye_opening_ratio", "eye_opening_p5",
    "style_strength", "gram_distance", "kid_delta_upper", "sliced_wasserstein", "diversity_ratio",
    "identity_delta_mean", "identity_delta_p5", "rank1_relative",
}  # fmt: skip
AGAINST_FLOAT = {"int8_psnr_db", "int8_identity_delta_mean"}


def measured(root: Path, student: object, count: int = 40, people: int | None = None) -> evaluation.Table:
    return evaluation.measure(small.test_set(root, count, people), student, None, small.judges(), Context())  # type: ignore[arg-type]


def test_student_like_its_teacher_is_perfect_by_every_measure(tmp_path: Path) -> None:
    found = evaluation.summarise(measured(tmp_path, Gain(0.8)), 0)
    assert set(found) >= STILLS and not set(found) & AGAINST_FLOAT
    assert all(found[name].finite for name in STILLS)
    for name in ("ssim_mean", "ms_ssim_mean", "haar_ratio", "style_strength", "diversity_ratio", "rank1_relative",
                 "eye_opening_ratio", "eye_opening_p5"):  # fmt: skip
        assert found[name].value == pytest.approx(1), name
    for name in ("perceptual_mean", "colour_shift_mean", "landmark_error_mean", "gram_distance", "sliced_wasserstein",
                 "kid_delta_upper", "identity_delta_mean"):  # fmt: skip
        assert found[name].value == pytest.approx(0, abs=1e-3), name


def test_gates_of_stills_are_all_measured(tmp_path: Path) -> None:
    test = small.test_set(tmp_path)
    table = evaluation.measure(test, Gain(0.7), Gain(0.75), small.judges(float_identity=True), Context())
    stills = {name for name, gate in gates.GATES.items() if gate.per_image and gate.needs in ("", "float")}
    assert stills <= set(evaluation.summarise(table, 0))


def test_copied_photo_has_no_style(tmp_path: Path) -> None:
    found = evaluation.summarise(measured(tmp_path, Gain(1.0)), 0)
    assert found["style_strength"].value == pytest.approx(0, abs=0.01)
    assert found["gram_distance"].value == pytest.approx(1, abs=0.01)


def test_frozen_output_has_no_diversity_and_finds_nobody(tmp_path: Path) -> None:
    found = evaluation.summarise(measured(tmp_path, Gain(0.8, frozen=True)), 0)
    assert found["diversity_ratio"].upper < 0.2
    assert found["rank1_relative"].value < 0.2


def test_rows_stay_in_order_and_carry_their_facts(tmp_path: Path) -> None:
    class Numbered:
        def draw(self, batch: Batch) -> np.ndarray:
            return np.broadcast_to(batch.rows[:, None, None, None].astype(np.uint8), batch.photo.shape).copy()

    test = small.test_set(tmp_path, 40, 10)
    test.batch = 3
    table = evaluation.measure(test, Numbered(), None, small.judges(), Context())
    whole = small.test_set(tmp_path / "again", 40, 10)
    expected = [np.square(whole.read([i])["image"].astype(float) - i).mean() for i in range(40)]
    assert table["psnr_db"] == pytest.approx(10 * np.log10(255**2 / np.array(expected)))
    assert [bytes(table[name][13]) for name in ("name", "person", "glasses")] == [b"p-13", b"person-3", b"no"]


def test_intervals_are_of_people_not_of_pictures(tmp_path: Path) -> None:
    found = evaluation.summarise(measured(tmp_path, Gain(0.7), 48, 16), 0)
    assert {found[name].clusters for name in STILLS} == {16}
    assert {found[name].n for name in STILLS} == {48}


def test_test_set_without_facts_takes_every_photo_for_another_person(tmp_path: Path) -> None:
    test = small.test_set(tmp_path, 5, facts=False)
    assert (test.person == test.name).all()
    assert not any(column.any() for column in test.labels.values())


def test_float_columns_compare_with_the_float_student(tmp_path: Path) -> None:
    test = small.test_set(tmp_path)
    table = evaluation.measure(test, Gain(0.7), Gain(0.8), small.judges(float_identity=True), Context())
    assert table["float_psnr_db"].min() == 100
    assert table["int8_psnr_db"] == pytest.approx(table["psnr_db"])
    assert evaluation.summarise(table, 0)["int8_identity_delta_mean"].finite


def test_teachers_without_a_face_are_counted_and_left_out(tmp_path: Path) -> None:
    table = measured(tmp_path, Gain(0.8))
    table["landmark_error"] = table["landmark_error"].copy()
    table["landmark_error"][:7] = np.nan
    found = evaluation.summarise(table, 0)
    assert (found["landmark_error_mean"].n, found["landmarks_without_face"].value) == (33, 7)
    table["landmark_error"][:] = np.nan
    assert "landmark_error_mean" not in evaluation.summarise(table, 0)


def test_identity_that_finds_no_teacher_picture_is_an_error(tmp_path: Path) -> None:
    table = measured(tmp_path, Gain(0.8))
    table["identity_teacher"] = -table["identity_photo"]
    with pytest.raises(StageError, match="verify: rank1_relative: no picture of the teacher finds its photo"):
        evaluation.summarise(table, 0)


def test_per_image_numbers_are_plain_and_named_for_people(tmp_path: Path) -> None:
    images = evaluation.per_image(measured(tmp_path, Gain(0.8)))
    assert all(column.ndim == 1 for column in images.values())
    assert {"name", "person", "light", "psnr_db", "landmark_error", "style_strength", "haar_ratio"} <= set(images)
    assert images["style_strength"] == pytest.approx(np.ones(40))


def test_student_that_fails_stops_the_evaluation(tmp_path: Path) -> None:
    class Broken:
        def draw(self, batch: Batch) -> np.ndarray:
            if batch.rows[0] >= 12:
                raise StageError("model.onnx: its picture holds NaN")
            return batch.photo

    test = small.test_set(tmp_path)
    test.batch = 4
    with pytest.raises(StageError, match="holds NaN"):
        evaluation.measure(test, Broken(), None, small.judges(), Context())


def test_stored_features_give_the_same_numbers_without_describing_again(tmp_path: Path) -> None:
    inputs, targets = (Shards(folder) for folder in small.write(tmp_path, 20))
    plain, judges, folder = evaluation.TestSet(inputs, targets), small.judges(), tmp_path / "features"
    folder.mkdir()
    description.claim(folder, judges)
    described = description.describe(plain.read(range(20)), judges, "cpu")
    with ShardWriter(folder) as writer:
        for row in range(20):
            writer.add({name: column[row] for name, column in described.items()})
    stored = evaluation.TestSet(inputs, targets, evaluation.open_features(folder, judges))
    expected = evaluation.measure(plain, Gain(0.7), None, small.judges(), Context())
    features = judges.features.seen  # type: ignore[attr-defined]
    found = evaluation.measure(stored, Gain(0.7), None, judges, Context())
    assert judges.features.seen == features + 20  # type: ignore[attr-defined]
    for name, column in expected.items():
        assert (found[name] == column).all(), name


def test_features_of_other_judges_or_lengths_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "features"
    folder.mkdir()
    description.claim(folder, small.judges())
    with pytest.raises(StorageError, match="judges.json: features of other judges or another version; delete"):
        evaluation.open_features(folder, small.judges("another"))
    with pytest.raises(StorageError, match="judges.json: unreadable"):
        evaluation.open_features(tmp_path, small.judges())
    inputs, targets = (Shards(place) for place in small.write(tmp_path, 3))
    with ShardWriter(folder):
        pass
    with pytest.raises(StageError, match="3 test photos and features of 0"):
        evaluation.TestSet(inputs, targets, evaluation.open_features(folder, small.judges()))


def test_photo_that_was_trained_on_or_stands_twice_is_refused(tmp_path: Path) -> None:
    inputs, _ = (Shards(place) for place in small.write(tmp_path, 4))
    evaluation.refuse_duplicates(inputs)
    with ShardWriter(tmp_path / "twice") as writer:
        for name, row in ((b"a", 1), (b"b", 2), (b"c", 1)):
            writer.add({"photo": inputs.read([row])["photo"][0], "name": np.array(name, "S120")})
    twice = Shards(tmp_path / "twice")
    with pytest.raises(InputError, match="test: a and c are the same photo; keep one of them"):
        evaluation.refuse_duplicates(twice)
    with pytest.raises(InputError, match="2 of 4 test photos are also among the inputs, the first is p-1;"):
        evaluation.refuse_leaks(twice, inputs)
