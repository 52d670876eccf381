"""Pairs and the training of a teacher: ground truth survives augmentation, a killed training goes on, bad settings
are named.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import teachers
from compress.artifact import Artifact
from compress.context import Context, Progress
from compress.errors import InputError, RecipeError
from compress.plan import plan
from compress.recipe import STYLES as KNOWN
from compress.recipe import (
    Optimizer,
    PairSettings,
    PhaseSettings,
    Task,
    TeacherArchitecture,
    UnpairedSettings,
    ValidationSettings,
)
from compress.shards import Shards, ShardWriter
from compress.stages import pairs as pairs_stage
from compress.stages import teach
from compress.steps import PairStep, TeachStep
from compress.teaching.mixture import Drawn, Mixture
from compress.teaching.pairs import (
    LANDMARK_MIRROR,
    STYLED_FIELDS,
    PairBatch,
    PairBatches,
    make_batch,
    read_rows,
    styles_of,
)
from compress.teaching.tasks import teaching_loss
from compress.teaching.unpaired import UnpairedBatch
from small_line import TRAINING, checkpoint, recipe
from teachers.blocks import warp
from teachers.kstylegan import TeacherOutput

SIZE = 64
STYLES = KNOWN[:2]
QUIET = Context(progress=Progress(interactive=False))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("pairs")
    drawn = PairSettings(count=6, seed=3, size=SIZE, styles=STYLES)
    settings = PairStep(pairs=drawn, validation=ValidationSettings(count=2, seed=4))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("compress.stages.pairs.os.cpu_count", lambda: 1)  # starting processes takes longer than six pairs
        pairs_stage.run(settings, {}, folder, QUIET)
    return Artifact(folder, {})


@pytest.fixture(scope="module")
def photos(pairs: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Photographs for mixed training: here the renders, with five points about where faces have them."""
    folder = tmp_path_factory.mktemp("photos")
    points = np.array([[24, 28], [40, 28], [32, 36], [26, 44], [38, 44]], np.float32)
    with ShardWriter(folder, 4) as writer:
        for photo in Shards(pairs.path / "train").read(range(6), ["photo"])["photo"]:
            writer.add({"photo": photo, "points": points})
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
        styles=STYLES,
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
    rows = read_rows(Shards(pairs.path / "train"), np.arange(6), np.arange(6) % 2)
    batch = make_batch(rows, SIZE, None)
    skin = torch.from_numpy((rows["labels_photo"] == 1).astype(np.float32))[:, None]
    drawn = torch.from_numpy((rows["labels_cartoon"] == 1).astype(np.float32))[:, None]
    moved, still = ((warp(skin, f) - drawn).abs().mean() for f in (batch.flow, batch.flow * 0))
    assert moved < 0.6 * still


