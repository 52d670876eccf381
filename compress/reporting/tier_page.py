"""One tier's part of the report: what a verify step wrote, arranged for the template.

Reads `verdict.json`, `metrics.json` and the contact sheets. Whatever a candidate lacks (a float version, motion, labels
of people) is named as absent; nothing is judged or computed here beyond differences that are shown.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from compress.artifact import Artifact
from compress.errors import StorageError
from compress.judging import gates, verdict
from compress.judging.verdict import GateRecord, Verdict
from compress.reporting import measured_page
from compress.reporting.charts import Interval, interval_plot, show, span
from compress.reporting.measured_page import STEADY, Numbers, value_of
from compress.reporting.sheets import Row, read_sheet

FAMILIES: dict[str, tuple[str, ...]] = {
    "Fidelity": ("psnr_mean_db", "psnr_p5_db", "ssim_mean", "ssim_p5", "ms_ssim_mean", "perceptual_mean", "haar_ratio",
                 "haar_finest_ratio", "colour_shift_mean", "landmark_error_mean", "eye_opening_ratio",
                 "eye_opening_p5"),
    "Style": ("style_strength", "gram_distance", "kid_delta_upper", "sliced_wasserstein", "diversity_ratio"),
    "Identity": ("identity_delta_mean", "identity_delta_p5", "rank1_relative"),
    "Steadiness": ("equivariance_shift_ratio", "equivariance_crop_ratio", "equivariance_rotation_ratio",
                   "equivariance_jpeg_ratio", "equivariance_noise_ratio", "flicker_ratio"),
    "Groups": ("group_psnr_gap_db", "group_identity_gap", "group_perceptual_gap"),
    "Precision": ("int8_psnr_db", "int8_identity_delta_mean", "parity_float_levels", "parity_int8_levels",
                  "parity_unoptimised_levels", "parity_openvino_levels", "integer_convolutions"),
    "Cost": ("macs", "parameters", "size_bytes", "latency_ms", "latency_p95_ms", "peak_memory_bytes", "int8_speedup",
             "int8_core_speedup"),
}  # fmt: skip
"""Every gate stands under one of these; what is not known here goes under "Other"."""
ORDER = {"failed": 0, "undecided": 1, "passed": 2}
SHEETS = {"worst": "worst first", "random": "drawn at random"}
_OPEN_ROWS = 6  # rows of pictures that are seen at once; the others unfold
_LARGEST = 256  # pixels a side of a picture on the page
_JPEG_QUALITY = 88


def arrange(verified: Artifact, worst: int, published: bool) -> dict[str, Any]:
    """Everything that the template says about the candidate that the verify step `verified` judged.

    `worst` rows of pictures are kept of each sheet; `published` says whether a run would publish what passes. Raises
    StorageError where a file of the step is missing or damaged.
    """
    judged, metrics = verdict.read(verified.path / "verdict.json"), _metrics(verified.path / "metrics.json")
    numbers: Numbers = metrics["numbers"]
    parts = measured_page.parts_of(numbers)
    families = _families(judged)
    return {
        "name": judged.tier,
        "verdict": judged,
        "sentence": sentence(judged, published),
        "missed": [_gate(gate) for gate in judged.missed()],
        "families": families,
        "facts": _facts(numbers, parts),
        "absent": _absent(judged, numbers),
        "context": measured_page.context(numbers),
        "floors": measured_page.floors(numbers),
        "steadiness": measured_page.steadiness(numbers, judged.gates),
        "groups": measured_page.groups(judged.groups, numbers),
        "sheets": _sheets(verified.path / "sheets", parts, worst),
        "measured": numbers,
        "numbers": measured_page.every(numbers),
        "cost": metrics.get("cost", {}),
        "intervals": metrics.get("intervals", {}),
    }


def sentence(judged: Verdict, published: bool = False) -> str:
    """The verdict in one sentence: what came out, and by what."""
    missed, count = judged.missed(), len(judged.gates)
    if not missed:
        return f"passed all {count} gates" + (f"; {_left_out(judged)}" if judged.left_out else "")
    failed = [gate for gate in missed if gate.state == "failed"]
    undecided = len(missed) - len(failed)
    shown = failed or missed
    names = ", ".join(f"{_lower(gate.meaning)}{_on(gate)}" for gate in shown[:3])
    more = f" and {len(shown) - 3} more" if len(shown) > 3 else ""
    text = f"failed {len(failed)} of {count} gates" if failed else f"undecided at {undecided} of {count} gates"
    text += f": {names}{more}"
    if failed and undecided:
        text += f"; {undecided} more {'is' if undecided == 1 else 'are'} undecided"
    if judged.left_out:
        text += f"; {_left_out(judged)}"
    return text + ("; not published" if published else "")


def _left_out(judged: Verdict) -> str:
    return f"{len(judged.left_out)} left out on the command line"


def _lower(meaning: str) -> str:
    """The sentence's first letter in lower case, but not that of an abbreviation."""
    return meaning if meaning[1:2].isupper() else meaning[:1].lower() + meaning[1:]


def _on(gate: GateRecord) -> str:
    return f" ({gate.subset})" if gate.subset in gates.PARTS else ""


