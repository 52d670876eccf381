"""The report page: what the artifacts of a run say, arranged for people, as one HTML file that needs nothing else.

Everything shown is read from manifests and from what the verify stage wrote; only the formats are made here. Judging is
not. One tier's part is `reporting.tier_page`; runs side by side are `reporting.comparison_page`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import yaml

import compress
from compress.artifact import Artifact
from compress.context import duration
from compress.judging import gates
from compress.reporting import scatter, tier_page
from compress.reporting.charts import show
from compress.reporting.measured_page import Numbers, parts_of, value_of

_MADE = ("distill", "prune", "finetune", "quantize")


@dataclass(frozen=True)
class TeacherLine:
    """What the teacher costs on one photo of `photo_size` px; None is what could not be counted."""

    name: str
    photo_size: int
    milliseconds: float
    macs: int | None = None
    macs_torchprofile: int | None = None
    parameters: int | None = None


def template(name: str) -> jinja2.Template:
    """A page's template: everything put into it is escaped, and a name that it lacks is an error."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("compress.reporting", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def render(
    name: str, inputs: Mapping[str, Artifact], teachers: Mapping[int, TeacherLine], untimed: str, worst: int
) -> str:
    """The page of run `name` from the artifacts that the report step reads, {role: artifact}.

    `teachers` by size of photo; `untimed` says why one is missing there. Raises StorageError where what a verify step
    wrote is missing or damaged.
    """
    verified = [artifact for artifact in inputs.values() if (artifact.path / "verdict.json").is_file()]
    trained = any(role.partition("-")[0] in _MADE for role in inputs)
    tiers = [_tier(artifact, inputs, teachers, worst, trained) for artifact in verified]
    steps = _steps(inputs)
    return template("report.html").render(
        name=name,
        version=compress.__version__,
        tiers=tiers,
        headline=_headline(tiers),
        trained=trained,
        judged=_judged(inputs, tiers),
        tradeoff=_tradeoff(tiers, teachers),
        untimed=untimed,
        steps=steps,
        total=duration(sum(step["seconds"] for step in steps)),
        versions=_versions(inputs),
    )


def _judged(inputs: Mapping[str, Artifact], tiers: Sequence[Mapping[str, Any]]) -> str:
    """Name of the file that a verification was asked for; the copy that was judged has another."""
    if "candidate" in inputs:
        return Path(inputs["candidate"].manifest["settings"]["file"]).name
    return str(tiers[0]["verdict"].candidate.file)


def _headline(tiers: Sequence[Mapping[str, Any]]) -> str:
    """How it went, in words, for the top of the page."""
    states = [tier["verdict"].state for tier in tiers]
    if len(tiers) == 1:
        return str(states[0])
    counts = [f"{states.count(state)} {state}" for state in ("failed", "undecided") if state in states]
    passed = f"{states.count('passed')} of {len(states)} tiers passed"
    return ", ".join([passed, *counts])


def _tier(
    verified: Artifact, inputs: Mapping[str, Artifact], teachers: Mapping[int, TeacherLine], worst: int, trained: bool
) -> dict[str, Any]:
    tier = tier_page.arrange(verified, worst, trained)
    budget = verified.manifest["settings"]["budget"]
    return tier | {
        "photo_size": budget["photo_size"],
        "threads": budget["threads"],
        "cost": _cost_rows(tier["cost"], teachers.get(budget["photo_size"]), budget["photo_size"]),
        "points": _points(tier["name"], tier["measured"], tier["cost"]),
        "identity_is_a_loss": _identity_is_a_loss(tier["name"], inputs),
    }


