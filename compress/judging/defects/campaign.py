"""Many trials: in several processes, each written down as soon as it is measured, so that nothing is measured twice.

The record is a text file with one JSON object a line; a line that was cut off by an interruption is measured again.
What a line is of stands in it: test set, judges, exported file, defect and amount.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import math
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from compress import artifact
from compress.context import Context, Progress
from compress.judging.candidate import INT8
from compress.judging.defects import DEFECTS
from compress.judging.defects.scene import STRENGTHS, Strength
from compress.judging.defects.trials import JUDGED, Ground, Measured, TestSteps, open_ground
from compress.judging.metrics.estimate import Estimate
from compress.recipe import JudgeSettings

VERSION = 3  # raise it when what is measured changes
FOLDER, RECORD = "defects", "trials.jsonl"  # in the folder of a run, for all its tiers
CLEAN = ""
Which = tuple[str, Strength]
"""Name and strength of a defect; CLEAN with any strength is the good student."""


@dataclass(frozen=True)
class Place:
    """Where the ground of all trials lies, in words that another process can open; fields as of `open_ground`."""

    steps: TestSteps
    export: Path | None
    judges: JudgeSettings
    seed: int
    images: int = 0
    wanted: frozenset[str] = JUDGED

    def open(self, progress: Progress | None = None) -> Ground:
        """The ground itself."""
        context = Context("cpu", progress or Progress(), self.seed)
        return open_ground(self.steps, self.export, self.judges, self.wanted, context, self.images)

    @property
    def fingerprint(self) -> str:
        """Changes with anything that a measured number depends on."""
        folders = [folder.name for folder in (self.steps.inputs, self.steps.targets, self.steps.features)]
        folders += [self.steps.motion.name] if self.steps.motion else []
        file = artifact.hash_file(self.export / INT8) if self.export else "the teacher itself"
        content = [VERSION, folders, file, self.judges.model_dump(mode="json"), self.seed, self.images]
        return hashlib.sha256(json.dumps([*content, sorted(self.wanted)]).encode()).hexdigest()[:16]


def measure(
    place: Place, wanted: Sequence[Which], record: Path, progress: Progress, processes: int = 2
) -> dict[Which, Measured]:
    """Every trial of `wanted`, from the record or measured now and added to it; estimates by part and gate.

    Raises what a trial raises; those before it stay in the record.
    """
    found = dict(_recorded(place, record))
    missing = [which for which in wanted if which not in found]
    if missing:
        record.parent.mkdir(parents=True, exist_ok=True)
        with (
            progress.task("trials", len(wanted), "trials", len(wanted) - len(missing)) as task,
            record.open("a") as file,
        ):
            if record.stat().st_size and not record.read_text().endswith("\n"):
                file.write("\n")  # behind a line that was cut off
            for which, measured in _trials(place, missing, processes):
                found[which] = measured
                file.write(_line(place, which, measured) + "\n")
                file.flush()
                task.advance()
    return {which: found[which] for which in wanted}


def _trials(place: Place, missing: Sequence[Which], processes: int) -> Iterator[tuple[Which, Measured]]:
    if processes == 1:
        yield from ((which, _trial(place, which)) for which in missing)
        return
    # Not forked: torch and OpenCV have threads already.
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _prepare) as pool:
        waiting = {pool.submit(_trial, place, which): which for which in missing}
        try:
            for future in as_completed(waiting):
                yield waiting[future], future.result()
        finally:
            for future in waiting:
                future.cancel()


def _prepare() -> None:
    import cv2
    import torch

    cv2.setNumThreads(1)
    torch.set_num_threads(1)


@functools.cache
def _ground(place: Place) -> Ground:
    return place.open(Progress(io.StringIO(), interactive=False))


def _trial(place: Place, which: Which) -> Measured:
    defect, strength = which
    return _ground(place).clean() if defect == CLEAN else _ground(place).trial(defect, strength)


def _amount(which: Which) -> float:
    defect, strength = which
    return 0.0 if defect == CLEAN else DEFECTS[defect].amount(strength)


def _line(place: Place, which: Which, measured: Measured) -> str:
    numbers = {part: {gate: _plain(e) for gate, e in estimates.items()} for part, estimates in measured.items()}
    about = {"ground": place.fingerprint, "defect": which[0], "strength": which[1], "amount": _amount(which)}
    return json.dumps({**about, "measured": numbers}, allow_nan=False)


def _plain(estimate: Estimate) -> dict[str, Any]:
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in asdict(estimate).items()}


def _recorded(place: Place, record: Path) -> Iterator[tuple[Which, Measured]]:
    """Trials of this place in the record, with the amounts that the defects have today."""
    fingerprint = place.fingerprint
    lines = record.read_text().splitlines() if record.is_file() else []
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # cut off while it was written
        which = (entry["defect"], entry["strength"])
        known = which[0] == CLEAN or (which[0] in DEFECTS and which[1] in STRENGTHS)
        if entry["ground"] == fingerprint and known and entry["amount"] == _amount(which):
            yield (
                which,
                {part: {g: _estimate(e) for g, e in gates.items()} for part, gates in entry["measured"].items()},
            )


def _estimate(fields: dict[str, Any]) -> Estimate:
    known: dict[str, Any] = {name: math.nan if value is None else value for name, value in fields.items()}
    return Estimate(**known)
