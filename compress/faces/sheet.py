"""A contact sheet of rendered pairs: rows of photos, below each the row of its cartoons."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from compress.errors import InputError, StorageError
from compress.faces.parallel import render_many

Bytes = npt.NDArray[np.uint8]
COLUMNS = 8
SUFFIXES = (".png", ".jpg", ".jpeg")


def arrange(photos: list[Bytes], cartoons: list[Bytes], columns: int = COLUMNS) -> Bytes:
    """Sheet uint8 of pictures [S, S, 3]; a last row that is not full is white."""
    size = photos[0].shape[0]
    columns = min(columns, len(photos))
    bands = []
    for start in range(0, len(photos), columns):
        for row in (photos[start : start + columns], cartoons[start : start + columns]):
            blank = [np.full((size, size, 3), 255, np.uint8)] * (columns - len(row))
            bands.append(np.hstack([*row, *blank]))
    return np.vstack(bands)


def render_sheet(count: int, size: int, seed: int, out: Path, processes: int = 1, assets: Path | None = None) -> Path:
    """Render samples 0..count-1 of a seed and write the sheet as PNG or JPEG; returns its path.

    Raises InputError for a count or size that is too small, StorageError if the file cannot be written.
    """
    if count < 1:
        raise InputError(f"render: count={count} is too small; ask for at least 1")
    if size < 32 or size % 4:
        raise InputError(f"render: size={size} is not a multiple of 4 of at least 32; 128 and 256 are usual")
    out = Path(out)
    suffix = out.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"render: {out} does not end in {' or '.join(SUFFIXES)}; name the sheet so")
    samples = list(render_many(seed, range(count), size, processes, "pair", assets))
    sheet = arrange([sample["photo"] for sample in samples], [sample["cartoon"] for sample in samples])
    encoded = cv2.imencode(suffix, sheet[..., ::-1])[1]
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(encoded.tobytes())
    except OSError as error:
        raise StorageError(f"render: {out} cannot be written ({error.strerror}); choose another --out") from error
    return out
