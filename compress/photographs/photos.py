"""Photographs: read them and find the faces in them; `align` and its kin come from `photographs.alignment`.

Coordinates are pixels with centres at +0.5: a picture of width W spans [0, W]. Not covered: writing, video, raw camera
formats, HEIC.
"""

from __future__ import annotations

import functools
import io
import math
import struct
import warnings
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from compress.errors import InputError
from compress.networks.yunet import YuNet
from compress.photographs.alignment import F32, F64, U8, align, frame, inverse, natural_size, resample, transform

__all__ = ["Face", "align", "detect", "find", "frame", "inverse", "natural_size", "read", "resample", "transform"]

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif", ".ppm", ".pgm"})
SMALLEST_SIDE = 32
SCORE_THRESHOLD = 0.7
# Longest side that the detector sees: the usual one, one for faces far away, one for a face that fills the picture.
SEARCH_SIDES = (640, 1280, 320)
# Second looks at a face: side of the crop, and its extent in box sizes. The detector's finer grids draw a tilted face
# upright (they report 5 of 20 degrees), its coarsest one hardly does: so the face fills at least 240 px, and the last
# look is taken with the eyes level. Its points then stand within 1 % of the aligned picture for tilts up to 35 degrees.
LOOKS = ((320, 1.3), (384, 1.6))
# What Pillow's decoders raise on damaged bytes; which one depends on the format and on where the damage lies.
_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error)


@dataclass(frozen=True, eq=False)
class Face:
    """One face: box (x, y, width, height), points float32 [5, 2], score in 0..1.

    Points are the eyes, the nose tip and the corners of the mouth, left to right in the picture.
    """

    box: tuple[float, float, float, float]
    points: F32
    score: float

    @property
    def area(self) -> float:
        """Pixels that the box covers."""
        return self.box[2] * self.box[3]


def find(folder: str | Path) -> list[Path]:
    """List the pictures in a folder and the folders below it, sorted; hidden files and other endings are left out.

    Raises InputError when the folder is missing, or holds no picture.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give the path of a folder of photographs")
    files = [path for path in folder.rglob("*") if path.is_file()]
    hidden = [path for path in files if any(part.startswith(".") for part in path.relative_to(folder).parts)]
    pictures = sorted(path for path in set(files) - set(hidden) if path.suffix.lower() in SUFFIXES)
    if not pictures:
        endings = ", ".join(sorted(SUFFIXES))
        raise InputError(f"{folder}: {len(files)} files, no picture among them; known endings: {endings}")
    return pictures


def read(path: str | Path) -> U8:
    """Read a photograph as uint8 RGB [H, W, 3]: upright by its EXIF orientation, in sRGB, on white where transparent.

    Raises InputError for a file that is missing, empty, no image, truncated, too large or below 32 px.
    """
    path = Path(path)
    with warnings.catch_warnings():
        # Pillow warns of large pictures and of odd metadata, which nobody who gives a photograph can act on.
        warnings.simplefilter("ignore")
        with _open(path) as image:
            _load(path, image)
            rgb = _to_rgb(path, _upright(image))
    if min(rgb.shape[:2]) < SMALLEST_SIDE:
        size = f"{rgb.shape[1]} x {rgb.shape[0]} px"
        raise InputError(f"{path}: {size} is too small; give a photograph of at least {SMALLEST_SIDE} px a side")
    return rgb


def _open(path: Path) -> Image.Image:
    """Recognise the format; the pixels are not decoded yet."""
    try:
        if path.stat().st_size == 0:
            raise InputError(f"{path}: empty (0 bytes); copy it again")
        return Image.open(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path") from None
    except IsADirectoryError:
        raise InputError(f"{path}: a folder; give the path of a photograph") from None
    except PermissionError:
        raise InputError(f"{path}: permission denied; allow reading it") from None
    except Image.DecompressionBombError as error:
        raise InputError(f"{path}: too large ({error}); scale it down") from error
    except UnidentifiedImageError:
        way_out = "give a JPEG, PNG, WebP, TIFF or BMP (HEIC: export it as JPEG)"
        raise InputError(f"{path}: not an image that can be read; {way_out}") from None
    except _DAMAGED as error:
        raise InputError(f"{path}: truncated or damaged image ({error}); copy or export it again") from error


def _load(path: Path, image: Image.Image) -> None:
    """Decode the pixels. Pillow refuses a file that ends early, where OpenCV fills up with grey."""
    try:
        image.load()
    except _DAMAGED as error:
        problem = f"truncated or damaged {image.format} ({error})"
        raise InputError(f"{path}: {problem}; copy or export it again") from error


def _upright(image: Image.Image) -> Image.Image:
    """Turn by the EXIF orientation; a damaged EXIF block is no reason to refuse the picture."""
    try:
        return ImageOps.exif_transpose(image)
    except _DAMAGED:
        return image


def _to_rgb(path: Path, image: Image.Image) -> U8:
    """Bring any pixel format to uint8 RGB; 32-bit samples have no agreed white and are refused."""
    if image.mode in ("I", "F"):
        raise InputError(f"{path}: 32 bits a sample; export it with 8 or 16 bits")
    if image.mode.startswith("I;16"):
        grey = np.rint(np.asarray(image).astype(np.float32) / 257).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    profile = image.info.get("icc_profile")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, (255, 255, 255, 255)), layer).convert("RGB")
    return np.array(_to_srgb(image, profile).convert("RGB"))


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert from the embedded colour profile, if there is one other than sRGB; a damaged profile is left aside."""
    if not profile or image.mode not in ("RGB", "L", "CMYK"):
        return image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" in ImageCms.getProfileDescription(source):
            return image
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, *_DAMAGED):
        return image
    return converted if converted is not None else image


