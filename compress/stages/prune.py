"""Stage `prune`: cut a distilled student's core down to a budget of true MACs.

Writes the pruned student: its record and the weights that stay. Not covered: the training that brings the quality back
(stage `distill`, as fine-tuning).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import students
from compress.artifact import Artifact
from compress.context import Context
from compress.errors import StageError
from compress.shards import Shards
from compress.shrinking.pruning import prune_to_macs
from compress.training.batches import to_picture

if TYPE_CHECKING:
    from compress.recipe import PruneSettings


def run(settings: PruneSettings, inputs: Mapping[str, Artifact], folder: Path, context: Context) -> dict[str, Any]:
    """Prune `inputs["student"]` to `settings.macs`; `settings.images` of `inputs["inputs"]` drive scores and proof.

    Raises InputError for a budget that cannot be reached (naming the smallest that can), StageError for a student that
    cannot be pruned.
    """
    try:
        student = students.load(inputs["student"].path)
    except ValueError as error:
        raise StageError(str(error)) from error
    photos = Shards(inputs["inputs"].path)
    chosen = np.linspace(0, len(photos) - 1, min(settings.images, len(photos))).astype(int)
    examples = to_picture(photos.read(chosen, ("photo",))["photo"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(context.seed)
        pruned, report = prune_to_macs(student, settings.macs, examples, settings.importance, settings.round_to)
    students.save(pruned, folder)
    context.progress.log(
        f"  pruned from {report.macs_before / 1e6:.2f} to {report.macs_after / 1e6:.2f} M MACs "
        f"(budget {settings.macs / 1e6:.2f} M); "
        + ", ".join(f"{name} {kept}/{kept + report.removed[name]}" for name, kept in report.kept.items())
    )
    for what, reason in report.not_pruned.items():
        context.progress.log(f"  not pruned: {what}, because {reason}")
    return report.numbers()
