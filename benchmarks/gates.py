"""Proof that the gates work: every planted defect at every strength on a finished tier, judged by the recipe's gates.

Each strong and each medium defect must be refused, and by a gate that names it: which those are was decided before
anything was measured (`judging.defects`). Takes the exported file and the test set of a run, measures as the verify
stage does, in two processes, and goes on where it was interrupted. False alarms and the truth of the intervals are the
business of benchmarks/intervals.py. Exit code 1 if a medium or strong defect is not named.

    python benchmarks/gates.py runs/quickstart --tier cpu
    python benchmarks/gates.py runs/quickstart --tier cpu --docs docs/gates.md --sheet defects.png
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
import yaml

from compress.artifact import write_json, write_text
from compress.context import Progress
from compress.errors import InputError, KcompressError
from compress.judging import gates
from compress.judging.calibration import measurable
from compress.judging.defects import DEFECTS, STRENGTHS
from compress.judging.defects.campaign import CLEAN, FOLDER, RECORD, Place, Which, measure
from compress.judging.defects.scene import Strength
from compress.judging.defects.trials import Measured, TestSteps, fired, judge
from compress.plan import KEY_DIGITS
from compress.recipe import GateSettings
from compress.reporting.sheets import Row, contact_sheet
from compress.steps import VerifyStep

BEGIN, END = "<!-- planted defects: begin -->", "<!-- planted defects: end -->"
ALL: list[Which] = [(CLEAN, "weak"), *((defect, strength) for defect in DEFECTS for strength in STRENGTHS)]
Judged = dict[Which, list[gates.GateResult]]


class Run:
    """The plan of a run folder, and where its finished steps lie."""

    def __init__(self, folder: Path, tier: str | None) -> None:
        try:
            plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise InputError(f"{folder}: has no plan.json; name the folder of a finished run") from None
        self._folder, self._steps = folder, {step["step"]: step for step in plan["steps"]}
        tiers = [name.removeprefix("verify-") for name in self._steps if name.startswith("verify-")]
        if tier is None and len(tiers) != 1:
            raise InputError(f"{folder}: has the tiers {', '.join(tiers)}; choose one with --tier")
        self.tier = tier or tiers[0]
        if self.tier not in tiers:
            raise InputError(f"--tier {self.tier}: the run has the tiers {', '.join(tiers)}; choose one of them")
        self.verify = VerifyStep.model_validate_json(json.dumps(self._steps[f"verify-{self.tier}"]["settings"]))

    def place(self, images: int) -> Place:
        """Where everything lies that trials are measured on."""
        inputs, targets, features, motion = (
            self._path(f"test-{role}") for role in ("inputs", "targets", "features", "motion")
        )
        numbers = json.loads((motion / "manifest.json").read_text(encoding="utf-8"))["numbers"]
        moving = motion if numbers["variants"] + numbers["frames"] else None
        seed = self._steps[f"verify-{self.tier}"].get("seed", 0)
        steps = TestSteps(inputs, targets, features, moving)
        return measurable(Place(steps, self._path(f"export-{self.tier}"), self.verify.judges, seed, images))

    def _path(self, name: str) -> Path:
        path = self._folder / "steps" / f"{name}-{self._steps[name]['key'][:KEY_DIGITS]}"
        if not path.is_dir():
            raise InputError(f"{path}: is not finished; run the recipe first")
        return path


def bounds_of(run: Run, file: Path | None, wanted: frozenset[str]) -> dict[str, gates.Bound]:
    """The recipe's gates, or those of a YAML file as `kcompress calibrate` writes it, that a defect can reach."""
    stated: Mapping[str, gates.Bound] = {str(name): bound for name, bound in run.verify.gates.items()}
    if file is not None:
        block = yaml.safe_load(file.read_text(encoding="utf-8"))["gates"]
        stated = {name: GateSettings(**{side: float(limit) for side, limit in b.items()}) for name, b in block.items()}
    return {name: bound for name, bound in stated.items() if name in wanted}


def named(which: Which, results: Sequence[gates.GateResult]) -> list[str]:
    """The gates that should name a defect and do, the most specific first."""
    names = {result.name for result in fired(results)}
    return [gate for gate in DEFECTS[which[0]].caught_by if gate in names]


def state_of(results: Sequence[gates.GateResult]) -> str:
    """The verdict of all gates together."""
    states = {result.state for result in results}
    return "failed" if "failed" in states else "undecided" if "undecided" in states else "passed"


def cell(which: Which, results: Sequence[gates.GateResult]) -> str:
    """One cell of the table: who named it, or who else refused it."""
    right = named(which, results)
    others = list(dict.fromkeys(result.name for result in fired(results) if result.name not in right))
    if not right and not others:
        return "passes"
    if right:
        return f"`{right[0]}`" + (f" + {len(right) + len(others) - 1}" if len(right) + len(others) > 1 else "")
    return f"not named; {', '.join(f'`{name}`' for name in others[:2])}"


def table(judged: Judged) -> list[str]:
    """The Markdown table: one row a defect, one column a strength."""
    lines = ["| defect | should be named by | weak | medium | strong |", "|---|---|---|---|---|"]
    for name, defect in DEFECTS.items():
        amounts = ", ".join(f"{amount:g}" for amount in defect.amounts)
        cells = [cell((name, strength), judged[name, strength]) for strength in STRENGTHS]
        expected = " or ".join(f"`{gate}`" for gate in defect.caught_by[:2]) + (", ..." if defect.caught_by[2:] else "")
        title = f"{name.replace('_', ' ')} ({defect.unit}: {amounts})"
        lines.append(f"| {title} | {expected} | {' | '.join(cells)} |")
    return lines


