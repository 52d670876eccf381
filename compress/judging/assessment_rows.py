"""Measures what a teacher drew: numbers of each picture, and the rows of the table that follow from them.

`describe` looks at a batch of pictures once; everything else works on the numbers. Part `photographs` is judged,
`renders` is there beside it, with people kept from the training. Bounds and their judgement: `judging.assessment`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from compress.judging.description import tensor_of
from compress.judging.judges import Judges
from compress.judging.metrics import distribution, fidelity, identity, intervals
from compress.judging.metrics.estimate import Estimate
from compress.networks.face_points import FacePoints, eye_opening

Bytes = NDArray[np.uint8]
Floats = NDArray[np.floating]
Table = Mapping[str, NDArray[np.generic]]

GROUPS = (("skin", "dark"), ("skin", "light"), ("age", "senior"), ("glasses", "yes"), ("pose", "profile"))
"""Those who are told apart least in what face networks learn from."""
FEWEST_IN_GROUP = 5
"""Pictures below which a group is shown and does not count as the worst."""
FACE = (0.22, 0.86, 0.22, 0.78)
"""Rows and columns of an aligned face, as shares of the side: forehead to chin, with little of hair and backdrop."""
SHIFT_PX = 2.0


def describe(pictures: Bytes, points: Floats, judges: Judges, finder: FacePoints, device: str) -> dict[str, Floats]:
    """One row for each aligned picture uint8 [N, S, S, 3] with its five points [N, 5, 2] in pixels.

    identity [N, d] of unit length; opening [N], eye opening over face height; and the columns of `look`.
    """
    return {
        "identity": embed(pictures, points, judges, device),
        "opening": eye_opening(finder.find(pictures)).astype(np.float32),
        **look(pictures, judges, device),
    }


@torch.inference_mode()
def embed(pictures: Bytes, points: Floats, judges: Judges, device: str) -> Floats:
    """Identity [N, d] of unit length."""
    corners = torch.from_numpy(points.astype(np.float32)).to(device)
    return np.asarray(judges.identity.embed(tensor_of(pictures, device), corners).cpu().numpy(), np.float32)


@torch.inference_mode()
def look(pictures: Bytes, judges: Judges, device: str) -> dict[str, Floats]:
    """Pooled features [N, c] and detail energy a pixel [N, 3], finest first: of the picture, and of FACE alone."""
    size = pictures.shape[1]
    top, bottom, left, right = (round(share * size) for share in FACE)
    columns: dict[str, Floats] = {}
    for name, part in (("", pictures), ("_face", np.ascontiguousarray(pictures[:, top:bottom, left:right]))):
        head = judges.features.maps(tensor_of(part, device), (judges.head,))[0]
        columns[f"feature{name}"] = head.mean(dim=(2, 3)).cpu().numpy().astype(np.float32)
        energy = fidelity.haar_energy(part) / (part.shape[1] * part.shape[2])
        columns[f"haar{name}"] = energy.astype(np.float32)
    return columns


def shift_matrix(seed: int, row: int) -> NDArray[np.float64]:
    """Matrix [2, 3] of a shift by 2 px in a direction that depends on (seed, row) alone."""
    angle = np.random.default_rng([seed, row]).uniform(0, 2 * math.pi)
    return np.array([[1, 0, SHIFT_PX * math.cos(angle)], [0, 1, SHIFT_PX * math.sin(angle)]])


def identity_rows(photo: Floats, drawn: Floats, person: NDArray[np.generic], seed: int) -> dict[str, Estimate]:
    """identity_rank1 and identity_margin of embeddings [n, d] of photos and of what was drawn of them."""
    hits = identity.rank1(photo, drawn, person, gallery=len(photo))
    return {
        "identity_rank1": intervals.share(hits, person),
        "identity_margin": intervals.mean(margins(photo, drawn, person), seed, person),
    }


def margins(photo: Floats, drawn: Floats, person: NDArray[np.generic]) -> Floats:
    """Cosine of each drawn picture to its own photo less its mean cosine to photos of other people, [n]."""
    margin: Floats = np.empty(len(photo))
    for block, scores, others in identity.score_blocks(drawn, photo, person):
        mean = np.where(others, scores, 0).sum(axis=1) / np.maximum(others.sum(axis=1), 1)
        margin[block] = scores[np.arange(len(scores)), block] - mean
    return margin


def group_shares(hits: Floats, people: Table) -> Iterator[tuple[str, Estimate]]:
    """Rank-1 of each of GROUPS that has pictures, with its name; `hits` [n]."""
    for category, label in GROUPS:
        inside = people[category] == label.encode()
        if inside.any():
            found = intervals.share(hits[inside], people["person"][inside])
            yield f"{category} {label} ({int(inside.sum())} pictures)", found


def worst_group(found: Mapping[str, Estimate]) -> dict[str, Estimate]:
    """worst_group_rank1: the lowest share among groups with enough pictures, named in `note`; empty if none has."""
    judged = {name: share for name, share in found.items() if share.n >= FEWEST_IN_GROUP}
    if not judged:
        return {}
    name = min(judged, key=lambda name: (judged[name].value, judged[name].lower))
    return {"worst_group_rank1": replace(judged[name], note=name)}


def ratio_of_sets(over: Floats, under: Floats, seed: int, clusters: tuple[NDArray[np.generic], ...]) -> Estimate:
    """Mean of `over` [n] over the mean of `under` [m], two sets of pictures with their people."""
    people = np.concatenate(clusters)
    n = len(over)

    def statistic(copies: Floats) -> Floats:
        first, second = copies[:, :n], copies[:, n:]
        means = [(part @ values) / np.maximum(part.sum(axis=1), 1) for part, values in ((first, over), (second, under))]
        ratio: Floats = means[0] / np.maximum(means[1], 1e-12)
        return ratio

    return intervals.resampled(statistic, len(people), seed, people)


def style_rows(photo: Table, drawn: Table, wanted: Table, plain: Table, seed: int) -> dict[str, Estimate]:
    """Rows of what was drawn in one style: `photo` and `drawn` row by row, `wanted` are cartoon renders of the style,
    `plain` the rendered photos that belong to them.

    Each has `person` and the columns of `describe` (the last two: those of `look`), where features may be of fewer
    pictures, whose people are `feature_person`. How far photos are from `plain`
    stands in the notes of the style's rows: a teacher that changed nothing but style would leave about so much.
    """
    person, other = photo["person"], wanted["person"]
    featured = photo["feature_person"], wanted["feature_person"]
    rows = identity_rows(floats(photo, "identity"), floats(drawn, "identity"), person, seed)
    rows["eye_opening_ratio"] = intervals.ratio(floats(drawn, "opening"), floats(photo, "opening"), seed, person)
    for name in ("", "_face"):
        seen, of_photo, true, rendered = (floats(table, f"feature{name}") for table in (drawn, photo, wanted, plain))
        of_drawn, of_photos, share = distribution.kid_share(seen, of_photo, true, seed, featured)
        apart = distribution.kid_apart(of_photo, rendered, seed, featured)
        note = f"KID {of_drawn.value:.2f} of {of_photos.value:.2f}; photos to rendered photos {apart:.2f}"
        rows[f"style_kid{name}_share"] = replace(share, note=note)
        over, under = (floats(table, f"haar{name}").sum(axis=1) for table in (drawn, wanted))
        rows[f"haar{name}_ratio"] = ratio_of_sets(over, under, seed, (person, other))
    return rows


def floats(table: Table, name: str) -> Floats:
    """A column in double precision."""
    column: Floats = table[name].astype(np.float64)
    return column
