"""What a recipe leads to: the steps in their order, what each reads, its content key, and how long it may take.

`make_plan` is a pure function of a surveyed recipe; nothing here imports torch. A step's key covers its stage, the
settings that it reads, the contents of the files that these name, and the keys of its parents, so that changing one
setting redoes only what depends on it. It does not run anything (`compress.run`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from compress.context import duration
from compress.estimate import seconds_of
from compress.reading import load
from compress.recipe import (
    DistillStep,
    PairStep,
    Recipe,
    ReportStep,
    Section,
    TeacherRecipe,
    TeachStep,
    TierSettings,
    VerifyStep,
)
from compress.survey import Survey, survey

KEY_DIGITS = 12


@dataclass(frozen=True)
class Stage:
    """One kind of work. Raise `version` when its results change; `seeded` stages depend on the recipe's seed."""

    function: str
    version: int = 1
    seeded: bool = False


STAGES: dict[str, Stage] = {
    "inputs": Stage("compress.stages.inputs:run"),
    "targets": Stage("compress.stages.targets:run"),
    "distill": Stage("compress.stages.distill:run", seeded=True),
    "prune": Stage("compress.stages.prune:run", seeded=True),
    "quantize": Stage("compress.stages.quantize:run", seeded=True),
    "export": Stage("compress.stages.export:run"),
    "verify": Stage("compress.stages.verify:run", seeded=True),
    "report": Stage("compress.stages.report:run"),
    "pairs": Stage("compress.stages.pairs:run"),
    "teach": Stage("compress.stages.teach:run", seeded=True),
}


@dataclass(frozen=True)
class Step:
    """One run of one stage; `inputs` maps the roles that the stage knows to the names of earlier steps."""

    name: str
    stage: str
    settings: Section
    inputs: Mapping[str, str]
    key: str
    budget: str
    seconds: float
    seed: int

    @property
    def folder(self) -> str:
        """Name of the step's folder; another key is another folder."""
        return f"{self.name}-{self.key[:KEY_DIGITS]}"

    def as_dict(self) -> dict[str, Any]:
        """For plan.json."""
        return {
            "step": self.name,
            "stage": self.stage,
            "inputs": dict(self.inputs),
            "key": self.key,
            "budget": self.budget,
            "estimated_seconds": round(self.seconds, 1),
            "settings": self.settings.model_dump(mode="json"),
        }


@dataclass(frozen=True)
class Plan:
    """All steps of a recipe, parents before children."""

    name: str
    recipe: Path
    steps: tuple[Step, ...]

    @property
    def seconds(self) -> float:
        """Estimated time of the whole, if nothing is finished yet."""
        return sum(step.seconds for step in self.steps)

    def as_dict(self) -> dict[str, Any]:
        """For plan.json."""
        steps = [step.as_dict() for step in self.steps]
        return {"name": self.name, "recipe": str(self.recipe), "estimated_seconds": round(self.seconds), "steps": steps}


def plan(path: Path) -> Plan:
    """Read, check and survey a recipe, and plan it; raises RecipeError with all problems."""
    source = load(path)
    return make_plan(survey(source), path.resolve())


def make_plan(found: Survey, path: Path) -> Plan:
    """The steps of a surveyed recipe; the same survey always gives the same plan."""
    builder = _Builder(found)
    if isinstance(found.recipe, Recipe):
        _compression(builder, found.recipe)
    else:
        _training(builder, found.recipe)
    return Plan(found.recipe.name, path, tuple(builder.steps.values()))


def _compression(builder: _Builder, recipe: Recipe) -> None:
    for prefix, settings in (("", recipe.inputs), ("test-", recipe.test)):
        section = "test" if prefix else "inputs"
        count = settings.rendered + builder.found.photos.get(section, 0)
        builder.add(f"{prefix}inputs", "inputs", settings, {}, f"{count} images", images=count)
        parents = {"inputs": f"{prefix}inputs"}
        builder.add(f"{prefix}targets", "targets", recipe.teacher, parents, f"{count} images", images=count)
    reported = {"targets": "targets", "test_inputs": "test-inputs", "test_targets": "test-targets"}
    for name, tier in recipe.tiers.items():
        _tier(builder, name, tier)
        made = ("distill", "prune", "finetune", "quantize", "export", "verify")
        reported |= {f"{step}-{name}": f"{step}-{name}" for step in made}
    settings_of_report = ReportStep(name=recipe.name, worst=recipe.report.worst)
    builder.add("report", "report", settings_of_report, reported, f"{recipe.report.worst} worst cases a tier")


