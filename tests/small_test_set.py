"""A small stored test set and judges without weights, for tests of evaluation and features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from compress.judging.candidate import bytes_of, tensor_of
from compress.judging.judges import Judges
from compress.judging.testset import Batch, TestSet
from compress.shards import Shards, ShardWriter

SIDE = 32
POINTS = np.array([[8, 12], [24, 12], [16, 18], [10, 24], [22, 24]], np.float32)


class Coarse:
    """Judges both ways: the picture shrunk to 4 x 4 is the identity, and to 8 x 8 the features."""

    def __init__(self, name: str = "coarse") -> None:
        self.name, self.sha256, self.seen = name, "0" * 64, 0

    def embed(self, images: Tensor, points: Tensor) -> Tensor:
        return torch.nn.functional.normalize(torch.nn.functional.adaptive_avg_pool2d(images, 4).flatten(1), dim=1)

    def maps(self, images: Tensor, layers: Sequence[str]) -> list[Tensor]:
        self.seen += len(images)
        return [torch.nn.functional.adaptive_avg_pool2d(images, 8) + 1 for _ in layers]


class Corners:
    """Finds each face at one place, shifted by how bright the picture is; none in a dark picture."""

    name, sha256 = "corners", "1" * 64

    def find(self, images: np.ndarray, expected: np.ndarray, score: float) -> np.ndarray:
        level = images.mean(axis=(1, 2, 3))[:, None, None] / 255
        return np.where(level < 0.1, np.nan, POINTS + level).astype(np.float32)


class Lids:
    """Eyes are open as far as the picture is bright."""

    name, sha256 = "lids", "2" * 64

    def opening(self, images: np.ndarray) -> np.ndarray:
        return images.mean(axis=(1, 2, 3)) / 255


@dataclass
class Gain:
    """A student that multiplies the photo around mid-grey; `frozen` draws the first picture for everybody."""

    gain: float
    frozen: bool = False

    def draw(self, batch: Batch) -> np.ndarray:
        photo = np.repeat(batch.photo[:1], len(batch), axis=0) if self.frozen else batch.photo
        return bytes_of(self.gain * tensor_of(photo)).transpose(0, 2, 3, 1)


def judges(identity: str = "coarse", float_identity: bool = False) -> Judges:
    return Judges(Coarse(identity), Coarse("features"), Corners(), Lids(), float_identity=float_identity)


def write(root: Path, count: int, people: int | None = None, facts: bool = True) -> tuple[Path, Path]:
    """Random pictures of `people`, whose teacher darkens them to 0.8; folders of inputs and targets."""
    generator = np.random.default_rng(0)
    coarse = [generator.integers(40, 216, (4, 4, 3)).repeat(SIDE // 4, 0).repeat(SIDE // 4, 1) for _ in range(count)]
    with ShardWriter(root / "inputs", 8) as inputs, ShardWriter(root / "targets", 8) as targets:
        for index in range(count):
            photo = np.uint8(coarse[index] + generator.integers(-40, 40, (SIDE, SIDE, 3)))
            image = bytes_of(0.8 * tensor_of(photo[None]))[0].transpose(1, 2, 0)
            known = {
                "person": np.array(f"person-{index % (people or count)}", "S64"),
                "glasses": np.array(["yes", "no"][index % 2], "S16"),
            }
            name, source = np.array(f"p-{index}", "S120"), np.uint8(0)
            inputs.add({"photo": photo, "points": POINTS, "source": source, "name": name} | (known if facts else {}))
            e = [Coarse().embed(torch.from_numpy(tensor_of(p[None])), Tensor())[0].numpy() for p in (image, photo)]
            targets.add({"image": image, "identity": np.float16(e[0]), "photo_identity": np.float16(e[1])})
    return root / "inputs", root / "targets"


def test_set(root: Path, count: int = 40, people: int | None = None, facts: bool = True) -> TestSet:
    return TestSet(*(Shards(folder) for folder in write(root, count, people, facts)))
