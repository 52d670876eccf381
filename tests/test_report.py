"""The page says what the artifacts say, needs no other file, and leaves nothing out in silence."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import teachers
from compress.artifact import Artifact
from compress.context import Context
from compress.errors import StageError, StorageError
from compress.judging import gates, verdict
from compress.reporting import sheets, tier_page
from compress.reporting.measured_page import STEADY
from compress.stages import report
from compress.steps import ReportStep

SHA = "0123456789abcdef" * 4
# name: value, half the interval, bound, as a real run of 200 renders had them; failed and undecided ones are made.
MEASURED: dict[str, tuple[float, float, dict[str, float]]] = {
    "psnr_mean_db": (28.2, 0.3, {"min": 26.0}), "psnr_p5_db": (24.8, 0.8, {"min": 22.0}),
    "ssim_mean": (0.910, 0.005, {"min": 0.85}), "perceptual_mean": (0.187, 0.006, {"max": 0.25}),
    "haar_ratio": (0.775, 0.013, {"min": 0.65, "max": 1.1}), "colour_shift_mean": (1.8, 0.1, {"max": 3.0}),
    "landmark_error_mean": (0.031, 0.004, {"max": 0.05}), "style_strength": (0.93, 0.02, {"min": 0.85, "max": 1.1}),
    "gram_distance": (0.21, 0.03, {"max": 0.4}), "kid_delta_upper": (0.176, 0.025, {"max": 0.3}),
    "identity_delta_mean": (0.0257, 0.005, {"min": -0.03}), "rank1_relative": (1.0, 0.019, {"min": 0.96}),
    "equivariance_shift_ratio": (0.92, 0.06, {"max": 1.2}), "equivariance_jpeg_ratio": (1.08, 0.09, {"max": 1.2}),
    "flicker_ratio": (1.31, 0.08, {"max": 1.1}), "group_psnr_gap_db": (1.1, 0.8, {"max": 1.5}),
    "int8_psnr_db": (43.3, 0.3, {"min": 35.0}),
}  # fmt: skip
COUNTED: dict[str, tuple[float, dict[str, float]]] = {
    "parity_int8_levels": (0.51, {"max": 2.0}), "macs": (20.5e6, {"max": 25e6}), "size_bytes": (82_000, {"max": 4e5}),
    "latency_ms": (11.3, {"max": 25.0}), "peak_memory_bytes": (6.1e7, {"max": 2e8}),
}  # fmt: skip


def number(value: float, half: float, n: int = 200, method: str = "bootstrap") -> dict[str, Any]:
    ends = {"value": value, "lower": value - half, "upper": value + half}
    return {**ends, "n": n, "clusters": n, "method": method, "confidence": 0.95}


def gate(name: str, subset: str, measured: dict[str, Any], bound: dict[str, float]) -> dict[str, Any]:
    least, most = bound.get("min", -np.inf), bound.get("max", np.inf)
    inside = least <= measured["lower"] and measured["upper"] <= most
    state = "passed" if inside else "undecided" if least <= measured["value"] <= most else "failed"
    detail = {"passed": "", "failed": "misses its bound", "undecided": "undecided: needs about 90 more images"}[state]
    row = gates.GATES[name]
    about = {"unit": row.unit, "meaning": row.meaning, "backbone": row.backbone, "detail": detail}
    return (
        {"name": name, "subset": subset, "state": state, "passed": state == "passed", "bound": bound} | measured | about
    )


def group(label: str, value: float, metric: str = "psnr_db", n: int = 66) -> dict[str, Any]:
    category, _, label = label.partition(" ")
    about = {"subset": "rendered", "category": category, "label": label, "n": n, "judged": n >= 20}
    if n < 20:
        return about | {"metric": ""}
    return about | {"metric": metric, "value": value, "lower": value - 0.5, "upper": value + 0.5, "gap": 28.2 - value}


def judged(
    left_out: tuple[str, ...] = (), without: str = "", spoilt: bool = True, part: str = "rendered"
) -> dict[str, Any]:
    """Fields of a verdict; `without` gates of these prefixes, `spoilt` with a failed and an undecided one."""
    rows = [
        gate(name, gates.MOTION if name in STEADY else part, number(value, half), bound)
        for name, (value, half, bound) in MEASURED.items()
    ]
    rows += [gate(name, gates.WHOLE, number(value, 0, 1, "counted"), bound) for name, (value, bound) in COUNTED.items()]
    rows = [row for row in rows if not without or not re.match(without, row["name"])]
    rows = [row for row in rows if spoilt or row["passed"]]
    groups = [
        group("skin light", 28.6),
        group("skin medium", 28.4),
        group("skin dark", 27.4),
        group("pose profile", 0, n=9),
    ]
    return {
        "tier": "cpu",
        "images": {"rendered": 200, "photographs": 9},
        "seed": 7,
        "not_judged": {"photographs": "9 images, needs 30"},
        "left_out": left_out,
        "gates": rows,
        "groups": groups if "group" not in without else [],
        "backbones": {role: {"name": f"tiny-{role}", "sha256": SHA} for role in ("identity", "features", "landmarks")},
        "teacher": {"name": "kstylegan-128", "sha256": SHA},
        "candidate": {"file": "model.onnx", "sha256": SHA, "size_bytes": 82_000},
        "versions": {"onnxruntime": "1.30"},
    }


def made(folder: Path, step: str, settings: dict[str, Any], numbers: dict[str, Any]) -> Artifact:
    folder.mkdir()
    manifest = {"step": step, "key": "0123456789abcdef", "settings": settings, "numbers": numbers, "seconds": 12.3}
    return Artifact(folder, manifest | {"versions": {"python": "3.11.9"}})


def verified(folder: Path, columns: int = 5, **changes: Any) -> Artifact:
    fields = judged(**changes)
    found = verdict.build(fields)
    settings = {"budget": {"photo_size": 64, "threads": 1}}
    artifact = made(folder, f"verify-{found.tier}", settings, {"state": found.state})
    verdict.write(folder / "verdict.json", found)
    numbers: dict[str, dict[str, Any]] = {"rendered": {}, "motion": {}, "model": {}}
    for row in fields["gates"]:
        numbers[row["subset"]][row["name"]] = {key: row[key] for key in ("value", "lower", "upper", "n", "method")}
    numbers["rendered"] |= {"photo_psnr_mean_db": number(16.6, 0.3), "kid_noise_floor": number(0.0004, 0.02)}
    cost: dict[str, float] = {"core_macs": 20.5e6, "parameters": 60_000, "core_resolution": 64}
    rows = ("int8", "float", "int8_core", "float_core") if columns == 5 else ("int8",)
    for row in rows:
        cost |= dict.fromkeys((f"{row}_ms", f"{row}_wall_p50_ms", f"{row}_wall_p95_ms", f"{row}_size_bytes"), 8.14)
    numbers["motion"]["flicker_teacher_levels"] = number(2.4, 0.2)
    if columns == 5:
        numbers["rendered"]["float_psnr_mean_db"] = number(28.3, 0.3)
    (folder / "metrics.json").write_text(json.dumps({"numbers": numbers, "cost": cost, "intervals": {"rounds": 2000}}))
    (folder / "sheets").mkdir()
    titles = ("photo", "teacher", "float", "candidate", "difference")
    titles = titles if columns == 5 else tuple(title for title in titles if title != "float")
    pictures = [np.full((32, 32, 3), 40 * i, np.uint8) for i in range(columns)]
    lines = [sheets.Row(pictures, f"p-{i}   31.{i} dB", ("skin dark", "glasses yes")) for i in range(8)]
    for kind in ("worst", "random"):
        sheets.contact_sheet(lines, titles, folder / "sheets" / f"{kind}-rendered.png")
    return artifact


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Artifact]:
    distilled = {"weights": {"pixel": 10.0, "identity": 1.0}, "note": "<b>&"}
    return {
        "test_targets": made(tmp_path / "t", "test-targets", {"network": "no-such-teacher"}, {}),
        "distill-cpu": made(tmp_path / "d", "distill-cpu", distilled, {"loss": 0.1}),
        "verify-cpu": verified(tmp_path / "v"),
    }


def write(inputs: dict[str, Artifact], folder: Path, worst: int = 7) -> str:
    report.run(ReportStep(name="quick", worst=worst), inputs, folder, Context())
    return (folder / "report.html").read_text(encoding="utf-8")


def words(page: str) -> str:
    """What a reader sees, without marks and line breaks."""
    body = re.sub(r"<(style|svg).*?</\1>", " ", page, flags=re.S)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", body)))


def test_page_opens_with_the_verdict_and_its_reasons(inputs: dict[str, Artifact], tmp_path: Path) -> None:
    page = words(write(inputs, tmp_path))
    start = "cpu failed 1 of 22 gates: flicker in videos over the teacher's; 1 more is undecided; not published."
    assert "quick: failed" in page
    assert start in page
    assert page.index(start) < page.index("Size, speed and fidelity")


def test_page_of_a_good_candidate_says_so(inputs: dict[str, Artifact], tmp_path: Path) -> None:
    page = words(write(inputs | {"verify-cpu": verified(tmp_path / "good", spoilt=False)}, tmp_path))
    assert "cpu passed all 20 gates." in page
    assert "asked" not in page and "kcompress stylize runs/quick/tiers/cpu" in page


def test_undecided_candidate_is_not_called_failed(inputs: dict[str, Artifact], tmp_path: Path) -> None:
    page = words(write(inputs | {"verify-cpu": verified(tmp_path / "u", without="flicker")}, tmp_path))
    assert "quick: undecided" in page
    assert "undecided at 1 of 21 gates: PSNR of the others less the worst group's (rendered)" in page
    assert "undecided: needs about 90 more images" in page


def test_gates_state_number_interval_bound_and_sample(inputs: dict[str, Artifact], tmp_path: Path) -> None:
    page = words(write(inputs, tmp_path))
    for text in ("28.2 dB", "27.9 to 28.5 dB", "≥ 26.0 dB", "82 kB", "20.5 M", "200 rendered images",
                 "seed 7", "95 %, bootstrap", "by tiny-identity", "200 frames of 200 videos"):  # fmt: skip
        assert text in page, text


def test_families_with_failed_gates_come_first() -> None:
    families = tier_page._families(verdict.build(judged()))
    assert [family["name"] for family in families][:3] == ["Steadiness", "Groups", "Fidelity"]
    assert families[0]["gates"][0]["record"].name == "flicker_ratio"
    assert families[0]["counts"] == {"failed": 1, "passed": 2}


def test_every_gate_belongs_to_one_family() -> None:
    names = [name for members in tier_page.FAMILIES.values() for name in members]
    assert sorted(names) == sorted(gates.GATES)


def test_page_needs_no_other_file(inputs: dict[str, Artifact], tmp_path: Path) -> None:
    page = write(inputs, tmp_path)
    references = re.findall(r'(?:src|href)="([^"]{1,20})', page)
    assert references and all(r.startswith(("data:image/", "#")) for r in references)
    assert "<script" not in page and "url(" not in page


def test_links_inside_the_page_lead_somewhere(inputs: dict[str, Artifact], tmp_path: Path) -> None:
    page = write(inputs, tmp_path)
    places = re.findall(r' id="([^"]*)"', page)
    assert set(re.findall(r'href="#([^"]*)"', page)) <= set(places)
    assert len(places) == len(set(places))


def test_what_was_not_judged_is_named(inputs: dict[str, Artifact], tmp_path: Path) -> None:
    page = words(write(inputs | {"verify-cpu": verified(tmp_path / "l", left_out=("ms_ssim_mean",))}, tmp_path))
    assert "Photographs were not judged : 9 images, needs 30." in page
    assert "Gates left out on the command line : ms_ssim_mean." in page
    assert "1 left out on the command line" in page
    assert "profile 9 not judged: too few images or people" in page


def test_page_of_a_foreign_candidate_says_what_it_lacks(tmp_path: Path) -> None:
    bare = verified(tmp_path / "v", columns=4, without="int8|flicker|equi|group|parity")
    foreign = {
        "test_targets": made(tmp_path / "t", "test-targets", {"network": "none"}, {}),
        "candidate": made(tmp_path / "c", "candidate", {"file": "/some/where/theirs.onnx"}, {}),
        "verify-cpu": bare,
    }
    page = words(write(foreign, tmp_path))
    for text in ("No float version of the candidate", "Steadiness was not measured", "Groups were not compared",
                 "The teacher's time is not shown", "No training step belongs to this page",
                 "theirs.onnx, judged by quick: passed", "--candidate theirs.onnx"):  # fmt: skip
        assert text in page, text
    assert "not published" not in page and "float version, core alone" not in page


def test_worst_group_is_named_and_marked(inputs: dict[str, Artifact], tmp_path: Path) -> None:
    page = words(write(inputs, tmp_path))
    assert "PSNR to the teacher: worst for skin dark, 27.4 dB, 0.8 dB worse than the others" in page
    assert page.count("▲ worst") == 1
    assert "all images: 28.2 dB" in page


def test_steadiness_has_a_bar_for_each_change(inputs: dict[str, Artifact], tmp_path: Path) -> None:
    page = write(inputs, tmp_path)
    bars = {name: float(x) for name, x in re.findall(r'<rect class="bar (\w+)" x="0" y="4" width="([\d.]+)%"', page)}
    assert bars["failed"] > bars["passed"] > 0
    assert "video: flicker" in page and "teacher: 2.4 levels of 255" in page and "1.310 (1.230 to 1.390)" in page


def test_noise_floor_stands_beside_the_candidate(inputs: dict[str, Artifact], tmp_path: Path) -> None:
    page = words(write(inputs, tmp_path))
    assert "kid_noise_floor · rendered 0.0004 (-0.020 to 0.020) 0.176 (0.151 to 0.201)" in page


def test_page_admits_that_the_judge_was_a_loss(inputs: dict[str, Artifact], tmp_path: Path) -> None:
    assert "was also a loss of the training" in words(write(inputs, tmp_path))
    del inputs["distill-cpu"]
    assert "was also a loss of the training" not in words(write(inputs, tmp_path))


def test_page_escapes_what_files_say(inputs: dict[str, Artifact], tmp_path: Path) -> None:
    evil = "<img src=x onerror=alert(1)>\"'&"
    pictures = [np.zeros((32, 32, 3), np.uint8)] * 2
    for kind in ("worst", "random"):
        path = tmp_path / "v" / "sheets" / f"{kind}-rendered.png"
        sheets.contact_sheet([sheets.Row(pictures, evil, (evil,))], (evil, evil), path)
    fields = judged() | {"left_out": (evil,), "not_judged": {evil: evil}, "teacher": {"name": evil, "sha256": SHA}}
    fields["gates"][0] |= {"meaning": evil, "detail": evil, "subset": evil}
    fields["groups"][0] |= {"category": evil, "label": evil, "metric": evil, "subset": evil}
    verdict.write(tmp_path / "v" / "verdict.json", verdict.build(fields))
    page = write(inputs, tmp_path)
    assert "<img src=x" not in page and "&lt;img src=x onerror=alert(1)&gt;" in page
    assert "&lt;b&gt;&amp;" in page


def test_teacher_cost_stands_beside_the_students(
    inputs: dict[str, Artifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    convolution = torch.nn.Conv2d(3, 3, 3, padding=1)
    monkeypatch.setattr(teachers, "load", lambda network: convolution)
    page = write(inputs, tmp_path)
    assert "teacher no-such-teacher (torch)" in page
    assert f"{64 * 64 * 81 / 1e3:.3g} k" in page
    assert re.search(r'<text class="note \w+"[^>]*>teacher, [\d.]+ ms<', page)


def test_teacher_of_finished_pictures_has_no_time(tmp_path: Path, inputs: dict[str, Artifact]) -> None:
    (tmp_path / "p").mkdir()
    inputs["test_targets"] = made(tmp_path / "t2", "test-targets", {"pairs": str(tmp_path / "p")}, {})
    assert "The teacher's time is not shown" in write(inputs, tmp_path)


def test_page_keeps_the_worst_rows_only(inputs: dict[str, Artifact], tmp_path: Path) -> None:
    assert write(inputs, tmp_path, worst=1).count("<figure>") == 2
    page = write(inputs, tmp_path, worst=7)
    assert page.count("<figure>") == 14 and "<summary>1 more</summary>" in page


def test_pictures_carry_numbers_and_labels_as_text(inputs: dict[str, Artifact], tmp_path: Path) -> None:
    page = write(inputs, tmp_path)
    assert 'alt="candidate of p-0   31.0 dB"' in page.replace("\n", " ")
    assert '<span class="tag">skin dark</span>' in page


def test_report_without_a_verified_tier_is_refused(inputs: dict[str, Artifact], tmp_path: Path) -> None:
    del inputs["verify-cpu"]
    with pytest.raises(StageError, match="no verify step among its inputs"):
        write(inputs, tmp_path)


@pytest.mark.parametrize("file", ["verdict.json", "metrics.json", "sheets/worst-rendered.png"])
def test_report_of_a_damaged_verify_step_is_refused(inputs: dict[str, Artifact], tmp_path: Path, file: str) -> None:
    (tmp_path / "v" / file).write_text("{")
    with pytest.raises(StorageError, match=file.split("/")[-1]):
        write(inputs, tmp_path)


def sheet(path: Path, rows: int = 2, side: int = 160) -> list[sheets.Row]:
    generator = np.random.default_rng(0)
    pictures = generator.integers(0, 256, (rows, 2, side, side, 3)).astype(np.uint8)
    found = [sheets.Row(list(pair), f"captión {i}", ("dark",)) for i, pair in enumerate(pictures)]
    sheets.contact_sheet(found, ("left", "right"), path)
    return found


def test_contact_sheet_has_header_rows_and_captions(tmp_path: Path) -> None:
    rows = sheet(tmp_path / "s.png")
    drawn = cv2.imread(str(tmp_path / "s.png"))[:, :, ::-1]
    assert drawn.shape == (sheets.HEADER + 2 * (160 + sheets.CAPTION), 2 * 160 + sheets.GAP, 3)
    assert (drawn[sheets.HEADER : sheets.HEADER + 160, :160] == rows[0].pictures[0]).all()


def test_contact_sheet_is_read_back_whole(tmp_path: Path) -> None:
    rows = sheet(tmp_path / "s.png", rows=3)
    found = sheets.read_sheet(tmp_path / "s.png", 2)
    assert found.titles == ["left", "right"] and len(found.rows) == 2
    assert [(row.caption, tuple(row.labels)) for row in found.rows] == [(row.caption, row.labels) for row in rows[:2]]
    assert all((a == b).all() for row, other in zip(found.rows, rows) for a, b in zip(row.pictures, other.pictures))


def test_small_pictures_of_a_sheet_are_read_as_drawn(tmp_path: Path) -> None:
    sheet(tmp_path / "s.png", side=32)
    assert sheets.read_sheet(tmp_path / "s.png", 1).rows[0].pictures[1].shape == (128, 128, 3)


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: b"P6 1 1"])
def test_torn_sheet_is_refused(tmp_path: Path, damage: Any) -> None:
    path = tmp_path / "s.png"
    sheet(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(StorageError, match=r"s\.png: missing or unreadable"):
        sheets.read_sheet(path, 1)


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