def _cost_rows(cost: Mapping[str, float], teacher: TeacherLine | None, photo_size: int) -> list[dict[str, str]]:
    rows = [_teacher_row(teacher)] if teacher else []
    low = cost.get("core_resolution", 0)
    for file, name, macs in (
        ("float", "float version", "whole_macs"),
        ("float_core", "float version, core alone", "core_macs"),
        ("int8", "candidate", "whole_macs" if "whole_macs" in cost else "file_macs"),
        ("int8_core", "candidate, core alone", "core_macs"),
    ):
        if f"{file}_ms" not in cost:  # no float version, or a student without a core file
            continue
        rows.append(
            {
                "name": name,
                "input": f"{low if file.endswith('core') else photo_size:.0f} px",
                "macs": _shown(cost, macs, "MACs"),
                "torchprofile": _shown(cost, f"{macs}_torchprofile", "MACs"),
                "parameters": _shown(cost, "parameters", "MACs"),
                "bytes": _shown(cost, f"{file}_size_bytes", "bytes"),
                "ms": _shown(cost, f"{file}_ms", "ms"),
                "wall": f"{_shown(cost, f'{file}_wall_p50_ms', 'ms')} / {_shown(cost, f'{file}_wall_p95_ms', 'ms')}",
            }
        )
    return rows


def _shown(cost: Mapping[str, float], name: str, unit: str) -> str:
    return show(cost[name], unit) if name in cost else "not counted"


def _teacher_row(teacher: TeacherLine) -> dict[str, str]:
    return {
        "name": f"teacher {teacher.name}",
        "input": f"{teacher.photo_size} px",
        "macs": _counted(teacher.macs, "MACs"),
        "torchprofile": _counted(teacher.macs_torchprofile, "MACs"),
        "parameters": _counted(teacher.parameters, "MACs"),
        "bytes": _counted(teacher.parameters and 4 * teacher.parameters, "bytes"),
        "ms": show(teacher.milliseconds, "ms"),
        "wall": "",
    }


def _counted(value: int | None, unit: str) -> str:
    return "not counted" if value is None else show(value, unit)


def _points(tier: str, numbers: Numbers, cost: Mapping[str, float]) -> list[scatter.Point]:
    """The candidate, and its float version if there is one; likeness is that of the part where it is least."""
    model = numbers.get(gates.WHOLE, {})
    candidates = (
        (tier, "psnr_mean_db", value_of(model, "latency_ms"), value_of(model, "size_bytes"), 0),
        (f"{tier} float", "float_psnr_mean_db", cost.get("float_ms"), cost.get("float_size_bytes"), 1),
    )
    points = []
    for label, likeness, milliseconds, size, series in candidates:
        found = [numbers[part][likeness] for part in parts_of(numbers) if value_of(numbers[part], likeness) is not None]
        psnr = min(found, key=lambda number: number["value"], default=None)
        if psnr is not None and milliseconds and size:
            ends = psnr["lower"], psnr["upper"]
            points.append(scatter.Point(label, milliseconds, psnr["value"], size, series, series > 0, ends))
    return points


def _tradeoff(tiers: Sequence[Mapping[str, Any]], teachers: Mapping[int, TeacherLine]) -> dict[str, Any]:
    points = [point for tier in tiers for point in tier["points"]]
    sizes = {tier["photo_size"] for tier in tiers}
    several = len(sizes) > 1
    references = [
        scatter.Reference(
            f"teacher{f' at {size} px' if several else ''}, {show(cost.milliseconds, 'ms')}", cost.milliseconds
        )
        for size, cost in teachers.items()
    ]
    paths = [[points.index(point) for point in tier["points"]] for tier in tiers if len(tier["points"]) > 1]
    kinds = sorted({point.series for point in points})
    legend = [(scatter.shape(kind), ("candidate", "its float version")[kind]) for kind in kinds]
    return {
        "plot": scatter.draw(points, references, paths) if points else "",
        "legend": legend,
        "rows": [(p.label, show(p.x, "ms"), show(p.y, "dB"), show(p.size, "bytes")) for p in points],
        "sizes": ", ".join(f"{size} px" for size in sorted(sizes)),
    }


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
