"""Stage targets: the teacher's outputs once, in the order of the inputs; an unfit teacher is refused."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import teachers
from compress import networks
from compress.artifact import Artifact
from compress.context import Context
from compress.errors import InputError, NonFiniteError, StageError
from compress.recipe import TeacherSettings
from compress.shards import Shards, ShardWriter
from compress.stages import targets

SIZE, COUNT = 32, 11
HALF = 1e-3  # float16 rounding of numbers up to 1


@dataclass
class Output:
    image: Tensor
    maps: Tensor
    tap: Tensor


class FakeTeacher(nn.Module):
    """Mirrors the colours; counts the photos that it saw."""

    seen = 0

    def forward(self, photo: Tensor) -> Output:
        self.seen += len(photo)
        low = F.avg_pool2d(photo, 4)
        return Output(-photo, low[:, :1].expand(-1, 8, -1, -1), F.avg_pool2d(photo, 16))


class FakeIdentity(nn.Module):
    def embed(self, images: Tensor, points: Tensor) -> Tensor:
        return F.normalize(images.mean((2, 3)) + 0.01 * points[:, 0, :1], dim=1)


@pytest.fixture
def teacher(monkeypatch: pytest.MonkeyPatch) -> FakeTeacher:
    network = FakeTeacher()
    monkeypatch.setattr(teachers, "load", lambda name, device: network)
    monkeypatch.setattr(networks, "identity", lambda name: FakeIdentity())
    return network


@pytest.fixture
def photos(tmp_path: Path) -> dict[str, Artifact]:
    rng = np.random.default_rng(0)
    with ShardWriter(tmp_path / "inputs") as writer:
        for _ in range(COUNT):
            photo = rng.integers(0, 256, (SIZE, SIZE, 3), np.uint8)
            writer.add({"photo": photo, "points": rng.uniform(0, SIZE, (5, 2)).astype(np.float32)})
    return {"inputs": Artifact(tmp_path / "inputs", {})}


SETTINGS = TeacherSettings(network="fake")


def test_targets_are_the_teachers_outputs_in_order(
    teacher: FakeTeacher, photos: dict[str, Artifact], tmp_path: Path
) -> None:
    numbers = targets.run(SETTINGS, photos, tmp_path / "out", Context())
    rows, stored = Shards(tmp_path / "out").read(range(COUNT)), Shards(photos["inputs"].path).read(range(COUNT))
    assert np.array_equal(rows["image"], 255 - stored["photo"])
    x = torch.from_numpy(stored["photo"]).permute(0, 3, 1, 2) / 127.5 - 1
    assert rows["maps"][:, 3] == pytest.approx(F.avg_pool2d(x, 4)[:, 0].numpy(), abs=HALF)
    embedded = FakeIdentity().embed(x, torch.from_numpy(stored["points"])).numpy()
    assert rows["photo_identity"] == pytest.approx(embedded, abs=HALF)
    assert rows["identity"].shape == (COUNT, 3) and rows["tap"].shape == (COUNT, 3, 2, 2)
    assert numbers["samples"] == COUNT


def test_targets_resume_behind_what_is_stored(
    teacher: FakeTeacher, photos: dict[str, Artifact], tmp_path: Path
) -> None:
    targets.run(SETTINGS, photos, tmp_path / "whole", Context())
    rows = Shards(tmp_path / "whole").read(range(COUNT))
    with ShardWriter(tmp_path / "out") as writer:
        for row in range(9):
            writer.add({name: value[row] for name, value in rows.items()})
    teacher.seen = 0
    targets.run(SETTINGS, photos, tmp_path / "out", Context())
    assert teacher.seen == COUNT - 9
    again = Shards(tmp_path / "out").read(range(COUNT))
    assert all(np.array_equal(rows[name], again[name]) for name in rows)


def test_targets_of_an_unknown_teacher_are_an_input_error(photos: dict[str, Artifact], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"teacher.network: 'nobody' cannot be loaded"):
        targets.run(TeacherSettings(network="nobody"), photos, tmp_path / "out", Context())


def tensors() -> dict[str, Tensor]:
    photo = torch.zeros(2, 3, SIZE, SIZE)
    return {"image": photo.clone(), "maps": torch.zeros(2, 8, 8, 8), "tap": torch.zeros(2, 4, 2, 2), "photo": photo}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("image", torch.zeros(2, 3, 16, 16), r"image \(2, 3, 16, 16\) for a photo \(2, 3, 32, 32\); .* keep the size"),
        ("image", torch.full((2, 3, SIZE, SIZE), 128.0), r"mean \|image\| 128; its pictures must be within \[-1, 1\]"),
        ("maps", torch.zeros(2, 8, 16, 16), r"maps \(2, 8, 16, 16\); they must be 8 channels .* \(8, 8\)"),
    ],
)
def test_check_refuses_a_teacher_that_cannot_be_imitated(field: str, value: Tensor, message: str) -> None:
    with pytest.raises(StageError, match=message):
        targets.check(**{**tensors(), field: value})


@pytest.mark.parametrize(("field", "value"), [("image", float("nan")), ("maps", float("inf")), ("tap", 1e6)])
def test_check_refuses_what_is_not_finite(field: str, value: float) -> None:
    outputs = tensors()
    outputs[field].view(-1)[3] = value
    with pytest.raises(NonFiniteError, match=rf"teacher: its {field} is not finite in 16 bits"):
        targets.check(**outputs)


def test_check_accepts_a_sound_teacher() -> None:
    targets.check(**tensors())
