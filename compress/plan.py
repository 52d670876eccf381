"""What a recipe leads to: the steps in their order, what each reads, its content key, and how long it may take.

`make_plan` is a pure function of a surveyed recipe; nothing here imports torch. A step's key covers its stage, the
settings that it reads, the contents of the files that these name, and the keys of its parents, so that changing one
setting redoes only what depends on it; verify's covers the machine too. Not covered: versions of libraries in other
keys, and running anything (`compress.run`).
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from compress.context import duration
from compress.planning.estimate import seconds_of
from compress.planning.reading import load
from compress.planning.survey import Survey, survey
from compress.recipe import (
    Assessment,
    AssessSettings,
    Gate,
    InputSettings,
    Recipe,
    Section,
    Style,
    TeacherRecipe,
    TierSettings,
)
from compress.steps import AssessStep, DistillStep, MotionStep, PairStep, RenderStep, ReportStep, TeachStep, VerifyStep

KEY_DIGITS = 12
RUNTIMES = ("onnxruntime", "openvino")
VARIANTS = 5
"""Changed versions of a photo that the motion stage draws; a test compares this with `judging.variants`."""


@dataclass(frozen=True)
class Stage:
    """One kind of work. Raise `version` when its results change; `seeded` stages depend on the recipe's seed."""

    function: str
    version: int = 1
    seeded: bool = False


