"""Puts an assessment together from what its stage stored: rows for every style, groups, remarks, and a record of all.

Numbers of all pictures are read at once (about a kilobyte each, features of 2,000), pictures one turn at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compress.judging import assessment, assessment_rows
from compress.judging.assessment import PHOTOGRAPHS, RENDERS, Row
from compress.judging.facts import CATEGORIES
from compress.judging.gates import Bound
from compress.judging.metrics import consistency, distribution, identity, intervals, steadiness
from compress.judging.metrics.estimate import Estimate
from compress.networks import face_points
from compress.photographs.alignment import inverse, resample
from compress.shards import Shards

Bytes = NDArray[np.uint8]
Floats = NDArray[np.floating]
Table = dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Stored:
    """What an assessment has on disk: photographs, rendered pairs and turns, what was drawn and described of them."""

    photos: Shards
    pairs: Shards
    turns: Shards
    drawn: Path
    described: Path
    styles: tuple[str, ...]


@dataclass(frozen=True)
class Assessed:
    """All rows, remarks for people, and everything as data."""

    rows: Sequence[Row]
    remarks: Sequence[str]
    record: Mapping[str, Any]

    def summary(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Value and state by style and measure, of the rows with a bound."""
        found: dict[str, dict[str, dict[str, Any]]] = {}
        for row in self.rows:
            if row.state:
                cell = {"value": assessment.as_dict(row)["value"], "state": row.state}
                found.setdefault(row.style, {})[row.measure] = cell
        return found


def tabulate(stored: Stored, seed: int, bounds: Mapping[str, Bound]) -> Assessed:
    """Rows of every style on photographs and on renders, with groups, turns and how far the points can be trusted."""
    rows: list[Row] = []
    groups: dict[str, list[dict[str, Any]]] = {}
    people = dict(stored.photos.read(range(len(stored.photos)), ["person", *CATEGORIES]))
    rendered: Table = {"person": np.array([f"render-{row}" for row in range(len(stored.pairs))], "S64")}
    pairs = Shards(stored.described / "pairs")
    for number, style in enumerate(stored.styles):
        plain, wanted = _described(stored.described / "pairs", number, rendered)
        photo, drawn = _described(stored.described / PHOTOGRAPHS, number, people)
        found = {PHOTOGRAPHS: assessment_rows.style_rows(photo, drawn, wanted, plain, seed), RENDERS: {}}
        of_photo, seen = (assessment_rows.floats(table, "identity") for table in (photo, drawn))
        hits = identity.rank1(of_photo, seen, people["person"], gallery=len(seen))
        shares = dict(assessment_rows.group_shares(hits, people))
        groups[style] = [{"group": name, **share.as_dict()} for name, share in shares.items()]
        found[PHOTOGRAPHS] |= assessment_rows.worst_group(shares) | shift_ratio(stored, number, seed)
        photo, drawn = _described(stored.described / RENDERS, number, rendered)
        if len(photo["person"]):
            found[RENDERS] = assessment_rows.style_rows(photo, drawn, wanted, plain, seed)
        found[RENDERS] |= turning(stored, number, seed)
        for part, who in ((PHOTOGRAPHS, people), (RENDERS, rendered)):
            found[part] |= new_lines(Shards(stored.drawn / part), number, who["person"], seed)
        for part, estimates in found.items():
            rows += [assessment.judge(style, part, name, estimate, bounds) for name, estimate in estimates.items()]
    check = pairs.read(range(len(pairs)), ["opening", "opening_true"])
    openings = {style: _opening_check(check, number) for number, style in enumerate(stored.styles)}
    record = {
        "styles": list(stored.styles),
        "photographs": {"images": len(stored.photos), "people": len(np.unique(people["person"]))},
        "renders": {"pairs": len(stored.pairs), "turning_frames": len(stored.turns)},
        "rows": [assessment.as_dict(row) for row in rows],
        "groups": groups,
        "eye_opening_of_renders": openings,
        "face_points": face_points.SHA256,
    }
    return Assessed(rows, list(_remarks(stored, people, groups, openings)), record)


def _described(folder: Path, number: int, who: Table) -> tuple[Table, Table]:
    """Tables of the photos and of what was drawn of them in style `number`, row by row."""
    shards = Shards(folder)
    # Features are large, and of so many distances between sets are computed.
    kept = np.unique(np.linspace(0, len(shards) - 1, min(len(shards), distribution.MOST_IMAGES)).round().astype(int))
    person = {name: column[: len(shards)] for name, column in who.items()}
    person["feature_person"] = person["person"][kept]
    features = [name for name in shards.fields if name.startswith("feature")]
    columns = shards.read(range(len(shards)), [name for name in shards.fields if name not in features])
    columns |= shards.read(kept, features)
    photo, drawn = ({name: column[:, at] for name, column in columns.items()} for at in (0, 1 + number))
    return photo | person, drawn | person


def shifted(photos: Bytes, rows: NDArray[np.int64], seed: int) -> Bytes:
    """The photos [N, S, S, 3] of these rows, each shifted by its own 2 px."""
    size = photos.shape[1]
    return np.stack([resample(p, assessment_rows.shift_matrix(seed, int(r)), size) for p, r in zip(photos, rows)])


def new_lines(drawn: Shards, number: int, person: NDArray[np.generic], seed: int) -> dict[str, Estimate]:
    """What was drawn in style `number` where the photo has nothing alike; empty without pictures."""
    if not len(drawn):
        return {}
    found = drawn.read(range(len(drawn)), ["new_lines"])["new_lines"][:, number]
    return {"new_lines": intervals.mean(found, seed, person[: len(found)])}


