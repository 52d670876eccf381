"""Proposes a bound for every gate of a recipe: from the teacher, the tier's own student, and planted defects.

Noise floors are measured, not assumed (`judging.noise_floors`). The tier's exported file is used if its step is
finished; without one the teacher itself takes its place, and the bounds hold for a perfect student. How a bound follows
is `judging.proposals`. Budgets (MACs, bytes, time, memory) and parity with torch are not proposed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from compress import artifact
from compress.artifact import Artifact
from compress.context import Progress
from compress.judging import gates, groups, noise_floors
from compress.judging.defects import DEFECTS
from compress.judging.defects.campaign import CLEAN, FOLDER, RECORD, Place, measure
from compress.judging.defects.scene import ModelDefect, Strength
from compress.judging.defects.trials import JUDGED, Measured, TestSteps
from compress.judging.facts import CATEGORIES
from compress.judging.metrics.estimate import Estimate
from compress.judging.proposals import Proposal, Trial, propose
from compress.plan import Plan, plan
from compress.planning.reading import load
from compress.planning.verification import chosen_tier
from compress.recipe import Recipe
from compress.shards import Shards

STRENGTHS: tuple[Strength, ...] = ("weak", "medium")
PROCESSES = 2
CarryOut = Callable[[Plan, Path, Progress], Mapping[str, Artifact]]


@dataclass(frozen=True)
class Proposals:
    """Bounds of all gates of a tier that could be measured, and why others could not."""

    tier: str
    source: str
    gates: tuple[Proposal, ...]
    not_proposed: Mapping[str, str]

    def table(self) -> Iterable[str]:
        """For people: one line a gate, then what is not proposed."""
        yield f"tier {self.tier}, from {self.source}"
        for gate in self.gates:
            yield f"{gate.yaml}: {gate.why}"
        for name, reason in self.not_proposed.items():
            yield f"{name}: not proposed, {reason}"

    def yaml(self) -> str:
        """The block `gates:` of a tier, to paste into a recipe."""
        return "\n".join(["gates:", *(f"  {gate.yaml}" for gate in self.gates)]) + "\n"


def calibrate(recipe: Path, tier: str, runs: Path, progress: Progress, carry_out: CarryOut) -> Proposals:
    """Bounds for the gates of one tier; written to `runs/<name>/defects/<tier>.yaml` too, beside what was measured.

    `carry_out` runs the steps of a plan, or reuses them (`compress.run`). Raises InputError for an unknown tier or a
    test set that is too small, StageError if a number cannot be computed.
    """
    the_plan, source = plan(recipe), load(recipe)
    name = chosen_tier(source, tier)
    assert isinstance(source.recipe, Recipe)
    tested = tuple(step for step in the_plan.steps if step.name.startswith("test-"))
    made = carry_out(replace(the_plan, steps=tested), runs, progress)
    inputs, targets, features, motion = (made[f"test-{role}"] for role in ("inputs", "targets", "features", "motion"))
    moving = motion.path if motion.numbers["variants"] + motion.numbers["frames"] else None
    steps = TestSteps(inputs.path, targets.path, features.path, moving)
    export = _finished(the_plan, f"export-{name}", runs)
    place = measurable(Place(steps, export, source.recipe.judges, source.recipe.seed))
    folder = runs / the_plan.name / FOLDER
    proposals = propose_all(place, name, folder, progress)
    artifact.write_text(folder / f"{name}.yaml", proposals.yaml())
    return proposals


def propose_all(place: Place, tier: str, folder: Path, progress: Progress, processes: int = PROCESSES) -> Proposals:
    """Measure the clean student, the planted defects and the floors, and propose; trials are kept in `folder`."""
    planted = [name for name, defect in DEFECTS.items() if place.export or not isinstance(defect, ModelDefect)]
    wanted = [(CLEAN, STRENGTHS[0]), *((defect, strength) for defect in planted for strength in STRENGTHS)]
    found = measure(place, wanted, folder / RECORD, progress, processes)
    progress.log("noise floors: the teacher against itself")
    floors = noise_floors.measure(place.open(progress))
    starts: dict[str, list[Estimate]] = {}
    trials: dict[str, list[Trial]] = {}
    for (defect, strength), measured in found.items():
        for gate, estimate in _flat(measured):
            if defect == CLEAN:
                starts.setdefault(gate, []).append(estimate)
            else:
                named = gate in DEFECTS[defect].caught_by
                trials.setdefault(gate, []).append(Trial(defect, strength, named, estimate))
    alone = place.export is None
    reasons = {gate: _why_not(gate, starts.get(gate, [])) for gate in sorted(JUDGED)}
    judged = [gate for gate in gates.GATES if gate in JUDGED and not reasons[gate]]
    proposed = tuple(
        # Sets of other people are farther apart than a student and its teacher on the same ones: only where there is no
        # student are halves the best that is known.
        propose(g, starts[g], floors.of(g), trials.get(g, []), len(judged), alone or g in floors.pictures)
        for g in judged
    )
    source = place.export.name if place.export else "the teacher alone: no export of this tier is finished"
    return Proposals(tier, source, proposed, {gate: reason for gate, reason in reasons.items() if reason})


def _flat(measured: Measured) -> Iterable[tuple[str, Estimate]]:
    """Gates that can be proposed with their estimates, part by part."""
    for estimates in measured.values():
        yield from ((gate, estimate) for gate, estimate in estimates.items() if gate in JUDGED)


def _why_not(gate: str, clean: list[Estimate]) -> str:
    """Why a gate gets no bound; empty if it can."""
    if not clean or not all(estimate.finite for estimate in clean):
        needs = gates.NEEDS[gates.GATES[gate].needs]
        return f"it needs {needs}" if needs else "it could not be measured"
    short = math.ceil(gates.GATES[gate].fewest - min(estimate.effective for estimate in clean))
    return f"it needs {short} more {gates.GATES[gate].sample}" if gates.GATES[gate].per_image and short > 0 else ""


def measurable(place: Place) -> Place:
    """The place without gates that its test set cannot tell anything about."""
    inputs = Shards(place.steps.inputs)
    table = inputs.read(range(place.images or len(inputs)), ["person", *CATEGORIES])
    grouped = any(group.judged for group in groups.find(table))
    lacking = {needs for needs, there in (("groups", grouped), ("motion", place.steps.motion is not None)) if not there}
    return replace(place, wanted=frozenset(gate for gate in place.wanted if gates.GATES[gate].needs not in lacking))


def _finished(the_plan: Plan, name: str, runs: Path) -> Path | None:
    """The folder of a step, if it is finished and whole."""
    step = next(step for step in the_plan.steps if step.name == name)
    folder = runs / the_plan.name / "steps" / step.folder
    return artifact.load(folder).path if folder.is_dir() else None
