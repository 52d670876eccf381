"""The networks that judge pictures: who is in them, what they look like, where the face and how open its eyes are.

`open_judges` makes them from a recipe's section. What is computed with them is `judging.description` (one picture) and
`judging.evaluation` (a test set).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from compress import networks

if TYPE_CHECKING:
    from compress.recipe import JudgeSettings

SFACE = "sface"
LAYERS = ("stage1", "stage2", "stage3", "stage5")
STYLE_LAYERS = ("stage1", "stage2", "stage3")
HEAD = "head"


class IdentityNetwork(Protocol):
    """What is asked of a face recognition network."""

    name: str
    sha256: str

    def embed(self, images: Tensor, points: Tensor) -> Tensor: ...


class FeatureNetwork(Protocol):
    """What is asked of an image backbone."""

    name: str
    sha256: str

    def maps(self, images: Tensor, layers: Sequence[str]) -> Sequence[Tensor]: ...


class FaceFinder(Protocol):
    """What is asked of a detector of five points."""

    name: str
    sha256: str

    def find(self, images: NDArray[np.uint8], expected: NDArray[np.floating], score: float) -> NDArray[np.floating]: ...


class EyeMeasure(Protocol):
    """What is asked of a network that sees how far eyes are open."""

    name: str
    sha256: str

    def opening(self, images: NDArray[np.uint8]) -> NDArray[np.floating]: ...


@dataclass(frozen=True)
class Judges:
    """The networks of the learned metrics.

    Of `features`, `layers` give the perceptual distance, those of `style` Gram matrices, and the mean of `head` goes
    into KID and diversity.
    """

    identity: IdentityNetwork
    features: FeatureNetwork
    faces: FaceFinder
    eyes: EyeMeasure
    layers: tuple[str, ...] = LAYERS
    style: tuple[str, ...] = STYLE_LAYERS
    head: str = HEAD
    float_identity: bool = False  # embed the float student's pictures too, the dearest of all measurements

    def describe(self) -> dict[str, dict[str, object]]:
        """Name, hash and layers of each by its role, for verdicts and for stored features."""
        of: Mapping[str, tuple[IdentityNetwork | FeatureNetwork | FaceFinder | EyeMeasure, tuple[str, ...]]] = {
            "identity": (self.identity, ()),
            "perceptual": (self.features, self.layers),
            "style": (self.features, self.style),
            "kid": (self.features, (self.head,)),
            "landmarks": (self.faces, ()),
            "eyes": (self.eyes, ()),
        }
        return {
            role: {"name": network.name, "sha256": network.sha256, "layers": list(layers)}
            for role, (network, layers) in of.items()
        }


def open_judges(settings: JudgeSettings, device: str, float_identity: bool = False) -> Judges:
    """The judges of a recipe: SFace or the ONNX encoder of `settings`, EfficientNet-Lite0, YuNet and face points.

    Raises InputError for weights that are missing or changed, or an encoder that cannot be used.
    """
    from compress.judging.metrics.eyes import EyeFinder
    from compress.judging.metrics.landmarks import Finder

    identity: IdentityNetwork
    if settings.identity == SFACE:
        identity = networks.identity(SFACE).to(device)
    else:
        from compress.networks.encoder import OnnxEncoder

        identity = OnnxEncoder(Path(settings.identity), settings.colour, settings.range)
    features = networks.features("efficientnet-lite0").to(device)
    return Judges(identity, features, Finder(), EyeFinder(), float_identity=float_identity)
