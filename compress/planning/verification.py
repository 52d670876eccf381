"""What it takes to judge one exported file by a recipe's gates: the test set, the candidate, verify, report.

The steps of the test set are those of `kcompress run`, key by key, so that both share them in one runs folder; nothing
of the training is planned or even looked for. What can be measured of the file is found by the candidate stage.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from compress.artifact import hash_file
from compress.errors import InputError
from compress.judging.gates import GATES, NEEDS
from compress.plan import Builder, Plan, test_set, verify_step
from compress.planning.reading import Source, load
from compress.planning.survey import Survey, survey
from compress.recipe import Gate, Range, Recipe, TierSettings
from compress.steps import CandidateStep, ReportStep, VerifyStep

OF_EXPORTS: dict[Gate, str] = {"int8_core_speedup": "the core as a file of its own, which only kcompress exports"}
"""Gates that no file from elsewhere can be judged by, float version or not, and what they need."""
BUDGETED: tuple[Gate, ...] = ("macs", "size_bytes", "latency_ms")
"""Gates that a tier has without naming them."""
Layout = Literal["", "nchw", "nhwc"]


def verification_plan(
    path: Path,
    candidate: Path,
    tier: str | None = None,
    float_file: Path | None = None,
    input_range: Range | Literal["", "imagenet"] = "",
    output_range: Range | Literal[""] = "",
    layout: Layout = "",
    without: Sequence[str] = (),
) -> Plan:
    """The steps that judge `candidate` by the gates of one tier of the recipe at `path`, less those of `without`.

    Raises RecipeError for problems of the recipe, InputError for a file that is not there, an unknown tier or gate, or
    gates that a file from elsewhere cannot be judged by.
    """
    source = load(path)
    name = chosen_tier(source, tier)
    files = {str(file.resolve()): _content(file) for file in (candidate, float_file) if file is not None}
    found = _survey(source, files)
    recipe = found.recipe
    assert isinstance(recipe, Recipe)
    left_out = _left_out(recipe.tiers[name], name, without)
    _refuse_unmeasurable(recipe.tiers[name], name, left_out, float_file is not None)
    builder = Builder(found)
    test_set(builder, recipe)
    settings = CandidateStep(
        file=str(candidate.resolve()),
        float_file=str(float_file.resolve()) if float_file else "",
        input_range=input_range,
        output_range=output_range,
        layout=layout,
        size=recipe.test.size,
    )
    seen = {"test_inputs": "test-inputs", "test_targets": "test-targets"}
    builder.add("candidate", "candidate", settings, seen, f"{candidate.stat().st_size / 1e3:.4g} kB")
    verify_step(builder, recipe, name, {"export": "candidate"}, left_out)
    reported = {**seen, "candidate": "candidate", f"verify-{name}": f"verify-{name}"}
    shown = ReportStep(name=recipe.name, worst=recipe.report.worst)
    builder.add("report", "report", shown, reported, f"{shown.worst} worst cases")
    return Plan(recipe.name, path.resolve(), tuple(builder.steps.values()))


def candidate_settings(plan: Plan) -> CandidateStep:
    """What a verification plan says of the file that it judges."""
    (settings,) = (step.settings for step in plan.steps if isinstance(step.settings, CandidateStep))
    return settings


def candidate_file(plan: Plan) -> Path:
    """The file that a verification plan judges."""
    return Path(candidate_settings(plan).file)


def candidate_name(plan: Plan) -> str:
    """Name of the folder of results: the stem of the judged file, the tier, and the first digits of the file's hash."""
    file = candidate_file(plan)
    (tier,) = (step.settings.tier for step in plan.steps if isinstance(step.settings, VerifyStep))
    return f"{file.stem}-{tier}-{_content(file)[:8]}"


def chosen_tier(source: Source, tier: str | None) -> str:
    """The tier that is named, or the only one.

    Raises InputError for a recipe that trains a teacher, an unknown tier, or none where the recipe has several.
    """
    if not isinstance(source.recipe, Recipe):
        raise InputError(f"{source.path}: trains a teacher and has no gates; name a recipe with tiers")
    tiers = source.recipe.tiers
    if tier is None and len(tiers) > 1:
        raise InputError(f"{source.path}: has the tiers {', '.join(tiers)}; choose one with --tier")
    if tier is not None and tier not in tiers:
        raise InputError(f"--tier {tier}: {source.path} has no such tier; {_nearest(tier, tiers)}")
    return tier or next(iter(tiers))


def _survey(source: Source, files: Mapping[str, str]) -> Survey:
    """A survey that passes over the training pictures, which need not exist where a file is only judged."""
    recipe = source.recipe
    assert isinstance(recipe, Recipe)
    enough = max(tier.prune.images + tier.quantize.calibration_images for tier in recipe.tiers.values())
    untold = recipe.inputs.model_copy(update={"photos": (), "facts": "", "rendered": enough})
    found = survey(replace(source, recipe=recipe.model_copy(update={"inputs": untold})))
    return replace(found, fingerprints={**found.fingerprints, **files})


def _content(file: Path) -> str:
    """SHA-256 of a model: of its file, or of all it holds where its weights lie in files of their own.

    Raises InputError for a file that is no whole ONNX model.
    """
    from compress.exporting import model_file

    model = model_file.read(file)
    if model_file.has_external_data(file):
        return hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest()
    return hash_file(file)


def _left_out(tier: TierSettings, name: str, without: Sequence[str]) -> tuple[Gate, ...]:
    judged = dict.fromkeys((*tier.gates, *BUDGETED))
    for gate in without:
        if gate not in GATES:
            raise InputError(f"--without {gate}: unknown gate; {_nearest(gate, GATES)}")
        if gate not in judged:
            raise InputError(f"--without {gate}: tier {name} has no such gate; {_nearest(gate, judged)}")
    left_out = tuple(gate for gate in judged if gate in without)
    if len(left_out) == len(judged):
        raise InputError("--without: leaves no gate to judge by; leave out fewer")
    return left_out


def _refuse_unmeasurable(tier: TierSettings, name: str, left_out: Sequence[str], has_float: bool) -> None:
    """A gate that cannot be measured on this file is never skipped silently."""
    lacking = {"torch"} if has_float else {"torch", "float"}
    judged = [gate for gate in tier.gates if gate not in left_out]
    missed = {gate: NEEDS[GATES[gate].needs] for gate in judged if GATES[gate].needs in lacking}
    missed |= {gate: OF_EXPORTS[gate] for gate in judged if gate in OF_EXPORTS}
    if missed:
        reasons = "; ".join(f"{gate} needs {needs}" for gate, needs in missed.items())
        options = " ".join(f"--without {gate}" for gate in missed)
        with_float = "give --float FILE, or " if NEEDS["float"] in missed.values() else ""
        raise InputError(f"tiers.{name}.gates: {reasons}; {with_float}leave them out on record with {options}")


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), 1)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
