"""Machine code of the renderer's kernels is never older than their sources."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from compress.faces.compiled import VARIABLE, keep_kernels, stamp


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of two modules; the environment comes back afterwards."""
    monkeypatch.setenv(VARIABLE, "")
    (tmp_path / "outer.py").write_text("x = 1\n")
    (tmp_path / "inner.py").write_text("y = 1\n")
    return tmp_path


def test_any_module_changes_the_stamp(sources: Path) -> None:
    before = stamp(sources)
    (sources / "inner.py").write_text("y = 2\n")
    assert stamp(sources) != before


def test_changed_sources_get_a_new_folder_and_the_old_one_goes(sources: Path) -> None:
    first = keep_kernels(sources)
    assert first and first.exists() and os.environ[VARIABLE] == str(first)
    (sources / "inner.py").write_text("y = 2\n")
    os.environ[VARIABLE] = ""
    second = keep_kernels(sources)
    assert second and second.exists() and not first.exists()


def test_folder_of_the_user_stays(sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "elsewhere")
    assert keep_kernels(sources) is None
    assert os.environ[VARIABLE] == "elsewhere"
