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
from compress.networks.face_points import FacePointsNetwork, eye_opening

Bytes = NDArray[np.uint8]
Floats = NDArray[np.floating]
Table = Mapping[str, NDArray[np.generic]]

GROUPS = (("skin", "dark"), ("skin", "light"), ("age", "senior"), ("glasses", "yes"), ("pose", "profile"))
"""Those who are told apart least in what face networks learn from."""
FEWEST_IN_GROUP = 8
"""Pictures below which a group is shown and does not count as the worst."""
FACE = (0.3, 0.8, 0.25, 0.75)
"""Rows and columns of the middle of an aligned face, as shares of the side: brows to mouth."""
_DRAWN_STEPS = 2.0


@torch.inference_mode()
def describe(pictures: Bytes, points: Floats, judges: Judges, finder: FacePointsNetwork, device: str) -> dict[str, Floats]:
    """One row for each aligned picture uint8 [N, S, S, 3] with its five points [N, 5, 2] in pixels.

    identity [N, d] of unit length; feature [N, c], pooled; opening [N], eye opening over face height; haar [N, 3],
    detail energy a pixel, finest first; haar_face [N, 3] of the middle of the face.
    """
    images = tensor_of(pictures, device)
    corners = torch.from_numpy(points.astype(np.float32)).to(device)
    head = judges.features.maps(images, (judges.head,))[0]
    return {
        "identity": judges.identity.embed(images, corners).cpu().numpy().astype(np.float32),
        "feature": head.mean(dim=(2, 3)).cpu().numpy().astype(np.float32),
        "opening": eye_opening(finder.find(pictures)).astype(np.float32),
        **sharpness(pictures),
    }


def sharpness(pictures: Bytes) -> dict[str, Floats]:
    """haar and haar_face of `describe`."""
    size = pictures.shape[1]
    top, bottom, left, right = (round(share * size) for share in FACE)
    face = pictures[:, top:bottom, left:right]
    energies = {"haar": (pictures, size * size), "haar_face": (face, (bottom - top) * (right - left))}
    return {name: (fidelity.haar_energy(part) / area).astype(np.float32) for name, (part, area) in energies.items()}


def shift_matrix(seed: int, row: int) -> NDArray[np.float64]:
    """Matrix [2, 3] of a shift by 2 px in a direction that depends on (seed, row) alone."""
    angle = np.random.default_rng([seed, row]).uniform(0, 2 * math.pi)
    return np.array([[1, 0, _DRAWN_STEPS * math.cos(angle)], [0, 1, _DRAWN_STEPS * math.sin(angle)]])


def identity_rows(photo: Floats, drawn: Floats, person: NDArray[np.generic], seed: int) -> dict[str, Estimate]:
    """identity_rank1 and identity_margin of embeddings [n, d] of photos and of what was drawn of them."""
    hits = identity.rank1(photo, drawn, person, gallery=len(photo))
    return {
        "identity_rank1": intervals.share(hits, person),
        "identity_margin": intervals.mean(margins(photo, drawn, person), seed, person),
    }


def margins(photo: Floats, drawn: Floats, person: NDArray[np.generic]) -> Floats:
    """Cosine of each drawn picture to its own photo less its mean cosine to photos of other people, [n]."""
    scores = drawn.astype(np.float64) @ photo.astype(np.float64).T
    others = person[:, None] != person
    mean: Floats = np.where(others, scores, 0).sum(axis=1) / np.maximum(others.sum(axis=1), 1)
    margin: Floats = np.diag(scores) - mean
    return margin


def group_shares(hits: Floats, people: Table) -> Iterator[tuple[str, Estimate]]:
    """Rank-1 of each of GROUPS that has pictures, with its name; `hits` [n]."""
    for category, label in GROUPS:
        inside = people[category] == label.encode()
        if inside.any():
            found = intervals.share(hits[inside], people["person"][inside])
            yield f"{category} {label} ({int(inside.sum())} pictures)", found


def worst_group(found: Mapping[str, Estimate]) -> Estimate | None:
    """The group with the lowest share among those with enough pictures, named in `note`; None if there is none."""
    judged = {name: share for name, share in found.items() if share.n >= FEWEST_IN_GROUP}
    if not judged:
        return None
    name = min(judged, key=lambda name: judged[name].value)
    return replace(judged[name], note=name)


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


def style_rows(photo: Table, drawn: Table, wanted: Table, seed: int) -> dict[str, Estimate]:
    """Rows of what was drawn in one style: `photo` and `drawn` row by row, `wanted` are cartoon renders of the style.

    Each has `person` and the columns of `describe` (`wanted`: feature and haar).
    """
    person, other = photo["person"], wanted["person"]
    vectors = {who: np.asarray(table["feature"], np.float64) for who, table in
               (("drawn", drawn), ("photo", photo), ("wanted", wanted))}  # fmt: skip
    shares = distribution.kid_share(vectors["drawn"], vectors["photo"], vectors["wanted"], seed, (person, other))
    openings = (np.asarray(table["opening"], np.float64) for table in (drawn, photo))
    rows = identity_rows(*(np.asarray(t["identity"], np.float64) for t in (photo, drawn)), person, seed)
    rows["style_kid_share"] = replace(shares[2], note=f"KID {shares[0].value:.3f} of {shares[1].value:.3f}")
    rows["eye_opening_ratio"] = intervals.ratio(*openings, seed, person)
    for name in ("haar", "haar_face"):
        energies = (np.asarray(table[name], np.float64).sum(axis=1) for table in (drawn, wanted))
        rows[f"{name}_ratio"] = ratio_of_sets(*energies, seed, (person, other))
    return rows
