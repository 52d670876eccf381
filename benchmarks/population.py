"""How far rendered people are apart, who they are, and whether a face detector finds them and their cartoons.

    python benchmarks/population.py [--people 60] [--takes 2] [--size 160] [--assets FOLDER] [--sheet FILE]

Every person is rendered in several takes: another pose, expression, light, place, film, hat and clothes. Distances are
between two pictures of one person and between pictures of different people, by dlib's face network (Euclidean; needs
`kcompress[dlib]`) and by SFace (1 - cosine), aligned by the renderer's own points. AUC is the chance that a pair of one
person is nearer than a pair of two. Shares are counted over people and poses that are drawn, but not rendered.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch

from compress.faces import PairRenderer
from compress.faces.groups import SENIOR_RANGE, years
from compress.faces.population import Person
from compress.faces.pose import OPEN, PROFILE, SHOWING_TEETH, Pose, sample_pose
from compress.faces.truth import face_points
from compress.judging.facts import ANCESTRY_SHARE
from compress.networks.dlibnet import DlibFace
from compress.networks.sface import SFace
from compress.networks.yunet import YuNet
from compress.photographs.photos import SCORE_THRESHOLD

Array = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
SEED, DRAWN = 20_000, 4_000
NEAR_FRONTAL = 30.0
"""Degrees up to which both heads of a pair are turned at most in the second line of distances."""


def labels(person: Person, pose: Pose) -> dict[str, str]:
    """Groups that a picture belongs to."""
    ancestry = ("african", "asian", "european")[int(person.ancestry.argmax())]
    yaw = abs(math.degrees(pose.yaw))
    return {
        "age": "child" if person.child > 0 else "senior" if person.old >= SENIOR_RANGE[0] else "adult",
        "ancestry": ancestry if person.ancestry.max() >= ANCESTRY_SHARE else "mixed",
        "gender": "male" if person.male >= 0.5 else "female",
        "glasses": "none" if person.wear.lenses is None else "dark" if person.wear.lenses.opaque else "clear",
        "beard": "yes" if person.beard > 0 else "no",
        "headwear": person.wear.headwear.kind,
        "scarf": "yes" if person.wear.scarf else "no",
        "make-up": "yes" if person.wear.make_up.lipstick > 0 else "no",
        "head": "frontal" if yaw < NEAR_FRONTAL else "turned" if yaw < PROFILE[1] else "profile",
        "mouth": "teeth" if pose.name in SHOWING_TEETH else "open" if pose.name in OPEN else "closed",
    }


def print_shares(renderer: PairRenderer) -> None:
    """Shares of all groups among people and poses as they are drawn for rendering."""
    counts: dict[str, Counter[str]] = {}
    ages = []
    for index in range(DRAWN):
        random = np.random.default_rng([SEED, index])
        person = renderer.person(random)
        ages.append(years(person.old, person.child))
        for group, label in labels(person, sample_pose(random)).items():
            counts.setdefault(group, Counter())[label] += 1
    for group, count in counts.items():
        print(f"{group:10s}", ", ".join(f"{label} {number / DRAWN:.3f}" for label, number in sorted(count.items())))
    print(f"years      {min(ages):.0f} to {max(ages):.0f}")


class Measures:
    """Embeddings, angles and detections of the pictures so far."""

    def __init__(self) -> None:
        self.networks: dict[str, DlibFace | SFace] = {"dlib": DlibFace(), "SFace": SFace()}
        self.detector = YuNet(SCORE_THRESHOLD)
        self.embeddings: dict[str, list[Array]] = {name: [] for name in self.networks}
        self.person: list[int] = []
        self.yaw: list[float] = []
        self.found: dict[tuple[str, str], list[bool]] = {}

    def add(self, person: int, yaw: float, image: Bytes, points: Array) -> None:
        """Take in a photo [S, S, 3] with its five points [5, 2]."""
        picture = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
        with torch.no_grad():
            for name, network in self.networks.items():
                vectors = network.embed(picture, torch.from_numpy(points)[None])
                self.embeddings[name].append(vectors[0].numpy())
        self.person.append(person)
        self.yaw.append(abs(math.degrees(yaw)))

    def detect(self, row: str, head: str, image: Bytes) -> None:
        """Note whether the detector finds a face in a picture of the named row, whose head is turned so."""
        found = len(self.detector.detect(np.ascontiguousarray(image))) > 0
        for turned in ("any turn", head):
            self.found.setdefault((row, turned), []).append(found)

    def print_distances(self) -> None:
        """One line for each network, for all pictures and for heads near the front."""
        first, second = np.triu_indices(len(self.person), 1)
        person, yaw = np.array(self.person), np.array(self.yaw)
        same = person[first] == person[second]
        for turned, limit in (("any turn", 180.0), (f"within {NEAR_FRONTAL:.0f} degrees", NEAR_FRONTAL)):
            kept = (yaw[first] < limit) & (yaw[second] < limit)
            for name, vectors in self.embeddings.items():
                stacked = np.stack(vectors)
                apart = np.linalg.norm(stacked[first] - stacked[second], axis=1)
                apart = apart if name == "dlib" else apart**2 / 2
                own, other = apart[same & kept], apart[~same & kept]
                wins = (own[:, None] < other[None]).mean()
                print(
                    f"{name:5s} {turned:18s} one person {own.mean():.3f}  two people {other.mean():.3f}  "
                    f"AUC {wins:.4f}  ({len(own)} and {len(other)} pairs)"
                )


def write_sheet(path: Path, images: list[Bytes], columns: int) -> None:
    """Pictures in rows of so many columns."""
    filled = [*images, *[np.zeros_like(images[0])] * (-len(images) % columns)]
    rows = [np.hstack(filled[start : start + columns]) for start in range(0, len(filled), columns)]
    cv2.imwrite(str(path), np.vstack(rows)[..., ::-1])


def main() -> None:
    """Print shares, distances and detection rates."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--people", type=int, default=60)
    parser.add_argument("--takes", type=int, default=2)
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--assets", type=Path)
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--no-cartoons", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)

    renderer, measures = PairRenderer(options.size, options.assets), Measures()
    print_shares(renderer)
    images = []
    for index, take in itertools.product(range(options.people), range(options.takes)):
        subject = renderer.subject(SEED, index, take)
        photo = renderer.photograph(subject).image
        points = face_points(subject.posed.positions, renderer.head.landmarks)
        projected = subject.scene.camera.project(points, options.size)[:, :2]
        measures.add(index, subject.pose.yaw, photo, np.ascontiguousarray(projected, np.float32))
        head = labels(subject.person, subject.pose)["head"]
        measures.detect("photo", head, photo)
        images.append(photo)
        for style_map in renderer.style_maps if take == 0 and not options.no_cartoons else []:
            measures.detect(style_map.style.name, head, renderer.draw(subject, style_map)[1].image)
    measures.print_distances()
    for (row, turned), found in sorted(measures.found.items()):
        print(f"a face is found in {np.mean(found):.3f} of {len(found)}: {row}, {turned}")
    if options.sheet:
        write_sheet(options.sheet, images, 8 * options.takes)


if __name__ == "__main__":
    main()