def test_mirrored_batch_is_the_mirror_of_the_plain_one(pairs: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = read_rows(Shards(pairs.path / "train"), np.arange(2), np.arange(2))
    plain = make_batch(rows, SIZE, None)
    views = (torch.ones(2), -torch.ones(2), torch.zeros(2, 2))
    monkeypatch.setattr("compress.teaching.pairs.draw_views", lambda *given: views)
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
    assert torch.equal(first.photo, again.photo) and torch.equal(first.style, again.style)
    assert not torch.equal(first.photo, PairBatches(train, 32, 2, seed=2).at(2).photo)


def test_each_row_has_the_cartoon_and_flow_of_its_own_style(pairs: Artifact) -> None:
    train = Shards(pairs.path / "train")
    whole = train.read([4, 4], STYLED_FIELDS)
    rows = read_rows(train, np.array([4, 4]), np.array([0, 1]))
    for name, value in whole.items():
        assert np.array_equal(rows[name], value[[0, 1], [0, 1]])
    assert not np.array_equal(rows["cartoon"][0], rows["cartoon"][1])
    assert np.array_equal(rows["photo"][0], rows["photo"][1])


def test_batches_hold_all_styles_equally_often(pairs: Artifact) -> None:
    train = Shards(pairs.path / "train")
    assert [PairBatches(train, 32, 3, seed=1).at(step).style.tolist() for step in range(2)] == [[0, 1, 0], [1, 0, 1]]
    assert np.bincount(np.concatenate([styles_of(step, 16, 3) for step in range(3)])).tolist() == [16, 16, 16]
    assert PairBatches(train, 32, 3, 1, augment=False).at(0, 1).style.tolist() == [1, 1, 1]


def test_styles_that_the_pairs_lack_are_named(pairs: Artifact) -> None:
    with pytest.raises(InputError, match=r"training.pairs.styles: 3, but the pairs have 2"):
        teach.initial_network(settings(pairs, styles=KNOWN), Shards(pairs.path / "train"))


def test_training_goes_on_from_weights_with_fewer_styles(pairs: Artifact, tmp_path: Path) -> None:
    train = Shards(pairs.path / "train")
    first, other = (
        teachers.build({**teach.initial_network(settings(pairs), train).record, "styles": list(styles)})
        for styles in (STYLES[:1], STYLES[1:])
    )
    for name, network in (("first", first), ("other", other)):
        teachers.save(network, tmp_path / f"{name}.safetensors", torch.float32)
    grown = teach.initial_network(settings(pairs, initial=str(tmp_path / "first.safetensors")), train)
    assert grown.architecture.styles == STYLES and grown.record["styles"] == list(STYLES)
    codes = grown.style.codes.weight
    assert torch.equal(codes[:1], first.style.codes.weight) and codes.requires_grad
    assert 0 < (codes[1] - codes[0]).norm() < 0.3 * codes[0].norm()
    with pytest.raises(InputError, match=rf"training.initial: styles {STYLES[1]} are not the first of"):
        teach.initial_network(settings(pairs, initial=str(tmp_path / "other.safetensors")), train)


def test_loss_falls_on_one_batch(pairs: Artifact) -> None:
    torch.manual_seed(0)
    step = settings(pairs)
    network = teach.initial_network(step, Shards(pairs.path / "train"))
    batch = PairBatches(Shards(pairs.path / "train"), 32, 4, seed=1).at(0)
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    losses = []
    for _ in range(8):
        loss, parts = teaching_loss(network(batch.photo, batch.style), batch, step.weights)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert set(parts) == set(get_args(Task))
    assert losses[-1] < 0.9 * losses[0]


ALWAYS = {"consistency", "contrast", "painted", "tint", "lines", "moments"}
"""Losses of every step with photographs."""
MIXED = UnpairedSettings(photos=("photos",), adversarial_from=0.25, moments=0.002, painted=0.5)


@pytest.mark.parametrize("unpaired", [None, MIXED], ids=["paired", "mixed"])
def test_killed_training_ends_where_an_uninterrupted_one_does(
    unpaired: UnpairedSettings | None,
    pairs: Artifact,
    photos: Artifact,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The judge joins with step 1 and is used by step 3, before which the training is killed.
    phases = tuple(PhaseSettings(size=s, images=i, batch=2, learning_rate=1e-3) for s, i in ((32, 2), (64, 6)))
    step, inputs = settings(pairs, phases=phases, unpaired=unpaired), {"pairs": pairs, "photos": photos}
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
    numbers = teach.run(step, inputs, whole, QUIET)
    assert numbers["images"] == 8 and list(numbers["styles"]) == list(STYLES)
    assert all(math.isfinite(value) for style in numbers["styles"].values() for value in style.values())
    assert (whole / "validation.png").is_file() and not (whole / "checkpoint.safetensors").exists()
    patched = teach.require_finite

    def stop(loss: Tensor, at: int, place: str) -> float:
        if at == 3:
            raise KeyboardInterrupt
        return patched(loss, at, place)

    monkeypatch.setattr(teach.Checkpoints, "maybe_save", lambda self, done: self.save(done))
    monkeypatch.setattr(teach, "require_finite", stop)
    with pytest.raises(KeyboardInterrupt):
        teach.run(step, inputs, killed, QUIET)
    stored = {name.split(".")[1] for name in load_file(killed / "checkpoint.safetensors") if name.startswith("model.")}
    assert stored == {"teacher"} | ({"judge", "moments", "tints"} if unpaired else set())
    monkeypatch.setattr(teach, "require_finite", patched)
    teach.run(step, inputs, killed, QUIET)
    weights = [load_file(folder / teach.WEIGHTS) for folder in (whole, killed)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def mixture_of(pairs: Artifact, photos: Artifact, **changes: float | str) -> Mixture:
    """Of a training in which the judge takes part from the start."""
    unpaired = MIXED.model_copy(update={"adversarial_from": 0.0, **changes})
    network = teach.initial_network(settings(pairs), Shards(pairs.path / "train"))
    return Mixture(settings(pairs, unpaired=unpaired), unpaired, Shards(photos.path), network, QUIET)


def drawn_by(network: nn.Module, batch: PairBatch | UnpairedBatch) -> Drawn:
    return Drawn(network(batch.photo, batch.style).image, batch.style)


def pairs_of(pairs: Artifact) -> PairBatch:
    return PairBatches(Shards(pairs.path / "train"), SIZE, 2, 0).at(0)


def state(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def moved(before: dict[str, Tensor], module: nn.Module) -> set[str]:
    return {name for name, value in module.state_dict().items() if not torch.equal(before[name], value)}


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_teacher_and_judge_learn_in_turns(pairs: Artifact, photos: Artifact, name: Optimizer) -> None:
    mixture = mixture_of(pairs, photos)
    network = teach.initial_network(settings(pairs), Shards(pairs.path / "train"))
    optimizer = teach.make_optimizer(nn.ModuleDict({"teacher": network, "judge": mixture.judge.heads}), name)
    ((_, _, batch, photographs),) = teach.lessons(settings(pairs).phases, Shards(pairs.path / "train"), 0, 2, mixture)
    assert photographs is not None and len(photographs.photo) == 1  # half as many as pairs
    for step in range(2):  # in the second, momentum could move what has no gradient
        teacher, judge = state(network), state(mixture.judge)
        mixed = mixture.losses(network, photographs, batch, drawn_by(network, batch), step)
        optimizer.zero_grad()
        mixed.loss.backward()
        optimizer.step()
        assert set(mixed.parts) == {*ALWAYS, "identity", "adversarial"}
        assert moved(teacher, network) and not moved(judge, mixture.judge)
        teacher, judge = state(network), state(mixture.judge)
        assert mixed.drawn is not None and mixed.drawn.image.shape == (3, 3, SIZE, SIZE)
        assert mixed.drawn.style.tolist() == [*photographs.style, *batch.style]
        real = Drawn(batch.cartoon, batch.style)
        assert math.isfinite(mixture.teach_judge(optimizer, mixed.drawn, real, step))
        assert not moved(teacher, network)
        assert all(name.startswith("heads.") for name in moved(judge, mixture.judge))
        assert any(name.startswith("heads.") for name in moved(judge, mixture.judge))


def test_judge_joins_late_and_at_the_largest_size_only(pairs: Artifact, photos: Artifact) -> None:
    mixture = mixture_of(pairs, photos, adversarial_from=0.6, identity=0.0)  # of three steps
    network = teach.initial_network(settings(pairs), Shards(pairs.path / "train"))
    small, large = (mixture.batches(phase).at(0) for phase in settings(pairs).phases)
    rendered = pairs_of(pairs)
    for batch, step, joined in ((small, 2, False), (large, 1, False), (large, 2, True)):
        mixed = mixture.losses(network, batch, rendered, drawn_by(network, batch), step)
        assert set(mixed.parts) == ALWAYS | ({"adversarial"} if joined else set())
        assert (mixed.drawn is not None) == joined


def test_weights_of_zero_switch_everything_off(pairs: Artifact, photos: Artifact) -> None:
    mixture = mixture_of(pairs, photos, **dict.fromkeys(ALWAYS | {"identity", "adversarial"}, 0.0))
    network = teach.initial_network(settings(pairs), Shards(pairs.path / "train"))
    batch = mixture.batches(settings(pairs).phases[1]).at(0)
    mixed = mixture.losses(network, batch, pairs_of(pairs), Drawn(batch.photo, batch.style), 2)
    assert float(mixed.loss) == 0 and not mixed.parts and mixed.drawn is None


@pytest.mark.parametrize(
    ("photos", "problem"),
    [
        ("[nowhere]", r"training.unpaired.photos\[0\] .*nowhere: there is no such folder"),
        ("[empty]", r"training.unpaired.photos\[0\] .*empty: no picture"),
        ("[]", r"training.unpaired.photos"),
    ],
)
def test_photographs_that_are_not_there_are_found_by_the_plan(tmp_path: Path, photos: str, problem: str) -> None:
    (tmp_path / "empty").mkdir()
    path = recipe(tmp_path, TRAINING + f"  unpaired: {{photos: {photos}}}\n")
    with pytest.raises(RecipeError) as caught:
        plan(path)
    assert re.search(problem, str(caught.value))


def test_photographs_are_a_step_that_the_training_reads(tmp_path: Path) -> None:
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces" / "one.jpg").write_bytes(b"photo")
    mixed, paired = (plan(recipe(tmp_path, TRAINING + more)) for more in ("  unpaired: {photos: [faces]}\n", ""))
    assert {step.name: dict(step.inputs) for step in mixed.steps} == {
        "pairs": {}, "photos": {}, "teach": {"pairs": "pairs", "photos": "photos"},
    }  # fmt: skip
    assert [step.name for step in paired.steps] == ["pairs", "teach"]


def test_initial_weights_of_another_architecture_are_found_by_the_plan(tmp_path: Path) -> None:
    path = recipe(tmp_path, TRAINING + "  initial: begun.safetensors\n")
    known = TeacherArchitecture(channels=(16, 16, 32, 32, 32)).model_dump(mode="json")
    older = {name: value for name, value in known.items() if name != "antialias"}  # it had no such field yet
    for record in (known, older):
        checkpoint(tmp_path / "begun.safetensors", {"architecture": json.dumps(record)})
        assert plan(path).steps
    checkpoint(tmp_path / "begun.safetensors", {"architecture": json.dumps(known | {"antialias": True})})
    with pytest.raises(RecipeError, match=r"training.architecture.antialias.*False is not the True of begun"):
        plan(path)


def test_painter_may_be_other_weights_that_draw_the_same_styles(
    pairs: Artifact, photos: Artifact, tmp_path: Path
) -> None:
    other = teach.initial_network(settings(pairs), Shards(pairs.path / "train"))
    teachers.save(other, tmp_path / "other.safetensors", torch.float32)
    painter = mixture_of(pairs, photos, painter=str(tmp_path / "other.safetensors")).painter
    assert painter is not None and not painter.network.training
    assert all(torch.equal(a, b) for a, b in zip(painter.network.parameters(), other.parameters(), strict=True))
    with pytest.raises(InputError, match=r"training.unpaired.painter: teacher nowhere.safetensors"):
        mixture_of(pairs, photos, painter="nowhere.safetensors")


def test_painted_targets_do_not_reach_the_eyes(pairs: Artifact, photos: Artifact) -> None:
    off = dict.fromkeys(("consistency", "contrast", "tint", "lines", "moments", "identity", "adversarial"), 0.0)
    mixture = mixture_of(pairs, photos, **off)
    photographs = mixture.batches(settings(pairs).phases[0]).at(0)
    network = teach.initial_network(settings(pairs), Shards(pairs.path / "train")).train()
    batch, kept = pairs_of(pairs), []

    def keep(module: nn.Module, inputs: object, output: TeacherOutput) -> None:
        output.image.retain_grad()
        kept.append(output.image)

    network.register_forward_hook(keep)
    mixture.losses(network, photographs, batch, drawn_by(network, batch), 0).loss.backward()
    gradient = kept[-1].grad.abs().amax((0, 1))
    column, row = (int(at) for at in photographs.points[0, 0])
    assert gradient[row, column] == 0
    assert gradient[-2:].max() > 0


def test_painter_of_other_styles_is_found_by_the_plan(tmp_path: Path) -> None:
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces" / "one.jpg").write_bytes(b"photo")
    path = recipe(tmp_path, TRAINING + "  unpaired: {photos: [faces], painted: 2, painter: painter.safetensors}\n")
    styles = KNOWN[:1]
    for known, fits in ((styles, True), ((*styles, "other"), True), (("other", *styles), False)):
        checkpoint(tmp_path / "painter.safetensors", {"architecture": json.dumps({"styles": list(known)})})
        if fits:
            assert plan(path).steps
        else:
            with pytest.raises(RecipeError, match=r"unpaired.painter.*draws other, .* in this order; name weights"):
                plan(path)


def test_wrong_number_of_coefficients_is_named(pairs: Artifact) -> None:
    train = Shards(pairs.path / "train")
    small = settings(pairs).architecture.model_copy(update={"coefficients": 3})
    with pytest.raises(InputError, match="coefficients: 3 is not the"):
        teach.initial_network(settings(pairs, architecture=small), train)


def test_initial_weights_that_do_not_exist_are_named(pairs: Artifact) -> None:
    with pytest.raises(InputError, match=r"training.initial: teacher nowhere.safetensors"):
        teach.initial_network(settings(pairs, initial="nowhere.safetensors"), Shards(pairs.path / "train"))
