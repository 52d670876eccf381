"""The recipe: one frozen section per stage, unit and range beside each field.

Two kinds of recipe share the file format: `Recipe` (a teacher compressed into tiers) and `TeacherRecipe` (the training
of a teacher). Reading a file into them, with all its problems at once, is `planning.reading`; what follows from a
recipe is `compress.plan`. No field has a hidden meaning: an absent field has the default that stands here.
"""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

Size = Annotated[int, Field(ge=32, le=1024, multiple_of=16, description="pixels a side, a multiple of 16")]
Images = Annotated[int, Field(ge=1, le=100_000_000, description="images seen in training")]
Count = Annotated[int, Field(ge=0, le=10_000_000, description="number of images")]
Some = Annotated[int, Field(ge=1, le=10_000_000, description="number of images, at least 1")]
Batch = Annotated[int, Field(ge=1, le=1024, description="images a step")]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1, description="seed of the random numbers")]
Rate = Annotated[float, Field(gt=0, le=1, description="learning rate at the start of the cosine")]
Decay = Annotated[float, Field(ge=0, lt=1, description="decay of the weights' moving average, a step")]
Share = Annotated[float, Field(ge=0, le=1, description="share, 0..1")]
Weight = Annotated[float, Field(ge=0, le=1e6, description="weight of a loss; 0 switches it off")]
Macs = Annotated[int, Field(ge=1_000, le=10**13, description="true multiply-accumulates for one picture")]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$", description="lower-case letters, digits, . _ -")]
Channels = Annotated[int, Field(ge=8, le=2048, multiple_of=8)]
BlockCount = Annotated[int, Field(ge=0, le=32)]
Width = Annotated[int, Field(ge=16, le=4096, multiple_of=16, description="channels")]
Blocks = Annotated[int, Field(ge=0, le=64, description="FS blocks at one scale")]
Precision = Literal["bfloat16", "float32"]
Optimizer = Literal["adamw", "muon"]
Loss = Literal["pixel", "colour", "haar", "texture", "components", "flow", "maps", "taps", "identity"]
Task = Literal[
    "picture", "detail", "texture", "flow", "position", "normal", "mask", "pose", "landmarks", "coefficients", "light"
]  # fmt: skip
Range = Literal["-1..1", "0..1", "0..255"]
Gate = Literal[
    "psnr_mean_db", "psnr_p5_db", "ssim_mean", "ssim_p5", "ms_ssim_mean", "perceptual_mean", "haar_ratio",
    "haar_finest_ratio", "colour_shift_mean", "landmark_error_mean", "eye_opening_ratio", "eye_opening_p5",
    "style_strength", "gram_distance", "kid_delta_upper", "sliced_wasserstein", "diversity_ratio",
    "identity_delta_mean", "identity_delta_p5", "rank1_relative", "equivariance_shift_ratio",
    "equivariance_crop_ratio", "equivariance_rotation_ratio",
    "equivariance_jpeg_ratio", "equivariance_noise_ratio", "flicker_ratio", "group_psnr_gap_db",
    "group_identity_gap", "group_perceptual_gap", "int8_psnr_db", "int8_identity_delta_mean", "parity_float_levels",
    "parity_int8_levels", "parity_unoptimised_levels", "parity_openvino_levels", "integer_convolutions", "macs",
    "parameters", "size_bytes", "latency_ms", "latency_p95_ms", "peak_memory_bytes", "int8_speedup",
    "int8_core_speedup",
]  # fmt: skip
Measure = Literal[
    "identity_rank1", "identity_margin", "worst_group_rank1", "style_kid_share", "eye_opening_ratio", "haar_ratio",
    "shift_ratio",
]  # fmt: skip
Style = Literal["fairy-tale", "moonlight", "toy"]
STYLES: tuple[Style, ...] = get_args(Style)
"""Those of the renderer, which this module must not load; a test compares both."""
Way = Literal["network", "onnx", "program", "pairs", "python"]
WAYS: tuple[Way, ...] = get_args(Way)
Colour = Literal["rgb", "bgr"]
Output = Literal["image", "maps", "tap"]
Oddity = Literal["random", "batch", "range", "colour", "unchanged"]


