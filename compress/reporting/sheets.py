"""Contact sheets: rows of pictures side by side with titles and captions, as one PNG that can be read back.

Titles and captions are drawn for who opens the file, and kept in it as text for the report page, which shows them as
words. Only drawing; which pictures are shown is the caller's choice. Drawn text is ASCII: OpenCV's fonts hold nothing
else; the text inside the file is complete.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from compress.errors import StorageError

Bytes = NDArray[np.uint8]

HEADER, CAPTION, GAP = 26, 22, 4
TEXT = "kcompress"
"""Key of the PNG's text that holds titles, captions and the size of a picture, as JSON."""
_INK, _PAPER = 40, 255
_SMALLEST = 128  # smaller pictures are enlarged to this, larger ones are shown as they are


@dataclass(frozen=True)
class Row:
    """Pictures uint8 [H, W, 3] RGB, all of one size, one line of text below them, and what is shown, word by word."""

    pictures: Sequence[Bytes]
    caption: str
    labels: Sequence[str] = ()


@dataclass(frozen=True)
class Sheet:
    """What a contact sheet holds; pictures are as large as they were drawn."""

    titles: Sequence[str]
    rows: Sequence[Row]


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
    height, width = rows[0].pictures[0].shape[:2]
    scale = max(1, -(-_SMALLEST // width))
    strips = [_header(titles, width * scale)]
    strips += [_strip(row, scale) for row in rows]
    words = [{"caption": row.caption, "labels": list(row.labels)} for row in rows]
    record = {"titles": list(titles), "height": height * scale, "width": width * scale, "rows": words}
    text = PngImagePlugin.PngInfo()
    text.add_itxt(TEXT, json.dumps(record))
    try:
        Image.fromarray(np.concatenate(strips)).save(path, "PNG", pnginfo=text)
    except OSError as error:
        raise StorageError(f"{path}: cannot be written ({error.strerror}); free some space and run again") from error


def read_sheet(path: Path, most: int) -> Sheet:
    """The first `most` rows of a contact sheet; raises StorageError if there is none at `path` or it is damaged."""
    try:
        with Image.open(path) as file:
            record = json.loads(getattr(file, "text", {})[TEXT])
            pixels = np.asarray(file.convert("RGB"))
        titles, words = record["titles"], record["rows"][:most]
        height, width = record["height"], record["width"]
        pictures = [_pictures(pixels, row, len(titles), height, width) for row in range(len(words))]
        rows = [Row(found, line["caption"], line["labels"]) for found, line in zip(pictures, words)]
    except (OSError, ValueError, KeyError, TypeError, SyntaxError) as error:  # Pillow's own for a torn file is the last
        problem = f"missing or unreadable ({type(error).__name__})"
        raise StorageError(f"{path}: {problem}; delete the verify step's folder and run again") from error
    return Sheet(titles, rows)


def _pictures(pixels: Bytes, row: int, columns: int, height: int, width: int) -> list[Bytes]:
    top = HEADER + row * (height + CAPTION)
    found = [pixels[top : top + height, left : left + width] for left in range(0, columns * (width + GAP), width + GAP)]
    if any(picture.shape != (height, width, 3) for picture in found):
        raise ValueError(f"row {row} lies outside the sheet")
    return found


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
    _write(caption, "   ".join([row.caption, *row.labels]), 2, CAPTION - 8, strip.shape[1] - 4)
    return np.concatenate([strip, caption])


def _write(strip: Bytes, text: str, x: int, y: int, width: int) -> None:
    """Write `text` in place, smaller if it would be wider than `width` px."""
    ascii_text = text.encode("ascii", "replace").decode()
    size = 0.42
    (needed, _), _ = cv2.getTextSize(ascii_text, cv2.FONT_HERSHEY_SIMPLEX, size, 1)
    size *= min(1.0, width / max(needed, 1))
    cv2.putText(strip, ascii_text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, size, (_INK,) * 3, 1, cv2.LINE_AA)
