"""What was seen becomes numbers of the part of the test set that it belongs to."""

from __future__ import annotations

import numpy as np
import pytest

from compress.errors import StageError
from compress.judging import evaluation, gates, measuring
from compress.judging.facts import CATEGORIES
from compress.judging.metrics.estimate import Estimate

IMAGES = 120  # of two parts of equal size
ROWS = {"rendered": np.arange(60), "photographs": np.arange(60, IMAGES)}


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "summarise", lambda table, seed: {"ssim_mean": Estimate(1, 1, 1, 60)})


def stills(labelled: int) -> dict[str, np.ndarray]:
    """Glasses are known of every render, and of so many photographs: half yes, half no."""
    known = np.where(np.arange(IMAGES) < 60 + labelled, np.resize(np.array([b"yes", b"no"], "S16"), IMAGES), b"")
    blank = {name: np.zeros(IMAGES, "S16") for name in CATEGORIES}
    numbers = {name: np.random.default_rng(0).normal(size=IMAGES) for name in ("psnr_db", "perceptual")}
    who = {f"identity_{who}": np.ones((IMAGES, 2)) for who in ("photo", "student", "teacher")}
    return blank | numbers | who | {"glasses": known.astype("S16"), "person": np.arange(IMAGES).astype("S64")}


def moving(changed: int) -> dict[str, np.ndarray]:
    """So many changed renders that are as steady as the teacher's, as many photographs half as steady, 5 videos."""
    source = np.repeat([0, 1, -1], [changed, changed, 5])
    return {
        "kind": np.where(source < 0, b"video", b"jpeg").astype("S16"),
        "person": np.arange(len(source)).astype("S64"),
        "source": source,
        "student": np.where(source == 1, 2.0, 1.0),
        "teacher": np.ones(len(source)),
        "photo": np.ones(len(source)),
    }


def test_changed_photos_stand_in_the_part_of_their_photos() -> None:
    found = measuring.summarise(measuring.Seen(stills(0), moving(40)), ROWS, 0, with_groups=False)
    ratios = {part: numbers["equivariance_jpeg_ratio"] for part, numbers in found.items() if part != gates.MOTION}
    assert {part: (ratio.value, ratio.n) for part, ratio in ratios.items()} == {
        "rendered": (1.0, 40), "photographs": (2.0, 40)
    }  # fmt: skip
    assert {name for name in found[gates.MOTION] if name.endswith("ratio")} == {"flicker_ratio"}


def test_changed_photos_of_a_part_that_is_not_judged_are_left_out() -> None:
    rows = {"rendered": ROWS["rendered"]}
    found = measuring.summarise(measuring.Seen(stills(0), moving(40)), rows, 0, with_groups=False)
    assert set(found) == {"rendered", gates.MOTION} and found["rendered"]["equivariance_jpeg_ratio"].n == 40


def test_groups_of_a_part_with_few_labels_are_unknown() -> None:
    few = stills(6)
    assert not measuring.labelled(measuring.only(few, ROWS["photographs"]))
    found = measuring.summarise(measuring.Seen(few, None), ROWS, 0, with_groups=True)
    assert "group_psnr_gap_db" in found["rendered"] and "group_psnr_gap_db" not in found["photographs"]


def test_groups_that_no_part_can_judge_are_an_error() -> None:
    rows = {"photographs": ROWS["photographs"]}
    with pytest.raises(StageError, match="none of 2 has 20 people"):
        measuring.summarise(measuring.Seen(stills(6), None), rows, 0, with_groups=True)
