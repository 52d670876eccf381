"""`kcompress stylize MODEL PHOTO... --out DIR`: photographs in, pairs of photograph and result out.

Of each photograph the largest face is stylised. Photographs that cannot be read, or show no face, are named, skipped.
Not covered: pasting the result back into the photograph, and more than one face.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from compress.errors import EXIT_BAD_INPUT, EXIT_PASSED, InputError, storage_error
from compress.photographs import photos as photographs
from compress.photographs.alignment import U8
from compress.photographs.stylizers import Picture, Stylizer, open_model
from compress.planning.style_choice import FIRST, Choice

Say = Callable[[str], None]
RESULT, PAIR = "-stylized.png", "-pair.png"
PNG_COMPRESSION = 3


def stylize(model: str, photos: Sequence[str], out: str, say: Say = print, style: Choice = FIRST) -> int:
    """Stylise the largest face of every photograph; a folder stands for the pictures in it and below it.

    Writes NAME-pair.png (photo | result) and NAME-stylized.png into `out`, for a teacher NAME-large-... as well. Of two
    photographs with one name the second gets a number; no photograph is overwritten, results of an earlier run are.
    `style`: of a teacher, its first by default. Returns 0, or 2 if a photograph was skipped (named on standard error).
    Raises InputError when the model cannot be used or nothing is given, StorageError when `out` cannot be written.
    """
    if not photos:
        raise InputError("photographs: none given; name at least one photograph or folder")
    stylizer = open_model(model, style)
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise InputError(f"{out}: a file; give a folder for the results") from None
    except OSError as error:
        raise storage_error(error, folder) from error
    problems: list[str] = []
    sources = list(dict.fromkeys(_sources(photos, problems)))
    taken = {_identity(source) for source in sources}
    for source in sources:
        try:
            pictures = _stylize_one(source, stylizer)
        except InputError as error:
            problems.append(str(error))
            continue
        written = _write(pictures, source.stem, folder, taken)
        say(f"{source}: {', '.join(path.name for path in written)}")
    for problem in problems:
        print(f"skipped: {problem}", file=sys.stderr)
    say(f"{len(sources)} photographs, {len(problems)} skipped; results in {folder}")
    return EXIT_BAD_INPUT if problems else EXIT_PASSED


def _sources(photos: Sequence[str], problems: list[str]) -> Iterator[Path]:
    """The photographs that the arguments stand for; results of earlier runs, found in a folder, are left out."""
    for given in photos:
        path = Path(given)
        if not path.is_dir():
            yield path
            continue
        try:
            found = photographs.find(path)
        except InputError as error:
            problems.append(str(error))
            continue
        yield from (picture for picture in found if not picture.name.endswith((RESULT, PAIR)))


def _stylize_one(source: Path, stylizer: Stylizer) -> list[Picture]:
    """Raises InputError when the photograph cannot be read or shows no face."""
    photo = photographs.read(source)
    faces = photographs.detect(photo)
    if not faces:
        raise InputError(f"{source}: no face found; give a photograph that shows a face, upright and from the front")
    return stylizer(photo, faces[0].points)


def _write(pictures: Sequence[Picture], stem: str, folder: Path, taken: set[str]) -> list[Path]:
    """Write each picture alone and beside its photo, under names that nothing in `taken` has; they join `taken`."""
    number = 1
    while True:
        name = stem if number == 1 else f"{stem}-{number}"
        bases = [f"{name}-{picture.kind}" if picture.kind else name for picture in pictures]
        paths = [folder / f"{base}{ending}" for base in bases for ending in (PAIR, RESULT)]
        if not taken & {_identity(path) for path in paths}:
            break
        number += 1
    images = [i for p in pictures for i in (np.concatenate([p.photo, p.image], axis=1), p.image)]
    for path, image in zip(paths, images, strict=True):
        _write_png(path, image)
    taken.update(_identity(path) for path in paths)
    return paths


def _identity(path: Path) -> str:
    """What two names of one file share, also where the file system ignores case."""
    return str(path.resolve()).casefold()


def _write_png(path: Path, image: U8) -> None:
    """Write a PNG so that a reader sees the old file or the whole new one. Raises StorageError."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    encoded, data = cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, PNG_COMPRESSION])
    assert encoded, "a uint8 picture can always be encoded as PNG"
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        unfinished.write_bytes(data.tobytes())
        unfinished.replace(path)
    except OSError as error:
        raise storage_error(error, path) from error
    finally:
        unfinished.unlink(missing_ok=True)