class Section(BaseModel):
    """Base of all sections: frozen, strict about types, no unknown key."""

    # Built on first use: most commands need one kind of recipe, not all sections of both.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)


class TeacherSettings(Section):
    """What is imitated, in one of five ways, and how it wants its pictures; the ways exclude each other."""

    network: str = Field(default="", description="name of a shipped teacher, or path of a .safetensors file")
    onnx: str = Field(default="", description="path of an .onnx file")
    program: str = Field(default="", description="path of a .pt2 file, written by torch.export.save")
    pairs: str = Field(default="", description="folder with the folders photos and results, files of equal names")
    python: str = Field(default="", description="path of a .py file; it is executed, so trust must be true")
    factory: str = Field(default="", description="name of the function in the .py file that makes the teacher")
    files: tuple[str, ...] = Field(default=(), description="further files that the .py file reads")
    trust: bool = Field(default=False, description="whether the .py file may be executed")
    style: str | dict[str, float] = Field(
        default="", description="name of a network's style, or weights by name that sum to 1; empty is its first"
    )
    size: int = Field(default=0, ge=0, le=2048, description="pixels a side that it works at; 0 is the inputs' own")
    input_range: Range = Field(default="-1..1", description="values of the pixels that it takes")
    output_range: Range = Field(default="-1..1", description="values of the pixels that it gives")
    input_colour: Colour = Field(default="rgb", description="order of the channels that it takes")
    output_colour: Colour = Field(default="rgb", description="order of the channels that it gives")
    outputs: dict[Output, str] = Field(
        default={}, description="names of its outputs; without one the only output is the image"
    )
    accept: tuple[Oddity, ...] = Field(default=(), description="findings of the self-check that are intended")

    @property
    def way(self) -> Way:
        """Which of the five ways names the teacher."""
        return next(way for way in WAYS if getattr(self, way))

    @property
    def path(self) -> str:
        """The name or path that stands there."""
        return str(getattr(self, self.way))


class InputSettings(Section):
    """A set of aligned portraits: rendered ones, photographs, or both."""

    size: Size = 128
    rendered: Count
    rendered_seed: Seed
    photos: tuple[str, ...] = Field(default=(), description="folders of photographs, relative to the recipe")
    facts: str = Field(default="", description="CSV of people and groups in the photographs; empty is none")


class SteadinessSettings(Section):
    """How much of the test set is also drawn with small changes and as video."""

    images: Count = Field(default=48, description="test pictures drawn shifted, cropped, turned, as JPEG, with noise")
    videos: Annotated[int, Field(ge=0, le=10_000, description="rendered videos of a head that turns and speaks")] = 8
    frames: Annotated[int, Field(ge=2, le=1_000, description="frames of each video")] = 6


class TestSettings(InputSettings):
    """The set that candidates are judged on: never a picture of the training."""

    __test__ = False  # not a test class, whatever its name says to pytest

    steadiness: SteadinessSettings = SteadinessSettings()


class JudgeSettings(Section):
    """Networks that judge; the backbone of the perceptual metrics is fixed (EfficientNet-Lite0)."""

    identity: str = Field(default="sface", min_length=1, description="sface, or path of an ONNX face encoder")
    colour: Literal["rgb", "bgr"] = Field(default="rgb", description="order of channels that the encoder expects")
    range: Range = Field(default="-1..1", description="values that the encoder expects")


class StudentSettings(Section):
    """A student before pruning."""

    family: Literal["map", "rgb"] = "map"
    width: Channels | tuple[Channels, Channels, Channels] = Field(
        description="at stride 2, doubled at strides 4 and 8, or the three widths; multiples of 8"
    )
    core_resolution: int = Field(ge=32, le=512, multiple_of=16, description="pixels a side that the core sees")
    blocks: BlockCount | tuple[Channels, ...] = Field(
        description="number of blocks at the smallest scale, or the width inside each"
    )
    block: Literal["plain", "inverted"] = "plain"


class BudgetSettings(Section):
    """What a tier may cost, and where that is measured."""

    macs: Macs
    size_bytes: int = Field(ge=1_000, le=10**10, description="bytes of the exported file")
    latency_ms: float = Field(gt=0, le=60_000, description="milliseconds a photograph")
    runtime: Literal["onnxruntime"] = "onnxruntime"
    threads: int = Field(default=1, ge=1, le=256, description="threads of the runtime")
    photo_size: Annotated[int, Field(ge=32, le=8192, description="pixels a side of the timed photograph")] = 512


