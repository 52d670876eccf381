"""The page says what the artifacts say, needs no other file, and leaves nothing out in silence."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import teachers
from compress import charts, sheets
from compress.artifact import Artifact
from compress.charts import Interval
from compress.context import Context
from compress.errors import StageError, StorageError
from compress.recipe import ReportStep
from compress.stages import report

GATES = [
    {"name": "psnr_mean_db", "subset": "rendered", "passed": True, "value": 31.0, "lower": 30.5, "upper": 31.5,
     "n": 200, "bound": {"min": 27.0}, "unit": "dB", "meaning": "PSNR to the teacher, mean", "detail": ""},
    {"name": "size_bytes", "subset": "model", "passed": True, "value": 82000.0, "lower": 82000.0, "upper": 82000.0,
     "n": 1, "bound": {"max": 90000.0}, "unit": "bytes", "meaning": "size of the exported file", "detail": ""},
]  # fmt: skip


def numbers(**values: float) -> dict[str, dict[str, float]]:
    return {name: {"value": v, "lower": v - 0.1, "upper": v + 0.1, "n": 200} for name, v in values.items()}


def made(folder: Path, step: str, settings: dict[str, Any], numbers: dict[str, Any]) -> Artifact:
    folder.mkdir()
    manifest = {"step": step, "key": "0123456789abcdef", "settings": settings, "numbers": numbers, "seconds": 12.3}
    return Artifact(folder, manifest | {"versions": {"python": "3.11.9"}})


def verified(folder: Path, passed: bool) -> Artifact:
    settings = {"budget": {"photo_size": 64, "threads": 1}}
    artifact = made(folder, "verify-cpu", settings, {"passed": passed})
    gates = [GATES[0] | {"passed": passed, "detail": "" if passed else "30.5 is below 40"}, GATES[1]]
    verdict = {"tier": "cpu", "passed": passed, "images": {"rendered": 200, "photographs": 9}, "gates": gates}
    (folder / "verdict.json").write_text(json.dumps(verdict | {"not_judged": {"photographs": "9 images, needs 30"}}))
    network = {"name": "tiny", "sha256": "f" * 64}
    cost = dict.fromkeys(("core_macs", "core_macs_torchprofile", "whole_macs", "whole_macs_torchprofile"), 7.9e6)
    for row in ("int8", "float", "int8_core", "float_core"):
        cost |= dict.fromkeys((f"{row}_ms", f"{row}_wall_p50_ms", f"{row}_wall_p95_ms", f"{row}_size_bytes"), 8.14)
    rendered = numbers(psnr_mean_db=31, rank1_relative=1, kid_noise_floor=0)
    rendered |= numbers(photo_psnr_mean_db=14, float_psnr_mean_db=32)
    metrics = {
        "numbers": {"rendered": rendered, "model": {}},
        "cost": cost | {"parameters": 60_000, "core_resolution": 64},
        "backbones": {"identity": network, "perceptual": network | {"layers": ["a"]}, "kid": network},
        "intervals": {"method": "percentile bootstrap", "confidence": 0.95, "rounds": 2000},
        "seed": 7,
    }
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / "sheets").mkdir()
    row = sheets.Row([np.full((32, 32, 3), 40 * i, np.uint8) for i in range(5)], "p-1   31.0 dB")
    for kind in ("worst", "random"):
        sheets.contact_sheet([row] * 3, "abcde", folder / "sheets" / f"{kind}-rendered.png")
    return artifact


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Artifact]:
    distilled = {"weights": {"pixel": 10.0, "identity": 1.0}, "note": "<b>&"}
    return {
        "test_targets": made(tmp_path / "t", "test-targets", {"network": "no-such-teacher"}, {}),
        "distill-cpu": made(tmp_path / "d", "distill-cpu", distilled, {"loss": 0.1}),
        "verify-cpu": verified(tmp_path / "v", passed=True),
    }


def write(inputs: dict[str, Artifact], folder: Path, worst: int = 2) -> str:
    report.run(ReportStep(name="quick", worst=worst), inputs, folder, Context())
    return (folder / "report.html").read_text(encoding="utf-8")


def test_page_states_verdict_gates_and_cost(inputs: dict[str, Artifact], tmp_path: Path) -> None:
    page = write(inputs, tmp_path)
    for text in ("quick: 1 of 1 tier passed", "31.0 dB", "30.5 dB to 31.5 dB", "≥ 27.0 dB", "82 kB", "7.9 M", "seed 7"):
        assert text in page, text


def test_page_needs_no_other_file(inputs: dict[str, Artifact], tmp_path: Path) -> None:
    page = write(inputs, tmp_path)
    references = re.findall(r'(?:src|href)="([^"]{1,20})', page)
    assert references and all(r.startswith(("data:image/", "#")) for r in references)
    assert "<script" not in page


def test_page_names_what_failed_and_was_not_published(inputs: dict[str, Artifact], tmp_path: Path) -> None:
    page = write(inputs | {"verify-cpu": verified(tmp_path / "failed", passed=False)}, tmp_path)
    assert "0 of 1 tier passed" in page
    assert "failed 1 of 2 gates: not published" in page
    assert "psnr_mean_db on rendered: 30.5 is below 40" in page
    assert "stylize" not in page


def test_page_names_parts_that_were_not_judged(inputs: dict[str, Artifact], tmp_path: Path) -> None:
    assert "<b>photographs were not judged</b>: 9 images, needs 30." in write(inputs, tmp_path)


def test_page_admits_that_the_judge_was_a_loss(inputs: dict[str, Artifact], tmp_path: Path) -> None:
    assert "was also a loss of the training" in write(inputs, tmp_path)
    del inputs["distill-cpu"]
    assert "was also a loss of the training" not in write(inputs, tmp_path)


def test_page_escapes_what_users_wrote(inputs: dict[str, Artifact], tmp_path: Path) -> None:
    page = write(inputs, tmp_path)
    assert "&lt;b&gt;&amp;" in page and "<b>&</" not in page


def test_teacher_cost_stands_beside_the_students(
    inputs: dict[str, Artifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    convolution = torch.nn.Conv2d(3, 3, 3, padding=1)
    monkeypatch.setattr(teachers, "load", lambda network: convolution)
    page = write(inputs, tmp_path)
    assert "teacher no-such-teacher (torch)" in page
    assert f"{64 * 64 * 81 / 1e3:.3g} k" in page


def test_sheet_keeps_the_worst_rows_only(inputs: dict[str, Artifact], tmp_path: Path) -> None:
    assert len(write(inputs, tmp_path, worst=1)) < len(write(inputs, tmp_path, worst=3))


def test_report_without_a_verified_tier_is_refused(inputs: dict[str, Artifact], tmp_path: Path) -> None:
    del inputs["verify-cpu"]
    with pytest.raises(StageError, match="no verify step among its inputs"):
        write(inputs, tmp_path)


@pytest.mark.parametrize("file", ["metrics.json", "sheets/worst-rendered.png"])
def test_report_of_a_damaged_verify_step_is_refused(inputs: dict[str, Artifact], tmp_path: Path, file: str) -> None:
    (tmp_path / "v" / file).write_text("{")
    with pytest.raises(StorageError, match=file.split("/")[-1]):
        write(inputs, tmp_path)


def test_contact_sheet_has_header_rows_and_captions(tmp_path: Path) -> None:
    row = sheets.Row([np.zeros((160, 160, 3), np.uint8), np.full((160, 160, 3), 255, np.uint8)], "caption")
    sheets.contact_sheet([row, row], ("left", "right"), tmp_path / "s.png")
    drawn = cv2.imread(str(tmp_path / "s.png"))
    assert drawn.shape == (sheets.HEADER + 2 * (160 + sheets.CAPTION), 2 * 160 + sheets.GAP, 3)
    assert (drawn[sheets.HEADER : sheets.HEADER + 160, :160] == 0).all()
    assert sheets.crop_rows(drawn, 1, 2).shape[0] == sheets.HEADER + 160 + sheets.CAPTION


def test_contact_sheet_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="0 rows needs 2 pictures"):
        sheets.contact_sheet([], ("left", "right"), tmp_path / "s.png")


def test_contact_sheet_of_unequal_pictures_is_refused(tmp_path: Path) -> None:
    row = sheets.Row([np.zeros((8, 8, 3), np.uint8), np.zeros((9, 9, 3), np.uint8)], "")
    with pytest.raises(ValueError, match="differ in size"):
        sheets.contact_sheet([row], ("left", "right"), tmp_path / "s.png")


def test_contact_sheet_without_folder_is_refused(tmp_path: Path) -> None:
    row = sheets.Row([np.zeros((8, 8, 3), np.uint8)], "")
    with pytest.raises(StorageError, match=r"s\.png: cannot be written"):
        sheets.contact_sheet([row], ("left",), tmp_path / "none" / "s.png")


def test_difference_is_amplified_and_saturates() -> None:
    image, target = np.array([10, 200, 7], np.uint8), np.array([20, 20, 7], np.uint8)
    assert sheets.amplified_difference(image, target).tolist() == [40, 255, 0]


def test_interval_plot_places_value_between_its_ends() -> None:
    svg = charts.interval_plot(Interval(2.0, 1.0, 3.0, min=0.0, max=None, passed=True))
    ends = [float(x) for x in re.search(r'class="pass" x1="([\d.]+)" x2="([\d.]+)"', svg).groups()]
    centre = float(re.search(r'cx="([\d.]+)"', svg).group(1))
    assert 0 < ends[0] < centre < ends[1] < charts.WIDTH
    assert centre == pytest.approx(sum(ends) / 2, abs=0.1)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(31.24, "dB", "31.2 dB"), (213_000, "bytes", "213 kB"), (7_900_000, "MACs", "7.9 M"), (8.144, "ms", "8.14 ms"),
     (-0.0311, "cosine", "-0.031"), (0.985, "share", "98.5 %"), (None, "dB", "not computed")],
)  # fmt: skip
def test_numbers_are_shown_in_their_unit(value: float | None, unit: str, text: str) -> None:
    assert charts.show(value, unit) == text
