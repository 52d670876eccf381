"""Stage `inputs` (also `test-inputs`): aligned portraits as shards, rendered ones first, then photographs.

Beside each stands what is known of its person (`judging.facts`): exactly for renders, from `facts` for photographs.
Rendered portrait i depends on (seed, i) alone. Photographs are read, their largest face is found and aligned; one that
cannot be used is skipped and named with the reason in `skipped.json`. Resumes behind the last whole shard, also if the
folders were moved in between. Not covered: teacher outputs (stage targets) and augmentation (batches.py).
"""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from compress import faces
from compress.artifact import Artifact, write_json
from compress.context import Context
from compress.errors import InputError
from compress.judging import facts
from compress.judging.facts import Facts
from compress.photographs import photos
from compress.shards import ShardWriter

if TYPE_CHECKING:
    from compress.recipe import InputSettings

NAME_BYTES = 120
SHARD_SIZE = 64
SKIPPED = "skipped.json"
# Photographs handed to the processes at a time: enough to keep them busy, few enough to bound memory.
BLOCK = 64
# Below this many a photographs a process starts for longer than it works.
PHOTOS_PER_PROCESS = 32
RENDERED, PHOTOGRAPH = 0, 1


@dataclass(frozen=True)
class Portrait:
    """An aligned photograph: uint8 [S, S, 3] and its five points [5, 2] in pixels."""

    photo: NDArray[np.uint8]
    points: NDArray[np.float32]


def run(settings: InputSettings, inputs: Mapping[str, Artifact], folder: Path, context: Context) -> dict[str, Any]:
    """Write the shards and return how many portraits are rendered, photographed and skipped, with the skipped names.

    Raises InputError for a folder without pictures, photographs of which none can be used, an empty set, and a table of
    facts that is not about these photographs.
    """
    paths = [path for place in settings.photos for path in photos.find(place)]
    if settings.rendered == 0 and not paths:
        raise InputError("inputs: 0 portraits; raise rendered or name a folder in photos")
    people = identify(settings, paths)
    with ShardWriter(folder, SHARD_SIZE) as writer:
        render(settings, writer, context)
        skipped = photograph(settings, people, writer, folder / SKIPPED, context)
        photographed = writer.count - settings.rendered
    if paths and not photographed:
        first, reason = next(iter(skipped.items()))
        raise InputError(
            f"{', '.join(settings.photos)}: none of {len(paths)} photographs can be used; {first}: {reason}"
        )
    return {"rendered": settings.rendered, "photographs": photographed, "skipped": skipped}


def render(settings: InputSettings, writer: ShardWriter, context: Context) -> None:
    """Add the rendered portraits that are missing."""
    if writer.count >= settings.rendered:
        return
    indices = range(writer.count, settings.rendered)
    seed, processes = settings.rendered_seed, os.cpu_count() or 1
    with context.progress.task("rendering", settings.rendered, done=writer.count) as task:
        rendered = faces.render_many(seed, indices, settings.size, processes=processes, what="photo")
        for index, face in zip(indices, rendered):
            name = f"render-{seed}-{index}"
            writer.add(sample(Portrait(face["photo"], face["points"]), RENDERED, name, facts.of_render(name, face)))
            task.advance()


def photograph(
    settings: InputSettings, people: Mapping[Path, Facts], writer: ShardWriter, record: Path, context: Context
) -> dict[str, str]:
    """Add the photographs that are missing; returns reasons by name of those that cannot be used.

    `record` keeps them by position, which like the step's key does not depend on where the folders stand.
    """
    if not people:
        return {}
    paths = list(people)
    names = photo_names(settings.photos, paths)
    skipped = _read_skipped(record)
    left = remaining(paths, writer.count - settings.rendered, skipped)
    first = len(paths) - len(left)
    with context.progress.task("photographs", len(paths), done=first) as task:
        for position, found in enumerate(portraits(left, settings.size), first):
            path = paths[position]
            if isinstance(found, str):
                skipped[position] = found
                write_json(record, {at: [names[paths[at]], reason] for at, reason in skipped.items()})
            else:
                writer.add(sample(found, PHOTOGRAPH, names[path], people[path]))
            task.advance()
    return {names[paths[at]]: skipped[at] for at in sorted(skipped)}


