"""Comparing runs: true changes are named, noise is not, and what cannot be compared says so."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from compress.artifact import write_json
from compress.errors import InputError
from compress.judging import verdict
from compress.reporting import comparison, pairing
from compress.reporting.comparison import Change, Comparison, compare
from compress.reporting.comparison_text import markdown, table
from small_verdict import gate, small

IMAGES = 120
Floats = NDArray[np.float64]


def numbers(psnr: Floats, **more: tuple[float, float, float]) -> dict[str, Any]:
    """metrics.json of a run whose pictures have these PSNRs; `more` are (value, lower, upper) of the whole set."""
    half = 2 * psnr.std() / np.sqrt(len(psnr))
    rendered = {"psnr_mean_db": (psnr.mean(), psnr.mean() - half, psnr.mean() + half)} | more
    model = {
        name: rendered.pop(name) for name in ("size_bytes", "latency_ms", "parity_int8_levels") if name in rendered
    }
    return {
        part: {name: dict(zip(("value", "lower", "upper"), map(float, ends)), n=len(psnr)) for name, ends in of.items()}
        for part, of in (("rendered", rendered), ("model", model))
    }


def stored(
    folder: Path,
    psnr: Floats,
    names: Sequence[str] = (),
    people: Sequence[str] = (),
    changes: dict[str, Any] | None = None,
    **more: tuple[float, float, float],
) -> Path:
    """Folder of a judged candidate."""
    folder.mkdir()
    verdict.write(folder / "verdict.json", small(**(changes or {})))
    write_json(folder / "metrics.json", {"numbers": numbers(psnr, **more)})
    with (folder / "images.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["row", "name", "source", *(["person"] if people else []), "psnr_db"])
        for row, value in enumerate(psnr):
            name = names[row] if names else f"render-{row}"
            writer.writerow([row, name, "rendered", *([people[row]] if people else []), f"{value:.5g}"])
    return folder


def psnrs(seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(28, 3, IMAGES)


def change_of(found: Comparison, metric: str = "psnr_mean_db") -> Change:
    (row,) = (row for row in found.rows if row.metric == metric)
    (change,) = row.changes
    assert change is not None
    return change


def test_small_change_on_the_same_pictures_is_seen(tmp_path: Path) -> None:
    before = psnrs()
    after = before - 0.2 + np.random.default_rng(1).normal(0, 0.3, IMAGES)
    change = change_of(compare([stored(tmp_path / "a", before), stored(tmp_path / "b", after)]))
    assert change.direction == "worse"
    assert change.lower < -0.2 < change.upper < 0
    assert change.method == "paired over 120 images"


def test_same_change_on_other_pictures_is_within_noise(tmp_path: Path) -> None:
    other = [f"other-{row}" for row in range(IMAGES)]
    first, later = stored(tmp_path / "a", psnrs()), stored(tmp_path / "b", psnrs() - 0.2, other)
    found = compare([first, later])
    assert (change_of(found).direction, change_of(found).method) == ("same", "intervals")
    assert any("0 of its 120 test images are also among those of a" in note for note in found.notes)


def test_noise_alone_is_no_change(tmp_path: Path) -> None:
    first = stored(tmp_path / "a", psnrs())
    for seed in range(1, 9):
        later = stored(tmp_path / f"b{seed}", psnrs() + np.random.default_rng(seed).normal(0, 1, IMAGES))
        assert change_of(compare([first, later])).direction == "same"


def test_equal_runs_do_not_differ(tmp_path: Path) -> None:
    change = change_of(compare([stored(tmp_path / "a", psnrs()), stored(tmp_path / "b", psnrs())]))
    assert (change.direction, change.difference, change.lower, change.upper) == ("same", 0, 0, 0)


def test_pictures_of_one_person_count_as_one(tmp_path: Path) -> None:
    people = [f"p{row // 10}" for row in range(IMAGES)]
    shift = np.random.default_rng(3).normal(0, 1, 12).repeat(10) + 0.3
    found = {}
    for kind, whose in (("apart", ()), ("together", people)):
        first, later = (
            stored(tmp_path / f"{kind}-a", psnrs(), people=whose),
            stored(tmp_path / f"{kind}-b", psnrs() + shift, people=whose),
        )
        found[kind] = change_of(compare([first, later]))
    assert found["together"].method == "paired over 120 images of 12 people"
    width = {kind: change.upper - change.lower for kind, change in found.items()}
    assert width["together"] > 2 * width["apart"]


def test_interval_of_a_paired_mean_is_that_of_the_normal_distribution() -> None:
    by = np.random.default_rng(0).normal(0.5, 2, 400)
    plain = np.zeros(400)
    pairs = pairing.Pairs(np.arange(400), {"psnr_db": plain}, {"psnr_db": by})
    found = pairing.differences(pairs, ["psnr_mean_db"], 0.95, 0)["psnr_mean_db"]
    half = 1.96 * by.std() / 20
    assert found.value == pytest.approx(by.mean())
    assert (by.mean() - found.lower, found.upper - by.mean()) == pytest.approx((half, half), rel=0.05)


def test_percentile_is_paired_too() -> None:
    values = np.arange(100, dtype=float)
    pairs = pairing.Pairs(np.arange(100), {"psnr_db": values}, {"psnr_db": values + 3})
    found = pairing.differences(pairs, ["psnr_p5_db"], 0.95, 0)["psnr_p5_db"]
    assert (found.value, found.lower, found.upper) == (3, 3, 3)


def test_pictures_without_a_measurement_are_passed_over(tmp_path: Path) -> None:
    before, after = psnrs(), psnrs() - 1
    before[3], after[5] = np.nan, np.nan
    known = {name: (np.nanmean(values),) * 3 for name, values in (("a", before), ("b", after))}
    folders = [stored(tmp_path / name, np.nan_to_num(x, nan=28), psnr_mean_db=known[name])
               for name, x in (("a", before), ("b", after))]  # fmt: skip
    for folder, row in zip(folders, (3, 5)):
        lines = (folder / "images.csv").read_text().splitlines()
        lines[row + 1] = f"{row},render-{row},rendered,nan"
        (folder / "images.csv").write_text("\n".join(lines) + "\n")
    change = change_of(compare(folders))
    assert (change.method, change.direction) == ("paired over 120 images", "worse")
    assert change.difference == pytest.approx(-1, abs=1e-3)


def test_column_that_does_not_give_the_number_is_not_paired(tmp_path: Path) -> None:
    first, later = stored(tmp_path / "a", psnrs()), stored(tmp_path / "b", psnrs() - 0.2)
    metrics = json.loads((later / "metrics.json").read_text())
    metrics["numbers"]["rendered"]["psnr_mean_db"] |= {"value": 27.0}
    write_json(later / "metrics.json", metrics)
    assert change_of(compare([first, later])).method == "intervals"


@pytest.mark.parametrize(
    ("metric", "before", "after", "direction"),
    [
        ("kid_delta_upper", (0.2, 0.19, 0.21), (0.25, 0.24, 0.26), "worse"),
        ("kid_delta_upper", (0.2, 0.17, 0.23), (0.22, 0.20, 0.24), "same"),
        ("rank1_relative", (0.9, 0.88, 0.92), (0.97, 0.95, 0.99), "better"),
        ("haar_ratio", (0.8, 0.78, 0.82), (0.9, 0.88, 0.92), "better"),
        ("haar_ratio", (1.0, 0.99, 1.01), (1.1, 1.08, 1.12), "worse"),
        ("haar_ratio", (0.9, 0.89, 0.91), (1.1, 1.09, 1.11), "same"),
        ("size_bytes", (1000, 1000, 1000), (1009, 1009, 1009), "same"),
        ("size_bytes", (1000, 1000, 1000), (1011, 1011, 1011), "worse"),
        ("parity_int8_levels", (0.1, 0.1, 0.1), (0.5, 0.5, 0.5), "same"),
        ("parity_int8_levels", (0.1, 0.1, 0.1), (0.9, 0.9, 0.9), "worse"),
        ("latency_ms", (10, 9.9, 10.1), (10.5, 10.4, 10.6), "same"),
        ("latency_ms", (10, 9.9, 10.1), (8, 7.9, 8.1), "better"),
        ("peak_memory_bytes", (2.8e7, 2.79e7, 2.81e7), (2.96e7, 2.95e7, 2.97e7), "same"),
        ("peak_memory_bytes", (2.8e7, 2.79e7, 2.81e7), (3.4e7, 3.39e7, 3.41e7), "worse"),
    ],
)
def test_numbers_of_whole_sets_differ_if_their_intervals_do(
    tmp_path: Path, metric: str, before: tuple[float, float, float], after: tuple[float, float, float], direction: str
) -> None:
    first = stored(tmp_path / "a", psnrs(), **{metric: before})
    found = compare([first, stored(tmp_path / "b", psnrs(), **{metric: after})])
    assert change_of(found, metric).direction == direction


@pytest.mark.parametrize(
    ("value", "lower", "upper", "expected"),
    [
        (0.02, 0.01, 0.03, "better"),
        (-0.02, -0.03, -0.01, "worse"),
        (0.01, -0.01, 0.03, "same"),
        (0.1, 0.05, 0.25, "same"),
    ],
)
def test_number_near_one_is_better_when_it_comes_nearer(
    value: float, lower: float, upper: float, expected: str
) -> None:
    by = pairing.Difference(value, lower, upper)
    assert comparison._direction("style_strength", 0.9, by) == expected


@pytest.mark.parametrize(
    ("changes", "method"),
    [
        ({"teacher": {"name": "other", "sha256": "9" * 64}}, "another teacher"),
        ({"backbones": {"features": {"name": "other", "sha256": "9" * 64}}}, "another features network"),
    ],
)
def test_numbers_of_other_judges_are_not_compared(tmp_path: Path, changes: dict[str, Any], method: str) -> None:
    judged = {"backbones": {"features": {"name": "lite0", "sha256": "8" * 64}}}
    kid = {"kid_delta_upper": (0.2, 0.19, 0.21)}
    first = stored(tmp_path / "a", psnrs(), changes=judged, **kid)
    change = change_of(
        compare([first, stored(tmp_path / "b", psnrs(), changes=judged | changes, **kid)]), "kid_delta_upper"
    )
    assert (change.direction, change.method) == ("not comparable", method)


def test_three_runs_are_each_compared_with_the_first(tmp_path: Path) -> None:
    folders = [stored(tmp_path / name, psnrs() + by) for name, by in (("a", 0), ("b", 1), ("c", -1))]
    (row,) = compare(folders).rows
    assert [change.direction for change in row.changes if change] == ["better", "worse"]


def test_run_folder_is_read_through_its_plan(tmp_path: Path) -> None:
    candidate = stored(tmp_path / "candidate", psnrs())
    run = tmp_path / "run"
    step = run / "steps" / "verify-cpu-0123456789ab"
    step.mkdir(parents=True)
    for name in ("metrics.json", "images.csv"):
        (step / name).write_bytes((candidate / name).read_bytes())
    verdict.write(run / "verdict.json", verdict.gathered("run", [small()]))
    write_json(run / "plan.json", {"steps": [{"step": "verify-cpu", "key": "0123456789abcdef"}]})
    assert change_of(compare([run, candidate])).direction == "same"
    write_json(run / "plan.json", {"steps": []})
    with pytest.raises(InputError, match="has no step verify-cpu; copy the folder again"):
        compare([run, candidate])


def test_tier_of_one_run_alone_is_noted(tmp_path: Path) -> None:
    first = stored(tmp_path / "a", psnrs(), changes={"left_out": ["macs"]})
    found = compare([first, stored(tmp_path / "b", psnrs())])
    assert found.notes == ("a, cpu: judged without macs.",)
    with pytest.raises(InputError, match="no tier that the first run and another have"):
        compare([first, stored(tmp_path / "c", psnrs(), changes={"tier": "npu"})])


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    first = stored(tmp_path / "a", psnrs())
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="1 runs; name at least two"):
        compare([first])
    with pytest.raises(InputError, match="absent: there is no such folder"):
        compare([first, tmp_path / "absent"])
    with pytest.raises(InputError, match="file: is a file"):
        compare([first, tmp_path / "file"])
    with pytest.raises(InputError, match="empty/verdict.json: there is no verdict"):
        compare([first, tmp_path / "empty"])


@pytest.mark.parametrize("content", ["row,name,source,psnr_db\n0,a\n", "row,name\n0,a,b,c\n"])
def test_cut_off_table_of_images_is_refused(tmp_path: Path, content: str) -> None:
    first, later = stored(tmp_path / "a", psnrs()), stored(tmp_path / "b", psnrs())
    (later / "images.csv").write_text(content)
    with pytest.raises(InputError, match="a row has not as many cells as the heading"):
        compare([first, later])


@pytest.mark.parametrize("content", ["{", "[]", ""])
def test_damaged_numbers_are_refused(tmp_path: Path, content: str) -> None:
    first, later = stored(tmp_path / "a", psnrs()), stored(tmp_path / "b", psnrs())
    (later / "metrics.json").write_text(content)
    with pytest.raises(InputError, match="metrics.json: "):
        compare([first, later])


def test_text_tells_what_changed_and_counts_what_did_not(tmp_path: Path) -> None:
    kid = {"kid_delta_upper": (0.2, 0.19, 0.21)}
    found = compare([stored(tmp_path / "a", psnrs(), **kid), stored(tmp_path / "b", psnrs() - 1, **kid)])
    lines = table(found)
    assert lines[0] == "b against a: 1 worse, 1 without a difference beyond noise"
    assert len(lines) == 3 and lines[2].startswith("▼ worse  cpu   rendered  psnr_mean_db")
    assert lines[2].endswith("-1 (-1 to -1)  paired over 120 images")
    text = markdown(found)
    assert text.startswith("## b against a: 1 worse, 1 without")
    assert "<details>" in text and "| cpu | rendered | kid_delta_upper |" in text
    assert gate()["name"] in text


def test_chance_of_a_false_difference_is_that_of_all_numbers_together(tmp_path: Path) -> None:
    # 60 comparisons of equal students by five numbers each: at 1 % a family about 1 differs, at 5 % a number 14.
    generator = np.random.default_rng(11)
    false = 0
    for _ in range(60):
        columns = [f"column{i}" for i in range(5)]
        both = [{name: generator.normal(0, 1, 100) for name in columns} for _ in range(2)]
        pairs = pairing.Pairs(np.arange(100), *both)
        found = pairing.differences(pairs, columns, 1 - comparison.FAMILY / 5, 0)
        false += any(not by.lower <= 0 <= by.upper for by in found.values())
    assert false <= 3


def test_few_people_are_not_paired(tmp_path: Path) -> None:
    few = [f"p{row % 9}" for row in range(IMAGES)]
    first, later = stored(tmp_path / "a", psnrs(), people=few), stored(tmp_path / "b", psnrs(), people=few)
    assert change_of(compare([first, later])).method == "intervals"
