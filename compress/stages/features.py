"""Stage `features`: what the judges see in the photos and the teacher's pictures of a test set, computed once.

All tiers, runs and candidates share it. One sample per test picture, fields as `judging.description.describe` makes
them; which judges they are of stands in `judges.json`. Resumes behind the last whole shard. Nothing of a student.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.artifact import Artifact
from compress.context import Context
from compress.judging.description import claim, describe
from compress.judging.judges import open_judges
from compress.judging.testset import TestSet
from compress.shards import Shards, ShardWriter
from compress.threads import in_order

if TYPE_CHECKING:
    from compress.recipe import JudgeSettings

SHARD_SIZE = 64


def run(settings: JudgeSettings, inputs: Mapping[str, Artifact], folder: Path, context: Context) -> dict[str, Any]:
    """Describe each of `inputs["test_inputs"]` and its picture in `inputs["test_targets"]`, in the same order.

    Raises InputError for a judge that cannot be used, StageError if the two have not the same length,
    StorageError if another version began in `folder`.
    """
    test = TestSet(Shards(inputs["test_inputs"].path), Shards(inputs["test_targets"].path))
    judges = open_judges(settings, context.device)
    folder.mkdir(exist_ok=True)
    claim(folder, judges)
    writer = ShardWriter(folder, SHARD_SIZE)
    with writer, context.progress.task("features", len(test), done=writer.count) as task:
        batches = (
            functools.partial(describe, test.read(rows), judges, context.device) for rows in test.batches(writer.count)
        )
        for described in in_order(batches):
            count = len(described["change"])
            for row in range(count):
                writer.add({name: column[row] for name, column in described.items()})
            task.advance(count)
    return {"samples": len(test), "judges": judges.describe()}
