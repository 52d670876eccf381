"""How long a step may take: declared rates, measured once on two cores (AVX2, no GPU) with the quickstart recipe.

Good for "minutes or hours", not for promises; a GPU, more cores or larger pictures change every rate. Nothing is
measured here, and no result depends on these numbers.
"""

from __future__ import annotations

from collections.abc import Mapping

from compress.recipe import DistillSettings, InputSettings, QuantizeSettings, Section, StudentSettings, TierSettings
from compress.steps import PairStep, TeachStep, VerifyStep

SIZE = 128
"""Pixels a side of the pictures that the rates below belong to."""
IMAGE_SECONDS: Mapping[str, float] = {
    "inputs": 0.04, "targets": 0.12, "features": 0.05, "motion": 0.12, "verify": 0.06, "pairs": 0.06,
    "renders": 0.06, "assess": 0.2
}  # fmt: skip
"""Per picture of 128 px; they grow with the number of pixels."""
COMPOSITOR_SECONDS = 0.005
"""Per trained picture, whatever the core: reading, augmenting, compositor and losses at 128 px."""
CORE_SECONDS_PER_GMAC = 0.12
"""Forward and backward of the core, per picture and 10^9 multiply-accumulates."""
QUANTIZED_FACTOR = 2.0
"""A step with simulated int8 against one without."""
TEACHER_SECONDS = 0.25
"""Forward and backward of the teacher, per picture of 128 px."""
FIXED_SECONDS: Mapping[str, float] = {"prune": 4, "quantize": 8, "export": 10, "verify": 10, "report": 3}


def seconds_of(stage: str, settings: Section, images: int, student: TierSettings | None) -> float:
    """Estimated seconds of one step; `images` is the size of the set it goes through, `student` whom it trains."""
    seconds = FIXED_SECONDS.get(stage, 0.0) + images * IMAGE_SECONDS.get(stage, 0.0) * _pixels(settings)
    if student is not None and isinstance(settings, DistillSettings | QuantizeSettings):
        factor = QUANTIZED_FACTOR if isinstance(settings, QuantizeSettings) else 1.0
        core = core_macs(student.student) / 1e9 * CORE_SECONDS_PER_GMAC
        seconds += settings.images * factor * (COMPOSITOR_SECONDS + core)
    if isinstance(settings, TeachStep):
        # Each photograph of mixed training is drawn twice.
        drawn = 1 + 2 * (settings.unpaired.share if settings.unpaired else 0)
        seconds += drawn * sum(phase.images * TEACHER_SECONDS * (phase.size / SIZE) ** 2 for phase in settings.phases)
    return seconds


def core_macs(student: StudentSettings) -> int:
    """Multiply-accumulates of a student's core before pruning, as `students.core` builds it (a test compares them)."""
    pixels = student.core_resolution**2
    width = student.width
    stem, middle, bottom = (width, 2 * width, 4 * width) if isinstance(width, int) else width
    expansion = 2 if student.block == "inverted" else 1
    blocks = [expansion * bottom] * student.blocks if isinstance(student.blocks, int) else student.blocks
    per_channel = 9 * 2 * bottom if student.block == "plain" else 2 * bottom + 9
    stride_2 = 9 * 3 * stem + 9 * stem * stem + 12 * stem
    stride_4 = 9 * stem * middle + 9 * middle * middle + middle * stem
    stride_8 = 9 * middle * bottom + sum(per_channel * inside for inside in blocks) + bottom * middle
    return pixels * stride_2 // 4 + pixels * stride_4 // 16 + pixels * stride_8 // 64


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
