"""Where numba keeps the machine code of the kernels: a folder for each state of the package's sources.

Numba itself compares only the file of the outermost kernel. A kernel that calls one of another module would go on
running the old machine code after an update of that module, and draw wrong pictures or crash.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

PREFIX = "kernels-"
VARIABLE = "NUMBA_CACHE_DIR"


def stamp(sources: Path) -> str:
    """Eight hexadecimal digits that change with any Python file in the folder `sources`."""
    digest = hashlib.sha256()
    for path in sorted(sources.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:8]


def keep_kernels(sources: Path) -> Path | None:
    """Tell numba, before it is imported, the folder for the present `sources`, and drop those of older ones.

    Returns it. None, and nothing changes, where the user chose a folder with NUMBA_CACHE_DIR, or where the package
    may not be written to: there numba keeps a cache for each user, and an update replaces all files.
    """
    parent = sources / "__pycache__"
    if os.environ.get(VARIABLE) or not os.access(parent if parent.exists() else sources, os.W_OK):
        return None
    folder = parent / (PREFIX + stamp(sources))
    if not folder.exists():
        for older in parent.glob(PREFIX + "*"):
            shutil.rmtree(older, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
    os.environ[VARIABLE] = str(folder)
    return folder
