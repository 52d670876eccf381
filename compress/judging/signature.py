"""How a file's one input and one output stand for pictures: layout, type, range and what sizes it takes; and both ways.

Pictures are uint8 [N, H, W, 3] RGB outside. Finding out what a file wants is `judging.admission`. Not covered: other
orders of the channels than RGB, and pictures in YUV.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Tensor = NDArray[Any]

LAYOUTS = ("nchw", "nhwc")
INPUT_RANGES = ("-1..1", "0..1", "0..255", "imagenet")
OUTPUT_RANGES = ("-1..1", "0..1", "0..255")
DTYPES = ("float32", "float16", "uint8")
# Mean and standard deviation of ImageNet's pixels in 0..1, RGB. Source: torchvision, transforms of its classifiers.
_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_STD = np.array([0.229, 0.224, 0.225], np.float32)


@dataclass(frozen=True)
class Signature:
    """One input, one output; a batch, height or width of 0 is free. The defaults are those of our own exports."""

    input: str = "photo"
    output: str = "image"
    layout: str = "nchw"
    output_layout: str = "nchw"
    dtype: str = "float32"
    output_dtype: str = "float32"
    input_range: str = "-1..1"
    output_range: str = "-1..1"
    batch: int = 0
    height: int = 0
    width: int = 0

    def encode(self, photos: Bytes) -> Tensor:
        """Photos uint8 [N, H, W, 3] as the file wants them."""
        if self.dtype == "uint8":
            tensor: Tensor = photos
        else:
            tensor = normalised(photos, self.input_range).astype(self.dtype)
        return np.ascontiguousarray(tensor.transpose(0, 3, 1, 2) if self.layout == "nchw" else tensor)

    def decode(self, tensor: Tensor) -> Floats:
        """What the file gave as pictures float32 [N, H, W, 3], clipped to [-1, 1]."""
        pictures = tensor.transpose(0, 2, 3, 1) if self.output_layout == "nchw" else tensor
        scale, offset = {"-1..1": (1.0, 0.0), "0..1": (2.0, -1.0), "0..255": (1 / 127.5, -1.0)}[self.output_range]
        decoded: Floats = np.clip(pictures.astype(np.float32) * np.float32(scale) + np.float32(offset), -1, 1)
        return decoded

    def picture_shape(self, photos: Bytes) -> tuple[int, ...]:
        """Shape of the tensor that answers `photos`."""
        count, height, width = photos.shape[:3]
        return (count, 3, height, width) if self.output_layout == "nchw" else (count, height, width, 3)

    def takes(self, height: int, width: int) -> bool:
        """Whether photos of this size can be given to the file."""
        return self.height in (0, height) and self.width in (0, width)

    def as_dict(self) -> dict[str, str | int]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Signature:
        """From JSON; raises KeyError if something is missing, other entries are left alone."""
        return cls(**{field.name: record[field.name] for field in fields(cls)})


def normalised(photos: Bytes, input_range: str) -> Floats:
    """Photos uint8 [N, H, W, 3] to float32 of the same shape in one of `INPUT_RANGES`."""
    if input_range == "-1..1":
        return photos.astype(np.float32) / np.float32(127.5) - np.float32(1)
    pixels = photos.astype(np.float32)
    if input_range == "0..255":
        return pixels
    share = pixels / np.float32(255)
    return share if input_range == "0..1" else (share - _MEAN) / _STD
