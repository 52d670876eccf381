"""Stage report: writes `report.html`, one self-contained page about the whole run.

It arranges what other steps measured (`compress.page`) and measures one thing itself: what the teacher costs on a photo
of the size that tiers are timed with, because only here is the teacher beside all tiers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import teachers
from compress import cost, page
from compress.artifact import Artifact, write_text
from compress.context import Context
from compress.cost import TeacherCost
from compress.errors import StageError
from compress.recipe import ReportStep

PAGE = "report.html"


def run(settings: ReportStep, inputs: Mapping[str, Artifact], folder: Path, context: Context) -> dict[str, Any]:
    """Write the page from all steps of a run, {role: artifact}; returns the verdict of each tier.

    Raises StorageError if what a verify step wrote is missing or damaged, StageError if no verify step is among the
    inputs.
    """
    verified = {role: artifact for role, artifact in inputs.items() if role.startswith("verify-")}
    if not verified:
        raise StageError(f"report: no verify step among its inputs ({', '.join(inputs)}); name at least one tier")
    network = str(inputs["test_targets"].manifest["settings"]["network"])
    sizes = {artifact.manifest["settings"]["budget"]["photo_size"] for artifact in verified.values()}
    costs = _teacher_costs(network, sizes, context)
    write_text(folder / PAGE, page.render(settings.name, inputs, costs, settings.worst))
    tiers = {role.removeprefix("verify-"): bool(artifact.numbers["passed"]) for role, artifact in verified.items()}
    return {"tiers": tiers, "bytes": (folder / PAGE).stat().st_size}


def _teacher_costs(network: str, sizes: set[int], context: Context) -> dict[int, TeacherCost]:
    """What the teacher costs by size of photo; without it a page is better than no page, so a failure is only told."""
    try:
        teacher = teachers.load(network)
        return {size: cost.teacher_cost(Path(network).stem, teacher, size) for size in sorted(sizes)}
    except (ValueError, OSError, StageError) as error:
        context.progress.log(f"  report: the teacher's cost is left out: {error}")
        return {}
