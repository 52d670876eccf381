"""Contact sheets: rows of pictures side by side with titles and captions, as one PNG.

Only drawing; which pictures are shown is the caller's choice. Text is ASCII: OpenCV's fonts hold nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from compress.errors import StorageError

Bytes = NDArray[np.uint8]

HEADER, CAPTION, GAP = 26, 22, 4
_INK, _PAPER = 40, 255
_SMALLEST = 128  # smaller pictures are enlarged to this, larger ones are shown as they are


@dataclass(frozen=True)
class Row:
    """Pictures uint8 [H, W, 3] RGB, all of one size, and one line of text below them."""

    pictures: Sequence[Bytes]
    caption: str


def amplified_difference(image: Bytes, target: Bytes, factor: int = 4) -> Bytes:
    """|image - target| * factor as a picture: black where equal."""
    gap = np.abs(image.astype(np.int16) - target.astype(np.int16)) * factor
    picture: Bytes = np.minimum(gap, 255).astype(np.uint8)
    return picture


def contact_sheet(rows: Sequence[Row], titles: Sequence[str], path: Path) -> None:
    """Draw `rows` below their column `titles` and write a PNG at `path`.

    Raises ValueError if there is no row, a row has another number of pictures than titles, or sizes differ;
    StorageError if the file cannot be written.
    """
    if not rows or any(len(row.pictures) != len(titles) for row in rows):
        raise ValueError(f"a sheet of {len(rows)} rows needs {len(titles)} pictures in each")
    if len({picture.shape for row in rows for picture in row.pictures}) != 1:
        raise ValueError("pictures of a sheet differ in size")
    scale = max(1, -(-_SMALLEST // rows[0].pictures[0].shape[1]))
    strips = [_header(titles, rows[0].pictures[0].shape[1] * scale)]
    strips += [_strip(row, scale) for row in rows]
    ok, png = cv2.imencode(".png", np.concatenate(strips)[:, :, ::-1])
    if not ok:
        raise ValueError(f"OpenCV could not encode {path.name}")
    try:
        path.write_bytes(png.tobytes())
    except OSError as error:
        raise StorageError(f"{path}: cannot be written ({error.strerror}); free some space and run again") from error


def crop_rows(sheet: Bytes, rows: int, columns: int) -> Bytes:
    """The first `rows` of a sheet [H, W, 3] of square pictures in `columns`, header included."""
    picture = (sheet.shape[1] + GAP) // columns - GAP
    return sheet[: HEADER + rows * (picture + CAPTION)]


def _header(titles: Sequence[str], width: int) -> Bytes:
    strip = np.full((HEADER, len(titles) * (width + GAP) - GAP, 3), _PAPER, np.uint8)
    for column, title in enumerate(titles):
        _write(strip, title, column * (width + GAP) + 2, HEADER - 9, width - 4)
    return strip


def _strip(row: Row, scale: int) -> Bytes:
    pictures = [picture.repeat(scale, 0).repeat(scale, 1) for picture in row.pictures]
    gap = np.full((pictures[0].shape[0], GAP, 3), _PAPER, np.uint8)
    line = [part for picture in pictures for part in (picture, gap)][:-1]
    strip = np.concatenate(line, axis=1)
    caption = np.full((CAPTION, strip.shape[1], 3), _PAPER, np.uint8)
    _write(caption, row.caption, 2, CAPTION - 8, strip.shape[1] - 4)
    return np.concatenate([strip, caption])


def _write(strip: Bytes, text: str, x: int, y: int, width: int) -> None:
    """Write `text` in place, smaller if it would be wider than `width` px."""
    ascii_text = text.encode("ascii", "replace").decode()
    size = 0.42
    (needed, _), _ = cv2.getTextSize(ascii_text, cv2.FONT_HERSHEY_SIMPLEX, size, 1)
    size *= min(1.0, width / max(needed, 1))
    cv2.putText(strip, ascii_text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, size, (_INK,) * 3, 1, cv2.LINE_AA)
