"""Stage quantize: the held-out part, that the better candidate is kept, resuming, NaN, the adapter by least squares."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import students
from compress import networks
from compress.artifact import Artifact
from compress.context import Context
from compress.errors import InputError, NonFiniteError
from compress.recipe import QuantizeSettings
from compress.shards import Shards, ShardWriter
from compress.shrinking import quantization
from compress.stages import quantize
from compress.training.batches import Batch, Batches
from compress.training.loop import CHECKPOINT, Checkpoints

COUNT = 20
WEIGHTS: Any = {"pixel": 10, "haar": 5, "maps": 5, "taps": 0.01, "identity": 1}


class FakeIdentity(nn.Module):
    """Embeds by mean colour."""

    def embed(self, images: Tensor, points: Tensor) -> Tensor:
        return torch.nn.functional.normalize(images.mean((2, 3)) + 1, dim=1)


def new_student() -> students.Student:
    torch.manual_seed(0)
    student = students.build(students.record_for("map", 8, 32, 1))
    nn.init.normal_(student.core.get_submodule("head").get_parameter("weight"), 0, 0.05)
    return student.eval()


@pytest.fixture(scope="module")
def calibrated_core() -> nn.Module:
    """Calibrated once; the stage's own call takes a copy of it."""
    return quantization.quantize(new_student().core, torch.rand(8, 3, 32, 32) * 2 - 1)


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calibrated_core: nn.Module) -> dict[str, Artifact]:
    """A student, photos, and targets of a teacher that brightens."""
    monkeypatch.setattr(networks, "identity", lambda name: FakeIdentity())
    monkeypatch.setattr(quantize, "quantize", lambda core, pictures: copy.deepcopy(calibrated_core))
    rng = np.random.default_rng(0)
    maps = np.repeat([0, 0, 0.5, 0.5, 0.5, 0.4, 0.4, 0.4], 64).reshape(8, 8, 8).astype(np.float16)
    with ShardWriter(tmp_path / "inputs") as inputs, ShardWriter(tmp_path / "targets") as targets:
        for _ in range(COUNT):
            photo = np.kron(rng.integers(0, 256, (4, 4, 3)), np.ones((8, 8, 1))).astype(np.uint8)
            image = np.rint(((photo / 127.5 - 1) * 0.5 + 1.4) * 127.5).clip(0, 255).astype(np.uint8)
            inputs.add({"photo": photo, "points": np.zeros((5, 2), np.float32)})
            face, tap = np.full(3, 0.5, np.float16), rng.normal(0, 1, (4, 2, 2)).astype(np.float16)
            targets.add({"image": image, "maps": maps, "tap": tap, "identity": face, "photo_identity": face})
    students.save(new_student(), folder(tmp_path / "student"))
    return {name: Artifact(tmp_path / name, {}) for name in ("student", "inputs", "targets")}


def folder(path: Path) -> Path:
    path.mkdir(exist_ok=True)
    return path


def settings(**changes: Any) -> QuantizeSettings:
    fields = {"calibration_images": 8, "images": 24, "batch": 4, "learning_rate": 2e-3, "weights": WEIGHTS}
    return QuantizeSettings(**(fields | changes))


def weights_of(path: Path) -> Mapping[str, Tensor]:
    return quantization.load(path).state_dict()


def test_hold_out_is_apart_and_spread() -> None:
    learned, judged = quantize.hold_out(1000)
    assert len(judged) == quantize.HELD_OUT
    assert sorted([*learned, *judged]) == list(range(1000))
    assert judged[0] == 0
    assert judged[-1] == 999


def test_hold_out_of_one_image_is_refused() -> None:
    with pytest.raises(InputError, match="inputs: 1 images are too few to hold some out"):
        quantize.hold_out(1)


def test_part_numbers_samples_anew(stored: dict[str, Artifact]) -> None:
    part = quantize.Part(stored["inputs"].path, np.array([3, 5]))
    assert len(part) == 2
    direct = Shards(stored["inputs"].path).read([5], ("photo",))
    assert np.array_equal(part.read([1], ("photo",))["photo"], direct["photo"])


def test_training_that_helps_is_kept(stored: dict[str, Artifact], tmp_path: Path) -> None:
    numbers = quantize.run(settings(), stored, folder(tmp_path / "out"), Context())
    assert numbers["kept"] == "qat"
    assert numbers["qat_psnr_db"] > numbers["ptq_psnr_db"]
    assert numbers["fused_norms"] == quantization.count_norms(new_student().core) > 0
    assert not (tmp_path / "out" / CHECKPOINT).exists()
    assert quantization.load(tmp_path / "out").record == new_student().record


def test_training_that_harms_is_dropped(
    stored: dict[str, Artifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quantize.run(settings(images=0), stored, folder(tmp_path / "plain"), Context())
    measured = iter([30.0, 29.0, 28.0])  # float, calibrated, trained
    monkeypatch.setattr(quantize, "psnr", lambda *_: next(measured))
    numbers = quantize.run(settings(), stored, folder(tmp_path / "out"), Context())
    assert numbers["kept"] == "ptq"
    a, b = weights_of(tmp_path / "out"), weights_of(tmp_path / "plain")
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_interrupted_training_resumes_to_the_same_weights(
    stored: dict[str, Artifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quantize.run(settings(), stored, folder(tmp_path / "whole"), Context())

    def save_and_stop(self: Checkpoints, done: int) -> None:
        self.save(done)
        if done == 4:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Checkpoints, "maybe_save", save_and_stop)
        quantize.run(settings(), stored, folder(tmp_path / "halves"), Context())
    quantize.run(settings(), stored, tmp_path / "halves", Context())
    a, b = weights_of(tmp_path / "whole"), weights_of(tmp_path / "halves")
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_ranges_stand_still_in_the_second_part(
    stored: dict[str, Artifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []
    first = "post_hooks.low__0.0"

    def note(self: Checkpoints, done: int) -> None:
        seen.append(float(self._model.state_dict()[f"core.__nncf_hooks.{first}.reach"]))

    monkeypatch.setattr(Checkpoints, "maybe_save", note)
    quantize.run(settings(freeze_ranges_at=0.5), stored, folder(tmp_path / "out"), Context())
    assert len(set(seen[:3])) == 3
    assert len(set(seen[2:])) == 1


def test_exploding_loss_stops(stored: dict[str, Artifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantize, "distillation_loss", lambda *_, **__: (torch.tensor(float("nan")), {}))
    with pytest.raises(NonFiniteError, match="int8 training: the loss became nan at step 0"):
        quantize.run(settings(), stored, folder(tmp_path / "out"), Context())


def test_adapter_fits_by_least_squares() -> None:
    student, generator = new_student(), torch.Generator().manual_seed(0)
    photo = torch.rand(8, 3, 32, 32, generator=generator) * 2 - 1
    with torch.no_grad():
        tap = student(photo).tap
    mixing = torch.randn(5, tap.shape[1], generator=generator)
    target = torch.einsum("oc,nchw->nohw", mixing, tap) + 0.5
    rest = {name: torch.zeros(8) for name in Batch.__dataclass_fields__}
    batch = Batch(**(rest | {"photo": photo, "tap": target}))

    class Same(Batches):
        def __init__(self) -> None:
            pass

        def iterate(self, start: int, stop: int) -> Any:
            return iter([batch])

    adapter = quantize.fit_adapter(student, Same())
    torch.testing.assert_close(adapter(tap), target, atol=1e-3, rtol=1e-3)