class DistillSettings(Section):
    """A training of a student against the stored teacher; the budget is images, not steps."""

    images: Images
    batch: Batch = 16
    learning_rate: Rate
    ema: Decay = 0.998
    weights: dict[Loss, Weight] = Field(min_length=1, description="weight of each loss; absent is off")
    precision: Precision = "bfloat16"


class PruneSettings(Section):
    """Structural pruning to a budget of true MACs of the core."""

    macs: Macs
    importance: Literal["group_magnitude", "activation", "lamp", "taylor", "random"] = "group_magnitude"
    round_to: int = Field(default=8, ge=1, le=64, description="channels stay multiples of this")
    images: Some = 64


class QuantizeSettings(Section):
    """Calibration, and a short training with simulated int8."""

    calibration_images: Some = 200
    images: Count = Field(description="images of quantization-aware training; 0 is calibration alone")
    batch: Batch = 16
    learning_rate: Rate = 2e-5
    freeze_ranges_at: Share = Field(default=0.5, description="share of the training after which ranges stand still")
    weights: dict[Loss, Weight] = Field(min_length=1, description="weight of each loss; absent is off")


class ExportSettings(Section):
    """The ONNX file."""

    opset: int = Field(default=18, ge=17, le=23, description="ONNX operator set")


class GateSettings(Section):
    """Bounds of one number; None is no bound on that side."""

    min: float | None = None
    max: float | None = None


class TierSettings(Section):
    """One tier: architecture, precision, budget, and how it is reached and judged."""

    student: StudentSettings
    precision: Literal["int8"] = "int8"
    budget: BudgetSettings
    distill: DistillSettings
    prune: PruneSettings
    finetune: DistillSettings
    quantize: QuantizeSettings
    export: ExportSettings = ExportSettings()
    gates: dict[Gate, GateSettings] = Field(min_length=1, description="what a candidate must reach to be published")


class ReportSettings(Section):
    """The page for people."""

    worst: int = Field(default=24, ge=1, le=256, description="worst cases shown for each tier")


class Recipe(Section):
    """A teacher compressed into tiers: `kcompress run` makes, judges and publishes them."""

    name: Name
    seed: Seed = 0
    teacher: TeacherSettings
    inputs: InputSettings
    test: TestSettings
    judges: JudgeSettings = JudgeSettings()
    tiers: dict[Name, TierSettings] = Field(min_length=1)
    report: ReportSettings = ReportSettings()


class TeacherArchitecture(Section):
    """The record of a KStyleGAN, see `teachers.Architecture`; its styles are those of the pairs."""

    channels: tuple[Width, Width, Width, Width, Width] = Field(description="widths at strides 1, 2, 4, 8, 16")
    blocks: tuple[Blocks, Blocks, Blocks, Blocks] = (1, 2, 4, 4)
    render_blocks: tuple[Blocks, Blocks, Blocks] = (4, 2, 1)
    style_channels: int = Field(default=256, ge=8, le=4096, description="length of the style code w")
    coefficients: int = Field(default=64, ge=1, le=1024, description="identity and expression coefficients predicted")
    fusion: Literal["sta", "add", "concat"] = Field(default="sta", description="how two features become one")
    block: Literal["fs", "residual"] = Field(default="fs", description="a ResNet block has the same MACs")
    mapping: Literal["3d", "flow", "rgb"] = Field(default="3d", description="how the style moves the photo; rgb: not")
    antialias: bool = Field(default=False, description="smooth before each halving and after each doubling")
    detail_gain: bool = Field(
        default=False, description="a gain for the photo's fine detail alone, below 1 to above it"
    )


class PairSettings(Section):
    """Rendered photo and cartoon pairs for the training of a teacher; each photo has a cartoon in every style."""

    count: Some
    seed: Seed
    size: Size = 128
    styles: tuple[Style, ...] = Field(default=STYLES[:1], min_length=1, description="the first is the default style")
    assets: str = Field(default="", description="folder of MakeHuman assets, relative to the recipe; empty is none")


