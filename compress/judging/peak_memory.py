"""Peak memory that an ONNX file adds to a process that has ONNX Runtime loaded: opening it and one run, one thread.

Measured in a fresh process, so that it does not depend on what ran before: what was freed and kept by an allocator
would hide the file's own need. It is resident memory, weights and the runtime's working space included. Not covered:
memory of accelerators, and systems without POSIX accounting (Windows).
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from compress.errors import StageError
from compress.judging.metrics.estimate import Estimate
from compress.judging.signature import Tensor

RUNS = 3
SECONDS = 300.0
_STATUS = Path("/proc/self/status")
_PREFIX = "added bytes: "


def measure(path: Path, input_name: str, tensor: Tensor) -> Estimate:
    """Bytes added at the peak by opening `path` and running it once on a tensor like `tensor`: the median of three
    processes, with the smallest and the largest.

    Raises StageError if such a process fails.
    """
    shape = ",".join(map(str, tensor.shape))
    found = sorted(_added_bytes(path, input_name, str(tensor.dtype), shape) for _ in range(RUNS))
    median, least, most = float(found[RUNS // 2]), float(found[0]), float(found[-1])
    return Estimate(median, least, most, RUNS, method="range of processes")


def _added_bytes(path: Path, input_name: str, dtype: str, shape: str) -> int:
    command = [sys.executable, "-m", "compress.judging.peak_memory", str(path), input_name, dtype, shape]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise StageError(f"{path}: no result of a run within {SECONDS:g} s; is the photo size right?") from None
    lines = [line for line in done.stdout.splitlines() if line.startswith(_PREFIX)]
    if done.returncode or not lines:
        reason = (done.stderr.strip().splitlines() or ["killed"])[-1][:200]
        raise StageError(f"{path}: its memory cannot be measured ({reason}); check that it runs at this photo size")
    return int(lines[-1].removeprefix(_PREFIX))


def _peak_bytes() -> int:
    """The largest resident memory of this process so far."""
    if _STATUS.is_file():
        # Not getrusage: on Linux its peak survives exec, so a large parent's would stand there.
        for line in _STATUS.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def main(arguments: list[str]) -> None:
    """Open the file `arguments[0]`, run it once on zeros, print the bytes that this added."""
    from compress.judging.candidate import create_session

    path, input_name, dtype, shape = arguments
    tensor = np.ones([int(extent) for extent in shape.split(",")], dtype)
    before = _peak_bytes()
    create_session(Path(path)).run(None, {input_name: tensor})
    print(f"{_PREFIX}{max(0, _peak_bytes() - before)}")


if __name__ == "__main__":
    main(sys.argv[1:])
