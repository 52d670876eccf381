"""Settings of the process that must stand before torch, numba or ONNX Runtime is imported, all in this one place.

They are defaults: what the user has in the environment wins.
"""

from __future__ import annotations

import os
from pathlib import Path

_CGROUP_LIMIT = Path("/sys/fs/cgroup/cpu.max")


def prepare(cgroup_limit: Path = _CGROUP_LIMIT) -> None:
    """Set threads and waiting of the numeric libraries, and keep third parties quiet and offline."""
    defaults = {
        # Spinning threads on busy cores make a training step ten times slower.
        "OMP_WAIT_POLICY": "passive",
        "OMP_NUM_THREADS": str(cores(cgroup_limit)),
        "NUMBA_NUM_THREADS": str(cores(cgroup_limit)),
        # NNCF gives up on compiling after 60 s otherwise, and leaves a lock behind that blocks every later run.
        "NNCF_EXTENSION_LOAD_TIMEOUT": "0",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)


def cores(cgroup_limit: Path = _CGROUP_LIMIT) -> int:
    """Cores that this process may use: its affinity, and the quota of its container if there is one.

    Source: Linux, Documentation/admin-guide/cgroup-v2, cpu.max ("max 100000" or "200000 100000").
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = cgroup_limit.read_text(encoding="ascii").split()
        return max(1, min(allowed, -(-int(quota) // int(period))))
    except (OSError, ValueError):
        return allowed
