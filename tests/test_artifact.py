"""Artifacts: written whole or not at all, and every damage named."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from compress import artifact
from compress.errors import RecipeError, StorageError, storage_error


def made(folder: Path) -> Path:
    (folder / "sheets").mkdir(parents=True)
    (folder / "weights.bin").write_bytes(b"12345")
    (folder / "sheets" / "a.png").write_bytes(b"67")
    artifact.seal(folder, {"step": "prune-cpu", "numbers": {"removed": 0.5}})
    return folder


def test_sealed_folder_loads_with_its_manifest(tmp_path: Path) -> None:
    loaded = artifact.load(made(tmp_path / "a"))
    assert loaded.manifest["sizes"] == {"sheets/a.png": 2, "weights.bin": 5}
    assert loaded.manifest["step"] == "prune-cpu"
    assert loaded.numbers == {"removed": 0.5}


def test_hash_is_sha256(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1
    assert artifact.hash_file(tmp_path / "abc") == known


@pytest.mark.parametrize(
    ("content", "problem"),
    [(None, "missing"), (b"123456", "6 bytes where the manifest says 5"), (b"1234x", "differs from the manifest")],
)
def test_damaged_file_is_named(tmp_path: Path, content: bytes | None, problem: str) -> None:
    file = made(tmp_path / "a") / "weights.bin"
    file.unlink() if content is None else file.write_bytes(content)
    with pytest.raises(StorageError, match=f"weights.bin: .*{problem}.*; delete this folder"):
        artifact.load(tmp_path / "a")


def test_folder_without_manifest_is_not_an_artifact(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="is not a finished artifact; delete this folder"):
        artifact.load(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_manifest_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / artifact.MANIFEST).write_text(text)
    with pytest.raises(StorageError, match="not a manifest"):
        artifact.load(tmp_path)


def test_json_replaces_the_old_file_or_leaves_it(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    artifact.write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        artifact.write_json(path, {"a": float("nan")})
    assert json.loads(path.read_text()) == {"a": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_versions_name_python_and_the_product() -> None:
    assert {"python", "kcompress", "torch"} <= set(artifact.versions())


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "no space left on the device; free some"),
        (errno.EROFS, "the file system is read-only; choose another folder"),
        (errno.EIO, "check the disk and run the same command again"),
    ],
)
def test_system_error_becomes_a_sentence(number: int, advice: str) -> None:
    error = storage_error(OSError(number, "system text"), "runs/a")
    assert str(error).startswith("runs/a: ")
    assert advice in str(error)
    assert error.exit_code == 3


def test_recipe_error_counts_its_problems() -> None:
    assert str(RecipeError(Path("r.yaml"), ["a"])) == "r.yaml: 1 problem; nothing was started\n  a"
    assert "2 problems" in str(RecipeError(Path("r.yaml"), ["a", "b"]))