class ValidationSettings(Section):
    """Rendered pairs kept apart from training."""

    count: Some
    seed: Seed


class PhaseSettings(Section):
    """One phase of a teacher's training; small sizes first is the cheap way."""

    size: Size
    images: Images
    batch: Batch
    learning_rate: Rate


class UnpairedSettings(Section):
    """Photographs without a cartoon in a teacher's training, and the discriminator."""

    photos: tuple[str, ...] = Field(min_length=1, description="folders of photographs, relative to the recipe")
    share: Annotated[float, Field(gt=0, le=2, description="photographs for each pair of a batch")] = 0.5
    consistency: Weight = 1.0
    contrast: Weight = 0.05
    tint: Weight = Field(default=1.0, description="tints that cartoons do not have of such a colour")
    lines: Weight = Field(default=10.0, description="thin lines where the photo has none")
    painted: Weight = Field(default=0.0, description="what `painter` draws, painted over, but for the eyes")
    painter: str = Field(default="", description="shipped name or .safetensors; empty is training.initial")
    moments: Weight = Field(default=0.0, description="feature statistics of cartoons; 0.02 to 0.08 change the look")
    identity: Weight = 0.05
    adversarial: Weight = Field(default=0.3, description="size of its gradient at the pictures, relative to an L1's")
    discriminator: Literal["pretrained", "plain"] = Field(
        default="pretrained", description="stands on pretrained features, or learns from nothing"
    )
    adversarial_from: Share = Field(
        default=0.5, description="share of the training after which the discriminator joins"
    )


class AssessSettings(Section):
    """What a trained teacher is measured on: photographs, and rendered people whom no training has seen."""

    photos: tuple[str, ...] = Field(min_length=1, description="folders of photographs, relative to the recipe")
    facts: str = Field(default="", description="CSV of people and groups in the photographs; empty is none")
    rendered: Annotated[int, Field(ge=16, le=100_000, description="rendered pairs: cartoons to compare with")] = 320
    rendered_seed: Seed = 900
    drawn_renders: Count = Field(default=48, description="of the rendered photos, those that are stylised too")
    shifted: Count = Field(default=96, description="photographs that are drawn shifted as well")
    turns: Annotated[int, Field(ge=0, le=1_000, description="rendered heads that turn")] = 6
    frames: Annotated[int, Field(ge=2, le=100, description="frames of each turn")] = 6
    sheet: Annotated[int, Field(ge=1, le=600, description="faces on the sheet")] = 60
    bounds: dict[Measure, GateSettings] = Field(
        default={}, description="bounds other than those of `judging.assessment`; they stop nothing"
    )


class TrainingSettings(Section):
    """A teacher's training: multi-task, multi-scale, in phases."""

    architecture: TeacherArchitecture
    pairs: PairSettings
    validation: ValidationSettings
    phases: tuple[PhaseSettings, ...] = Field(min_length=1)
    precision: Precision = "bfloat16"
    optimizer: Optimizer = Field(default="adamw", description="muon: orthogonal steps for the weights of layers")
    ema: Decay = 0.999
    weights: dict[Task, Weight] = Field(min_length=1, description="weight of each task's loss; absent is off")
    pyramid: bool = Field(default=True, description="whether every scale is supervised, or the largest alone")
    curve: Count = Field(default=0, description="images between two measurements while it trains; 0 is none")
    initial: str = Field(default="", description="shipped name or .safetensors to start from; empty is none")
    unpaired: UnpairedSettings | None = Field(
        default=None, description="mixed training; absent is rendered pairs alone"
    )
    assess: AssessSettings | None = Field(default=None, description="measures the result; absent is no such step")


class TeacherRecipe(Section):
    """The training of a teacher: `kcompress run` writes its weights."""

    name: Name
    seed: Seed = 0
    training: TrainingSettings


class Assessment(Section):
    """A teacher that is there already, to be measured: what `kcompress assess` is told."""

    name: str
    seed: Seed = 0
    teacher: str = Field(description="path of a .safetensors file")
    size: Size
    styles: tuple[Style, ...] = Field(min_length=1)
    assess: AssessSettings
