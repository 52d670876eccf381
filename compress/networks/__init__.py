"""Pretrained networks that measure and supervise: identity embeddings and image features, by name.

Each network knows its `.name`, `.licence` and `.sha256`, so that a metric can say what it was measured with. Weights
come from packages of the Python index and are checked by hash; nothing is downloaded. `face_points` alone
was trained here, by `build_face_points`, and its weights lie beside it. Training the others is not covered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from compress.errors import InputError

if TYPE_CHECKING:
    from compress.networks.lite0 import EfficientNetLite0
    from compress.networks.sface import SFace

IDENTITY_NETWORKS = ("sface",)
FEATURE_NETWORKS = ("efficientnet-lite0",)


def identity(name: str = "sface") -> SFace:
    """Load an identity network: `.embed(images, points) -> [N, 128]` of unit length, differentiable.

    Raises InputError for an unknown name, or for weights that are missing or changed.
    """
    if name != "sface":
        raise InputError(f"identity network: {name!r} is unknown; known: {', '.join(IDENTITY_NETWORKS)}")
    from compress.networks.sface import SFace

    return SFace()


def features(name: str = "efficientnet-lite0") -> EfficientNetLite0:
    """Load a feature network: `.pooled(images) -> [N, 1280]`, `.maps(images, layers) -> list`, differentiable.

    Raises InputError for an unknown name, or for weights that are missing or changed.
    """
    if name != "efficientnet-lite0":
        raise InputError(f"feature network: {name!r} is unknown; known: {', '.join(FEATURE_NETWORKS)}")
    from compress.networks.lite0 import EfficientNetLite0

    return EfficientNetLite0()
