"""How long a step may take: declared rates, measured once on two cores (AVX2, no GPU) with the quickstart recipe.

Good for "minutes or hours", not for promises; a GPU, more cores or larger pictures change every rate. Nothing is
measured here, and no result depends on these numbers.
"""

from __future__ import annotations

from collections.abc import Mapping

from compress.recipe import (
    DistillSettings,
    InputSettings,
    PairStep,
    QuantizeSettings,
    Section,
    StudentSettings,
    TeachStep,
    TierSettings,
    VerifyStep,
)

SIZE = 128
"""Pixels a side of the pictures that the rates below belong to."""
IMAGE_SECONDS: Mapping[str, float] = {"inputs": 0.04, "targets": 0.07, "verify": 0.15, "pairs": 0.06}
"""Per picture of 128 px; they grow with the number of pixels."""
COMPOSITOR_SECONDS = 0.003
"""Per trained picture, whatever the core: reading, augmenting, compositor and losses at 128 px."""
CORE_SECONDS_PER_GMAC = 0.12
"""Forward and backward of the core, per picture and 10^9 multiply-accumulates."""
QUANTIZED_FACTOR = 2.0
"""A step with simulated int8 against one without."""
TEACHER_SECONDS = 0.25
"""Forward and backward of the teacher, per picture of 128 px."""
FIXED_SECONDS: Mapping[str, float] = {"prune": 15, "quantize": 20, "export": 25, "verify": 20, "report": 5}


def seconds_of(stage: str, settings: Section, images: int, student: TierSettings | None) -> float:
    """Estimated seconds of one step; `images` is the size of the set it goes through, `student` whom it trains."""
    seconds = FIXED_SECONDS.get(stage, 0.0) + images * IMAGE_SECONDS.get(stage, 0.0) * _pixels(settings)
    if student is not None and isinstance(settings, DistillSettings | QuantizeSettings):
        factor = QUANTIZED_FACTOR if isinstance(settings, QuantizeSettings) else 1.0
        core = core_macs(student.student) / 1e9 * CORE_SECONDS_PER_GMAC
        seconds += settings.images * factor * (COMPOSITOR_SECONDS + core)
    if isinstance(settings, TeachStep):
        seconds += sum(phase.images * TEACHER_SECONDS * (phase.size / SIZE) ** 2 for phase in settings.phases)
    return seconds


def core_macs(student: StudentSettings) -> float:
    """Rough multiply-accumulates of a student's core before pruning: 3x3 convolutions at strides 2, 4, 8 and back."""
    pixels, width = student.core_resolution**2, student.width
    down = 9 * pixels * (3 * width / 4 + 2 * width**2 / 16 + 8 * width**2 / 64)
    blocks = student.blocks * 2 * 9 * pixels * (4 * width) ** 2 / 64
    up = 9 * pixels * (8 * width**2 / 16 + 2 * width**2 / 4 + 12 * width / 4)
    return down + blocks + up


def _pixels(settings: Section) -> float:
    """Pixels relative to those of the rates."""
    if isinstance(settings, InputSettings):
        size = settings.size
    elif isinstance(settings, PairStep):
        size = settings.pairs.size
    elif isinstance(settings, VerifyStep):
        size = SIZE
    else:
        return 1.0
    return (size / SIZE) ** 2
