"""The self-check of a teacher: each mistake is told in its own sentence, and a sound teacher passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from compress.errors import NonFiniteError, StageError
from compress.planning.teacher_files import port_of
from compress.recipe import TeacherSettings
from compress.teaching import teacher_check
from compress.teaching.source import Network
from compress.teaching.teacher_ways import Opened

SIZE = 32


def portraits(count: int = 4) -> np.ndarray:
    """Smooth coloured pictures, all different, redder than blue as faces are, with dark and light parts."""
    coarse = torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    coarse[:, 0], coarse[:, 2] = coarse[:, 0] * 0.5 + 0.5, coarse[:, 2] * 0.5
    smooth = F.interpolate(coarse, size=(SIZE, SIZE), mode="bicubic", align_corners=True).clamp(0, 1)
    return (smooth * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


def pale(photo: Tensor) -> Tensor:
    return photo * 0.6 + 0.1


def network(call: Callable[[Tensor], Any], **settings: Any) -> Network:
    def named(photo: Tensor) -> dict[str, Tensor]:
        result = call(photo)
        return result if isinstance(result, dict) else {"image": result}

    opened = Opened(named, port_of(network_file, ("n", 3, "h", "w"), ()))
    return Network("own", "0" * 64, frozenset(), TeacherSettings(onnx="own.onnx", **settings), opened, "cpu")


network_file: Any = "own.onnx"


def refused(call: Callable[[Tensor], Any], **settings: Any) -> str:
    with pytest.raises(StageError) as caught:
        teacher_check.require_fit(network(call, **settings), portraits())
    return str(caught.value)


def batch_norm(photo: Tensor) -> Tensor:
    """BatchNorm in training mode: the statistics are those of the batch."""
    return F.batch_norm(photo, None, None, training=True) * 0.4


def maps(photo: Tensor, gain: float, flow: float = 0.0) -> Tensor:
    values = torch.tensor([flow] * 2 + [gain] * 3 + [0.1] * 3).reshape(1, 8, 1, 1)
    return values.expand(len(photo), -1, SIZE // 4, SIZE // 4)


@pytest.mark.parametrize(
    ("call", "settings"),
    [
        (pale, {}),
        (lambda x: pale(x * 2 - 1) / 2 + 0.5, {"input_range": "0..1", "output_range": "0..1"}),
        (lambda x: pale(x / 127.5 - 1), {"input_range": "0..255"}),
        (lambda x: (pale(x) + 1) * 127.5, {"output_range": "0..255"}),
        (lambda x: pale(x).flip(1), {"output_colour": "bgr"}),
        (lambda x: F.avg_pool2d(pale(x), 2), {"size": SIZE}),
        (lambda x: {"image": pale(x), "maps": maps(x, 0.6), "tap": x}, {}),
    ],
)
def test_sound_teacher_passes_and_draws_the_same_picture(call: Callable[[Tensor], Any], settings: Any) -> None:
    teacher = network(call, **settings)
    teacher_check.require_fit(teacher, portraits())
    expected = np.clip(portraits() * 0.6 + 0.1 * 127.5 + 0.4 * 127.5, 0, 255)
    if "size" not in settings:
        assert np.abs(teacher.draw(portraits()).image - expected).max() <= 0.51


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda x: F.dropout(pale(x), 0.2, training=True), "random output: the same photos again differ by "),
        (lambda x: pale(x) + 0.05 * torch.randn_like(x), "export or load it in evaluation mode, without dropout"),
        (batch_norm, "batch-dependent output: a photo alone differs by "),
        (lambda x: (pale(x) + 1) / 2, "where -1..1 is expected; set teacher.output_range: 0..1"),
        (lambda x: (pale(x) + 1) * 127.5, "where -1..1 is expected; set teacher.output_range: 0..255"),
        (lambda x: pale(x) * 900, "where -1..1 is expected; no known range fits, check its weights"),
        (lambda x: pale(x)[:, :1], "wrong channels: image (4, 1, 32, 32) is greyscale; repeat its channel"),
        (lambda x: F.pad(pale(x), (0, 0, 0, 0, 0, 1)), "wrong channels: image (4, 4, 32, 32) is four channels; drop "),
        (lambda x: F.avg_pool2d(pale(x), 2), "wrong size: 16 px for photos of 32 px; set teacher.size: 32"),
        (lambda x: pale(x)[:, :, 1:], "wrong size: image (4, 3, 31, 32) is no square"),
        (lambda x: pale(x)[0], "wrong shape: image (3, 32, 32) for 4 photos; return [N, 3, S, S]"),
        (lambda x: x * 0 + torch.tensor([0.5, 0.1, -0.3]).reshape(1, 3, 1, 1), "constant output: each picture is one"),
        (lambda x: torch.linspace(-0.9, 0.9, SIZE).expand_as(x), "constant output: all faces give the same picture"),
        (lambda x: x * 1.001, "output equal to the photo: 0 levels of 255 in the mean"),
        (lambda x: pale(x).flip(1), "red and blue look exchanged (cosine of the red-blue differences to the photo -"),
        (lambda x: {"image": pale(x), "maps": maps(x, 0.6, 16.0)}, "wrong maps: applied to the photo they end "),
        (lambda x: {"image": pale(x), "maps": maps(x, 0.6)[:, :5]}, "wrong maps: (4, 5, 8, 8); they are flow (2)"),
        (lambda x: {"image": pale(x), "maps": x[:, :1].repeat(1, 8, 1, 1)}, "for photos of 32 px they are of 8 px"),
        (lambda x: {"image": pale(x), "tap": x.mean((2, 3))}, "wrong tap: (4, 3); features must be [N, C, h, w]"),
        (lambda x: torch.linalg.inv(x[0, :, :, 0]), "teacher own: fails on photos 4x3x32x32 ("),
    ],
)
def test_mistake_is_told_in_a_sentence(call: Callable[[Tensor], Any], sentence: str) -> None:
    found = refused(call)
    assert sentence in found
    assert len(found.splitlines()) <= 3


def test_range_of_the_input_that_helps_is_named() -> None:
    """A network for 0..255 that sees -1..1 draws one flat grey."""
    found = refused(lambda x: pale(x / 127.5 - 1) if x.max() > 2 else x * 0 + torch.tensor(-0.5))
    assert "constant output: with input_range 0..255 it is not; set teacher.input_range: 0..255" in found


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    def call(photo: Tensor) -> Tensor:
        image = pale(photo)
        image[0, 0, 0, 0] = value
        return image

    with pytest.raises(NonFiniteError, match="teacher: 1 of 12288 values of its image are NaN or infinite"):
        teacher_check.require_fit(network(call), portraits())


@pytest.mark.parametrize(
    ("call", "oddity"),
    [
        (lambda x: F.dropout(pale(x), 0.2, training=True), "random"),
        (batch_norm, "batch"),
        (lambda x: (pale(x) + 1) / 2, "range"),
        (lambda x: pale(x).flip(1), "colour"),
        (lambda x: x * 1.001, "unchanged"),
    ],
)
def test_what_is_intended_can_be_accepted(call: Callable[[Tensor], Tensor], oddity: str) -> None:
    assert f"(if that is intended: teacher.accept: [{oddity}])" in refused(call)
    teacher_check.require_fit(network(call, accept=(oddity,)), portraits())


def test_several_mistakes_are_told_together() -> None:
    found = refused(lambda x: F.dropout(pale(x).flip(1), 0.2, training=True))
    assert "random output" in found and "red and blue" in found


def test_one_photo_alone_is_enough() -> None:
    teacher_check.require_fit(network(pale), portraits(1))
    with pytest.raises(StageError, match="batch-dependent"):
        teacher_check.require_fit(network(batch_norm), portraits(1))


def test_results_of_other_photos_are_found_in_pairs() -> None:
    photos = portraits(6)
    results = 255 - (255 - photos) // 2
    teacher_check.require_fit_pairs("pairs", results, photos, ())
    with pytest.raises(StageError, match="no more like their own photos than like other photos"):
        teacher_check.require_fit_pairs("pairs", np.roll(results, 1, axis=0), photos, ())
    with pytest.raises(StageError, match="output equal to the photo"):
        teacher_check.require_fit_pairs("pairs", photos, photos, ())


@pytest.mark.parametrize(
    ("low", "high", "fitting"),
    [
        (-0.9, 0.9, "-1..1"),
        (-1.3, 1.3, "-1..1"),
        (0.02, 0.98, "0..1"),
        (0, 200, "0..255"),
        (-120, 120, None),
        (-3, 2, None),
    ],
)
def test_range_of_values_is_recognised(low: float, high: float, fitting: str | None) -> None:
    assert teacher_check.fitting_range(low, high) == fitting
