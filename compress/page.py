"""The report page: what the artifacts of a run say, arranged for people, as one HTML file that needs nothing else.

Everything shown is read from manifests and from what the verify stage wrote; only the formats are made here. Judging is
not.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import jinja2
import yaml

import compress
from compress.artifact import Artifact
from compress.charts import Interval, interval_plot, show
from compress.context import duration
from compress.cost import TeacherCost
from compress.errors import StorageError
from compress.sheets import crop_rows

SHEET_COLUMNS = 5  # photo, teacher, float student, int8 student, difference: as the verify stage draws them
_JPEG_QUALITY = 88
_LEARNED = ("identity", "perceptual", "kid")


def render(name: str, inputs: Mapping[str, Artifact], teachers: Mapping[int, TeacherCost], worst: int) -> str:
    """The page of run `name` from the artifacts that the report step reads, {role: artifact}; `teachers` by photo size.

    Raises StorageError where what a verify step wrote is missing or damaged.
    """
    verified = [artifact for artifact in inputs.values() if (artifact.path / "verdict.json").is_file()]
    tiers = [_tier(artifact, inputs, teachers, worst) for artifact in verified]
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("compress", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    steps = _steps(inputs)
    return environment.get_template("report.html").render(
        name=name,
        version=compress.__version__,
        tiers=tiers,
        passed=sum(tier["passed"] for tier in tiers),
        steps=steps,
        total=duration(sum(step["seconds"] for step in steps)),
        versions=_versions(inputs),
    )


def _tier(
    verified: Artifact, inputs: Mapping[str, Artifact], teachers: Mapping[int, TeacherCost], worst: int
) -> dict[str, Any]:
    verdict, metrics = (_read(verified.path / file) for file in ("verdict.json", "metrics.json"))
    settings = verified.manifest["settings"]
    numbers, cost = metrics["numbers"], metrics["cost"]
    photo_size = settings["budget"]["photo_size"]
    parts = [part for part in numbers if part != "model"]
    identity_loss = _identity_is_a_loss(verdict["tier"], inputs)
    return {
        "name": verdict["tier"],
        "passed": verdict["passed"],
        "gates": [_gate(gate) for gate in verdict["gates"]],
        "failed": [f"{g['name']} on {g['subset']}: {g['detail']}" for g in verdict["gates"] if not g["passed"]],
        "not_judged": verdict["not_judged"],
        "images": {part: n for part, n in verdict["images"].items() if n},
        "headline": _headline(numbers, cost, photo_size, parts),
        "context": [_context(part, numbers[part]) for part in parts],
        "cost": _cost_rows(cost, teachers.get(photo_size), photo_size),
        "photo_size": photo_size,
        "threads": settings["budget"]["threads"],
        "sheets": _sheets(verified.path / "sheets", parts, worst),
        "backbones": [{"metric": metric, **metrics["backbones"][metric]} for metric in _LEARNED],
        "identity_is_a_loss": identity_loss,
        "intervals": metrics["intervals"],
        "seed": metrics["seed"],
    }


def _gate(gate: Mapping[str, Any]) -> dict[str, Any]:
    unit, bound = gate["unit"], gate["bound"]
    limits = [f"{sign} {show(bound[side], unit)}" for side, sign in (("min", "≥"), ("max", "≤")) if side in bound]
    counted = gate["subset"] == "model" and gate["lower"] == gate["upper"]
    shown = Interval(gate["value"], gate["lower"], gate["upper"], bound.get("min"), bound.get("max"), gate["passed"])
    return {
        **gate,
        "value": show(gate["value"], unit),
        "interval": "counted" if counted else f"{show(gate['lower'], unit)} to {show(gate['upper'], unit)}",
        "limit": " and ".join(limits),
        # Numbers only, so nothing in it needs escaping beyond what interval_plot does.
        "plot": interval_plot(shown),
    }


def _headline(
    numbers: Mapping[str, Any], cost: Mapping[str, float], photo_size: int, parts: Sequence[str]
) -> list[tuple[str, str]]:
    psnr = min(numbers[part]["psnr_mean_db"]["value"] for part in parts)
    rank1 = min(numbers[part]["rank1_relative"]["value"] for part in parts)
    return [
        (show(cost["int8_size_bytes"], "bytes"), "int8 file"),
        (show(cost["core_macs"], "MACs"), "true MACs of the core"),
        (show(cost["int8_ms"], "ms"), f"a {photo_size} px photo"),
        (show(psnr, "dB"), "PSNR to the teacher"),
        (show(rank1, "share"), "people found again, relative to the teacher"),
    ]


def _context(part: str, numbers: Mapping[str, Any]) -> dict[str, str]:
    floor = numbers["kid_noise_floor"]
    return {
        "part": part,
        "photo": show(numbers["photo_psnr_mean_db"]["value"], "dB"),
        "float": show(numbers["float_psnr_mean_db"]["value"], "dB"),
        "int8": show(numbers["psnr_mean_db"]["value"], "dB"),
        "floor": f"{show(floor['lower'], '')} to {show(floor['upper'], '')}",
    }


def _cost_rows(cost: Mapping[str, float], teacher: TeacherCost | None, photo_size: int) -> list[dict[str, str]]:
    parameters, low = show(cost["parameters"], "MACs"), int(cost["core_resolution"])
    rows = [_teacher_row(teacher)] if teacher else []
    for precision in ("float", "int8"):
        for part, prefix, side in (("whole", "", photo_size), ("core", "_core", low)):
            row = f"{precision}{prefix}"
            if f"{row}_ms" not in cost:  # students that draw RGB have no separate core file
                continue
            rows.append(
                {
                    "name": f"{precision} student, {part}",
                    "input": f"{side} px",
                    "macs": show(cost[f"{part}_macs"], "MACs"),
                    "torchprofile": show(cost[f"{part}_macs_torchprofile"], "MACs"),
                    "parameters": parameters,
                    "bytes": show(cost[f"{row}_size_bytes"], "bytes"),
                    "ms": show(cost[f"{row}_ms"], "ms"),
                    "wall": f"{cost[f'{row}_wall_p50_ms']:.3g} / {cost[f'{row}_wall_p95_ms']:.3g} ms",
                }
            )
    return rows


def _teacher_row(teacher: TeacherCost) -> dict[str, str]:
    return {
        "name": f"teacher {teacher.name} (torch)",
        "input": f"{teacher.photo_size} px",
        "macs": show(teacher.macs, "MACs"),
        "torchprofile": show(teacher.macs_torchprofile, "MACs"),
        "parameters": show(teacher.parameters, "MACs"),
        "bytes": show(4 * teacher.parameters, "bytes"),
        "ms": show(teacher.milliseconds, "ms"),
        "wall": "",
    }


def _sheets(folder: Path, parts: Sequence[str], worst: int) -> list[dict[str, str]]:
    titles = {"worst": "lowest PSNR first", "random": "drawn at random"}
    shown = []
    for part in parts:
        for kind, title in titles.items():
            path = folder / f"{kind}-{part}.png"
            shown.append({"title": f"{part.capitalize()}, {title}", "kind": kind, "data": _jpeg(path, worst)})
    return shown


def _jpeg(path: Path, rows: int) -> str:
    """The sheet's first `rows` rows as a data URI."""
    sheet = cv2.imread(str(path))
    if sheet is None:
        raise StorageError(f"{path}: missing or unreadable; delete the verify step's folder and run again")
    ok, data = cv2.imencode(".jpg", crop_rows(sheet, rows, SHEET_COLUMNS), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    if not ok:
        raise ValueError(f"OpenCV could not encode {path.name}")
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()


def _identity_is_a_loss(tier: str, inputs: Mapping[str, Artifact]) -> bool:
    steps = (inputs.get(f"{stage}-{tier}") for stage in ("distill", "finetune", "quantize"))
    return any(step.manifest["settings"].get("weights", {}).get("identity", 0) > 0 for step in steps if step)


def _steps(inputs: Mapping[str, Artifact]) -> list[dict[str, Any]]:
    longest = max((artifact.manifest["seconds"] for artifact in inputs.values()), default=0) or 1
    return [
        {
            "name": artifact.manifest["step"],
            "key": artifact.manifest["key"][:12],
            "seconds": artifact.manifest["seconds"],
            "took": duration(artifact.manifest["seconds"]),
            "share": round(100 * artifact.manifest["seconds"] / longest, 1),
            "settings": yaml.safe_dump(artifact.manifest["settings"], sort_keys=False),
            "numbers": yaml.safe_dump(dict(artifact.numbers), sort_keys=False),
        }
        for artifact in inputs.values()
    ]


def _versions(inputs: Mapping[str, Artifact]) -> dict[str, str]:
    """Versions of all steps; where steps of one run were made with several, all are named."""
    found: dict[str, list[str]] = {}
    for artifact in inputs.values():
        for package, version in artifact.manifest["versions"].items():
            if version not in found.setdefault(package, []):
                found[package].append(version)
    return {package: ", ".join(versions) for package, versions in found.items()}


def _read(path: Path) -> dict[str, Any]:
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StorageError(f"{path}: unreadable ({error}); delete the verify step's folder and run again") from error
    return data
