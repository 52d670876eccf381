"""Train the weights of `face_points` on rendered pairs: `python -m compress.networks.build_face_points PAIRS STEPS`.

PAIRS is the folder of a `pairs` step, with photos, cartoons of each style and their points. Half of the pictures of a
batch are photos, half cartoons; each is turned, zoomed, shifted, mirrored, and its colours, sharpness and noise change,
since what is measured later is neither of the two. Prints the errors on pairs kept apart. Not covered: rendering.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch.nn import functional as F

from compress.networks.face_points import MIRRORED, SIDE, WEIGHTS, FacePointsNetwork, eye_opening
from compress.shards import Sample, Shards

BATCH = 32
RATE = 3e-3
Bytes = NDArray[np.uint8]
Floats = NDArray[np.floating]


def draw(sample: Sample, row: int, random: np.random.Generator) -> tuple[Bytes, Floats]:
    """The photo of a row, or one of its cartoons, with its points [24, 2] in pixels."""
    if random.random() < 0.5:
        return sample["photo"][row], sample["landmarks_photo"][row]
    style = int(random.integers(sample["cartoon"].shape[1]))
    return sample["cartoon"][row, style], sample["landmarks_cartoon"][row, style]


def change(picture: Bytes, points: Floats, random: np.random.Generator) -> tuple[Bytes, Floats]:
    """The picture as another camera would have seen it, at SIDE px, and the points in it, 0..1."""
    angle, zoom = random.normal(0, 0.12), float(np.exp(random.normal(0, 0.08))) * SIDE / len(picture)
    turn = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shift = SIDE / 2 + random.normal(0, 4, 2) - turn @ np.full(2, len(picture) / 2)
    pixels = np.column_stack([turn, shift + turn @ [0.5, 0.5] - 0.5])  # OpenCV counts from the centres of pixels
    seen = cv2.warpAffine(picture, pixels, (SIDE, SIDE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    places = (points @ turn.T + shift) / SIDE
    if random.random() < 0.5:
        seen, places = np.ascontiguousarray(seen[:, ::-1]), (places * [-1, 1] + [1, 0])[list(MIRRORED)]
    return develop(np.asarray(seen, np.float32), random), places


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


def train(pairs: Shards, steps: int, seed: int = 0) -> FacePointsNetwork:
    """AdamW with a one-cycle rate on the mean distance of points; lids count twice, as opening is what is asked for."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    network = FacePointsNetwork().train()
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, steps)
    weight = torch.ones(24)
    weight[:8] = 2
    for step in range(steps):
        rows = random.integers(len(pairs), size=BATCH)
        sample = pairs.read(rows, ("photo", "cartoon", "landmarks_photo", "landmarks_cartoon"))
        changed = [change(*draw(sample, row, random), random) for row in range(BATCH)]
        pictures = torch.from_numpy(np.stack([picture for picture, _ in changed])).permute(0, 3, 1, 2).float()
        truth = torch.from_numpy(np.stack([places for _, places in changed])).float()
        found = network(pictures / 127.5 - 1)
        # Beyond the picture no heat map can point.
        inside = ((truth > 0.01) & (truth < 0.99)).all(2)
        distance = (F.smooth_l1_loss(found, truth, beta=0.01, reduction="none").sum(2) * inside * weight).sum()
        loss = distance / (inside * weight).sum()
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
        if step % 100 == 0 or step == steps - 1:
            print(f"step {step}/{steps}: loss {float(loss.detach()) * 1000:.3f} / 1000", flush=True)
    return network.eval()


@torch.no_grad()
def errors(network: FacePointsNetwork, pairs: Shards) -> list[str]:
    """Lines for people: error of points and of the opening, of photos and of each style, and of their ratio."""
    shares: dict[str, tuple[Floats, Floats]] = {}
    lines = []
    sample = pairs.read(range(min(len(pairs), 300)), ("photo", "cartoon", "landmarks_photo", "landmarks_cartoon"))
    kinds = {"photo": (sample["photo"], sample["landmarks_photo"])}
    for style in range(sample["cartoon"].shape[1]):
        kinds[f"cartoon {style}"] = (sample["cartoon"][:, style], sample["landmarks_cartoon"][:, style])
    for kind, (pictures, points) in kinds.items():
        found = network.find(pictures)
        far = np.linalg.norm(found - points, axis=2)
        shares[kind] = eye_opening(found), eye_opening(points)
        here, true = shares[kind]
        relation = float(np.corrcoef(here, true)[0, 1])
        lines.append(
            f"{kind}: lids {far[:, :8].mean():.2f} px, all {far.mean():.2f} px of {pictures.shape[1]}; opening "
            f"{here.mean():.4f}, true {true.mean():.4f}, correlation {relation:.3f}"
        )
    for kind, (here, true) in shares.items():
        ratios = here.mean() / shares["photo"][0].mean(), true.mean() / shares["photo"][1].mean()
        lines.append(f"{kind} against photo: {ratios[0]:.3f} times, true {ratios[1]:.3f}")
    return lines


def main(arguments: list[str]) -> None:
    """Train and save."""
    if len(arguments) != 2:
        raise SystemExit("usage: python -m compress.networks.build_face_points PAIRS STEPS")
    folder, steps = Path(arguments[0]), int(arguments[1])
    network = train(Shards(folder / "train"), steps)
    WEIGHTS.parent.mkdir(exist_ok=True)
    save_file({name: tensor.half() for name, tensor in network.state_dict().items()}, WEIGHTS)
    for line in errors(network, Shards(folder / "validation")):
        print(line)


if __name__ == "__main__":
    main(sys.argv[1:])
