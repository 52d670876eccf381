"""What a run hands over: tiers that passed their gates, verdict, report; each replaced as a whole or not at all.

Reads finished artifacts and copies out of them; judges nothing itself. The verdict of a candidate that was only judged
stands beside the tiers of the run, and never changes them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from compress import artifact
from compress.artifact import Artifact
from compress.errors import StorageError
from compress.judging import verdict
from compress.judging.verdict import RunVerdict, Verdict
from compress.plan import Plan, Step
from compress.planning.verification import candidate_file, candidate_name
from compress.reporting import formats

MODEL, CORE = "model.onnx", "core.onnx"
"""The whole student, and the part before the compositor, which students that draw RGB do not have."""
VERDICT, JUNIT, SUMMARY = "verdict.json", "junit.xml", "summary.md"
RUN_FILES: Mapping[str, tuple[str, ...]] = {
    "report": ("report.html",),
    "teach": ("teacher.safetensors",),
    "assess": ("assessment.json", "assessment.md", "faces.png"),
}
"""Files of a step, by stage, that are copied to the top of the run folder."""
CANDIDATE_FILES: Mapping[str, tuple[str, ...]] = {"report": ("report.html",), "verify": ("images.csv", "metrics.json")}
"""Files of a step, by stage, that are copied beside the verdict of a candidate."""


@dataclass(frozen=True)
class Outcome:
    """One candidate after its gates; `place` says where it or its verdict went."""

    name: str
    verdict: Verdict
    place: str

    def sentence(self) -> str:
        """What came out, for the log."""
        missed = "; ".join(
            f"{gate.name} {formats.number(gate.value)} ({gate.detail})" for gate in self.verdict.missed()
        )
        line = f"{self.name}: {formats.told(self.verdict)}, {self.place}"
        return f"{line}: {missed}" if missed else line


def publish_tier(folder: Path, step: Step, made: Mapping[str, Artifact], recipe: str) -> Outcome:
    """Publish the candidate that the verify step `step` judged, if it passed; remove what was there if it did not."""
    tier = step.name.removeprefix("verify-")
    # Read with all its checks, because publishing is what the gates are for.
    judged = verdict.read(made[step.name].path / VERDICT)
    final = folder / "tiers" / tier
    if not judged.passed:
        if final.exists():
            shutil.rmtree(final)
        return Outcome(tier, judged, "not published")
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
            "gates": [gate.model_dump(mode="json", exclude_none=True) for gate in judged.gates],
            "versions": export.manifest["versions"],
        }
        with _replacing(final) as unfinished:
            for name in (MODEL, CORE):
                if name == MODEL or (export.path / name).is_file():
                    shutil.copyfile(export.path / name, unfinished / name)
            artifact.seal(unfinished, description)
    return Outcome(tier, judged, f"published in {final}")


def discard_candidate(folder: Path, plan: Plan) -> None:
    """Remove an earlier verdict on the candidate of `plan`, so that it is not mistaken for one of a run that fails."""
    final = folder / "candidates" / candidate_name(plan)
    if final.exists():
        shutil.rmtree(final)


def publish_candidate(folder: Path, plan: Plan, made: Mapping[str, Artifact]) -> Outcome:
    """Hand over the verdict on the candidate of `plan`, in `candidates/<file's stem>-<tier>-<hash>`."""
    (verified,) = (made[step.name] for step in plan.steps if step.stage == "verify")
    found = verdict.read(verified.path / VERDICT)
    file = candidate_file(plan).name.encode("utf-8", "replace").decode()
    # Steps are shared by content, so an equal file of another name may have been judged first.
    judged = found.model_copy(update={"candidate": found.candidate.model_copy(update={"file": file})})
    final = folder / "candidates" / candidate_name(plan)
    with _replacing(final) as unfinished:
        for step in plan.steps:
            for name in CANDIDATE_FILES.get(step.stage, ()):
                shutil.copyfile(made[step.name].path / name, unfinished / name)
        _write(unfinished, judged, verdict.gathered(file, [judged]))
    return Outcome(f"{file}, {judged.tier}", judged, f"see {final}")


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
        for name in (VERDICT, JUNIT, SUMMARY, *(name for names in RUN_FILES.values() for name in names)):
            (folder / name).unlink(missing_ok=True)
    artifact.write_json(path, plan.as_dict())


def write_verdict(folder: Path, plan: Plan, outcomes: Sequence[Outcome]) -> bool:
    """Write the verdict of all tiers in its forms, drop published tiers that the recipe no longer has.

    Returns whether all passed; a run that judges nothing (the training of a teacher) passes and has no verdict.
    """
    kept = {outcome.verdict.tier for outcome in outcomes}
    for path in sorted((folder / "tiers").glob("*")):
        if path.name not in kept:
            shutil.rmtree(path)
    if not outcomes:
        return True
    run = verdict.gathered(plan.name, [outcome.verdict for outcome in outcomes])
    _write(folder, run, run)
    return run.passed


def _write(folder: Path, judged: Verdict | RunVerdict, run: RunVerdict) -> None:
    artifact.write_text(folder / JUNIT, formats.junit(run))
    artifact.write_text(folder / SUMMARY, formats.markdown(run))
    verdict.write(folder / VERDICT, judged)


def _published_key(folder: Path) -> str | None:
    try:
        key: str = artifact.load(folder).manifest["key"]
    except (StorageError, KeyError):
        return None
    return key


@contextmanager
def _replacing(final: Path) -> Iterator[Path]:
    """A folder to fill, which then takes the place of `final` as a whole."""
    unfinished, former = (final.with_name(f".{final.name}.{kind}") for kind in ("partial", "former"))
    for leftover in (unfinished, former):
        if leftover.exists():
            shutil.rmtree(leftover)
    unfinished.mkdir(parents=True)
    yield unfinished
    if final.exists():
        final.replace(former)
    unfinished.replace(final)
    if former.exists():
        shutil.rmtree(former)
