"""Stage motion and the measuring of students on it: complete, resumed alike, ratios that say what was planted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compress import faces
from compress.artifact import Artifact
from compress.context import Context
from compress.errors import InputError, StageError
from compress.judging import gates, steadying
from compress.judging.evaluation import Batch, TestSet
from compress.judging.facts import Facts, fields
from compress.judging.variants import KINDS
from compress.recipe import SteadinessSettings, TeacherSettings
from compress.shards import Sample, Shards, ShardWriter
from compress.stages import motion
from compress.steps import MotionStep
from compress.teaching.source import Drawn

SIZE, PHOTOS = 32, 6
STRIPES = 0.1  # levels: of an odd number of columns one stripe is left over


class Inverting:
    """A teacher that inverts its photos."""

    name, sha256, offers, can_run = "inverting", "0" * 64, frozenset[str](), True

    def draw(self, photos: np.ndarray) -> Drawn:
        return Drawn(pattern(photos))


def pattern(photos: np.ndarray, strength: int = 2) -> np.ndarray:
    """Inverted photos, with stripes that stay where they are."""
    return np.asarray(200 - photos // 2 + strength * (np.arange(SIZE) % 2)[:, None], np.uint8)


def fake_video(renderer: Any, seed: int, index: int, frames: int) -> Iterator[Sample]:
    wide = np.random.default_rng([seed, index]).integers(0, 200, (8, 8, 3), np.uint8).repeat(4, 0).repeat(4, 1)
    for frame in range(frames):
        flow = np.zeros((2, SIZE, SIZE), np.float16)
        flow[0] = -1 if frame else 0
        visible = np.zeros((SIZE, SIZE), np.uint8)
        visible[:, 1:] = frame > 0
        photo = np.roll(wide, frame, axis=1)
        yield {"photo": photo, "points": np.zeros((5, 2), np.float32), "flow": flow, "visible": visible}


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(motion, "open_teacher", lambda settings, device: Inverting())
    monkeypatch.setattr(faces, "PairRenderer", lambda size: None)
    monkeypatch.setattr("compress.faces.video.render_video", fake_video)


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A test set of blocky photos, two of each person."""
    photos = np.random.default_rng(0).integers(0, 256, (PHOTOS, 8, 8, 3), np.uint8).repeat(4, 1).repeat(4, 2)
    points = np.arange(10, dtype=np.float32).reshape(5, 2)
    with ShardWriter(tmp_path / "inputs") as inputs, ShardWriter(tmp_path / "targets") as targets:
        for row, photo in enumerate(photos):
            who = fields(Facts(f"person-{row // 2}", {"age": "adult"}))
            name = np.array(f"{row}.png".encode(), "S120")
            inputs.add({"photo": photo, "points": points, "source": np.array(1, np.uint8), "name": name, **who})
            identity = np.ones(4, np.float16)
            targets.add({"image": pattern(photo), "identity": identity, "photo_identity": identity})
    return tmp_path


def run(stored: Path, name: str = "motion", **steady: int) -> dict[str, Any]:
    chosen = SteadinessSettings(**{"images": 4, "videos": 2, "frames": 3} | steady)
    settings = MotionStep(teacher=TeacherSettings(network="any"), size=SIZE, rendered_seed=3, steadiness=chosen)
    return motion.run(settings, {"test_inputs": Artifact(stored / "inputs", {})}, stored / name, Context())


def test_motion_stores_every_change_of_evenly_spread_photos(stored: Path) -> None:
    assert run(stored) == {"photos": 4, "variants": 20, "videos": 2, "frames": 6}
    variants = Shards(stored / "motion" / "variants").read(range(20))
    assert np.unique(variants["row"]).tolist() == [0, 2, 3, 5]
    assert variants["kind"].tolist()[:5] == [kind.encode() for kind in KINDS]
    assert np.array_equal(variants["teacher"], pattern(variants["photo"]))
    assert {name: value.dtype.str for name, value in variants.items()} == {
        "row": "<u4", "kind": "|S16", "photo": "|u1", "matrix": "<f4", "teacher": "|u1"
    }  # fmt: skip


def test_motion_stores_videos_frame_by_frame(stored: Path) -> None:
    run(stored)
    videos = Shards(stored / "motion" / "videos").read(range(6))
    assert videos["video"].tolist() == [0, 0, 0, 1, 1, 1] and videos["frame"].tolist() == [0, 1, 2] * 2
    assert np.array_equal(videos["teacher"], pattern(videos["photo"]))
    assert videos["flow"].dtype == np.float16 and videos["flow"].shape == (6, 2, SIZE, SIZE)