def summary(run: Run, place: Place, bounds: Mapping[str, Any], judged: Judged) -> list[str]:
    """What the table says in numbers, and what it was measured on."""
    counts = {strength: sum(bool(named((d, strength), judged[d, strength])) for d in DEFECTS) for strength in STRENGTHS}
    refused = {strength: sum(state_of(judged[d, strength]) != "passed" for d in DEFECTS) for strength in STRENGTHS}
    of = len(DEFECTS)
    stills = max((r.estimate.n for r in judged[CLEAN, "weak"]), default=0)
    told = "; ".join(f"{s}: {refused[s]} of {of} refused, {counts[s]} by a gate that should" for s in STRENGTHS)
    return [
        f"Tier {run.tier}, {len(bounds)} gates, {stills} test images. The good student itself: "
        f"{state_of(judged[CLEAN, 'weak'])}. {told[0].upper() + told[1:]}.",
        "",
        "In a cell: the first gate that names the defect as it should, and how many others refuse it too.",
    ]


def as_json(judged: Judged) -> list[dict[str, Any]]:
    """Every trial with its verdict and the gates that did not pass."""
    rows = []
    for which, results in judged.items():
        defect, strength = which
        about: dict[str, Any] = {"defect": "none", "state": state_of(results)}
        if defect != CLEAN:
            found = DEFECTS[defect]
            about = {"defect": defect, "strength": strength, "amount": found.amount(strength), "unit": found.unit}
            about |= {"state": state_of(results), "caught_by": found.caught_by, "named": named(which, results)}
        rows.append({**about, "fired": [result.as_dict() for result in fired(results)]})
    return rows


def write_docs(path: Path, lines: Sequence[str]) -> None:
    """Put the table between its markers."""
    text = path.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        raise InputError(f"{path}: has no lines {BEGIN} and {END}; add them where the table should stand")
    head, rest = text.split(BEGIN, 1)
    write_text(path, head + BEGIN + "\n" + "\n".join(lines) + "\n" + END + rest.split(END, 1)[1])


def draw_sheet(place: Place, path: Path) -> None:
    """Rows of photo, teacher, good student and the three strengths; rendered faces only, each a face that is hit."""
    ground = replace(place, images=0).open()
    rendered = np.flatnonzero(ground.stills.source == 0)[: 4 * ground.stills.batch]
    batches = [ground.stills.batch_of(rows) for rows in np.array_split(rendered, 4)]
    photo, teacher = (np.concatenate([getattr(batch, name) for batch in batches]) for name in ("photo", "teacher"))
    good = ground.pictures(CLEAN, "weak", batches)
    rows = []
    for name, defect in DEFECTS.items():
        drawn = [ground.pictures(name, strength, batches) for strength in STRENGTHS]
        hit = [np.abs(d.astype(int) - good).mean(axis=(1, 2, 3)) > 0 for d in drawn]
        face = int(np.flatnonzero(np.all(hit, axis=0) | (hit[2] & ~np.any(np.all(hit, axis=0))))[-1])
        amounts = ", ".join(f"{amount:g}" for amount in defect.amounts)
        caption = f"{name.replace('_', ' ')} ({defect.unit}: {amounts})"
        rows.append(Row([photo[face], teacher[face], good[face], *(d[face] for d in drawn)], caption))
    contact_sheet(rows, ["photo", "teacher", "good student", *STRENGTHS], path)


def unnamed(judged: Judged, strengths: Sequence[Strength] = ("medium", "strong")) -> list[str]:
    """Defects that no gate named as it should."""
    pairs = [(defect, strength) for defect in DEFECTS for strength in strengths]
    return [
        f"{defect} {strength}" for defect, strength in pairs if not named((defect, strength), judged[defect, strength])
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("--tier", help="needed if the run has several")
    parser.add_argument("--images", type=int, default=0, metavar="N", help="the first N test images (default: all)")
    parser.add_argument("--processes", type=int, default=2, metavar="N", help="default: 2")
    parser.add_argument("--gates", type=Path, metavar="FILE", help="gates of a YAML file instead of the recipe's")
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: RUN/defects")
    parser.add_argument("--docs", type=Path, metavar="FILE", help="write the table into this Markdown file")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="draw one face with each defect")
    options = parser.parse_args()
    run, began = Run(options.run, options.tier), time.monotonic()
    place, out = run.place(options.images), options.out or options.run / FOLDER
    bounds = bounds_of(run, options.gates, place.wanted)
    found: dict[Which, Measured] = measure(place, ALL, out / RECORD, Progress(), options.processes)
    judged: Judged = {which: judge(bounds, measured) for which, measured in found.items()}
    lines = [*summary(run, place, bounds, judged), "", *table(judged)]
    write_text(out / f"{run.tier}.md", "\n".join(lines) + "\n")
    write_json(out / f"{run.tier}.json", as_json(judged))
    if options.docs:
        write_docs(options.docs, lines)
    if options.sheet:
        draw_sheet(place, options.sheet)
    print("\n".join(lines))
    missed = unnamed(judged)
    print(f"\n{time.monotonic() - began:.0f} s; not named: {', '.join(missed) or 'none'}; see {out}")
    return 1 if missed else 0


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except KcompressError as error:
        print(f"gates: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
