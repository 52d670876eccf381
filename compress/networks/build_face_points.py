"""Train the weights of `face_points` on rendered pairs: `python -m compress.networks.build_face_points PAIRS STEPS`.

PAIRS is the folder `pairs` of a `renders` step: photos, cartoons of each style and their points. Half the pictures of a
batch are photos, half cartoons; each is turned, zoomed, shifted, mirrored, and its colours, sharpness and noise change,
since what is measured later is neither of the two. Pictures of eyes are also stretched across and along, so that how
far they are open can only be told by measuring. One pair in ten is kept apart for the errors that are printed. Not
covered: rendering.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from compress.networks.face_points import (
    EYE_SIDE,
    EYES,
    FACE_SIDE,
    MIRRORED,
    WEIGHTS,
    FacePoints,
    HeatMaps,
    cut,
    eye_frame,
    eye_opening,
    tensor_of,
)
from compress.shards import Sample, Shards

FIELDS = ("photo", "cartoon", "landmarks_photo", "landmarks_cartoon")
RATES = {"face": 3e-3, "eye": 4e-3}
Bytes = NDArray[np.uint8]
Floats = NDArray[np.floating]
Lesson = Callable[[Sample, int, np.random.Generator], tuple[Bytes, Floats]]


def draw(sample: Sample, row: int, random: np.random.Generator) -> tuple[Bytes, Floats]:
    """The photo of a row, or one of its cartoons, with its points [24, 2] in pixels."""
    if random.random() < 0.5:
        return sample["photo"][row], sample["landmarks_photo"][row]
    style = int(random.integers(sample["cartoon"].shape[1]))
    return sample["cartoon"][row, style], sample["landmarks_cartoon"][row, style]


def face_lesson(sample: Sample, row: int, random: np.random.Generator) -> tuple[Bytes, Floats]:
    """A picture as another camera would have seen it, at FACE_SIDE px, and its points, 0..1."""
    picture, points = draw(sample, row, random)
    angle, zoom = random.normal(0, 0.12), float(np.exp(random.normal(0, 0.08))) * FACE_SIDE / len(picture)
    turn = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shift = FACE_SIDE / 2 + random.normal(0, 4, 2) - turn @ np.full(2, len(picture) / 2)
    pixels = np.column_stack([turn, shift + turn @ [0.5, 0.5] - 0.5])  # OpenCV counts from the centres of pixels
    wide = (FACE_SIDE, FACE_SIDE)
    seen = cv2.warpAffine(picture, pixels, wide, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    places = (points @ turn.T + shift) / FACE_SIDE
    if random.random() < 0.5:
        seen, places = np.ascontiguousarray(seen[:, ::-1]), (places * [-1, 1] + [1, 0])[list(MIRRORED)]
    return develop(np.asarray(seen, np.float32), random), places


def eye_lesson(sample: Sample, row: int, random: np.random.Generator) -> tuple[Bytes, Floats]:
    """The picture of an eye, not quite where it should be, stretched, and its four points, 0..1."""
    picture, points = draw(sample, row, random)
    eye = int(random.integers(2))
    angle, zoom = random.normal(0, 0.1), np.exp(random.normal(0, 0.1))
    stretch = np.diag(zoom * np.exp(random.normal(0, (0.08, 0.25))))
    change = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ stretch
    frame = eye_frame(points, eye)
    middle = np.full(2, EYE_SIDE / 2)
    shift = change @ (frame[:, 2] - middle) + middle + random.normal(0, 3, 2)
    matrix = np.column_stack([change @ frame[:, :2], shift])
    places = (points[list(EYES[eye])] @ matrix[:, :2].T + matrix[:, 2]) / EYE_SIDE
    return develop(cut(picture, matrix).astype(np.float32), random), places


def develop(picture: Floats, random: np.random.Generator) -> Bytes:
    """Other light, colours, sharpness and noise."""
    blur = float(random.uniform(0, 1.2)) if random.random() < 0.5 else 0.0
    if blur > 0.3:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), blur), np.float32)
    grey = picture.mean(axis=2, keepdims=True)
    picture = grey + (picture - grey) * random.uniform(0.3, 1.5)
    picture = (picture - 127.5) * random.uniform(0.6, 1.4) + 127.5 + random.normal(0, 18, 3) + random.normal(0, 18)
    picture = picture + random.normal(0, random.uniform(0, 6), picture.shape)
    return np.asarray(picture.clip(0, 255), np.uint8)


def face_loss(found: Tensor, truth: Tensor) -> Tensor:
    """Distance of the points; of those beyond the picture nothing is asked, since no heat map can point there."""
    inside = ((truth > 0.01) & (truth < 0.99)).all(2)
    distance = F.smooth_l1_loss(found, truth, beta=0.01, reduction="none").sum(2)
    return (distance * inside).sum() / inside.sum()


def eye_loss(found: Tensor, truth: Tensor) -> Tensor:
    """Distance of the points, and how far the lids are apart."""
    distance = F.smooth_l1_loss(found, truth, beta=0.01, reduction="none").sum(2).mean()
    open_found, open_true = (points[:, 2] - points[:, 3] for points in (found, truth))
    return distance + F.smooth_l1_loss(open_found, open_true, beta=0.01, reduction="none").sum(1).mean()


def train(name: str, network: HeatMaps, pairs: Shards, rows: range, steps: int, repeats: int, seed: int = 0) -> None:
    """AdamW with a one-cycle rate on batches of 64: 64 / `repeats` of the `rows` of pairs, each drawn so many times."""
    random = np.random.default_rng(seed)
    lesson: Lesson = {"face": face_lesson, "eye": eye_lesson}[name]
    loss_of = {"face": face_loss, "eye": eye_loss}[name]
    network.train()
    optimizer = torch.optim.AdamW(network.parameters(), RATES[name], weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATES[name], steps)
    for step in range(steps):
        sample = pairs.read(random.choice(rows, 64 // repeats), FIELDS)
        lessons = [lesson(sample, row // repeats, random) for row in range(64)]
        found = network(tensor_of(np.stack([picture for picture, _ in lessons])))
        loss = loss_of(found, torch.from_numpy(np.stack([places for _, places in lessons])).float())
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
        if step % 100 == 0 or step == steps - 1:
            print(f"{name} {step}/{steps}: loss {float(loss.detach()):.4f}", flush=True)
    network.eval()


def errors(networks: FacePoints, pairs: Shards, rows: range) -> list[str]:
    """Lines for people: error of the lids and of the opening, of photos and of each style, and the openings' ratio."""
    sample = pairs.read(rows, FIELDS)
    kinds = {"photo": (sample["photo"], sample["landmarks_photo"])}
    for style in range(sample["cartoon"].shape[1]):
        kinds[f"cartoon {style}"] = (sample["cartoon"][:, style], sample["landmarks_cartoon"][:, style])
    lines, of_photo = [], np.ones(2)
    for kind, (pictures, points) in kinds.items():
        found = networks.find(np.ascontiguousarray(pictures))
        lids = np.linalg.norm(found - points, axis=2)[:, :8].mean()
        here, true = eye_opening(found), eye_opening(points)
        means = np.array([here.mean(), true.mean()])
        of_photo = means if kind == "photo" else of_photo
        (ratio, wanted), relation = means / of_photo, float(np.corrcoef(here, true)[0, 1])
        lines.append(
            f"{kind}: lids {lids:.2f} px of {pictures.shape[1]}; opening {means[0]:.4f}, true {means[1]:.4f}, "
            f"correlation {relation:.3f}; against photos {ratio:.3f} times, true {wanted:.3f}"
        )
    return lines


def main(arguments: list[str]) -> None:
    """Train and save."""
    if len(arguments) != 2:
        raise SystemExit("usage: python -m compress.networks.build_face_points PAIRS STEPS")
    folder, steps = Path(arguments[0]), int(arguments[1])
    torch.manual_seed(0)
    networks, pairs = FacePoints(), Shards(folder)
    learned = range(len(pairs) - max(2, len(pairs) // 10))
    train("face", networks.face, pairs, learned, steps, repeats=2)
    train("eye", networks.eye, pairs, learned, steps, repeats=8)
    networks.eval()
    weights = {name: tensor.half() for name, tensor in networks.state_dict().items() if tensor.is_floating_point()}
    save_file(weights, WEIGHTS)
    for line in errors(networks, pairs, range(len(learned), len(pairs))):
        print(line)


if __name__ == "__main__":
    main(sys.argv[1:])
