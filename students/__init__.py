"""Students: small networks that change a photo as a teacher would; records, networks, compositor, storage, presets."""

from __future__ import annotations

from students import compositor
from students.architecture import Architecture, parse, record_for
from students.compositor import composite, downsample, fold
from students.network import Student, StudentOutput, build, record_of
from students.persist import load, save
from students.tiers import TIERS, preset

__all__ = [
    "TIERS",
    "Architecture",
    "Student",
    "StudentOutput",
    "build",
    "composite",
    "compositor",
    "downsample",
    "fold",
    "load",
    "parse",
    "preset",
    "record_for",
    "record_of",
    "save",
]
