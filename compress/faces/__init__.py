"""Rendered faces: photo-like heads and their 3D-cartoon twins with ground truth, deterministic by (seed, index).

Importing this package loads numba; modules that must start fast import it inside functions.
"""

from __future__ import annotations

from pathlib import Path

from compress.faces.compiled import keep_kernels

keep_kernels(Path(__file__).parent)

from compress.faces.pair import PairRenderer  # noqa: E402  (kernels are compiled or loaded at import)
from compress.faces.parallel import render_many  # noqa: E402

__all__ = ["PairRenderer", "render_many"]
