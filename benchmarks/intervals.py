"""Do intervals hold the truth, and does a good student fail by chance: measured by drawing from a large pool.

The pool is rendered once, with its teacher's pictures, changed photographs and videos, and what one student makes of
them; drawn from with replacement it is the population, and its own values are the truth.

    R=recipes/quickstart.yaml
    python benchmarks/intervals.py pool FOLDER --recipe $R --student runs/quickstart/steps/export-cpu-*
    python benchmarks/intervals.py intervals FOLDER     # share of intervals that hold the truth: 93 to 97 % is right
    python benchmarks/intervals.py alarms FOLDER --recipe $R --tier cpu    # at most 1 of 100

`pool` resumes where it stopped; with another student, or after a change of a metric, delete FOLDER/*.npz and run it
again. Not covered: gates of the model itself (cost, parity), which do not depend on the pictures that are drawn.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import multiprocessing
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from compress.artifact import Artifact
from compress.context import Context, Progress
from compress.judging import evaluation, gates, groups, measuring, steadying
from compress.judging.candidate import open_folder
from compress.judging.metrics import identity
from compress.judging.metrics.estimate import Estimate
from compress.plan import STAGES, Plan, plan
from compress.recipe import JudgeSettings, SteadinessSettings
from compress.shards import Shards
from compress.steps import MotionStep, VerifyStep

T = TypeVar("T")
Table = dict[str, np.ndarray]
Sizes = tuple[int, int, int]  # images, changed photographs and videos of one drawn test set
STEPS = ("test-inputs", "test-targets", "test-features", "test-motion")
TABLES = ("stills", "moving")


# --- the pool


def make_pool(folder: Path, recipe: Path, export: Path, images: int, changed: int, videos: int, seed: int) -> None:
    """Render, let teacher and student draw, measure; writes one .npz for each of `TABLES`."""
    made, context = plan(recipe), Context(progress=Progress(interactive=False))
    settings = {step.name: step.settings for step in made.steps}
    steady = SteadinessSettings(images=changed, videos=videos, frames=_motion(made).steadiness.frames)
    more = {"steadiness": steady, "rendered_seed": seed}
    settings["test-inputs"] = settings["test-inputs"].model_copy(update={"rendered": images, "rendered_seed": seed})
    settings["test-motion"] = settings["test-motion"].model_copy(update=more)
    for step in (step for step in made.steps if step.name in STEPS):
        module, _, name = STAGES[step.stage].function.partition(":")
        (folder / step.name).mkdir(parents=True, exist_ok=True)
        inputs = {role: Artifact(folder / parent, {}) for role, parent in step.inputs.items()}
        getattr(importlib.import_module(module), name)(settings[step.name], inputs, folder / step.name, context)
    judges_of = settings["test-features"]
    assert isinstance(judges_of, JudgeSettings)
    judges = evaluation.open_judges(judges_of, context.device, float_identity=True)
    features = evaluation.open_features(folder / "test-features", judges)
    test = evaluation.TestSet(Shards(folder / "test-inputs"), Shards(folder / "test-targets"), features)
    student, float_student = open_folder(export)
    seen = measuring.look(test, folder / "test-motion", student, float_student, judges, context)
    for name in TABLES:
        np.savez(folder / f"{name}.npz", **getattr(seen, name))


def _motion(made: Plan) -> MotionStep:
    found = [step.settings for step in made.steps if isinstance(step.settings, MotionStep)]
    if not found:
        sys.exit(f"{made.recipe}: test.steadiness: no changed photographs and no videos; raise both")
    return found[0]


def load(folder: Path) -> dict[str, Table]:
    """The tables of a pool."""
    if not (folder / "stills.npz").exists():
        sys.exit(f"{folder}: no stills.npz; make the pool first")
    return {name: dict(np.load(folder / f"{name}.npz")) for name in TABLES}


# --- drawing from it


def drawn(table: Table, people: int, generator: np.random.Generator) -> Table:
    """All rows of `people` drawn with replacement; who is drawn twice is two people."""
    names, code = np.unique(table["person"], return_inverse=True)
    rows_of = np.split(np.argsort(code, kind="stable"), np.cumsum(np.bincount(code))[:-1])
    chosen = [rows_of[person] for person in generator.integers(0, len(names), people)]
    rows = np.concatenate(chosen)
    person = np.repeat(np.arange(people), [len(each) for each in chosen]).astype("S64")
    return {name: column[rows] for name, column in table.items()} | {"person": person}


def draw_set(pool: Mapping[str, Table], sizes: Sizes, seed: int) -> dict[str, Table]:
    """A test set of the pool: photographs, changed photographs and videos are drawn apart."""
    generator = np.random.default_rng(seed)
    images, changed, videos = sizes
    filmed = pool["moving"]["kind"] == steadying.VIDEO.encode()
    parts = [
        drawn({name: column[rows] for name, column in pool["moving"].items()}, count, generator)
        for rows, count in ((~filmed, changed), (filmed, videos))
    ]
    moving = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return {"stills": drawn(pool["stills"], images, generator), "moving": moving}


def estimates(tables: Mapping[str, Table], seed: int) -> dict[str, Estimate]:
    """Every estimate of the product, and the gap of every group that is judged."""
    stills = tables["stills"]
    found = evaluation.summarise(stills, seed) | steadying.summarise(tables["moving"], seed)
    for group in groups.find(stills):
        if group.judged:
            gaps = groups.gaps(stills, group, seed)
            found |= {f"{name}: {group.category} {group.label}": gap for name, gap in gaps.items()}
    return found


# --- part one: coverage


def truths(pool: Mapping[str, Table]) -> dict[str, Estimate]:
    """The pool's own values.

    Only rank-1 looks at other photos one by one, and a photo drawn twice ties with itself: its truth is that of a
    gallery drawn with replacement.
    """
    found, stills = estimates(pool, 0), pool["stills"]
    photo = stills["identity_photo"] / np.linalg.norm(stills["identity_photo"], axis=1, keepdims=True)
    rank1 = {}
    for who in ("student", "teacher"):
        scores = stills[f"identity_{who}"] @ photo.T
        rank1[who] = float(np.mean((scores < np.diag(scores)[:, None]).mean(axis=1) ** (identity.GALLERY - 1)))
    values = {"rank1_teacher": rank1["teacher"], "rank1_relative": rank1["student"] / rank1["teacher"]}
    return found | {name: Estimate(value, value, value, len(photo)) for name, value in values.items()}


@dataclass
class Tally:
    """How the intervals of one number fell about its truth."""

    truth: float
    draws: int = 0
    below: int = 0
    above: int = 0
    width: float = 0.0

    def add(self, estimate: Estimate) -> None:
        """Count one interval."""
        slack = 1e-9 * max(abs(self.truth), 1)  # of sums in another order
        self.draws += 1
        self.below += estimate.upper < self.truth - slack
        self.above += estimate.lower > self.truth + slack
        self.width += estimate.upper - estimate.lower

    @property
    def held(self) -> float:
        """Share of the intervals that hold the truth."""
        return 1 - (self.below + self.above) / self.draws


def coverage(truths: Mapping[str, Estimate], draws: Iterable[Mapping[str, Estimate]]) -> dict[str, Tally]:
    """Tallies by name over `draws`; counted numbers and noise floors have no truth in the pool and are left out."""
    tallies: dict[str, Tally] = {}
    for found in draws:
        for name, estimate in found.items():
            if estimate.method not in ("counted", "split halves"):
                tallies.setdefault(name, Tally(truths[name].value)).add(estimate)
    return tallies


def show(tallies: Mapping[str, Tally]) -> None:
    """The table, the groups of one metric in one row."""
    together: dict[str, list[Tally]] = defaultdict(list)
    for name, tally in tallies.items():
        together[name.partition(":")[0]].append(tally)
    print("| number | truth | intervals that hold it | all below | all above | mean width | intervals |")
    print("|---|---|---|---|---|---|---|")
    for name, parts in together.items():
        draws, below, above = (sum(getattr(tally, field) for tally in parts) for field in ("draws", "below", "above"))
        groups_of = f", each of {len(parts)} groups" if len(parts) > 1 else ""
        truth = f"{min(tally.truth for tally in parts):.4g}"
        truth += f" to {max(tally.truth for tally in parts):.4g}" if groups_of else ""
        width = sum(tally.width for tally in parts) / draws
        shares = f"{1 - (below + above) / draws:.1%} | {below / draws:.1%} | {above / draws:.1%}"
        print(f"| {name}{groups_of} | {truth} | {shares} | {width:.4g} | {draws} |")


# --- part two: false alarms


def bounds_of(recipe: Path, tier: str) -> dict[str, gates.Bound]:
    """The tier's gates on pictures."""
    for step in plan(recipe).steps:
        if isinstance(step.settings, VerifyStep) and step.settings.tier == tier:
            return {name: bound for name, bound in step.settings.gates.items() if gates.GATES[name].per_image}
    sys.exit(f"{recipe}: no tier {tier}")


