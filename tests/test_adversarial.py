"""The discriminators: what of the projected one is frozen, that the plain one learns whole, what they tell apart, and
how strongly the teacher hears them.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from compress import networks
from compress.networks.lite0 import EfficientNetLite0
from compress.teaching import adversarial
from compress.teaching.adversarial import Discriminator, augment, balanced, discriminator_loss, generator_loss

SIZE = 32


@pytest.fixture(scope="module")
def features() -> EfficientNetLite0:
    return networks.features()


def noise(count: int, size: int = SIZE, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def flat(count: int) -> Tensor:
    """Pictures of one colour each."""
    return noise(count, 1, seed=1).expand(count, 3, SIZE, SIZE)


def zeros(count: int) -> Tensor:
    return torch.zeros(count, dtype=torch.long)


def test_gradients_reach_the_pictures_while_features_and_mixers_stand_still(features: EfficientNetLite0) -> None:
    judge = Discriminator(features, SIZE)
    before = {name: value.clone() for name, value in judge.state_dict().items()}
    pictures = noise(2).requires_grad_()
    optimizer = torch.optim.SGD([p for p in judge.parameters() if p.requires_grad], lr=1.0)
    generator_loss(judge(pictures, zeros(2))).backward()
    optimizer.step()
    assert pictures.grad is not None and (pictures.grad.abs().amax((1, 2, 3)) > 0).all()
    after = judge.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved and all(name.startswith("heads.") for name in moved)
    assert any(".last." in name for name in moved) and any(".down." in name for name in moved)


def test_mixing_follows_from_the_seed(features: EfficientNetLite0) -> None:
    maps = [Discriminator(features, SIZE, seed=seed).projection(noise(1)) for seed in (1, 1, 2)]
    assert [found.shape[-1] for found in maps[0]] == [8, 4, 2, 1]
    assert all(torch.equal(a, b) for a, b in zip(maps[0], maps[1]))
    assert not any(torch.allclose(a, b) for a, b in zip(maps[0], maps[2]))


def test_coarse_features_are_mixed_into_fine_ones(features: EfficientNetLite0, monkeypatch: pytest.MonkeyPatch) -> None:
    projection = Discriminator(features, SIZE).projection
    maps = features.maps(noise(1), adversarial.LAYERS)
    whole = projection(noise(1))
    monkeypatch.setattr(features, "maps", lambda images, layers: [*maps[:3], maps[3] * 0])
    assert not any(torch.allclose(a, b) for a, b in zip(whole, projection(noise(1))))


@pytest.mark.parametrize(("size", "places"), [(32, 16 + 16 + 4 + 1), (48, 9 + 9 + 9 + 4), (64, 16 + 16 + 16 + 4)])
def test_heads_give_one_logit_a_place_at_every_scale(features: EfficientNetLite0, size: int, places: int) -> None:
    assert Discriminator(features, size)(noise(2, size), zeros(2)).shape == (2, places)
    plain = Discriminator(None, size)(noise(2, size), zeros(2))
    # An odd side is rounded down by plain convolutions and up by the pretrained ones: 3 px become 1, not 2.
    assert plain.shape == (2, places - 3 * (size == 48))


@pytest.mark.parametrize("seed", [0, 1])
def test_first_logits_are_no_larger_than_the_margin(features: EfficientNetLite0, seed: int) -> None:
    torch.manual_seed(seed)
    coarse = torch.rand(8, 3, 5, 5, generator=torch.Generator().manual_seed(9)) * 2 - 1
    pictures = torch.nn.functional.interpolate(coarse, size=(64, 64), mode="bilinear")
    judge = Discriminator(features, 64, seed=seed)
    assert 0.1 < judge(pictures, zeros(8)).std() < 1.5
    for feature in judge.projection(pictures):
        assert 0.5 < feature.square().mean().sqrt() < 2


def test_plain_discriminator_learns_whole_the_projected_one_by_its_heads(features: EfficientNetLite0) -> None:
    for judge, parts in ((Discriminator(None, SIZE), ("heads.", "projection.")), (Discriminator(features, SIZE), ())):
        generator_loss(judge(noise(2), zeros(2))).backward()
        learned = {id(p) for p in judge.learned.parameters()}
        taught = {name for name, p in judge.named_parameters() if p.grad is not None and p.grad.any()}
        assert all(any(name.startswith(part) for name in taught) for part in parts or ("heads.",))
        assert {id(p) for name, p in judge.named_parameters() if name in taught} <= learned
        assert all(id(p) not in learned for p in judge.parameters() if not p.requires_grad)


def test_heads_give_one_logit_a_style(features: EfficientNetLite0) -> None:
    judge = Discriminator(features, SIZE, styles=3).eval()
    pictures = noise(1).repeat(3, 1, 1, 1)
    together = judge(pictures, torch.arange(3))
    for style in range(3):
        alone = judge(pictures[:1], torch.tensor([style]))[0]
        assert torch.allclose(together[style], alone, atol=1e-3)
        assert not torch.allclose(together[(style + 1) % 3], alone, atol=1e-1)


@pytest.mark.parametrize("pretrained", [True, False])
def test_judge_learns_to_tell_textured_pictures_from_plain_ones(features: EfficientNetLite0, pretrained: bool) -> None:
    torch.manual_seed(0)
    judge = Discriminator(features if pretrained else None, SIZE)
    optimizer = torch.optim.Adam(judge.learned.parameters(), 2e-3, betas=(0.0, 0.99))
    generator = torch.Generator().manual_seed(0)
    for step in range(12):
        real, false = augment(noise(4, seed=step + 2), generator), augment(flat(4), generator)
        optimizer.zero_grad()
        discriminator_loss(judge(real, zeros(4)), judge(false, zeros(4))).backward()
        optimizer.step()
    judge.eval()
    real, false = judge(noise(4, seed=99), zeros(4)).mean(1), judge(flat(4), zeros(4)).mean(1)
    assert real.min() > false.max() + 1
    assert discriminator_loss(real, false) < 1 < discriminator_loss(false, real)


def test_hinge_loss_asks_for_nothing_beyond_the_margin() -> None:
    sure, unsure = torch.tensor([5.0]), torch.tensor([0.5])
    assert float(discriminator_loss(sure, -sure)) == 0
    assert float(discriminator_loss(unsure, -unsure)) == pytest.approx(1.0)
    assert float(generator_loss(unsure)) == -0.5


def test_balanced_pictures_get_the_gradient_of_an_absolute_error(features: EfficientNetLite0) -> None:
    judge, pictures = Discriminator(features, SIZE).eval(), noise(2).requires_grad_()
    (known,) = torch.autograd.grad((pictures - 3).abs().mean(), pictures)
    (raw,) = torch.autograd.grad(generator_loss(judge(pictures, zeros(2))), pictures)
    (found,) = torch.autograd.grad(generator_loss(judge(balanced(pictures, 0.25), zeros(2))), pictures)
    assert float(found.norm() / known.norm()) == pytest.approx(0.25, rel=1e-4)
    assert float(torch.cosine_similarity(found.flatten(), raw.flatten(), dim=0)) > 0.999


def test_augmentation_follows_from_its_generator_and_differs_between_pictures() -> None:
    pictures = noise(1).repeat(2, 1, 1, 1).requires_grad_()
    first, again = (augment(pictures, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, again) and not torch.allclose(first[0], first[1])
    (slope,) = torch.autograd.grad(first.sum(), pictures)
    assert 0.3 < float((slope.abs() > 0.5).float().mean()) < 0.95  # what was cut out or moved away has none


def test_augmentation_moves_pictures_without_blurring_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adversarial, "JITTER", 0.0)
    monkeypatch.setattr(adversarial, "CUT", 0.0)
    pictures = torch.zeros(16, 3, SIZE, SIZE)
    pictures[:, :, 16, 16] = 1
    moved = augment(pictures, torch.Generator().manual_seed(0))
    assert (moved.sum((2, 3)) == 1).all() and set(moved.unique().tolist()) == {0.0, 1.0}
    places = moved[:, 0].flatten(1).argmax(1)
    rows, columns = places // SIZE - 16, places % SIZE - 16
    assert rows.abs().max() <= 4 and columns.abs().max() <= 4 and len(places.unique()) > 8
