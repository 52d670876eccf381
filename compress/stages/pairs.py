"""Stage `pairs`: render photo and cartoon pairs with their ground truth into shards, for the training of a teacher.

Pair i depends on (seed, i) alone, so a killed run goes on where it stopped and any number of processes gives the
same files.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from compress import faces
from compress.artifact import Artifact
from compress.context import Context
from compress.shards import ShardWriter
from compress.steps import PairStep
from compress.teaching.pairs import FIELDS

SHARD_SIZE = 64


def run(settings: PairStep, inputs: Mapping[str, Artifact], folder: Path, context: Context) -> dict[str, Any]:
    """Write `train` and `validation` shards; returns how many pairs each has."""
    pairs, validation = settings.pairs, settings.validation
    processes = os.cpu_count() or 1
    assets = Path(pairs.assets) if pairs.assets else None
    for name, count, seed in (("train", pairs.count, pairs.seed), ("validation", validation.count, validation.seed)):
        with ShardWriter(folder / name, SHARD_SIZE) as writer:
            indices = range(writer.count, count)
            rendered = faces.render_many(
                seed, indices, pairs.size, processes=processes, what="pair", assets=assets, styles=pairs.styles
            )
            with context.progress.task(name, count, "pairs", writer.count) as task:
                for pair in rendered:
                    writer.add({field: pair[field] for field in FIELDS})
                    task.advance()
    return {"train": pairs.count, "validation": validation.count}
