"""Which means of the face's sliders draw different people apart: a round of the search behind `proportions.MEANS`.

    python benchmarks/mean_face.py [--people 120] [--step 0.2] [--seed 20000] [--only nose]

Every mean is moved by the step either way, with all else and the random numbers the same, and the mean distance of
different people in dlib's face network (needs `kcompress[dlib]`) is compared with what it is without the move. At a
maximum no move helps by much more than the noise, which is about 0.002 for 120 people.
"""

from __future__ import annotations

import argparse

import cv2
import numpy as np
import torch

from compress.faces import PairRenderer
from compress.faces.truth import face_points
from compress.networks.dlibnet import DlibFace

SIZE, TOLD, BATCH = 128, 0.001, 20
"""Side of the photographs; gains below are not printed; faces that are embedded at once."""


def distance(renderer: PairRenderer, network: DlibFace, seed: int, people: int) -> float:
    """Mean distance of the first so many people of a seed, one photograph of each."""
    images, points = [], []
    for index in range(people):
        subject = renderer.subject(seed, index)
        at = face_points(subject.posed.positions, renderer.head.landmarks)
        images.append(renderer.photograph(subject).image)
        points.append(subject.scene.camera.project(at, SIZE)[:, :2])
    pictures = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 127.5 - 1
    places = torch.from_numpy(np.stack(points))
    with torch.no_grad():
        vectors = [network.embed(pictures[k : k + BATCH], places[k : k + BATCH]) for k in range(0, people, BATCH)]
    return float(torch.pdist(torch.cat(vectors)).mean())


def main() -> None:
    """Print the distance as it is, then each move that adds to it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--people", type=int, default=120)
    parser.add_argument("--step", type=float, default=0.2)
    parser.add_argument("--seed", type=int, default=20_000)
    parser.add_argument("--only", default="", help="sliders whose name holds this")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)

    renderer, network = PairRenderer(SIZE), DlibFace()
    proportions, keys = renderer.population.proportions, renderer.population.keys
    start, before = proportions.mean, distance(renderer, network, options.seed, options.people)
    print(f"two people {before:.4f}")
    for number, key in enumerate(keys):
        for move in (options.step, -options.step) if options.only in key else ():
            proportions.mean = start.copy()
            proportions.mean[number] += move
            gain = distance(renderer, network, options.seed, options.people) - before
            if gain >= TOLD:
                print(f"{key:36s} {start[number]:+.2f} {move:+.2f} {gain:+.4f}", flush=True)


if __name__ == "__main__":
    main()
