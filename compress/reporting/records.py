"""What a finished run left to be compared: verdict, numbers and one row per image of each tier.

Reads the folder of a run (`runs/NAME`) or of one candidate; nothing is measured and nothing is judged.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compress.errors import InputError, StorageError, storage_error
from compress.judging import verdict
from compress.judging.gates import GATES
from compress.judging.verdict import RunVerdict, Verdict
from compress.reporting import pairing
from compress.reporting.pairing import Images


@dataclass(frozen=True)
class Reading:
    """One number of one run; `state` is that of its gate, empty where no gate asked for it."""

    value: float
    lower: float
    upper: float
    n: int
    state: str


@dataclass(frozen=True)
class TierRecord:
    """What one run knows of one tier."""

    verdict: Verdict
    numbers: Mapping[str, Mapping[str, Reading]]
    images: Images

    def reading(self, subset: str, metric: str) -> Reading | None:
        """One number, or None if this run has not measured it."""
        return self.numbers.get(subset, {}).get(metric)

    def obstacle(self, later: TierRecord, metric: str) -> str:
        """Why a number of this run and that of a later one cannot be compared; empty if they can."""
        if GATES[metric].per_image and self.verdict.teacher.sha256 != later.verdict.teacher.sha256:
            return "another teacher"
        role = GATES[metric].backbone
        networks = [run.verdict.backbones.get(role) for run in (self, later)] if role else []
        return f"another {role} network" if len({network.sha256 for network in networks if network}) > 1 else ""


def open_run(path: Path) -> tuple[RunVerdict, dict[str, TierRecord]]:
    """Verdict and records of the tiers in folder `path`.

    Raises InputError where there is no such folder, or what lies in it is damaged or unfinished.
    """
    if not path.is_dir():
        problem = "is a file" if path.exists() else "there is no such folder"
        raise InputError(f"{path}: {problem}; name the folder of a run or of a candidate, as runs/NAME")
    try:
        found = verdict.read_run(path / "verdict.json")
        return found, {name: _tier(_folder(path, name), judged) for name, judged in found.tiers.items()}
    except StorageError as error:
        # Whoever compares has not made it, so deleting and running again is no way out.
        problem = str(error).rpartition(";")[0] or str(error)
        raise InputError(f"{problem}; copy the folder again, or let kcompress run or verify finish it") from error


def _folder(run: Path, tier: str) -> Path:
    """Where the numbers of a tier lie: beside a candidate's verdict, or in the verify step that the plan names."""
    if (run / "metrics.json").is_file():
        return run
    steps = _json(run / "plan.json").get("steps", [])
    for step in steps:
        if step.get("step") == f"verify-{tier}":
            return run / "steps" / f"verify-{tier}-{step['key'][:12]}"
    raise StorageError(f"{run / 'plan.json'}: has no step verify-{tier}; run the recipe again")


def _tier(folder: Path, judged: Verdict) -> TierRecord:
    numbers = _json(folder / "metrics.json").get("numbers", {})
    states = {(gate.subset, gate.name): gate.state for gate in judged.gates}
    readings = {
        subset: {
            name: Reading(
                number["value"], number["lower"], number["upper"], number["n"], states.get((subset, name), "")
            )
            for name, number in of_subset.items()
            if name in GATES and None not in (number["value"], number["lower"], number["upper"])
        }
        for subset, of_subset in numbers.items()
    }
    return TierRecord(judged, readings, pairing.read_images(folder / "images.csv"))


def _json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StorageError(f"{path}: missing; run the same command again, finished steps are reused") from None
    except OSError as error:
        raise storage_error(error, path) from error
    except ValueError as error:
        raise StorageError(f"{path}: not JSON ({error}); delete its folder and run again") from error
    if not isinstance(data, dict):
        raise StorageError(f"{path}: holds {type(data).__name__}, not an object; delete its folder and run again")
    return data
