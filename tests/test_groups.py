"""The worst group is found, named and judged; what cannot be judged is an error or listed as such."""

from __future__ import annotations

from types import SimpleNamespace as Bound

import numpy as np
import pytest

from compress.errors import StageError
from compress.judging import gates, groups
from compress.judging.facts import CATEGORIES
from compress.judging.verdict import GroupRecord

IMAGES = 160


@pytest.fixture
def table() -> dict[str, np.ndarray]:
    """Skin: 30 dark, 130 light; glasses: 5 yes, 75 no, 80 unknown; the rest unknown."""
    generator = np.random.default_rng(0)
    unknown = {name: np.zeros(IMAGES, "S16") for name in CATEGORIES}
    photo, teacher = (generator.normal(size=(IMAGES, 8)) for _ in range(2))
    return unknown | {
        "skin": np.repeat(np.array([b"dark", b"light"], "S16"), [30, 130]),
        "glasses": np.repeat(np.array([b"yes", b"no", b""], "S16"), [5, 75, 80]),
        "person": np.array([f"p{i}" for i in range(IMAGES)], "S64"),
        "psnr_db": generator.normal(28, 1, IMAGES),
        "perceptual": generator.normal(0.2, 0.01, IMAGES),
        "identity_photo": photo, "identity_teacher": teacher, "identity_student": teacher.copy(),
    }  # fmt: skip


def spoil(table: dict[str, np.ndarray]) -> None:
    """Make the student worse on dark skin."""
    table["psnr_db"][:30] -= 3
    table["perceptual"][:30] += 0.1
    table["identity_student"][:30] -= 0.8 * table["identity_photo"][:30]


def test_group_served_worse_is_the_worst_in_every_metric(table: dict[str, np.ndarray]) -> None:
    spoil(table)
    found = groups.summarise(table, 0)
    assert set(found) == {"group_psnr_gap_db", "group_identity_gap", "group_perceptual_gap"}
    assert all(e.lower > 0 and e.note == "worst: skin dark (30 images)" and e.n == 30 for e in found.values())
    expected = table["psnr_db"][30:].mean() - table["psnr_db"][:30].mean()
    assert found["group_psnr_gap_db"].value == pytest.approx(expected)


def test_equal_service_has_a_small_gap(table: dict[str, np.ndarray]) -> None:
    found = groups.summarise(table, 0)
    assert abs(found["group_psnr_gap_db"].value) < 0.8
    assert found["group_identity_gap"].value == 0


def test_failed_group_gate_names_the_group(table: dict[str, np.ndarray]) -> None:
    spoil(table)
    bounds = {"group_psnr_gap_db": Bound(min=None, max=1.5)}
    result = gates.evaluate(bounds, {"rendered": groups.summarise(table, 0)})[0]
    assert result.state == "failed"
    assert result.detail.endswith("is above 1.5 (worst: skin dark (30 images))")


def test_gate_needs_the_bound_of_every_group(table: dict[str, np.ndarray]) -> None:
    # Dark skin is worst by its mean; few and scattered photographs of seniors have the widest interval.
    table["age"] = np.repeat(np.array([b"adult", b"senior"], "S16"), [140, 20])
    table["psnr_db"][140:] += np.linspace(-10, 8, 20)
    table["psnr_db"][:30] -= 2.5
    found = groups.summarise(table, 0)["group_psnr_gap_db"]
    gaps = [groups.gaps(table, group, 0)["group_psnr_gap_db"] for group in groups.find(table) if group.judged]
    assert found.value == max(gap.value for gap in gaps)
    assert found.upper == max(gap.upper for gap in gaps)
    assert found.note == "worst: skin dark (30 images); widest: age senior (20 images)"
    assert found.n == 20


def test_rows_hold_every_metric_of_judged_groups_and_name_the_others(table: dict[str, np.ndarray]) -> None:
    rows = groups.table(table, 0)
    for row in rows:
        GroupRecord(subset="rendered", **row)  # type: ignore[arg-type]  # checked by the model itself
    assert [(r["label"], r["n"]) for r in rows if not r["judged"]] == [("no", 75), ("yes", 5)]
    dark = next(r for r in rows if (r["label"], r["metric"]) == ("dark", "psnr_db"))
    assert dark["value"] == pytest.approx(table["psnr_db"][:30].mean())
    assert dark["gap"] == pytest.approx(table["psnr_db"][30:].mean() - table["psnr_db"][:30].mean())


def test_unknown_labels_are_no_others(table: dict[str, np.ndarray]) -> None:
    with_glasses = next(group for group in groups.find(table) if group.label == "yes")
    assert (with_glasses.images, int(with_glasses.others.sum())) == (5, 75)


def test_many_images_of_few_people_are_not_judged(table: dict[str, np.ndarray]) -> None:
    table["person"][:30] = b"the same"
    dark = next(group for group in groups.find(table) if group.label == "dark")
    assert not dark.judged and dark.images == 30


def test_many_images_of_few_others_are_not_judged_either(table: dict[str, np.ndarray]) -> None:
    table["person"][30:] = b"the same"
    dark = next(group for group in groups.find(table) if group.label == "dark")
    assert not dark.judged and (dark.people, dark.other_people) == (30, 1)


def test_people_with_very_uneven_shares_are_not_judged(table: dict[str, np.ndarray]) -> None:
    table["person"][30:130] = b"the same"
    light = next(group for group in groups.find(table) if group.label == "light")
    assert not light.judged and light.people == 31
    with pytest.raises(StageError, match="31 people with 30 others, whose uneven shares of the images weigh like 1;"):
        groups.summarise(table | {"glasses": np.zeros(IMAGES, "S16")}, 0)


def test_label_without_any_others_is_not_judged(table: dict[str, np.ndarray]) -> None:
    table["skin"][:] = b"dark"
    assert not any(group.judged for group in groups.find(table))


def test_no_label_at_all_is_an_error_with_the_way_out(table: dict[str, np.ndarray]) -> None:
    blank = {name: np.zeros(IMAGES, "S16") for name in CATEGORIES}
    with pytest.raises(StageError, match=r"not one label of 160 images is known; .*test\.facts"):
        groups.summarise(table | blank, 0)
    assert groups.table(table | blank, 0) == []


def test_only_small_groups_are_an_error_that_names_the_largest(table: dict[str, np.ndarray]) -> None:
    few = {name: column[:25] for name, column in table.items()}
    few["skin"] = np.repeat(np.array([b"dark", b"light"], "S16"), [12, 13])
    few["glasses"] = np.zeros(25, "S16")
    with pytest.raises(StageError, match=r"none of 2 has 20 people .* skin light \(13 images\) of 13 people with 12"):
        groups.summarise(few, 0)
