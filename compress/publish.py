"""What a run hands over: tiers that passed their gates, verdict, report; each replaced as a whole or not at all.

Reads finished artifacts and copies out of them; judges nothing itself.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compress import artifact
from compress.artifact import Artifact
from compress.errors import StorageError
from compress.plan import Plan, Step

MODEL, CORE = "model.onnx", "core.onnx"
"""The whole student, and the part before the compositor, which students that draw RGB do not have."""
RUN_FILES: Mapping[str, tuple[str, ...]] = {"report": ("report.html",), "teach": ("teacher.safetensors",)}
"""Files of a step, by stage, that are copied to the top of the run folder."""


@dataclass(frozen=True)
class Outcome:
    """One tier after its gates: `folder` is where it was published, or None."""

    tier: str
    verdict: Mapping[str, Any]
    folder: Path | None

    @property
    def passed(self) -> bool:
        """Whether every gate passed."""
        return bool(self.verdict["passed"])

    def sentence(self) -> str:
        """What came out, for the log."""
        gates = self.verdict["gates"]
        failed = [gate for gate in gates if not gate["passed"]]
        if not failed and self.folder is not None:
            return f"{self.tier}: passed {len(gates)} of {len(gates)} gates, published in {self.folder}"
        missed = "; ".join(f"{gate['name']} {gate['value']:.5g} ({gate['detail']})" for gate in failed)
        return f"{self.tier}: failed {len(failed)} of {len(gates)} gates, not published: {missed}"


def publish_tier(folder: Path, step: Step, made: Mapping[str, Artifact], recipe: str) -> Outcome:
    """Publish the candidate that the verify step `step` judged, if it passed; remove what was there if it did not."""
    tier = step.name.removeprefix("verify-")
    verdict = read_verdict(made[step.name])
    final = folder / "tiers" / tier
    if not verdict["passed"]:
        if final.exists():
            shutil.rmtree(final)
        return Outcome(tier, verdict, None)
    export = made[step.inputs["export"]]
    if _published_key(final) != step.key:
        description = {
            "kind": "tier",
            "name": recipe,
            "tier": tier,
            "key": step.key,
            "export_key": export.manifest["key"],
            "settings": step.settings.model_dump(mode="json"),
            "numbers": dict(export.numbers),
            "gates": verdict["gates"],
            "versions": export.manifest["versions"],
        }
        _replace(final, export.path, description)
    return Outcome(tier, verdict, final)


def publish_files(folder: Path, step: Step, result: Artifact) -> list[Path]:
    """Copy the files of a step that belong at the top of the run folder; returns their new paths."""
    published = []
    for name in RUN_FILES.get(step.stage, ()):
        unfinished = folder / f".{name}.tmp"
        shutil.copyfile(result.path / name, unfinished)
        published.append(unfinished.replace(folder / name))
    return published


def prepare(folder: Path, plan: Plan) -> None:
    """Write plan.json; a verdict, a report and a teacher of another plan are removed, so that none is mistaken."""
    path = folder / "plan.json"
    keys = [step.key for step in plan.steps]
    try:
        before = [step["key"] for step in json.loads(path.read_text(encoding="utf-8"))["steps"]]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        before = []
    if before != keys:
        for name in ("verdict.json", *(name for names in RUN_FILES.values() for name in names)):
            (folder / name).unlink(missing_ok=True)
    artifact.write_json(path, plan.as_dict())


def write_verdict(folder: Path, plan: Plan, outcomes: list[Outcome]) -> bool:
    """Write verdict.json of all tiers, drop published tiers that the recipe no longer has; whether all passed."""
    kept = {outcome.tier for outcome in outcomes}
    for path in sorted((folder / "tiers").glob("*")):
        if path.name not in kept:
            shutil.rmtree(path)
    passed = all(outcome.passed for outcome in outcomes)
    tiers = {outcome.tier: dict(outcome.verdict) for outcome in outcomes}
    artifact.write_json(folder / "verdict.json", {"name": plan.name, "passed": passed, "tiers": tiers})
    return passed


def read_verdict(result: Artifact) -> dict[str, Any]:
    """The verdict.json of a verify step; raises StorageError if it is not one."""
    path = result.path / "verdict.json"
    try:
        verdict: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        passed, gates = verdict["passed"], verdict["gates"]
    except (FileNotFoundError, ValueError, KeyError, TypeError) as error:
        raise StorageError(f"{path}: not a verdict ({error}); delete its folder and run again") from error
    # Judged here once more, because publishing is what the gates are for.
    if not gates or passed != all(gate["passed"] for gate in gates):
        problem = f"`passed` is {passed}, which its {len(gates)} gates do not say"
        raise StorageError(f"{path}: {problem}; delete its folder and run again")
    return verdict


def _published_key(folder: Path) -> str | None:
    try:
        key: str = artifact.load(folder).manifest["key"]
    except (StorageError, KeyError):
        return None
    return key


def _replace(final: Path, source: Path, description: Mapping[str, Any]) -> None:
    unfinished, former = (final.with_name(f".{final.name}.{kind}") for kind in ("partial", "former"))
    for leftover in (unfinished, former):
        if leftover.exists():
            shutil.rmtree(leftover)
    unfinished.mkdir(parents=True)
    shutil.copyfile(source / MODEL, unfinished / MODEL)
    if (source / CORE).is_file():
        shutil.copyfile(source / CORE, unfinished / CORE)
    artifact.seal(unfinished, description)
    if final.exists():
        final.replace(former)
    unfinished.replace(final)
    if former.exists():
        shutil.rmtree(former)
