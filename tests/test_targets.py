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
from compress.teaching.source import require_sound

SIZE, COUNT = 32, 11
HALF = 1e-3  # float16 rounding of numbers up to 1
GAIN, BIAS = 0.5, 0.25


@dataclass
class Output:
    image: Tensor
    maps: Tensor
    tap: Tensor


class FakeTeacher(nn.Module):
    """Pales the photo; counts the photos that it saw, and keeps the last weights of styles."""

    architecture = teachers.Architecture(styles=("fairy-tale", "toy"))
    seen = 0
    style = torch.empty(0)

    def forward(self, photo: Tensor, style: Tensor) -> Output:
        self.seen += len(photo)
        self.style = style
        maps = torch.tensor([0.0] * 2 + [GAIN] * 3 + [BIAS] * 3).reshape(1, 8, 1, 1)
        quarter = SIZE // 4
        return Output(photo * GAIN + BIAS, maps.expand(len(photo), -1, quarter, quarter), F.avg_pool2d(photo, 16))


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


@pytest.fixture
def settings(tmp_path: Path) -> TeacherSettings:
    (tmp_path / "fake.safetensors").write_bytes(b"weights")
    return TeacherSettings(network=str(tmp_path / "fake.safetensors"))


def test_targets_are_the_teachers_outputs_in_order(
    teacher: FakeTeacher, photos: dict[str, Artifact], settings: TeacherSettings, tmp_path: Path
) -> None:
    numbers = targets.run(settings, photos, tmp_path / "out", Context())
    rows, stored = Shards(tmp_path / "out").read(range(COUNT)), Shards(photos["inputs"].path).read(range(COUNT))
    x = torch.from_numpy(stored["photo"]).permute(0, 3, 1, 2) / 127.5 - 1
    expected = ((x * GAIN + BIAS + 1) * 127.5).clamp(0, 255).permute(0, 2, 3, 1).numpy()
    assert np.abs(rows["image"] - expected).max() <= 0.501
    assert (rows["maps"][:, 2:5] == GAIN).all() and rows["maps"].shape == (COUNT, 8, SIZE // 4, SIZE // 4)
    assert rows["tap"] == pytest.approx(F.avg_pool2d(x, 16).numpy(), abs=HALF)
    embedded = FakeIdentity().embed(x, torch.from_numpy(stored["points"])).numpy()
    assert rows["photo_identity"] == pytest.approx(embedded, abs=HALF)
    assert rows["identity"].shape == (COUNT, 3)
    assert numbers["samples"] == COUNT
    assert (numbers["teacher"]["name"], numbers["teacher"]["offers"]) == ("fake", ["maps", "taps"])


@pytest.mark.parametrize(
    ("style", "weights", "named"),
    [
        ("", [1, 0], "fairy-tale"),
        ("toy", [0, 1], "toy"),
        ({"toy": 0.25, "fairy-tale": 0.75}, [0.75, 0.25], "fairy-tale 0.75 + toy 0.25"),
    ],
)
def test_teacher_draws_in_the_style_of_the_recipe(
    style: str | dict[str, float],
    weights: list[float],
    named: str,
    teacher: FakeTeacher,
    photos: dict[str, Artifact],
    settings: TeacherSettings,
    tmp_path: Path,
) -> None:
    numbers = targets.run(settings.model_copy(update={"style": style}), photos, tmp_path / "out", Context())
    assert teacher.style.tolist() == [weights] * len(teacher.style) and len(teacher.style) > 0
    assert numbers["teacher"]["style"] == named


def test_style_that_the_teacher_lacks_is_an_input_error(
    teacher: FakeTeacher, photos: dict[str, Artifact], settings: TeacherSettings, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="teacher.style: 'tow' is no style of this teacher; did you mean 'toy'?"):
        targets.run(settings.model_copy(update={"style": "tow"}), photos, tmp_path / "out", Context())


def test_targets_resume_behind_what_is_stored(
    teacher: FakeTeacher, photos: dict[str, Artifact], settings: TeacherSettings, tmp_path: Path
) -> None:
    targets.run(settings, photos, tmp_path / "whole", Context())
    rows = Shards(tmp_path / "whole").read(range(COUNT))
    checked = teacher.seen - COUNT
    with ShardWriter(tmp_path / "out") as writer:
        for row in range(9):
            writer.add({name: value[row] for name, value in rows.items()})
    teacher.seen = 0
    targets.run(settings, photos, tmp_path / "out", Context())
    assert teacher.seen == checked + COUNT - 9
    again = Shards(tmp_path / "out").read(range(COUNT))
    assert all(np.array_equal(rows[name], again[name]) for name in rows)


def test_targets_of_an_unknown_teacher_are_an_input_error(photos: dict[str, Artifact], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"teacher.network: 'nobody' cannot be loaded"):
        targets.run(TeacherSettings(network="nobody"), photos, tmp_path / "out", Context())


def tensors() -> dict[str, Tensor]:
    return {"image": torch.zeros(2, 3, SIZE, SIZE), "maps": torch.zeros(2, 8, 8, 8), "tap": torch.zeros(2, 4, 2, 2)}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("image", torch.zeros(2, 3, 16, 16), r"image \(2, 3, 16, 16\) for photos of 32 px; .* keep the size"),
        ("image", torch.full((2, 3, SIZE, SIZE), 128.0), r"mean \|image\| 128; its pictures must be within \[-1, 1\]"),
        ("maps", torch.zeros(2, 8, 16, 16), r"maps \(2, 8, 16, 16\); they must be 8 channels .* of 8 px"),
    ],
)
def test_outputs_that_cannot_be_imitated_are_refused(field: str, value: Tensor, message: str) -> None:
    with pytest.raises(StageError, match=message):
        require_sound({**tensors(), field: value}, SIZE)


@pytest.mark.parametrize(("field", "value"), [("image", float("nan")), ("maps", float("inf")), ("tap", 1e6)])
def test_outputs_that_are_not_finite_are_refused(field: str, value: float) -> None:
    outputs = tensors()
    outputs[field].view(-1)[3] = value
    with pytest.raises(NonFiniteError, match=rf"teacher: its {field} is not finite in 16 bits"):
        require_sound(outputs, SIZE)


def test_sound_outputs_are_accepted() -> None:
    require_sound(tensors(), SIZE)