def _tier(builder: _Builder, name: str, tier: TierSettings) -> None:
    data = {"inputs": "inputs", "targets": "targets"}
    distill = DistillStep(**dict(tier.distill), student=tier.student)
    builder.add(f"distill-{name}", "distill", distill, data, f"{distill.images} images", student=tier)
    pruned = {"student": f"distill-{name}", "inputs": "inputs"}
    builder.add(f"prune-{name}", "prune", tier.prune, pruned, f"{tier.prune.macs / 1e6:.4g} M MACs")
    tuned = {"student": f"prune-{name}", **data}
    builder.add(f"finetune-{name}", "distill", tier.finetune, tuned, f"{tier.finetune.images} images", student=tier)
    float_ = {"student": f"finetune-{name}", **data}
    builder.add(f"quantize-{name}", "quantize", tier.quantize, float_, f"{tier.quantize.images} images", student=tier)
    float_and_int8 = {"student": f"quantize-{name}", "float": f"finetune-{name}", "inputs": "inputs"}
    builder.add(f"export-{name}", "export", tier.export, float_and_int8, f"{tier.budget.size_bytes / 1e3:.4g} kB")
    judged = {"export": f"export-{name}", "float": f"finetune-{name}", "inputs": "inputs"}
    judged |= {"test_inputs": "test-inputs", "test_targets": "test-targets"}
    verify = VerifyStep(tier=name, precision=tier.precision, budget=tier.budget, gates=tier.gates)
    budget = f"{len(tier.gates)} gates, {tier.budget.latency_ms:g} ms"
    builder.add(f"verify-{name}", "verify", verify, judged, budget, images=builder.test_images)


def _training(builder: _Builder, recipe: TeacherRecipe) -> None:
    training = recipe.training
    pairs = PairStep(pairs=training.pairs, validation=training.validation)
    count = training.pairs.count + training.validation.count
    builder.add("pairs", "pairs", pairs, {}, f"{count} pairs", images=count)
    shown = {name: value for name, value in training if name in TeachStep.model_fields}
    images = sum(phase.images for phase in training.phases)
    builder.add("teach", "teach", TeachStep(**shown), {"pairs": "pairs"}, f"{images} images")


@dataclass
class _Builder:
    """Adds steps one after the other and computes their keys from those of their parents."""

    found: Survey
    steps: dict[str, Step] = field(default_factory=dict)

    @property
    def test_images(self) -> int:
        recipe = self.found.recipe
        return recipe.test.rendered + self.found.photos.get("test", 0) if isinstance(recipe, Recipe) else 0

    def add(
        self,
        name: str,
        stage: str,
        settings: Section,
        inputs: Mapping[str, str],
        budget: str,
        images: int = 0,
        student: TierSettings | None = None,
    ) -> None:
        seed = self.found.recipe.seed if STAGES[stage].seeded else 0
        content = {
            "stage": stage,
            "version": STAGES[stage].version,
            "seed": seed,
            "settings": self._contents(settings.model_dump(mode="json")),
            "parents": {role: self.steps[parent].key for role, parent in inputs.items()},
        }
        key = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        seconds = seconds_of(stage, settings, images, student)
        self.steps[name] = Step(name, stage, settings, dict(inputs), key, budget, seconds, seed)

    def _contents(self, value: Any) -> Any:
        """Settings with each path replaced by the fingerprint of what lies there: moving a folder redoes nothing."""
        if isinstance(value, dict):
            return {key: self._contents(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._contents(item) for item in value]
        return self.found.fingerprints.get(value, value) if isinstance(value, str) else value


def table(the_plan: Plan, states: Mapping[str, str]) -> Iterator[str]:
    """Lines for people: a heading, then one line a step; `states` says what is finished already."""
    rows = [("step", "reads", "budget", "estimate", "key", "state")]
    for step in the_plan.steps:
        reads = ", ".join(dict.fromkeys(step.inputs.values())) or "-"
        reads = reads if len(reads) <= 60 else f"{len(set(step.inputs.values()))} steps"
        state = states.get(step.name, "to do")
        rows.append((step.name, reads, step.budget, duration(step.seconds), step.key[:KEY_DIGITS], state))
    left = sum(step.seconds for step in the_plan.steps if states.get(step.name) != "done")
    yield f"{the_plan.name}: {len(the_plan.steps)} steps, about {duration(left)} of work left (estimated for two cores)"
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