def judged(tables: Mapping[str, Table], bounds: Mapping[str, gates.Bound], seed: int) -> list[gates.GateResult]:
    """What the product says of one test set."""
    seen = measuring.Seen(tables["stills"], tables["moving"])
    rows = {gates.PARTS[0]: np.arange(len(tables["stills"]["person"]))}
    with_groups = any(gates.GATES[name].needs == "groups" for name in bounds)
    return gates.evaluate(bounds, measuring.summarise(seen, rows, seed, with_groups))


def show_alarms(verdicts: Iterable[list[gates.GateResult]]) -> None:
    """How often each gate did not pass, and how often a verdict did not."""
    states: dict[str, Counter[str]] = defaultdict(Counter)
    whole: Counter[str] = Counter()
    for results in verdicts:
        whole[next((s for s in ("failed", "undecided") if any(r.state == s for r in results)), "passed")] += 1
        for result in results:
            states[result.name][result.state] += 1
    print("| gate | passed | undecided | failed |\n|---|---|---|---|")
    for name, count in [*states.items(), ("whole verdict", whole)]:
        print(f"| {name} | {count['passed']} | {count['undecided']} | {count['failed']} |")
    alarms = whole["failed"] + whole["undecided"]
    print(f"\n{alarms} false alarms in {whole.total()} verdicts of a student that was not changed")


