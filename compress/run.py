"""Runs a plan: one loop over its steps, each executed once and then reused by its content key.

A step works in `<step>-<key>.partial`, where it also keeps its checkpoints, and is renamed when its manifest stands; so
running the same command again reuses what is finished and resumes what is not. What the steps do is in
`compress.stages`; what is handed over at the end in `compress.publish`.
"""

from __future__ import annotations

import importlib
import math
import shutil
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from compress import artifact, publish
from compress.artifact import Artifact
from compress.context import Context, Progress, duration
from compress.errors import (
    EXIT_GATE_FAILED,
    EXIT_PASSED,
    STORAGE_ERRORS,
    KcompressError,
    NonFiniteError,
    StageError,
    StorageError,
    storage_error,
)
from compress.folder import ELAPSED, opened, stopwatch, storage
from compress.plan import STAGES, Plan, Step

StageFunction = Callable[..., Mapping[str, Any]]
PARTIAL = ".partial"
FUNCTIONS: dict[str, str] = {name: stage.function for name, stage in STAGES.items()}
_DISK_FULL = ("No space left on device", "os error 28")
_NO_MEMORY = ("can't allocate memory", "out of memory", "bad_alloc")


def run(
    plan: Plan,
    runs: Path,
    progress: Progress,
    functions: Mapping[str, str] = FUNCTIONS,
    device: Callable[[], str] | None = None,
) -> int:
    """Execute `plan` in `runs/<name>`; returns the exit code 0 (all gates passed) or 1 (one failed or is undecided).

    Raises KcompressError when a step cannot finish; what was stored until then is used by the next run.
    """
    made: dict[str, Artifact] = {}
    outcomes: list[publish.Outcome] = []
    with opened(runs / plan.name) as folder:
        with storage(folder):
            publish.prepare(folder, plan)
        for step in _carried_out(folder, plan, made, progress, functions, device):
            with storage(folder):
                if step.stage == "verify":
                    outcomes.append(publish.publish_tier(folder, step, made, plan.name))
                published = publish.publish_files(folder, step, made[step.name])
        with storage(folder):
            passed = publish.write_verdict(folder, plan, outcomes)
    for line in [outcome.sentence() for outcome in outcomes] + [f"see {path}" for path in published]:
        progress.log(line)
    return EXIT_PASSED if passed else EXIT_GATE_FAILED


def verify(
    plan: Plan,
    runs: Path,
    progress: Progress,
    functions: Mapping[str, str] = FUNCTIONS,
    device: Callable[[], str] | None = None,
) -> int:
    """Execute a verification plan in `runs/<name>`, whose published tiers stay as they are; exit code as of `run`."""
    made: dict[str, Artifact] = {}
    with opened(runs / plan.name) as folder:
        with storage(folder):
            publish.discard_candidate(folder, plan)
        for _ in _carried_out(folder, plan, made, progress, functions, device):
            pass
        with storage(folder):
            outcome = publish.publish_candidate(folder, plan, made)
    progress.log(outcome.sentence())
    return EXIT_PASSED if outcome.verdict.passed else EXIT_GATE_FAILED


def carry_out(
    plan: Plan,
    runs: Path,
    progress: Progress,
    functions: Mapping[str, str] = FUNCTIONS,
    device: Callable[[], str] | None = None,
) -> dict[str, Artifact]:
    """The artifacts of `plan` by the names of its steps, reused or made in `runs/<name>`; nothing is published."""
    made: dict[str, Artifact] = {}
    with opened(runs / plan.name) as folder:
        for _ in _carried_out(folder, plan, made, progress, functions, device):
            pass
    return made


def _carried_out(
    folder: Path,
    plan: Plan,
    made: dict[str, Artifact],
    progress: Progress,
    functions: Mapping[str, str],
    device: Callable[[], str] | None,
) -> Iterator[Step]:
    """Each step of `plan` once its artifact stands in `made`: reused, or executed now."""
    for number, step in enumerate(plan.steps, 1):
        title = f"[{number}/{len(plan.steps)}] {step.name}"
        made[step.name] = _reuse(folder, step, title, progress) or _execute(
            folder, step, made, title, functions[step.stage], Context(_device(device), progress, step.seed)
        )
        yield step


