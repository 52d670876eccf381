"""Objects before rendered pairs, and which pixels of a cartoon count more."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from compress.faces.materials import LABELS
from compress.teaching import occluders, weighting
from compress.teaching.weighting import pixel_weights

SIZE = 48


def rows(count: int) -> dict[str, np.ndarray]:
    """Grey photos and darker cartoons that are all skin, with a flow of one pixel, seen nowhere."""
    label = np.full((count, SIZE, SIZE), LABELS["skin"], np.uint8)
    photo = np.full((count, SIZE, SIZE, 3), 200, np.uint8)
    return {
        "photo": photo, "cartoon": photo // 2, "flow": np.ones((count, SIZE, SIZE, 2), np.float16),
        "visible": np.zeros((count, SIZE, SIZE), np.uint8), "labels_photo": label, "labels_cartoon": label.copy(),
    }  # fmt: skip


def test_objects_stand_in_photo_and_cartoon_alike_and_do_not_move() -> None:
    batch = rows(60)
    occluders.occlude(batch, np.random.default_rng(0))
    there = batch["labels_photo"] == LABELS["background"]
    hit = there.any((1, 2))
    assert 2 <= hit.sum() <= 25
    assert np.array_equal(there, batch["labels_cartoon"] == LABELS["background"])
    assert (batch["flow"][there] == 0).all() and (batch["flow"][~there] == 1).all()
    assert (batch["visible"] == there).all()
    gap = batch["photo"].astype(int) - batch["cartoon"]
    assert np.abs(gap[there]).mean() < 10 and (gap[~hit] == 100).all()
    assert 0.01 < there[hit].mean() < 0.5


@pytest.mark.parametrize("seed", range(5))
def test_fingers_are_lit_and_cover_part_of_the_picture(seed: int) -> None:
    cover, light = occluders.fingers(SIZE, np.random.default_rng(seed))
    assert cover.min() == 0 and cover.max() == 1 and cover.mean() < 0.6
    assert 0.3 < light[cover > 0.5].min() < light[cover > 0.5].max() < 1.6


def test_what_the_photo_hides_and_what_people_look_at_counts_more() -> None:
    cartoon = torch.full((1, 3, 1, 4), 0.2)
    labels = np.array([[[LABELS[name] for name in ("background", "skin", "teeth", "eye")]]], np.uint8)
    seen, hidden = (pixel_weights(cartoon, labels, np.full((1, 1, 4), v, np.uint8))[0, 0, 0] for v in (1, 0))
    expected = [weighting.ELSEWHERE, *(weighting.PARTS[name] for name in ("skin", "teeth", "eye"))]
    assert seen.tolist() == pytest.approx(expected)
    assert (hidden / seen).tolist() == pytest.approx([1, weighting.HIDDEN, weighting.HIDDEN, weighting.HIDDEN])


def test_dark_skin_counts_more_than_light_skin() -> None:
    labels, seen = np.full((3, 8, 8), LABELS["skin"], np.uint8), np.ones((3, 8, 8), np.uint8)
    cartoon = torch.tensor([0.6, -0.3, -0.9])[:, None, None, None].expand(3, 3, 8, 8)
    light, darker, darkest = pixel_weights(cartoon, labels, seen).mean((1, 2, 3)).tolist()
    assert light == pytest.approx(weighting.PARTS["skin"])
    assert light < darker < darkest <= weighting.PARTS["skin"] * weighting.DARKEST + 1e-6
