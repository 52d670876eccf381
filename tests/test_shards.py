"""Shards: what goes in comes out in any order, an interrupted writer goes on, damage is named."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from compress.errors import StorageError
from compress.shards import Shards, ShardWriter


def sample(index: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(index)
    return {
        "photo": generator.integers(0, 256, (4, 4, 3), np.uint8),
        "points": generator.normal(size=(5, 2)).astype(np.float32),
        "source": np.uint8(index % 2),
        "name": np.bytes_(f"face {index}").astype("S20"),
    }


def write(folder: Path, indices: range, shard_size: int = 4) -> None:
    with ShardWriter(folder, shard_size) as writer:
        for index in indices:
            writer.add(sample(index))


def test_rows_come_back_in_the_order_asked_for(tmp_path: Path) -> None:
    write(tmp_path, range(10))
    shards = Shards(tmp_path)
    order = [9, 0, 4, 4, 3]
    rows = shards.read(order)
    assert len(shards) == 10
    assert shards.fields == ("photo", "points", "source", "name")
    for position, index in enumerate(order):
        for name, value in sample(index).items():
            assert rows[name].dtype == value.dtype
            np.testing.assert_array_equal(rows[name][position], value)


def test_only_the_fields_asked_for_are_read(tmp_path: Path) -> None:
    write(tmp_path, range(3))
    assert set(Shards(tmp_path).read(np.array([1]), ["source"])) == {"source"}
    assert Shards(tmp_path).read([], ["photo"])["photo"].shape == (0, 4, 4, 3)


def test_one_part_of_each_row_is_read(tmp_path: Path) -> None:
    rows = np.arange(5 * 3 * 2, dtype=np.float32).reshape(5, 3, 2)
    with ShardWriter(tmp_path, 2) as writer:
        for row in rows:
            writer.add({"styled": row, "one": row[:1]})
    shards = Shards(tmp_path)
    assert np.array_equal(shards.read_parts([4, 0, 3], [2, 0, 1], ["styled"])["styled"], rows[[4, 0, 3], [2, 0, 1]])
    assert np.array_equal(shards.read_parts([1], [0], ["one"])["one"], rows[[1], 0])
    with pytest.raises(IndexError, match=r"parts of styled 0\.\.3 are not within 0\.\.2"):
        shards.read_parts([0, 1], [0, 3], ["styled"])


def test_killed_writer_goes_on_behind_the_last_whole_shard(tmp_path: Path) -> None:
    killed = ShardWriter(tmp_path, 4)
    for index in range(6):
        killed.add(sample(index))
    writer = ShardWriter(tmp_path, 4)
    assert writer.count == 4
    write(tmp_path, range(writer.count, 9))
    np.testing.assert_array_equal(Shards(tmp_path).read([5])["photo"][0], sample(5)["photo"])
    assert len(Shards(tmp_path)) == 9


def test_writer_reopened_after_closing_appends(tmp_path: Path) -> None:
    write(tmp_path, range(6))
    write(tmp_path, range(6, 8))
    np.testing.assert_array_equal(
        Shards(tmp_path).read(range(8))["points"], np.stack([sample(index)["points"] for index in range(8)])
    )


def test_failing_producer_keeps_what_it_made(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), ShardWriter(tmp_path, 4) as writer:
        writer.add(sample(0))
        raise RuntimeError
    assert len(Shards(tmp_path)) == 1


def test_producer_may_reuse_its_buffer(tmp_path: Path) -> None:
    buffer = np.zeros(3)
    with ShardWriter(tmp_path, 4) as writer:
        for value in range(3):
            buffer[:] = value
            writer.add({"a": buffer})
    assert Shards(tmp_path).read([0, 1, 2])["a"][:, 0].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "changed", [{"source": np.float32(0)}, {"photo": np.zeros((4, 5, 3), np.uint8)}, {"more": np.uint8(0)}]
)
def test_sample_of_another_form_is_refused(tmp_path: Path, changed: dict[str, np.ndarray]) -> None:
    writer = ShardWriter(tmp_path)
    writer.add(sample(0))
    with pytest.raises(ValueError, match="sample 1 is .* where the first one is"):
        writer.add(sample(1) | changed)


def test_python_objects_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not Python objects"):
        ShardWriter(tmp_path).add({"a": np.array([None])})


def test_no_samples_are_an_empty_set(tmp_path: Path) -> None:
    write(tmp_path, range(0))
    assert len(Shards(tmp_path)) == 0


@pytest.mark.parametrize("index", [-1, 3])
def test_index_outside_is_refused(tmp_path: Path, index: int) -> None:
    write(tmp_path, range(3))
    with pytest.raises(IndexError, match=r"are not within 0\.\.2"):
        Shards(tmp_path).read([index])


def test_damage_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="index.json: missing"):
        Shards(tmp_path)
    write(tmp_path, range(3))
    photo = tmp_path / "00000.photo.npy"
    photo.write_bytes(photo.read_bytes()[:-5])
    with pytest.raises(StorageError, match="00000.photo.npy: ends too early"):
        Shards(tmp_path).read([2])
    photo.write_bytes(b"no array")
    with pytest.raises(StorageError, match="00000.photo.npy: unreadable"):
        Shards(tmp_path).read([2])
    (tmp_path / "index.json").write_text("[]")
    with pytest.raises(StorageError, match="not an index of shards"):
        Shards(tmp_path)


def test_memory_does_not_grow_with_the_number_of_samples(tmp_path: Path) -> None:
    row = np.zeros(1 << 16, np.uint8)
    peaks = []
    for count in (16, 128):
        tracemalloc.start()
        with ShardWriter(tmp_path / str(count), 8) as writer:
            for _ in range(count):
                writer.add({"a": row})
        shards = Shards(tmp_path / str(count))
        for index in range(count):
            shards.read([index])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # Half a shard more would be a leak of one row in sixteen.
    assert peaks[1] < peaks[0] + 4 * row.nbytes
