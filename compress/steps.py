"""What each stage is told: the part of a recipe that its result depends on, and nothing else.

A step's key follows from it, so a field that stands here without need makes finished work void. Made by the plan out of
a recipe (`compress.plan`); never written by hand.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from compress.recipe import (
    BudgetSettings,
    Count,
    Decay,
    DistillSettings,
    Gate,
    GateSettings,
    JudgeSettings,
    Measure,
    Name,
    Optimizer,
    PairSettings,
    PhaseSettings,
    Precision,
    Range,
    ReportSettings,
    Section,
    Seed,
    Size,
    SteadinessSettings,
    StudentSettings,
    Style,
    Task,
    TeacherArchitecture,
    TeacherSettings,
    UnpairedSettings,
    ValidationSettings,
    Weight,
)


class DistillStep(DistillSettings):
    """What the distill stage is told: its training and the student that it starts from nothing."""

    student: StudentSettings


class MotionStep(Section):
    """What the motion stage is told: the teacher draws changed photos and videos too."""

    teacher: TeacherSettings
    size: Size
    rendered_seed: Seed
    steadiness: SteadinessSettings


class CandidateStep(Section):
    """What the candidate stage is told: an exported file that this project need not have made."""

    file: str = Field(min_length=1, description="an ONNX file")
    float_file: str = Field(default="", description="its float version; empty is none")
    input_range: Range | Literal["", "imagenet"] = Field(default="", description="values it expects; empty: by type")
    output_range: Range | Literal[""] = Field(default="", description="values it gives; empty is what its type says")
    layout: Literal["", "nchw", "nhwc"] = Field(default="", description="empty is what its shape says")
    size: Size


class VerifyStep(Section):
    """What the verify stage is told."""

    tier: Name
    precision: Literal["int8"]
    budget: BudgetSettings
    judges: JudgeSettings
    gates: dict[Gate, GateSettings]
    left_out: tuple[Gate, ...] = Field(default=(), description="gates of the recipe that the command line left out")
    machine: str = Field(default="", description="runtimes with versions, and processor: another one measures anew")


class ReportStep(ReportSettings):
    """What the report stage is told."""

    name: Name


class PairStep(Section):
    """What the pairs stage is told."""

    pairs: PairSettings
    validation: ValidationSettings


class TeachStep(Section):
    """What the teach stage is told; its pairs come as an artifact."""

    architecture: TeacherArchitecture
    styles: tuple[Style, ...]
    phases: tuple[PhaseSettings, ...]
    precision: Precision
    optimizer: Optimizer = "adamw"
    ema: Decay
    weights: dict[Task, Weight]
    pyramid: bool = True
    curve: Count = 0
    initial: str
    unpaired: UnpairedSettings | None = None


class RenderStep(Section):
    """What the renders stage is told."""

    size: Size
    styles: tuple[Style, ...]
    rendered: int
    seed: Seed
    turns: int
    frames: int


class AssessStep(Section):
    """What the assess stage is told; photographs, renders and mostly the teacher come as artifacts."""

    teacher: str = Field(default="", description="path of a .safetensors file; empty is the artifact")
    styles: tuple[Style, ...]
    seed: Seed
    drawn_renders: int
    shifted: int
    sheet: int
    bounds: dict[Measure, GateSettings]
