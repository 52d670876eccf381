"""A folder of (photo, result) pairs in the place of a teacher: photos/NAME.jpg and results/NAME.png, of equal framing.

Each photo is aligned again as stage `inputs` did, and its result by the same matrix. Not covered: results of another
framing than their photo (a cropped face beside a whole photograph).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compress.errors import InputError, StageError
from compress.photographs import photos as photographs
from compress.planning.teacher_files import PHOTOS, RESULTS, pictures_below
from compress.teaching.source import U8, Drawn, sha256_of

MOST_DIFFERENCE = 2.0  # levels of 255, mean: the same file, aligned once more, differs by nothing
ASPECT_TOLERANCE = 0.01


class Pairs:
    """Results by the names of their photos; raises InputError if the folder holds no pictures."""

    offers: frozenset[str] = frozenset()
    can_run = False

    def __init__(self, root: Path) -> None:
        self._results = pictures_below(root / RESULTS, photographs.find(root / RESULTS))
        self._root = root
        self._by_name: dict[str, list[Path]] = {}
        for path in photographs.find(root / PHOTOS):
            parts = (PHOTOS, *path.relative_to(root / PHOTOS).parts)
            for first in range(len(parts) - 1):
                self._by_name.setdefault("/".join(parts[first:]), []).append(path)
        self.name = root.name
        self.sha256 = _sha256(root / RESULTS, [path for paths in self._results.values() for path in paths])

    def draw(self, photos: U8) -> Drawn:
        """Raises StageError: what a teacher would make of other photos is not in the folder."""
        raise StageError(f"{self._root}: pairs hold the results of their own photos only; name a network as teacher")

    def results(self, names: NDArray[np.bytes_], photos: U8) -> Drawn:
        """The results of aligned `photos` uint8 [N, S, S, 3] by their `names` in stage inputs, aligned alike.

        Raises InputError for a photo that is not in the folder or has changed, and for a result of another shape.
        """
        return Drawn(np.stack([self._result(name.decode(), photo) for name, photo in zip(names, photos)]))

    def _result(self, name: str, photo: U8) -> U8:
        for path in self._candidates(name):
            picture = photographs.read(path)
            faces = photographs.detect(picture)
            if not faces:
                continue
            size = len(photo)
            aligned, matrix = photographs.align(picture, faces[0].points, size)
            if np.abs(aligned.astype(np.int16) - photo).mean() <= MOST_DIFFERENCE:
                return self._aligned(path, picture.shape, matrix, size)
        way_out = "leave the folder as it was, or delete the steps inputs and test-inputs"
        raise InputError(f"{self._root / PHOTOS}: no photo {name} that looks as it did when it was read; {way_out}")

    def _candidates(self, name: str) -> list[Path]:
        """Photos that may have been given this name; long names have lost their beginning."""
        exact = self._by_name.get(name, [])
        return exact or [path for full, paths in self._by_name.items() if full.endswith(name) for path in paths]

    def _aligned(self, path: Path, shape: tuple[int, ...], matrix: NDArray[np.float64], size: int) -> U8:
        key = path.relative_to(self._root / PHOTOS).with_suffix("").as_posix()
        found = self._results.get(key, [])
        if len(found) != 1:
            raise InputError(f"{self._root / RESULTS / key}: {len(found)} results of this name; there must be one")
        result = photographs.read(found[0])
        scale = np.array([shape[1] / result.shape[1], shape[0] / result.shape[0]])
        if abs(scale[0] / scale[1] - 1) > ASPECT_TOLERANCE:
            is_, wanted = f"{result.shape[1]}x{result.shape[0]}", f"{shape[1]}x{shape[0]}"
            raise InputError(f"{found[0]}: {is_} px for a photo of {wanted}; give results of the same framing")
        return photographs.resample(result, matrix * [*scale, 1.0], size)


def _sha256(folder: Path, files: list[Path]) -> str:
    """Of the names and contents of all results."""
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(f"{file.relative_to(folder).as_posix()}\0{sha256_of(file)}\n".encode())
    return digest.hexdigest()
