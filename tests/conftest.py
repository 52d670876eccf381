"""One thread and no spinning in tests: on busy cores two spinning OpenMP threads are ten times slower than one."""

from __future__ import annotations

import os

# Before torch, numba or onnxruntime is imported by a test module.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")
os.environ.setdefault("NNCF_EXTENSION_LOAD_TIMEOUT", "0")
