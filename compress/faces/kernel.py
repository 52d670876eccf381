"""How the renderer's kernels are compiled: one decorator for all of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.integer]
Bytes = npt.NDArray[np.uint8]
"""Of what kernels take and give: numba compiles one for each precision that it meets."""

RELAXED = {"afn", "arcp", "contract", "nsz"}
"""Freedoms of LLVM's arithmetic: approximate powers, reciprocals, fused multiply-add, unsigned zeros. Sums keep their
order, NaN and infinity their meaning. Pictures change by single levels of 255; shading takes a seventh less time."""

kernel = njit(cache=True, error_model="numpy", fastmath=RELAXED)
