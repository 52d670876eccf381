"""Stage `assess`: what a trained teacher makes of photographs and of rendered people, in each of its styles.

    drawn/       its pictures, drawn once: of photographs, some of them shifted, of renders, of turning heads
    described/   numbers of each picture
    assessment.json, assessment.md, faces.png   the table, the same for people, and faces side by side

Resumes behind the last whole shard of each. What is asked of a teacher stands in `judging.assessment`; a teacher that
falls short is no error. Not covered: training (`teach`), rendering (`renders`), finding faces (`inputs`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

import teachers
from compress.artifact import Artifact, hash_file, write_json, write_text
from compress.context import Context, Task
from compress.errors import InputError
from compress.judging import assessment, assessment_rows, assessment_table
from compress.judging.judges import Judges, open_judges
from compress.networks import face_points
from compress.recipe import JudgeSettings
from compress.reporting.sheets import Row, contact_sheet
from compress.shards import Sample, Shards, ShardWriter
from compress.teaching.restraint import new_lines
from compress.threads import in_order
from compress.training.loop import to_channels_last

if TYPE_CHECKING:
    from compress.steps import AssessStep

Bytes = NDArray[np.uint8]
WEIGHTS = "teacher.safetensors"
BATCH, SHARD_SIZE = 8, 64
FEWEST = 4
"""Photographs below which no distance between sets can be computed."""
ACROSS = 3
"""Faces beside each other on the sheet."""


@dataclass(frozen=True)
class Drawer:
    """A teacher and the numbers of the styles that it is asked for."""

    network: teachers.KStyleGAN
    styles: tuple[int, ...]
    device: str

    @torch.inference_mode()
    def draw(self, photos: Bytes, points: NDArray[np.floating]) -> dict[str, NDArray[Any]]:
        """uint8 [N, S, S, 3], points [N, 5, 2] -> `image` [N, K, S, S, 3], a picture in each style, and `new_lines` [N,
        K] of it, in levels of 255.
        """
        x = torch.from_numpy(photos).to(self.device).permute(0, 3, 1, 2).float() / 127.5 - 1
        places = torch.from_numpy(points.astype(np.float32)).to(self.device)
        drawn, lines = [], []
        for style in self.styles:
            output = self.network(x, torch.full((len(x),), style, device=self.device))
            image = output.image.clamp(-1, 1)
            drawn.append(((image + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1))
            lines.append(new_lines(x, output.maps[:, :2], image, places) * 127.5)
        return {"image": torch.stack(drawn, dim=1).cpu().numpy(), "new_lines": torch.stack(lines, dim=1).cpu().numpy()}


def run(settings: AssessStep, inputs: Mapping[str, Artifact], folder: Path, context: Context) -> dict[str, Any]:
    """Draw, describe and sum up; returns the rows with a bound by style, with value and state.

    Raises InputError for a teacher that cannot be loaded or has not the styles that are asked for.
    """
    path = Path(settings.teacher) if settings.teacher else inputs["teacher"].path / WEIGHTS
    drawer = open_teacher(path, settings.styles, context.device)
    photos, renders = Shards(inputs["photos"].path), inputs["renders"].path
    pairs, turns = Shards(renders / "pairs"), Shards(renders / "turns")
    if len(photos) < FEWEST:
        raise InputError(f"assess: {len(photos)} photographs show a face, at least {FEWEST} are needed; name more")
    drawn, described = folder / "drawn", folder / "described"
    rows = np.unique(np.linspace(0, len(photos) - 1, min(settings.shifted, len(photos))).round().astype(np.int64))
    own = min(settings.drawn_renders, len(pairs))
    with context.progress.task("assess: draw", len(photos) + len(rows) + own + len(turns), "photos") as task:
        draw(drawer, photos, range(len(photos)), drawn / assessment.PHOTOGRAPHS, task)
        draw(drawer, photos, rows, drawn / "shifted", task, settings.seed)
        draw(drawer, pairs, range(own), drawn / assessment.RENDERS, task)
        draw(drawer, turns, range(len(turns)), drawn / "turns", task)
    judges, finder = open_judges(JudgeSettings(), context.device), face_points.load()
    with context.progress.task("assess: look", len(photos) + own + len(pairs), "photos") as task:
        for part, source in ((assessment.PHOTOGRAPHS, photos), (assessment.RENDERS, pairs)):
            pictures = Shards(drawn / part)
            look = functools.partial(_look, source, pictures, judges, finder, context.device)
            describe(look, len(pictures), described / part, task)
        look = functools.partial(_look_at_renders, pairs, judges, finder, context.device)
        describe(look, len(pairs), described / "pairs", task)
    found = assessment_table.Stored(photos, pairs, turns, drawn, described, settings.styles)
    table = assessment_table.tabulate(
        found, settings.seed, {str(name): bound for name, bound in settings.bounds.items()}
    )
    record = {**table.record, "teacher": {"file": path.name, "sha256": hash_file(path)}, "judges": judges.describe()}
    write_json(folder / "assessment.json", record)
    write_text(folder / "assessment.md", assessment.markdown("Assessment of the teacher", table.rows, table.remarks))
    sheet(photos, Shards(drawn / assessment.PHOTOGRAPHS), settings, folder / "faces.png")
    return {"photographs": len(photos), "renders": len(pairs), "rows": table.summary()}


def open_teacher(path: Path, styles: Sequence[str], device: str) -> Drawer:
    """The network of a file and the numbers of `styles` in it."""
    try:
        network = teachers.load(path, device)
    except ValueError as error:
        raise InputError(f"assess: {error}") from error
    known = network.architecture.styles
    if missing := [style for style in styles if style not in known]:
        raise InputError(f"assess: {path.name} has no style {', '.join(missing)}; it has {', '.join(known)}")
    to_channels_last(network)
    return Drawer(network, tuple(known.index(style) for style in styles), device)


def draw(
    drawer: Drawer, photos: Shards, rows: Sequence[int] | NDArray[np.int64], folder: Path, task: Task, seed: int = -1
) -> None:
    """Store `image` [K, S, S, 3] and `new_lines` [K] of each of `rows`, with its `row`; with a seed the photos are
    shifted first.
    """
    with ShardWriter(folder, SHARD_SIZE) as writer:
        task.advance(writer.count)
        for first in range(writer.count, len(rows), BATCH):
            chosen = np.asarray(rows[first : first + BATCH], np.int64)
            sample = photos.read(chosen, ["photo", "points"])
            pictures = sample["photo"]
            if seed >= 0:
                pictures = assessment_table.shifted(pictures, chosen, seed)
            columns = {"row": chosen.astype(np.uint32), **drawer.draw(pictures, sample["points"])}
            for place in range(len(chosen)):
                writer.add({name: column[place] for name, column in columns.items()})
            task.advance(len(chosen))


def describe(look: Callable[[range], Sample], count: int, folder: Path, task: Task) -> None:
    """Store what `look` says of rows 0 to count - 1."""
    with ShardWriter(folder, SHARD_SIZE) as writer:
        task.advance(writer.count)
        batches = (range(first, min(first + BATCH, count)) for first in range(writer.count, count, BATCH))
        for columns in in_order(functools.partial(look, rows) for rows in batches):
            number = len(next(iter(columns.values())))
            for row in range(number):
                writer.add({name: column[row] for name, column in columns.items()})
            task.advance(number)


def _look(
    source: Shards, drawn: Shards, judges: Judges, finder: face_points.FacePoints, device: str, rows: range
) -> Sample:
    """`assessment_rows.describe` of the photo and its pictures, one after the other: columns [n, 1 + K, ...]."""
    sample = source.read(rows, ["photo", "points"])
    images = drawn.read(rows, ["image"])["image"]
    pictures = [sample["photo"], *np.moveaxis(images, 1, 0)]
    seen = [assessment_rows.describe(p, sample["points"], judges, finder, device) for p in pictures]
    return {name: np.stack([one[name] for one in seen], axis=1) for name in seen[0]}


def _look_at_renders(pairs: Shards, judges: Judges, finder: face_points.FacePoints, device: str, rows: range) -> Sample:
    """The same of rendered photos and their cartoons, less identity, and openings as found and as they are."""
    sample = pairs.read(rows)
    pictures = [sample["photo"], *(np.ascontiguousarray(drawn) for drawn in np.moveaxis(sample["cartoon"], 1, 0))]
    seen = [assessment_rows.look(one, judges, device) for one in pictures]
    truth = [sample["landmarks_photo"], *np.moveaxis(sample["landmarks_cartoon"], 1, 0)]
    found = [finder.find(one) for one in pictures]
    openings = {name: [face_points.eye_opening(p) for p in of] for name, of in (("", found), ("_true", truth))}
    columns = {name: np.stack([one[name] for one in seen], axis=1) for name in seen[0]}
    return columns | {f"opening{name}": np.stack(of, axis=1).astype(np.float32) for name, of in openings.items()}


def sheet(photos: Shards, drawn: Shards, settings: AssessStep, path: Path) -> None:
    """Evenly spread faces, ACROSS in a line: photo and each style."""
    count = min(settings.sheet, len(photos))
    if not count:
        return
    rows = np.unique(np.linspace(0, len(photos) - 1, count).round().astype(np.int64))
    lines = [rows[first : first + ACROSS] for first in range(0, len(rows), ACROSS)]
    titles = ["photo", *settings.styles] * min(ACROSS, len(rows))
    contact_sheet(list(_lines(photos, drawn, lines, len(titles))), titles, path)


def _lines(photos: Shards, drawn: Shards, lines: Iterable[NDArray[np.int64]], columns: int) -> Iterator[Row]:
    for chosen in lines:
        sample, images = photos.read(chosen, ["photo", "name"]), drawn.read(chosen, ["image"])["image"]
        pictures = [p for photo, styles in zip(sample["photo"], images) for p in (photo, *styles)]
        blank = [np.full_like(pictures[0], 255)] * (columns - len(pictures))
        names = "   ".join(name.decode() for name in sample["name"].tolist())
        yield Row([*pictures, *blank], names)