def _read_skipped(record: Path) -> dict[int, str]:
    """Reasons by position among the photographs."""
    if not record.exists():
        return {}
    return {int(at): reason for at, (_, reason) in json.loads(record.read_text(encoding="utf-8")).items()}


def identify(settings: InputSettings, paths: Sequence[Path]) -> dict[Path, Facts]:
    """Who is in each photograph: what the recipe's table of facts says, else a person of its own."""
    names = photo_names(settings.photos, paths)
    known = facts.read(Path(settings.facts), paths, names) if settings.facts else {}
    return {path: known.get(path, Facts(names[path])) for path in paths}


def remaining(paths: Sequence[Path], stored: int, skipped: Container[int]) -> Sequence[Path]:
    """The paths behind the last of the `stored` ones, given the positions of the skipped ones."""
    usable = (position for position in range(len(paths)) if position not in skipped)
    positions = list(itertools.islice(usable, stored))
    return paths[positions[-1] + 1 :] if positions else paths


def photo_names(folders: Sequence[str], paths: Sequence[Path]) -> dict[Path, str]:
    """Name of each photograph: its path below the folder that the recipe names, the folder's name in front.

    Of folders that are called alike as many parents' names are put before it as tell them and their photographs apart:
    `anna/faces` and `bert/faces` give `anna/faces/1.jpg` and `bert/faces/1.jpg`, as one name would be one person.
    """
    owners = {path: next(Path(place) for place in folders if path.is_relative_to(place)) for path in paths}
    owners |= {folder: folder for folder in owners.values()}
    depths = dict.fromkeys(owners.values(), 1)
    while True:
        bases = {folder: PurePosixPath(*folder.absolute().parts[1:][-depth:]) for folder, depth in depths.items()}
        names = {path: (bases[owner] / path.relative_to(owner).as_posix()).as_posix() for path, owner in owners.items()}
        taken = Counter(names.values())
        alike = {owner for path, owner in owners.items() if taken[names[path]] > 1}
        if not alike:
            return {path: names[path] for path in paths}
        depths |= {folder: depths[folder] + 1 for folder in alike}


def portraits(paths: Sequence[Path], size: int) -> Iterator[Portrait | str]:
    """The aligned portrait of each photograph, or why there is none; in order, by several processes if it pays."""
    processes = min(os.cpu_count() or 1, len(paths) // PHOTOS_PER_PROCESS)
    with ExitStack() as stack:
        apply: Any = map
        if processes > 1:
            # Not forked: a forked process inherits the locks of torch's and OpenCV's threads, but not the threads.
            workers = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"))
            apply = stack.enter_context(workers).map
        for first in range(0, len(paths), BLOCK):
            yield from apply(portrait, paths[first : first + BLOCK], itertools.repeat(size))


def portrait(path: Path, size: int) -> Portrait | str:
    """Read a photograph, find its largest face and align it; a text says why that is not possible."""
    try:
        picture = photos.read(path)
    except InputError as error:
        return str(error)
    found = photos.detect(picture)
    if not found:
        return "no face found"
    try:
        aligned, matrix = photos.align(picture, found[0].points, size)
    except ValueError as error:  # a detector may put all five points on one spot
        return f"no face found ({error})"
    return Portrait(aligned, photos.transform(found[0].points, matrix))


def sample(portrait: Portrait, source: int, name: str, who: Facts) -> dict[str, NDArray[Any]]:
    """One sample of the shards; of a long name the end is kept."""
    return {
        "photo": portrait.photo,
        "points": portrait.points.astype(np.float32),
        "source": np.array(source, np.uint8),
        "name": np.array(name.encode()[-NAME_BYTES:], f"S{NAME_BYTES}"),
        **facts.fields(who),
    }
