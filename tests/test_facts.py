"""Facts of test pictures: labels of renders by documented thresholds, a table of photographs and its mistakes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from compress.errors import InputError
from compress.judging import facts
from compress.judging.facts import Facts

PHOTOS = [Path("/album/anna/1.jpg"), Path("/album/anna/2.jpg"), Path("/album/ben.jpg")]
NAMES = {path: f"album/{path.relative_to('/album')}" for path in PHOTOS}
ANGLE_ERROR = 0.3  # degrees; OpenCV reads its conversion from tables


def labels(**changed: object) -> dict[str, str]:
    """Labels of a render that is average but for what is given."""
    numbers = {name: np.float32(0) for name in ("male", "old", "child", "african", "asian", "european")}
    numbers |= {"european": np.float32(1)} | {name: value for name, value in changed.items() if name in numbers}
    sample = {"skin_tone": np.full(3, 0.3), "glasses": np.array(0), "yaw": np.array(0.0),
              "key_light": np.array([[0, 0, 1], [1, 1, 1]])} | changed  # fmt: skip
    sample["facts"] = np.array([*numbers.values(), 0, 0], np.float32)
    return dict(facts.of_render("render-1-2", sample).labels)


@pytest.mark.parametrize(
    ("given", "category", "label"),
    [
        ({"male": 0.9}, "gender", "male"), ({"male": 0.1}, "gender", "female"),
        ({"old": 0.6}, "age", "senior"), ({"old": 0.5}, "age", "adult"), ({"child": 0.06}, "age", "child"),
        ({"european": 0.61, "asian": 0.39}, "ancestry", "european"),
        ({"european": 0.5, "asian": 0.5}, "ancestry", "mixed"),
        ({"yaw": np.array(-14.0)}, "pose", "frontal"), ({"yaw": np.array(-16.0)}, "pose", "turned"),
        ({"yaw": np.array(31.0)}, "pose", "profile"), ({"glasses": np.array(1)}, "glasses", "yes"),
        ({"key_light": np.array([[0.8, 0.1, 0.6], [1, 1, 1]])}, "light", "side"),
        ({"key_light": np.array([[0.8, 0.1, 0.6], [0.6, 0.7, 0.8]])}, "light", "dim"),
        ({"key_light": np.array([[0.3, 0.7, 0.65], [1, 1, 1]])}, "light", "even"),
    ],
)  # fmt: skip
def test_label_of_a_render_follows_its_threshold(given: dict[str, object], category: str, label: str) -> None:
    assert labels(**given)[category] == label


def test_every_render_has_a_known_label_of_every_category() -> None:
    assert {name: label in facts.LABELS[name] for name, label in labels().items()} == dict.fromkeys(
        facts.CATEGORIES, True
    )


@pytest.mark.parametrize("albedo", [(0.72, 0.405, 0.32), (0.27, 0.108, 0.062), (0.095, 0.039, 0.026)])
def test_typology_angle_is_that_of_another_implementation(albedo: tuple[float, float, float]) -> None:
    lightness, _, yellow = cv2.cvtColor(np.float32([[albedo]]), cv2.COLOR_LRGB2Lab)[0, 0]
    expected = np.degrees(np.arctan2(lightness - 50, yellow))
    assert facts.typology_angle(np.array(albedo)) == pytest.approx(expected, abs=ANGLE_ERROR)


def test_fields_are_fixed_width_and_unknown_is_empty() -> None:
    row = facts.fields(Facts("anna", {"age": "adult"}))
    assert row["person"].dtype == "S64" and row["age"].item() == b"adult" and row["pose"].item() == b""
    assert set(row) == {"person", *facts.CATEGORIES} and row["pose"].dtype == "S16"


def test_long_names_that_end_alike_stay_two_people() -> None:
    one, other = (facts.fields(Facts(f"{letter}{'x' * 80}"))["person"].item() for letter in "ab")
    assert one != other and len(one) == 64


def table(folder: Path, text: str) -> dict[Path, Facts]:
    path = folder / "facts.csv"
    path.write_text(text, encoding="utf-8")
    return facts.read(path, PHOTOS, NAMES)


def test_table_finds_photographs_by_path_and_by_name(tmp_path: Path) -> None:
    text = "file,person,gender,pose\n/album/anna/1.jpg,anna,Female,frontal\n\nalbum/ben.jpg,,male,\n"
    assert table(tmp_path, text) == {
        PHOTOS[0]: Facts("anna", {"gender": "female", "pose": "frontal"}),
        PHOTOS[2]: Facts("album/ben.jpg", {"gender": "male"}),
    }


def test_table_paths_are_relative_to_the_table(tmp_path: Path) -> None:
    photo = tmp_path / "photos" / "a.jpg"
    (tmp_path / "facts.csv").write_bytes(b"\xef\xbb\xbffile,person\r\nphotos/../photos/a.jpg,anna\r\n")
    assert facts.read(tmp_path / "facts.csv", [photo], {photo: "photos/a.jpg"})[photo].person == "anna"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "line 1: no column 'file'; begin with a line like file,person,age,glasses"),
        ("file;person\n", "line 1: column 'file;person' is unknown"),
        ("file,gendre\n", "line 1: column 'gendre' is unknown; did you mean gender?"),
        ("file,age,age\n", "line 1: column 'age' stands there twice"),
        ("file,age\nalbum/ben.jpg\n", "line 2: 1 cells for 2 columns"),
        ("file,age\nalbum/ben.jpg,42\n", "line 2: age '42'; known are child, adult, senior; or leave it empty"),
        ("file,pose\nalbum/ben.jpg,frontl\n", "line 2: pose 'frontl'; did you mean frontal?"),
        ("file\n\nben.jpg\n", "line 3: 'ben.jpg' is none of the 3 photographs; write its path relative"),
        ("file\n/album/ben.jpg\nalbum/ben.jpg\n", "line 3: ben.jpg stands here and on line 2; keep one of them"),
        ('file\n"album', "line 2: not CSV"),
    ],
)
def test_table_with_a_mistake_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(InputError, match="facts.csv, ") as caught:
        table(tmp_path, text)
    assert problem in str(caught.value)


def test_table_that_names_two_photographs_at_once_is_refused(tmp_path: Path) -> None:
    (tmp_path / "facts.csv").write_text("file\nalbum/a.jpg\n")
    paths = [Path("/one/album/a.jpg"), Path("/two/album/a.jpg")]
    with pytest.raises(InputError, match="line 2: 'album/a.jpg' is 2 of the 2 photographs"):
        facts.read(tmp_path / "facts.csv", paths, dict.fromkeys(paths, "album/a.jpg"))


def test_table_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "latin.csv").write_bytes(b"file\n\xe9.jpg\n")
    with pytest.raises(InputError, match="latin.csv: cannot be read .not UTF-8.; give a CSV file saved as UTF-8"):
        facts.read(tmp_path / "latin.csv", PHOTOS, NAMES)
    with pytest.raises(InputError, match="none.csv: cannot be read .No such file"):
        facts.read(tmp_path / "none.csv", PHOTOS, NAMES)
