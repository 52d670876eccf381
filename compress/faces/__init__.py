"""Rendered faces: photo-like heads and their 3D-cartoon twins with ground truth, deterministic by (seed, index).

Importing this package loads numba; modules that must start fast import it inside functions.
"""

from __future__ import annotations

from compress.faces.pair import PairRenderer
from compress.faces.parallel import render_many

__all__ = ["PairRenderer", "render_many"]