def shift_ratio(stored: Stored, number: int, seed: int) -> dict[str, Estimate]:
    """Mean |T(S x) - S T(x)| over mean |S^-1 S x - x|, S a shift by 2 px in any direction; empty if none was shifted.

    A photo commutes with S exactly, so the photo's own error is what being resampled costs it: S there and back.
    """
    moved = Shards(stored.drawn / "shifted")
    if not len(moved):
        return {}
    still = Shards(stored.drawn / PHOTOGRAPHS)
    errors: list[tuple[float, float]] = []
    for place in range(len(moved)):
        sample = moved.read([place])
        row = int(sample["row"][0])
        matrix = assessment_rows.shift_matrix(seed, row)
        image, photo = still.read([row], ["image"])["image"][:, number], stored.photos.read([row], ["photo"])["photo"]
        there = shifted(photo, np.array([row]), seed)[0]
        back = resample(there, inverse(matrix), photo.shape[1])[None]
        of_drawn = steadiness.equivariance_error(sample["image"][:, number], image, matrix[None])
        of_photo = steadiness.equivariance_error(back, photo, np.eye(2, 3)[None])
        errors.append((float(of_drawn[0]), float(of_photo[0])))
    person = stored.photos.read(moved.read(range(len(moved)), ["row"])["row"].astype(np.int64), ["person"])["person"]
    drawn, own_errors = np.array(errors).T
    found = intervals.ratio(drawn, own_errors, seed, person)
    return {"shift_ratio": replace(found, note=f"{drawn.mean():.2f} of {own_errors.mean():.2f} levels")}


def turning(stored: Stored, number: int, seed: int) -> dict[str, Estimate]:
    """turn_ratio and turn_residual_px of a style, by turning people; empty without turns.

    The frames drawn are compared along the true flow of the cartoon render in that style, the photo's along its own;
    what the render itself has stands in the notes.
    """
    if not len(stored.turns):
        return {}
    drawn = Shards(stored.drawn / "turns")
    numbers = stored.turns.read(range(len(stored.turns)), ["turn"])["turn"]
    parts: list[Floats] = []
    people: list[int] = []
    for turn in np.unique(numbers):
        places = np.flatnonzero(numbers == turn)
        sample = stored.turns.read(places, ["photo", "cartoon", "flow", "visible"])
        flow, visible = sample["flow"], sample["visible"]
        own = flow[:, 1 + number], visible[:, 1 + number]
        images = drawn.read(places, ["image"])["image"][:, number]
        films = ((images, *own), (sample["photo"], flow[:, 0], visible[:, 0]), (sample["cartoon"][:, number], *own))
        columns = [measure(*film) for measure in _TURNED for film in films]
        parts.append(np.stack(columns, axis=1))
        people += [int(turn)] * (len(places) - 1)
    table, clusters = np.concatenate(parts), np.array(people)
    known = np.isfinite(table).all(axis=1)
    if not known.any():
        return {}
    table, clusters = table[known], clusters[known]
    error, photo, cartoon, left, left_photo, left_cartoon = table.T
    ratio, residual = intervals.ratio(error, photo, seed, clusters), intervals.mean(left, seed, clusters)
    levels = f"{error.mean():.2f} levels, photo {photo.mean():.2f}, cartoon render {cartoon.mean():.2f}"
    pixels = f"photo {left_photo.mean():.2f}, cartoon render {left_cartoon.mean():.2f}"
    return {"turn_ratio": replace(ratio, note=levels), "turn_residual_px": replace(residual, note=pixels)}


_TURNED = (consistency.turning_error, consistency.residual_motion)


def _opening_check(check: Mapping[str, NDArray[Any]], number: int) -> dict[str, float]:
    """Eye opening of cartoon renders over that of their photos, as it is found and as it is."""
    found, true = (check[name].astype(np.float64).mean(axis=0) for name in ("opening", "opening_true"))
    relation = float(np.corrcoef(check["opening"][:, 1 + number], check["opening_true"][:, 1 + number])[0, 1])
    return {
        "found": float(found[1 + number] / found[0]),
        "true": float(true[1 + number] / true[0]),
        "correlation": relation,
    }


def _remarks(
    stored: Stored, people: Table, groups: Mapping[str, list[dict[str, Any]]], openings: Mapping[str, dict[str, float]]
) -> Iterator[str]:
    yield f"{len(stored.photos)} photographs of {len(np.unique(people['person']))} people; rank-1 among all of them."
    yield f"{len(stored.pairs)} cartoon renders a style stand for what it looks like (KID, sharpness)."
    yield (
        f"Shifts: mean |T(S x) - S T(x)| over mean |S^-1 S x - x| (the photo shifted there and back), "
        f"{len(Shards(stored.drawn / 'shifted'))} photographs, each by 2 px in a direction of its own."
    )
    for style, check in openings.items():
        found = f"found {check['found']:.2f} times, true {check['true']:.2f}, correlation {check['correlation']:.2f}"
        yield f"Eye opening of {style} renders against their photos: {found}."
    for style, shares in groups.items():
        told = "; ".join(f"{share['group']} {share['value']:.3f}" for share in shares)
        yield f"Groups in {style}, rank-1: {told or 'none is known; name a CSV in facts'}."
