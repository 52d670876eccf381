"""Pairs and the training of a teacher: ground truth survives augmentation, a killed training goes on, bad settings
are named.
"""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

import teachers
from compress.artifact import Artifact
from compress.context import Context, Progress
from compress.errors import InputError
from compress.pairs import FIELDS, LANDMARK_MIRROR, PairBatches, make_batch
from compress.recipe import (
    PairSettings,
    PairStep,
    PhaseSettings,
    Task,
    TeacherArchitecture,
    TeachStep,
    ValidationSettings,
)
from compress.shards import Shards
from compress.stages import pairs as pairs_stage
from compress.stages import teach
from compress.tasks import teaching_loss
from teachers.blocks import warp

SIZE = 64


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("pairs")
    settings = PairStep(pairs=PairSettings(count=6, seed=3, size=SIZE), validation=ValidationSettings(count=2, seed=4))
    pairs_stage.run(settings, {}, folder, Context(progress=Progress(interactive=False)))
    return Artifact(folder, {})


def settings(pairs: Artifact, **changes: object) -> TeachStep:
    coefficients = Shards(pairs.path / "train").read([0], ["coefficients"])["coefficients"].shape[1]
    step = TeachStep(
        architecture=TeacherArchitecture(
            channels=(16, 16, 16, 16, 16),
            blocks=(1, 1, 1, 1),
            render_blocks=(1, 1, 1),
            style_channels=8,
            coefficients=coefficients,
        ),
        phases=(
            PhaseSettings(size=32, images=4, batch=2, learning_rate=1e-3),
            PhaseSettings(size=64, images=2, batch=2, learning_rate=1e-3),
        ),
        precision="float32",
        ema=0.9,
        weights=dict.fromkeys(get_args(Task), 1.0),
        initial="",
    )
    return step.model_copy(update=changes)


def test_true_flow_warps_the_photo_onto_the_cartoons_place(pairs: Artifact) -> None:
    # Skin colours differ between both, so compare what the flow is for: the labels of the same surface point.
    rows = Shards(pairs.path / "train").read(range(6), FIELDS)
    batch = make_batch(rows, SIZE, None)
    skin = torch.from_numpy((rows["labels_photo"] == 1).astype(np.float32))[:, None]
    drawn = torch.from_numpy((rows["labels_cartoon"] == 1).astype(np.float32))[:, None]
    moved, still = ((warp(skin, f) - drawn).abs().mean() for f in (batch.flow, batch.flow * 0))
    assert moved < 0.6 * still


def test_mirrored_batch_is_the_mirror_of_the_plain_one(pairs: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = Shards(pairs.path / "train").read([0, 1], FIELDS)
    plain = make_batch(rows, SIZE, None)
    views = (torch.ones(2), -torch.ones(2), torch.zeros(2, 2))
    monkeypatch.setattr("compress.pairs.draw_views", lambda count, rng: views)
    mirrored = make_batch(rows, SIZE, None)
    assert torch.allclose(mirrored.photo, plain.photo.flip(3), atol=1e-5)
    assert torch.allclose(mirrored.flow[:, 0], -plain.flow[:, 0].flip(2), atol=1e-5)
    assert torch.allclose(mirrored.landmarks[:, 8, 0], -plain.landmarks[:, 8, 0], atol=1e-5)
    assert torch.allclose(torch.linalg.det(mirrored.rotation), torch.ones(2), atol=1e-4)
    assert sorted(LANDMARK_MIRROR) == list(range(24))


def test_batches_follow_from_seed_and_step_alone(pairs: Artifact) -> None:
    train = Shards(pairs.path / "train")
    first = list(PairBatches(train, 32, 2, seed=1).iterate(0, 3))[2]
    again = PairBatches(train, 32, 2, seed=1).at(2)
    assert torch.equal(first.photo, again.photo)
    assert not torch.equal(first.photo, PairBatches(train, 32, 2, seed=2).at(2).photo)


def test_loss_falls_on_one_batch(pairs: Artifact) -> None:
    torch.manual_seed(0)
    step = settings(pairs)
    network = teach.initial_network(step, Shards(pairs.path / "train"))
    batch = PairBatches(Shards(pairs.path / "train"), 32, 4, seed=1).at(0)
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    losses = []
    for _ in range(8):
        loss, parts = teaching_loss(network(batch.photo), batch, step.weights)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert set(parts) == set(get_args(Task))
    assert losses[-1] < 0.9 * losses[0]


def test_killed_training_ends_where_an_uninterrupted_one_does(
    pairs: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, step, inputs = Context(progress=Progress(interactive=False)), settings(pairs), {"pairs": pairs}
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
    numbers = teach.run(step, inputs, whole, context)
    assert numbers["images"] == 6 and numbers["l1"] > 0
    assert (whole / "validation.png").is_file()
    patched = teach.require_finite

    def stop(loss: torch.Tensor, at: int, place: str) -> float:
        if at == 2:
            raise KeyboardInterrupt
        return patched(loss, at, place)

    monkeypatch.setattr(teach.Checkpoints, "maybe_save", lambda self, done: self.save(done))
    monkeypatch.setattr(teach, "require_finite", stop)
    with pytest.raises(KeyboardInterrupt):
        teach.run(step, inputs, killed, context)
    monkeypatch.setattr(teach, "require_finite", patched)
    teach.run(step, inputs, killed, context)
    photo = torch.rand(1, 3, 32, 32)
    images = [teachers.load(folder / teach.WEIGHTS)(photo).image for folder in (whole, killed)]
    assert torch.allclose(images[0], images[1], atol=1e-3)


def test_wrong_number_of_coefficients_is_named(pairs: Artifact) -> None:
    train = Shards(pairs.path / "train")
    small = settings(pairs).architecture.model_copy(update={"coefficients": 3})
    with pytest.raises(InputError, match="coefficients: 3 is not the"):
        teach.initial_network(settings(pairs, architecture=small), train)


def test_initial_weights_that_do_not_exist_are_named(pairs: Artifact) -> None:
    with pytest.raises(InputError, match=r"training.initial: teacher nowhere.safetensors"):
        teach.initial_network(settings(pairs, initial="nowhere.safetensors"), Shards(pairs.path / "train"))
