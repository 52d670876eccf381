"""Stage `renders`: rendered people whom no training has seen, to judge a teacher by.

    pairs/   photo and cartoons of each, with points: what cartoons of the styles look like
    turns/   heads that turn before a still camera, with the true flow (`compress.faces.turning`)

Pair i and turn j depend on (seed, i) and (seed, j) alone. Resumes behind the last whole shard.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from compress import faces
from compress.artifact import Artifact
from compress.context import Context
from compress.shards import Sample, ShardWriter

if TYPE_CHECKING:
    from compress.steps import RenderStep

PAIRS, TURNS = "pairs", "turns"
FIELDS = ("photo", "cartoon", "points", "landmarks_photo", "landmarks_cartoon")
SHARD_SIZE = 32


def run(settings: RenderStep, inputs: Mapping[str, Artifact], folder: Path, context: Context) -> dict[str, Any]:
    """Write both sets and return how many of each there are."""
    with ShardWriter(folder / PAIRS, SHARD_SIZE) as writer:
        indices = range(writer.count, settings.rendered)
        processes = os.cpu_count() or 1
        rendered = faces.render_many(settings.seed, indices, settings.size, processes, "pair", styles=settings.styles)
        with context.progress.task("renders", settings.rendered, "pairs", writer.count) as task:
            for pair in rendered:
                writer.add({name: pair[name] for name in FIELDS})
                task.advance()
    frames = settings.turns * settings.frames
    with ShardWriter(folder / TURNS, SHARD_SIZE) as writer:
        whole, part = divmod(writer.count, settings.frames)
        with context.progress.task("turning heads", frames, "frames", writer.count) as task:
            for frame in itertools.islice(turning(settings, whole), part, None):
                writer.add(frame)
                task.advance()
    return {"pairs": settings.rendered, "turns": settings.turns, "frames": frames}


def turning(settings: RenderStep, first: int) -> Iterator[Sample]:
    """Frames of the turns from number `first` on: turn u32, frame u16, and the fields of `render_turn`."""
    from compress.faces.turning import render_turn

    if first >= settings.turns:
        return
    renderer = faces.PairRenderer(settings.size, styles=settings.styles)
    for turn in range(first, settings.turns):
        for frame, sample in enumerate(render_turn(renderer, settings.seed, turn, settings.frames)):
            place: Sample = {"turn": np.array(turn, np.uint32), "frame": np.array(frame, np.uint16)}
            yield place | sample
