"""Stage report: writes `report.html`, one self-contained page about the whole run.

It arranges what other steps measured (`reporting.page`) and measures one thing itself: what the teacher costs on a
photo of the size that tiers are timed with, because only here is the teacher beside all tiers.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import teachers
from compress.artifact import Artifact, write_text
from compress.context import Context
from compress.errors import InputError, StageError
from compress.judging import cost
from compress.recipe import TeacherSettings
from compress.reporting import page
from compress.reporting.page import TeacherLine
from compress.steps import ReportStep
from compress.teaching.source import open_teacher

PAGE = "report.html"


def run(settings: ReportStep, inputs: Mapping[str, Artifact], folder: Path, context: Context) -> dict[str, Any]:
    """Write the page from all steps of a run, {role: artifact}; returns the state of each tier.

    Raises StorageError if what a verify step wrote is missing or damaged, StageError if no verify step is among the
    inputs.
    """
    verified = {role: artifact for role, artifact in inputs.items() if role.startswith("verify-")}
    if not verified:
        raise StageError(f"report: no verify step among its inputs ({', '.join(inputs)}); name at least one tier")
    sizes = {artifact.manifest["settings"]["budget"]["photo_size"] for artifact in verified.values()}
    lines, untimed = _teacher_lines(inputs["test_targets"].manifest["settings"], sizes, context)
    write_text(folder / PAGE, page.render(settings.name, inputs, lines, untimed, settings.worst))
    tiers = {role.removeprefix("verify-"): str(artifact.numbers["state"]) for role, artifact in verified.items()}
    return {"tiers": tiers, "bytes": (folder / PAGE).stat().st_size}


def _teacher_lines(written: Mapping[str, Any], sizes: set[int], context: Context) -> tuple[dict[int, TeacherLine], str]:
    """What the teacher costs by size of photo, and why nothing is said; without it a page is better than no page."""
    try:
        settings = TeacherSettings.model_validate(written, strict=False)
        line = _counted if settings.way == "network" else _timed
        return {size: line(settings, size, context.device) for size in sorted(sizes)}, ""
    except (ValueError, OSError, InputError, StageError) as error:
        context.progress.log(f"  report: the teacher's cost is left out: {error}")
        return {}, str(error).splitlines()[0]


def _counted(settings: TeacherSettings, size: int, device: str) -> TeacherLine:
    """A network of this project: its operators can be counted too."""
    found = cost.teacher_cost(Path(settings.network).stem, teachers.load(settings.network), size)
    return TeacherLine(
        f"{found.name} (torch)", size, found.milliseconds, found.macs, found.macs_torchprofile, found.parameters
    )


def _timed(settings: TeacherSettings, size: int, device: str) -> TeacherLine:
    """Any other teacher draws one grey photo; a folder of finished pictures cannot."""
    teacher = open_teacher(settings, device)
    if not teacher.can_run:
        raise StageError(f"{teacher.name} is a set of finished pictures, which takes no time")
    photo = np.full((1, size, size, 3), 128, np.uint8)
    start = time.perf_counter()
    teacher.draw(photo)
    return TeacherLine(teacher.name, size, 1e3 * (time.perf_counter() - start))