def _families(judged: Verdict) -> list[dict[str, Any]]:
    """Gates by family: families with failed ones first, then with undecided ones; in each family the same order."""
    found: dict[str, list[GateRecord]] = {}
    for gate in judged.gates:
        family = next((name for name, members in FAMILIES.items() if gate.name in members), "Other")
        found.setdefault(family, []).append(gate)
    known = [*FAMILIES, "Other"]
    families = [
        {
            "name": name,
            "gates": [_gate(gate) for gate in sorted(members, key=lambda gate: ORDER[gate.state])],
            "counts": {state: n for state in ORDER if (n := sum(gate.state == state for gate in members))},
            "worst": next(state for state in ORDER if any(gate.state == state for gate in members)),
        }
        for name, members in found.items()
    ]
    return sorted(families, key=lambda family: (ORDER[family["worst"]], known.index(family["name"])))


def _gate(gate: GateRecord) -> dict[str, Any]:
    unit = gate.unit
    limits = [(sign, limit) for sign, limit in (("≥", gate.bound.min), ("≤", gate.bound.max)) if limit is not None]
    counted = gate.method == "counted"
    return {
        "record": gate,
        "value": show(gate.value, unit),
        "interval": "counted" if counted else span(gate.lower, gate.upper, unit),
        "method": "" if counted else f"{100 * gate.confidence:g} %, {gate.method}",
        "limit": " and ".join(f"{sign} {show(limit, unit)}" for sign, limit in limits),
        "sample": _sample(gate),
        "plot": interval_plot(_interval(gate)),
    }


def _interval(gate: GateRecord) -> Interval:
    return Interval(gate.value, gate.lower, gate.upper, gate.bound.min, gate.bound.max, gate.state)


def _sample(gate: GateRecord) -> str:
    """What the number rests on: `160 rendered images of 120 people`."""
    if gate.method == "counted":
        return "the file"
    known = gates.GATES.get(gate.name)
    what = known.sample if known else "samples"
    if what == "videos":
        return f"{gate.n} frames of {gate.clusters} videos"
    part = "" if gate.subset == gates.WHOLE else f"{gate.subset} "
    if known and known.needs == "motion":
        part = f"changed {part}"
    people = f" of {gate.clusters} people" if what == "images" and gate.clusters != gate.n else ""
    return f"{gate.n} {part}{what}{people}"


def _facts(numbers: Numbers, parts: Sequence[str]) -> list[tuple[str, str]]:
    model = numbers.get(gates.WHOLE, {})

    def lowest(name: str) -> float | None:
        values = [numbers[part][name]["value"] for part in parts if name in numbers[part]]
        return min((value for value in values if value is not None), default=None)

    shown = [
        (value_of(model, "size_bytes"), "bytes", "file"),
        (value_of(model, "macs"), "MACs", "true MACs of the core"),
        (value_of(model, "latency_ms"), "ms", "one photo"),
        (lowest("psnr_mean_db"), "dB", "PSNR to the teacher"),
        (lowest("rank1_relative"), "share", "people found again, relative to the teacher"),
    ]
    return [("not measured" if value is None else show(value, unit), what) for value, unit, what in shown]


def _absent(judged: Verdict, numbers: Numbers) -> list[tuple[str, str]]:
    """What a reader might look for and why it is not there."""
    names = {name for part in numbers.values() for name in part}
    absent = [(f"{part.capitalize()} were not judged", why) for part, why in judged.not_judged.items()]
    if judged.left_out:
        absent.append(("Gates left out on the command line", ", ".join(judged.left_out)))
    if "int8_psnr_db" not in names:
        absent.append(("No float version of the candidate", "what precision costs was not measured"))
    if not names & set(STEADY):
        absent.append(("Steadiness was not measured", "the test set has no changed photographs and no videos"))
    if not judged.groups and not any(part.startswith("groups") for part in judged.not_judged):
        absent.append(("Groups were not compared", "nothing is known about the people in the test set"))
    return absent


def _sheets(folder: Path, parts: Sequence[str], worst: int) -> list[dict[str, Any]]:
    shown = []
    for part in parts:
        for kind, title in SHEETS.items():
            sheet = read_sheet(folder / f"{kind}-{part}.png", worst)
            rows = [_row(row, sheet.titles) for row in sheet.rows]
            unfolded = _OPEN_ROWS if kind == "worst" else 0
            shown.append({"title": f"{part.capitalize()}, {title}", "open": rows[:unfolded], "more": rows[unfolded:]})
    return shown


def _row(row: Row, titles: Sequence[str]) -> dict[str, Any]:
    pictures = [{"title": title, "data": _jpeg(picture)} for title, picture in zip(titles, row.pictures)]
    return {"caption": row.caption, "labels": row.labels, "pictures": pictures}


def _jpeg(picture: NDArray[np.uint8]) -> str:
    """A picture as a data URI, no larger than the page shows it."""
    scale = _LARGEST / max(picture.shape[:2])
    if scale < 1:
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    ok, data = cv2.imencode(".jpg", picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    if not ok:
        raise ValueError("OpenCV could not encode a picture")
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()


def _metrics(path: Path) -> dict[str, Any]:
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        data["numbers"].items()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        problem = f"unreadable ({type(error).__name__}: {error})"
        raise StorageError(f"{path}: {problem}; delete the verify step's folder and run again") from error
    return data