def states(plan: Plan, runs: Path) -> dict[str, str]:
    """`done`, `begun` or `to do` of each step, by a look at the run folder; contents are not checked."""
    steps = runs / plan.name / "steps"
    found = {}
    for step in plan.steps:
        if (steps / step.folder / artifact.MANIFEST).is_file():
            found[step.name] = "done"
        else:
            found[step.name] = "begun" if (steps / (step.folder + PARTIAL)).is_dir() else "to do"
    return found


def _reuse(folder: Path, step: Step, title: str, progress: Progress) -> Artifact | None:
    """The finished artifact of a step; a damaged one is removed and made again."""
    path = folder / "steps" / step.folder
    if not path.exists():
        return None
    try:
        found = artifact.load(path)
    except StorageError as error:
        progress.log(f"{title}: damaged, made again ({error})")
        with storage(path):
            shutil.rmtree(path)
        return None
    progress.log(f"{title}: finished before, reused")
    return found


def _execute(
    folder: Path, step: Step, made: Mapping[str, Artifact], title: str, function: str, context: Context
) -> Artifact:
    final = folder / "steps" / step.folder
    partial = final.with_name(final.name + PARTIAL)
    again = "resumed, " if partial.exists() else ""
    context.progress.log(f"{title}: {again}{step.budget}, estimated {duration(step.seconds)}")
    inputs = {role: made[parent] for role, parent in step.inputs.items()}
    with storage(partial):
        partial.mkdir(exist_ok=True)
    with stopwatch(partial) as elapsed, _explained(folder, step):
        numbers = dict(_stage(function)(step.settings, inputs, partial, context))
        _require_finite(step, numbers)
        description = {
            "step": step.name,
            "stage": step.stage,
            "key": step.key,
            "seed": step.seed,
            "settings": step.settings.model_dump(mode="json"),
            "parents": {role: parent.manifest["key"] for role, parent in inputs.items()},
            "versions": artifact.versions(),
            "numbers": numbers,
            "seconds": round(elapsed(), 3),
        }
        (partial / ELAPSED).unlink(missing_ok=True)
        sealed = artifact.seal(partial, description)
        partial.replace(final)
    return Artifact(final, sealed.manifest)


def _stage(function: str) -> StageFunction:
    """`package.module:name`, imported only now: stages import torch and more."""
    module, _, name = function.partition(":")
    stage: StageFunction = getattr(importlib.import_module(module), name)
    return stage


def _device(choose: Callable[[], str] | None) -> str:
    if choose is not None:
        return choose()
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


@contextmanager
def _explained(folder: Path, step: Step) -> Iterator[None]:
    """A failure of a stage leaves as one sentence with the step's name; an unexpected one leaves a log file too."""
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        explained = error if isinstance(error, KcompressError) else _translated(folder, step, error)
        explained.add_note(step.name)
        if explained is error:
            raise
        raise explained from error


def _translated(folder: Path, step: Step, error: BaseException) -> KcompressError:
    """What a library threw, as an error of ours; they wrap the system's errors in their own, so text is read too."""
    text = str(error)
    if isinstance(error, MemoryError) or any(sign in text for sign in _NO_MEMORY):
        return StageError("out of memory; close other programs or lower the batch of this step, then run it again")
    if any(sign in text for sign in _DISK_FULL):
        return StorageError(f"{folder}: no space left on the device; free some and run the same command again")
    if isinstance(error, OSError) and error.errno in STORAGE_ERRORS:
        return storage_error(error, folder)
    log = folder / f"error-{step.name}.log"
    with storage(log):
        log.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    first = (text.splitlines() or [""])[0][:200]
    return StageError(f"stopped by {type(error).__name__} ({first}); the whole of it is in {log}")


def _require_finite(step: Step, numbers: Mapping[str, Any]) -> None:
    for name, value in numbers.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise NonFiniteError(f"{name} is {value}; lower the learning rate of {step.name}")
        if isinstance(value, Mapping):
            _require_finite(step, value)