def detect(image: U8) -> list[Face]:
    """Find faces in uint8 RGB [H, W, 3], the largest first; none found gives an empty list.

    Large photographs are scaled down for the search; then each face is looked at again, and mirrored, at fixed sizes,
    so that its points depend little on the resolution of the photograph and on the tilt of the head.
    """
    longest = max(image.shape[:2])
    for side in dict.fromkeys(min(side, longest) for side in SEARCH_SIDES):
        faces = _search(image, side)
        if faces:
            return sorted((_refine(image, face) for face in faces), key=lambda face: face.area, reverse=True)
    return []


@functools.cache
def _detector() -> YuNet:
    return YuNet(SCORE_THRESHOLD)


def _search(image: U8, side: int) -> list[Face]:
    """Faces found when the longest side is brought to `side` px."""
    height, width = image.shape[:2]
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = image if size == (width, height) else cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    matrix = np.array([[width / size[0], 0, 0], [0, height / size[1], 0]])
    return [_face(row, matrix) for row in _detector().detect(np.asarray(small, np.uint8))]


def _face(row: F32, matrix: F64) -> Face:
    """A detector's row, brought to the photograph by the matrix [2, 3]; the box moves by its centre and stays level."""
    centre = transform((row[:2] + row[2:4] / 2)[None], matrix)[0]
    size = row[2:4] * math.sqrt(abs(float(np.linalg.det(matrix[:, :2]))))
    left, top = centre - size / 2
    points = transform(row[4:14].reshape(5, 2), matrix)
    return Face((float(left), float(top), float(size[0]), float(size[1])), points, float(row[14]))


def _refine(image: U8, face: Face) -> Face:
    """Look at the face again, each time with its eyes as level as is known by then; the last look counts."""
    across = np.array([1.0, 0.0], np.float32)
    for side, extent in LOOKS:
        seen = _look(image, face, side, extent, across)
        if not seen:
            break
        left, top, width, height = (float(value) for value in np.mean([look.box for look in seen], axis=0))
        points = np.mean([look.points for look in seen], axis=0).astype(np.float32)
        face = Face((left, top, width, height), points, max(look.score for look in seen))
        across = points[1] - points[0]
    return face


def _look(image: U8, face: Face, side: int, extent: float, across: F32) -> list[Face]:
    """Detect the face in a crop of `side` px around it, in which `across` is level, and in the crop's mirror image."""
    left, top, width, height = face.box
    scale = side / (extent * max(width, height))
    x, y = np.asarray(across, np.float64) * (scale / float(np.linalg.norm(across)))
    turn = np.array([[x, y], [-y, x]])
    matrix = np.column_stack([turn, side / 2 - turn @ [left + width / 2, top + height / 2]])
    crop = resample(image, matrix, side)
    rows = [_central(_detector().detect(crop), side)]
    mirrored = _central(_detector().detect(np.ascontiguousarray(crop[:, ::-1])), side)
    rows.append(None if mirrored is None else _unmirrored(mirrored, side))
    return [_face(row, inverse(matrix)) for row in rows if row is not None]


def _unmirrored(row: F32, side: int) -> F32:
    """A detector's row of a mirrored picture, as if it had not been mirrored: left and right points change names."""
    points = row[4:14].reshape(5, 2)[[1, 0, 2, 4, 3]] * [-1, 1] + [side, 0]
    box = [side - row[0] - row[2], *row[1:4]]
    return np.concatenate([box, points.reshape(-1), row[14:]]).astype(np.float32)


def _central(rows: F32, side: int) -> F32 | None:
    """The row whose box covers the middle of a square picture, the most central one if several do."""
    offsets = np.abs(rows[:, :2] + rows[:, 2:4] / 2 - side / 2)
    covering = (offsets < rows[:, 2:4] / 2).all(axis=1)
    if not covering.any():
        return None
    distances = np.where(covering, offsets.sum(axis=1), np.inf)
    return np.asarray(rows[int(np.argmin(distances))], np.float32)
