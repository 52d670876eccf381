"""Artifacts: a folder of plain files and a `manifest.json` that says what made them and lets them be checked.

A folder without a manifest is not an artifact yet: the manifest is written last, and the folder is renamed into place
after it, so a reader sees a whole artifact or none. Which step belongs where is not decided here (`compress.run`).
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compress.errors import StorageError

MANIFEST = "manifest.json"
_PACKAGES = ("kcompress", "torch", "nncf", "torch-pruning", "onnx", "onnxruntime", "numpy")
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Artifact:
    """A finished folder and what its manifest says."""

    path: Path
    manifest: Mapping[str, Any]

    @property
    def numbers(self) -> Mapping[str, Any]:
        """The numbers that the stage returned."""
        numbers: Mapping[str, Any] = self.manifest.get("numbers", {})
        return numbers


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def write_json(path: Path, data: object) -> None:
    """Write JSON so that a reader sees the old file or the whole new one; NaN is refused (ValueError)."""
    text = json.dumps(data, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    write_text(path, text)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text so that a reader sees the old file or the whole new one."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with unfinished.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


@functools.cache
def versions() -> dict[str, str]:
    """Versions of Python and of the packages whose behaviour shapes an artifact; absent ones are left out."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def seal(folder: Path, description: Mapping[str, Any]) -> Artifact:
    """Write the manifest of `folder`: `description` plus the size and SHA-256 of every file in it."""
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    names = [name for name in names if name != MANIFEST]
    manifest = dict(description)
    manifest["files"] = {name: hash_file(folder / name) for name in names}
    manifest["sizes"] = {name: (folder / name).stat().st_size for name in names}
    write_json(folder / MANIFEST, manifest)
    return Artifact(folder, manifest)


def load(path: Path) -> Artifact:
    """Open an artifact and check every file of it against the manifest.

    Raises StorageError, naming the first file that is missing, of another size or changed.
    """
    manifest_path = path / MANIFEST
    way_out = "delete this folder and run the same command again"
    try:
        manifest = json.loads(manifest_path.read_text(encoding="utf-8"))
        files, sizes = manifest["files"], manifest["sizes"]
    except FileNotFoundError:
        raise StorageError(f"{manifest_path}: missing, so {path.name} is not a finished artifact; {way_out}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(f"{manifest_path}: not a manifest ({error}); {way_out}") from error
    for name, digest in files.items():
        file = path / name
        if not file.is_file():
            raise StorageError(f"{file}: missing; {way_out}")
        size = file.stat().st_size
        if size != sizes[name]:
            raise StorageError(f"{file}: {size} bytes where the manifest says {sizes[name]}; {way_out}")
        if hash_file(file) != digest:
            raise StorageError(f"{file}: its content differs from the manifest's hash; {way_out}")
    return Artifact(path, manifest)
