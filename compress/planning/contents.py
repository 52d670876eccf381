"""What is in the files that a recipe names: which pictures a folder has, fingerprints, whether a checkpoint is whole.

Fingerprints are part of the keys of the steps; large files and folders are sampled, as a plan must not read gigabytes.
Nothing is decoded. Which files are looked at is `planning.survey`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import struct
from collections.abc import Mapping
from pathlib import Path

# The endings that compress.photographs.photos reads; that module imports OpenCV, so a test compares the two.
PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif", ".ppm", ".pgm"})
_PIECE_BYTES = 16 << 10
_WHOLE_BYTES = 64 << 20
_SAMPLES = 256
# The same for one of many files of a folder, of which a plan must not read gigabytes.
_WHOLE_OF_MANY = 1 << 20
_SAMPLES_OF_MANY = 16


def photo_files(folder: Path) -> list[Path]:
    """The pictures in a folder and below it, sorted; hidden ones and other endings are left out."""
    inside = (path.relative_to(folder) for path in folder.rglob("*") if path.suffix.lower() in PHOTO_SUFFIXES)
    shown = (path for path in inside if not any(part.startswith(".") for part in path.parts))
    return sorted(folder / path for path in shown if (folder / path).is_file())


def shipped_teachers() -> dict[str, Path]:
    """Weights that the `teachers` package carries, by name; found without importing it (that would import torch)."""
    package = importlib.util.find_spec("teachers")
    roots = list(package.submodule_search_locations or ()) if package is not None else []
    return {path.stem: path for root in roots for path in sorted(Path(root, "weights").glob("*.safetensors"))}


def contents_of(files: list[Path]) -> dict[Path, str]:
    """What is in each file; above 1 MiB of 16 pieces, as whole collections would cost more than a plan may."""
    return {path: file_fingerprint(path, _WHOLE_OF_MANY, _SAMPLES_OF_MANY) for path in files}


def folder_fingerprint(folder: Path, contents: Mapping[Path, str]) -> str:
    """Of names and contents."""
    digest = hashlib.sha256()
    for path, content in contents.items():
        digest.update(json.dumps([path.relative_to(folder).as_posix(), content]).encode())
    return digest.hexdigest()


def file_fingerprint(path: Path, whole: int = _WHOLE_BYTES, samples: int = _SAMPLES) -> str:
    """Of the whole file, or of its size and evenly spaced pieces, first and last bytes among them, above `whole`."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        if size <= whole:
            digest.update(file.read())
        else:
            for index in range(samples):
                file.seek((size - _PIECE_BYTES) * index // (samples - 1))
                digest.update(file.read(_PIECE_BYTES))
    return digest.hexdigest()


def checkpoint_problem(path: Path) -> str:
    """What is wrong with a .safetensors file of a teacher, by its header alone; empty if nothing is.

    Source: the safetensors format (8 bytes length, JSON header, tensors).
    """
    way_out = "save the teacher again with teachers.save"
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > min(size, _WHOLE_BYTES):
                return f"not a safetensors file; {way_out}"
            header = json.loads(file.read(length))
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        if size < 8 + length + max(ends, default=0):
            return "the file is truncated; copy it again"
        if "architecture" not in header.get("__metadata__", {}):
            return f"has no architecture in its metadata; {way_out}"
    except FileNotFoundError:
        return "there is no such file; correct the path (it is relative to the recipe)"
    except OSError as error:
        return f"{error.strerror}; correct the path"
    except (ValueError, struct.error, KeyError, TypeError, AttributeError):
        return f"not a safetensors file; {way_out}"
    return ""
