"""Stage inputs: rendered portraits and photographs into shards, resumed, and what cannot be used is named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compress import faces
from compress.context import Context
from compress.errors import InputError
from compress.judging.facts import Facts
from compress.photographs import photos
from compress.photographs.photos import Face
from compress.recipe import InputSettings
from compress.shards import Shards, ShardWriter
from compress.stages import inputs

SIZE = 32
POINTS = np.array([[20, 20], [40, 20], [30, 30], [22, 40], [38, 40]], np.float32)


def fake_render_many(seed: int, indices: range, size: int, **_: Any) -> Iterator[dict[str, np.ndarray]]:
    for index in indices:
        yield {
            "photo": np.full((size, size, 3), index, np.uint8), "points": POINTS, "glasses": np.array(index == 1),
            "facts": np.array([1, 0, 0, 0, 0, 1, 0, 0], np.float32), "yaw": np.array(20 * index, np.float32),
            "skin_tone": np.full(3, 0.5, np.float32), "key_light": np.array([[0, 0, 1], [1, 1, 1]], np.float32),
        }  # fmt: skip


def fake_detect(image: np.ndarray) -> list[Face]:
    """A face where the picture is bright."""
    return [Face((0, 0, 60, 60), POINTS, 0.9)] if image.mean() > 128 else []


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faces, "render_many", fake_render_many, raising=False)
    monkeypatch.setattr(photos, "detect", fake_detect)


def write_photo(path: Path, level: int) -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (60, 60), (level, level, level)).save(path)


def settings(rendered: int, *folders: Path) -> InputSettings:
    return InputSettings(size=SIZE, rendered=rendered, rendered_seed=7, photos=tuple(str(f) for f in folders))


def test_inputs_are_rendered_faces_then_photographs(tmp_path: Path) -> None:
    write_photo(tmp_path / "album" / "sub" / "a.png", 200)
    numbers = inputs.run(settings(3, tmp_path / "album"), {}, tmp_path / "out", Context())
    rows = Shards(tmp_path / "out").read(range(4))
    assert rows["source"].tolist() == [0, 0, 0, 1]
    assert rows["name"].tolist() == [b"render-7-0", b"render-7-1", b"render-7-2", b"album/sub/a.png"]
    assert rows["photo"].shape == (4, SIZE, SIZE, 3) and rows["photo"][2, 0, 0, 0] == 2
    assert numbers == {"rendered": 3, "photographs": 1, "skipped": {}}


def test_inputs_know_who_is_in_a_render(tmp_path: Path) -> None:
    inputs.run(settings(3), {}, tmp_path / "out", Context())
    rows = Shards(tmp_path / "out").read(range(3))
    assert rows["person"].tolist() == rows["name"].tolist()
    assert rows["glasses"].tolist() == [b"no", b"yes", b"no"]
    assert rows["pose"].tolist() == [b"frontal", b"turned", b"profile"]


def test_inputs_know_of_photographs_what_the_table_says(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_photo(tmp_path / "album" / f"{name}.png", 200)
    (tmp_path / "facts.csv").write_text("file,person,age\nalbum/a.png,anna,senior\nalbum/c.png,anna,\n")
    chosen = settings(0, tmp_path / "album").model_copy(update={"facts": str(tmp_path / "facts.csv")})
    inputs.run(chosen, {}, tmp_path / "out", Context())
    rows = Shards(tmp_path / "out").read(range(3))
    assert rows["person"].tolist() == [b"anna", b"album/b.png", b"anna"]
    assert rows["age"].tolist() == [b"senior", b"", b""] and set(rows["pose"].tolist()) == {b""}


def test_inputs_table_of_facts_without_photographs_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "facts.csv").write_text("file\na.png\n")
    chosen = settings(1).model_copy(update={"facts": str(tmp_path / "facts.csv")})
    with pytest.raises(InputError, match="line 2: 'a.png' is none of the 0 photographs"):
        inputs.run(chosen, {}, tmp_path / "out", Context())


def test_inputs_points_lie_in_the_aligned_picture(tmp_path: Path) -> None:
    write_photo(tmp_path / "album" / "a.png", 200)
    inputs.run(settings(0, tmp_path / "album"), {}, tmp_path / "out", Context())
    points = Shards(tmp_path / "out").read([0])["points"][0]
    expected = photos.transform(POINTS, photos.frame(POINTS, SIZE))
    assert points == pytest.approx(expected, abs=1e-3)


def test_inputs_photograph_without_a_face_is_named_and_not_fatal(tmp_path: Path) -> None:
    write_photo(tmp_path / "album" / "bright.png", 200)
    write_photo(tmp_path / "album" / "dark.png", 10)
    (tmp_path / "album" / "broken.jpg").write_bytes(b"")
    numbers = inputs.run(settings(0, tmp_path / "album"), {}, tmp_path / "out", Context())
    skipped = {Path(path).name: reason for path, reason in numbers["skipped"].items()}
    assert numbers["photographs"] == 1
    assert skipped["dark.png"] == "no face found" and "empty (0 bytes)" in skipped["broken.jpg"]


def test_inputs_none_usable_is_an_error(tmp_path: Path) -> None:
    write_photo(tmp_path / "album" / "dark.png", 10)
    with pytest.raises(InputError, match=r"album: none of 1 photographs can be used; .*dark.png: no face found"):
        inputs.run(settings(2, tmp_path / "album"), {}, tmp_path / "out", Context())


def test_inputs_of_nothing_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="inputs: 0 portraits; raise rendered or name a folder in photos"):
        inputs.run(settings(0), {}, tmp_path / "out", Context())


@pytest.mark.parametrize("home", ["album", "elsewhere/album", "renamed"])
@pytest.mark.parametrize("stored", [1, 3, 4, 5])
def test_inputs_resumed_are_those_of_one_run(tmp_path: Path, stored: int, home: str) -> None:
    for number, level in enumerate([200, 10, 201, 11, 202]):
        write_photo(tmp_path / "album" / f"{number}.png", level)
    chosen = settings(2, tmp_path / "album")
    whole = inputs.run(chosen, {}, tmp_path / "whole", Context())
    rows = Shards(tmp_path / "whole").read(range(5))
    # An interrupted run: fewer samples on disk than photographs already looked at.
    with ShardWriter(tmp_path / "resumed") as writer:
        for row in range(stored):
            writer.add({name: value[[row]].reshape(value.shape[1:]) for name, value in rows.items()})
    skipped = json.loads((tmp_path / "whole" / "skipped.json").read_text())
    (tmp_path / "resumed" / "skipped.json").write_text(json.dumps(skipped if stored > 2 else {}))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "album").rename(tmp_path / home)
    resumed = inputs.run(settings(2, tmp_path / home), {}, tmp_path / "resumed", Context())
    shards = Shards(tmp_path / "resumed")
    again = shards.read(range(len(shards)))
    # After another name of the folder photographs are called by it, and are the same ones.
    same = ["photo", "source"] if home == "renamed" else list(rows)
    assert all(np.array_equal(rows[name], again[name]) for name in same)
    assert resumed == (resumed | {"photographs": 3} if home == "renamed" else whole)
    assert list(resumed["skipped"].values()) == ["no face found"] * 2


def test_inputs_skipped_photographs_are_recorded_without_their_place(tmp_path: Path) -> None:
    write_photo(tmp_path / "album" / "bright.png", 200)
    write_photo(tmp_path / "album" / "dark.png", 10)
    numbers = inputs.run(settings(0, tmp_path / "album"), {}, tmp_path / "out", Context())
    assert numbers["skipped"] == {"album/dark.png": "no face found"}
    record = json.loads((tmp_path / "out" / "skipped.json").read_text())
    assert record == {"1": ["album/dark.png", "no face found"]}


@pytest.mark.parametrize(
    ("folders", "names"),
    [
        (["anna/faces", "bert/faces"], ["anna/faces/1.png", "bert/faces/1.png"]),
        (["x/anna/faces", "y/anna/faces", "z"], ["x/anna/faces/1.png", "y/anna/faces/1.png", "z/1.png"]),
        (["p/anna/faces", "bert/faces", "q/anna"], ["anna/faces/1.png", "bert/faces/1.png", "anna/1.png"]),
        # Told apart from each other they would be named as a photograph of the third.
        (["p/anna/faces", "bert/faces", "q/anna:faces/1.png"], ["p/anna/faces/1.png", "bert/faces/1.png",
                                                               "q/anna/faces/1.png"]),
    ],
)  # fmt: skip
def test_photo_names_of_folders_called_alike_differ(folders: list[str], names: list[str]) -> None:
    parts = [text.partition(":") for text in folders]
    paths = [Path("/data", folder, file or "1.png") for folder, _, file in parts]
    found = inputs.photo_names([f"/data/{folder}" for folder, _, _ in parts], paths)
    assert list(found.values()) == names


def test_photo_names_of_a_root_folder_end_there() -> None:
    found = inputs.photo_names(["/faces", "/a/faces"], [Path("/faces/1.png"), Path("/a/faces/2.png")])
    assert list(found.values()) == ["faces/1.png", "a/faces/2.png"]


def test_inputs_of_folders_called_alike_are_different_people(tmp_path: Path) -> None:
    for name in ("anna", "bert"):
        write_photo(tmp_path / name / "faces" / "1.png", 200)
    inputs.run(settings(0, tmp_path / "anna" / "faces", tmp_path / "bert" / "faces"), {}, tmp_path / "out", Context())
    assert Shards(tmp_path / "out").read(range(2))["person"].tolist() == [b"anna/faces/1.png", b"bert/faces/1.png"]


def test_inputs_long_names_keep_their_end() -> None:
    portrait = inputs.Portrait(np.zeros((2, 2, 3), np.uint8), POINTS)
    name = inputs.sample(portrait, 1, "a" * 200 + "/last.png", Facts("anna"))["name"]
    assert name.dtype == "S120" and name.item().endswith(b"a/last.png")


def test_portraits_by_several_processes_come_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "PHOTOS_PER_PROCESS", 1)
    monkeypatch.setattr(inputs.os, "cpu_count", lambda: 2)
    write_photo(tmp_path / "0.png", 10)
    # The processes have the real detector, which sees no face in a grey picture.
    found = list(inputs.portraits([tmp_path / "0.png", tmp_path / "none.png", tmp_path / "0.png"], SIZE))
    assert found == ["no face found", f"{tmp_path / 'none.png'}: no such file; check the path", "no face found"]