@pytest.mark.parametrize(("variants", "videos"), [(7, 0), (20, 2), (20, 6)])
def test_motion_resumed_is_that_of_one_run(stored: Path, variants: int, videos: int) -> None:
    whole = run(stored)
    for part, count in (("variants", variants), ("videos", videos)):
        rows = Shards(stored / "motion" / part).read(range(count))
        with ShardWriter(stored / "resumed" / part) as writer:
            for row in range(count):
                writer.add({name: value[[row]].reshape(value.shape[1:]) for name, value in rows.items()})
    assert run(stored, "resumed") == whole
    for part, count in (("variants", 20), ("videos", 6)):
        one, other = (Shards(stored / name / part).read(range(count)) for name in ("motion", "resumed"))
        assert all(np.array_equal(one[name], other[name]) for name in one)


def test_motion_asks_for_no_more_photos_than_there_are(stored: Path) -> None:
    assert run(stored, images=100)["photos"] == PHOTOS


def test_motion_of_a_teacher_that_only_has_results_is_refused(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Inverting, "can_run", False)
    with pytest.raises(
        InputError, match="test.steadiness: teacher inverting cannot draw .*; set images and videos to 0"
    ):
        run(stored)
    assert run(stored, images=0, videos=0)["variants"] == 0


class Student:
    """Inverts photos, with stripes of its own strength and a brightness that jumps from frame to frame."""

    def __init__(self, strength: int = 2, jump: int = 0) -> None:
        self.strength, self.jump = strength, jump
        self.batches: list[Batch] = []

    def draw(self, batch: Batch) -> np.ndarray:
        self.batches.append(batch)
        bright = (batch.frame % 2 * self.jump).astype(np.uint8)
        return pattern(batch.photo, self.strength) + bright[:, None, None, None]


def measured(stored: Path, student: Student) -> steadying.Table:
    test = TestSet(Shards(stored / "inputs"), Shards(stored / "targets"))
    return steadying.measure(stored / "motion", test, student, Context())


def test_student_like_its_teacher_is_as_steady(stored: Path) -> None:
    run(stored)
    found = steadying.summarise(measured(stored, Student()), seed=0)
    ratios = {name: estimate for name, estimate in found.items() if name.endswith("_ratio")}
    assert set(ratios) == {name for name, gate in gates.GATES.items() if gate.needs == "motion"}
    assert all(estimate.value == pytest.approx(1, abs=1e-9) for estimate in ratios.values())


def test_student_with_stronger_stripes_is_less_steady_where_things_move(stored: Path) -> None:
    run(stored)
    worse = steadying.summarise(measured(stored, Student(12)), seed=0)
    for name in ("equivariance_shift_ratio", "equivariance_crop_ratio", "equivariance_rotation_ratio", "flicker_ratio"):
        assert worse[name].lower > 1.5
    for name in ("equivariance_jpeg_ratio", "equivariance_noise_ratio"):
        assert worse[name].value == pytest.approx(1, abs=1e-9)


def test_student_that_jumps_in_brightness_flickers(stored: Path) -> None:
    run(stored)
    table = measured(stored, Student(jump=5))
    still = table["kind"] != b"video"
    assert np.array_equal(table["student"][still], table["teacher"][still])
    assert table["student"][~still] == pytest.approx([5.0] * 4, abs=STRIPES)


def test_rows_are_clustered_by_person_and_by_video(stored: Path) -> None:
    run(stored)
    table = measured(stored, Student())
    found = steadying.summarise(table, seed=0)["equivariance_shift_ratio"]
    assert (found.n, found.clusters) == (4, 3)
    video = table["kind"] == b"video"
    assert table["person"][video].tolist() == [b"video-0"] * 2 + [b"video-1"] * 2
    assert table["source"].tolist() == [1] * 20 + [-1] * 4  # photographs, videos
    assert table["row"][video].tolist() == [-1] * 4 and table["frame"][video].tolist() == [1, 2] * 2


def test_student_is_told_what_it_draws(stored: Path) -> None:
    run(stored)
    student = Student()
    measured(stored, student)
    assert sorted({batch.kind for batch in student.batches}) == sorted({"still", "video", *KINDS})
    for batch in student.batches:
        assert len(batch.photo) == len(batch.rows) == len(batch.points) == len(batch.frame)
        assert all(len(column) == len(batch) for column in batch.labels.values())
        if batch.kind == "shift":
            assert np.abs(batch.points[0] - np.arange(10).reshape(5, 2)).max() in (0.5, 1.0, 1.5, 2.0)
            assert batch.labels["age"].tolist() == [b"adult"] * 4


def test_videos_alone_are_measured_alone(stored: Path) -> None:
    run(stored, images=0)
    assert set(steadying.summarise(measured(stored, Student()), seed=0)) == {
        "flicker_ratio", "flicker_teacher_levels", "flicker_photo_levels"
    }  # fmt: skip


def test_nothing_to_measure_is_an_error(stored: Path) -> None:
    run(stored, images=0, videos=0)
    with pytest.raises(
        StageError, match="no changed photos and no videos; raise test.steadiness or leave its gates out"
    ):
        measured(stored, Student())
