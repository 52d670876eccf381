"""A contact sheet of rendered pairs: rows of photos, below each the rows of its cartoons, one a style."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from compress.errors import InputError, StorageError
from compress.faces.parallel import render_many
from compress.faces.styles import STYLES

Bytes = npt.NDArray[np.uint8]
COLUMNS = 8
SUFFIXES = (".png", ".jpg", ".jpeg")


def arrange(rows: Sequence[Sequence[Bytes]], columns: int = COLUMNS) -> Bytes:
    """Sheet uint8 of rows of equally many pictures [S, S, 3], one below the other, broken after `columns` pictures.

    A last band that is not full is white.
    """
    size = rows[0][0].shape[0]
    columns = min(columns, len(rows[0]))
    bands = []
    for start in range(0, len(rows[0]), columns):
        for row in rows:
            part = row[start : start + columns]
            blank = [np.full((size, size, 3), 255, np.uint8)] * (columns - len(part))
            bands.append(np.hstack([*part, *blank]))
    return np.vstack(bands)


def render_sheet(
    count: int,
    size: int,
    seed: int,
    out: Path,
    processes: int = 1,
    assets: Path | None = None,
    styles: Sequence[str] = tuple(STYLES),
) -> Path:
    """Render samples 0..count-1 of a seed in each style and write the sheet as PNG or JPEG; returns its path.

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
    samples = list(render_many(seed, range(count), size, processes, "pair", assets, styles))
    cartoons = [[sample["cartoon"][k] for sample in samples] for k in range(len(styles))]
    sheet = arrange([[sample["photo"] for sample in samples], *cartoons])
    encoded = cv2.imencode(suffix, sheet[..., ::-1])[1]
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(encoded.tobytes())
    except OSError as error:
        raise StorageError(f"render: {out} cannot be written ({error.strerror}); choose another --out") from error
    return out