# --- command line


@functools.cache
def _pool(folder: Path) -> dict[str, Table]:
    return load(folder)


def _estimates_of(seed: int, folder: Path, sizes: Sizes) -> dict[str, Estimate]:
    return estimates(draw_set(_pool(folder), sizes, seed), seed)


def _judged_of(seed: int, folder: Path, sizes: Sizes, bounds: Mapping[str, gates.Bound]) -> list[gates.GateResult]:
    return judged(draw_set(_pool(folder), sizes, seed), bounds, seed)


def _each(work: Callable[[int], T], count: int, processes: int) -> Iterator[T]:
    """`work` of 0..count-1, in order, with a line now and then."""
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as workers:
        for done, result in enumerate(workers.map(work, range(count)), 1):
            if not done % 100:
                print(f"{done}/{count}", file=sys.stderr, flush=True)
            yield result


def main() -> None:
    """Make the pool, or draw from it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    pool, held, alarms = (commands.add_parser(name) for name in ("pool", "intervals", "alarms"))
    for command in (pool, held, alarms):
        command.add_argument("folder", type=Path)
    for command in (pool, alarms):
        command.add_argument("--recipe", type=Path, required=True)
    pool.add_argument("--student", type=Path, required=True, help="folder of an export")
    pool.add_argument("--images", type=int, default=2000)
    pool.add_argument("--changed", type=int, default=400, help="photographs that are also changed")
    pool.add_argument("--videos", type=int, default=40)
    pool.add_argument("--seed", type=int, default=7_000_000)
    for command, count in ((held, 1000), (alarms, 100)):
        command.add_argument("--draws", type=int, default=count)
        command.add_argument("--images", type=int, default=160)
        command.add_argument("--changed", type=int, default=48)
        command.add_argument("--videos", type=int, default=8)
        command.add_argument("--processes", type=int, default=1)
    alarms.add_argument("--tier", required=True)
    given = parser.parse_args()
    if given.command == "pool":
        make_pool(given.folder, given.recipe, given.student, given.images, given.changed, given.videos, given.seed)
        return
    sizes = (given.images, given.changed, given.videos)
    if given.command == "intervals":
        work = functools.partial(_estimates_of, folder=given.folder, sizes=sizes)
        show(coverage(truths(load(given.folder)), _each(work, given.draws, given.processes)))
    else:
        bounds = bounds_of(given.recipe, given.tier)
        judge = functools.partial(_judged_of, folder=given.folder, sizes=sizes, bounds=bounds)
        show_alarms(_each(judge, given.draws, given.processes))


if __name__ == "__main__":
    main()