STAGES: dict[str, Stage] = {
    "inputs": Stage("compress.stages.inputs:run", version=4),
    "targets": Stage("compress.stages.targets:run", version=2),
    "distill": Stage("compress.stages.distill:run", version=3, seeded=True),
    "prune": Stage("compress.stages.prune:run", seeded=True),
    "quantize": Stage("compress.stages.quantize:run", version=2, seeded=True),
    "export": Stage("compress.stages.export:run", version=2),
    "features": Stage("compress.stages.features:run", version=2),
    "motion": Stage("compress.stages.motion:run", version=3),
    "candidate": Stage("compress.stages.candidate:run"),
    "verify": Stage("compress.stages.verify:run", version=3, seeded=True),
    "report": Stage("compress.stages.report:run", version=2),
    "pairs": Stage("compress.stages.pairs:run", version=3),
    "teach": Stage("compress.stages.teach:run", version=5, seeded=True),
    "renders": Stage("compress.stages.renders:run", version=2),
    "assess": Stage("compress.stages.assess:run", version=3),
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
    builder = Builder(found)
    if isinstance(found.recipe, Recipe):
        _compression(builder, found.recipe)
    elif isinstance(found.recipe, TeacherRecipe):
        _training(builder, found.recipe)
    else:
        _assessment(builder, found.recipe)
    return Plan(found.recipe.name, path, tuple(builder.steps.values()))


def _compression(builder: Builder, recipe: Recipe) -> None:
    _pictures(builder, recipe, "inputs", "")
    test_set(builder, recipe)
    reported = {"targets": "targets", "test_inputs": "test-inputs", "test_targets": "test-targets"}
    for name, tier in recipe.tiers.items():
        _tier(builder, recipe, name, tier)
        made = ("distill", "prune", "finetune", "quantize", "export", "verify")
        reported |= {f"{step}-{name}": f"{step}-{name}" for step in made}
    settings_of_report = ReportStep(name=recipe.name, worst=recipe.report.worst)
    builder.add("report", "report", settings_of_report, reported, f"{recipe.report.worst} worst cases a tier")


def _pictures(builder: Builder, recipe: Recipe, section: Literal["inputs", "test"], prefix: str) -> int:
    """The steps of one set of pictures and what the teacher makes of it; returns its size."""
    settings = recipe.inputs if section == "inputs" else recipe.test
    pictures = InputSettings(**{name: getattr(settings, name) for name in InputSettings.model_fields})
    count = settings.rendered + builder.found.photos.get(section, 0)
    builder.add(f"{prefix}inputs", "inputs", pictures, {}, f"{count} images", images=count)
    builder.add(f"{prefix}targets", "targets", recipe.teacher, {"inputs": f"{prefix}inputs"}, f"{count} images", count)
    return count


def test_set(builder: Builder, recipe: Recipe) -> None:
    """The test set, and everything about photo and teacher that judges need, made once for all tiers."""
    count = _pictures(builder, recipe, "test", "test-")
    test, steady = recipe.test, recipe.test.steadiness
    parents = {"test_inputs": "test-inputs", "test_targets": "test-targets"}
    builder.add("test-features", "features", recipe.judges, parents, f"{count} images", count)
    if not steady.images + steady.videos:
        return
    motion = MotionStep(teacher=recipe.teacher, size=test.size, rendered_seed=test.rendered_seed, steadiness=steady)
    drawn = steady.images * VARIANTS + steady.videos * steady.frames
    budget = f"{steady.images} images, {steady.videos} videos"
    builder.add("test-motion", "motion", motion, {"test_inputs": "test-inputs"}, budget, drawn)


def _tier(builder: Builder, recipe: Recipe, name: str, tier: TierSettings) -> None:
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
    judged = {"export": f"export-{name}", "inputs": "inputs"}
    verify_step(builder, recipe, name, judged)


def verify_step(
    builder: Builder,
    recipe: Recipe,
    name: str,
    judged: Mapping[str, str],
    left_out: tuple[Gate, ...] = (),
) -> None:
    """The step that judges what `judged` names as export by the gates of tier `name`, on the test set."""
    tier = recipe.tiers[name]
    images = recipe.test.rendered + builder.found.photos.get("test", 0)
    roles = {"test_inputs": "test-inputs", "test_targets": "test-targets", "features": "test-features"}
    if "test-motion" in builder.steps:
        roles["motion"] = "test-motion"
    gates = {gate: bound for gate, bound in tier.gates.items() if gate not in left_out}
    settings = VerifyStep(
        tier=name,
        precision=tier.precision,
        budget=tier.budget,
        judges=recipe.judges,
        gates=gates,
        left_out=left_out,
        machine=machine(),
    )
    budget = f"{len(gates)} gates, {tier.budget.latency_ms:g} ms"
    builder.add(f"verify-{name}", "verify", settings, {**judged, **roles}, budget, images=images)


def machine() -> str:
    """What times and runtimes' parities depend on besides the file: `onnxruntime 1.20.1, openvino 2025.1, <processor>`.

    A runtime that is not installed is left out; the processor's name is the kernel's, where it gives one.
    """
    found = []
    for runtime in RUNTIMES:
        try:
            found.append(f"{runtime} {importlib.metadata.version(runtime)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join([*found, _processor()])


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # no Linux
        lines = []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, "") or platform.processor() or platform.machine()


def _training(builder: Builder, recipe: TeacherRecipe) -> None:
    training = recipe.training
    pairs = PairStep(pairs=training.pairs, validation=training.validation)
    count = training.pairs.count + training.validation.count
    builder.add("pairs", "pairs", pairs, {}, f"{count} pairs", images=count)
    shown = {name: value for name, value in training if name in TeachStep.model_fields}
    styles = training.pairs.styles
    images = sum(phase.images for phase in training.phases)
    read = {"pairs": "pairs"}
    if training.unpaired is not None:
        photographs = builder.found.photos.get("training", 0)
        settings = InputSettings(size=training.pairs.size, rendered=0, rendered_seed=0, photos=training.unpaired.photos)
        builder.add("photos", "inputs", settings, {}, f"{photographs} images", images=photographs)
        read["photos"] = "photos"
    builder.add("teach", "teach", TeachStep(**shown, styles=styles), read, f"{images} images")
    if training.assess is not None:
        _assess(builder, training.assess, max(phase.size for phase in training.phases), styles)


def _assessment(builder: Builder, told: Assessment) -> None:
    _assess(builder, told.assess, told.size, told.styles, told.teacher)


def _assess(builder: Builder, told: AssessSettings, size: int, styles: tuple[Style, ...], teacher: str = "") -> None:
    """The steps that measure a teacher: the one at the path `teacher`, or the one that the recipe has trained."""
    photographs = builder.found.photos.get("assess", 0)
    pictures = InputSettings(size=size, rendered=0, rendered_seed=0, photos=told.photos, facts=told.facts)
    builder.add("assess-photos", "inputs", pictures, {}, f"{photographs} images", images=photographs)
    seed = told.rendered_seed
    renders = RenderStep(
        size=size, styles=styles, rendered=told.rendered, seed=seed, turns=told.turns, frames=told.frames
    )
    rendered = (told.rendered + told.turns * told.frames) * (1 + len(styles))
    builder.add("assess-renders", "renders", renders, {}, f"{told.rendered} pairs, {told.turns} turns", rendered)
    shown = {name: value for name, value in told if name in AssessStep.model_fields}
    settings = AssessStep(**shown, teacher=teacher, styles=styles, seed=seed)
    read = {"photos": "assess-photos", "renders": "assess-renders"} | ({} if teacher else {"teacher": "teach"})
    drawn = (photographs + told.shifted + told.drawn_renders + told.turns * told.frames) * len(styles)
    builder.add("assess", "assess", settings, read, f"{photographs} photographs", drawn)


@dataclass
class Builder:
    """Adds steps one after the other and computes their keys from those of their parents."""

    found: Survey
    steps: dict[str, Step] = field(default_factory=dict)

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
