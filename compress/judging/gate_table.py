"""The table of gates: what each number says, in which unit, and what it takes to measure and to judge it.

Plain data that imports nothing heavy. How a verdict is made of them is `judging.gates`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

FEWEST_IMAGES = 30
FEWEST_FOR_P5 = 72  # the first n of 0.95^n < 0.025: at least one image then lies below the true 5th percentile
FEWEST_IN_GROUP = 20
FEWEST_VIDEOS = 4
MOST_TOLD = 100  # times the sample; what would need more than that is told as "over"
PARTS = ("rendered", "photographs")
WHOLE, MOTION = "model", "motion"
"""What is judged besides the parts of the test set: the file itself; videos."""

Better = Literal["higher", "lower", "near 1"]
Backbone = Literal["", "identity", "features", "landmarks", "eyes"]
Needs = Literal["", "float", "torch", "motion", "groups", "openvino"]
NEEDS: dict[Needs, str] = {
    "": "",
    "float": "the float student beside the int8 one",
    "torch": "the student's torch network, which only a run of the recipe has",
    "motion": "the teacher's pictures of changed photographs and videos (test.steadiness)",
    "groups": "labels, which renders have and photographs get from test.facts",
    "openvino": "OpenVINO installed",
}


@dataclass(frozen=True)
class Gate:
    """One row of the table; `better` says which bound a recipe normally gives.

    `backbone` is the role of the network that the number depends on, `needs` what must be at hand to measure it,
    `fewest` the independent samples below which nothing is decided, `sample` what they are.
    """

    meaning: str
    unit: str
    better: Better
    per_image: bool = True
    fewest: int = FEWEST_IMAGES
    backbone: Backbone = ""
    needs: Needs = ""
    sample: Literal["images", "videos", "rounds"] = "images"


def _features(meaning: str, better: Better, needs: Needs = "", fewest: int = FEWEST_IMAGES) -> Gate:
    return Gate(meaning, "", better, fewest=fewest, backbone="features", needs=needs)


def _identity(meaning: str, needs: Needs = "", fewest: int = FEWEST_IMAGES, better: Better = "higher") -> Gate:
    return Gate(meaning, "cosine", better, fewest=fewest, backbone="identity", needs=needs)


def _steady(change: str) -> Gate:
    return Gate(f"Error under {change} of the photo over the teacher's", "", "lower", needs="motion")


def _of_model(meaning: str, unit: str, better: Better, needs: Needs = "") -> Gate:
    return Gate(meaning, unit, better, per_image=False, fewest=1, needs=needs)


def _timed(meaning: str, unit: str, better: Better) -> Gate:
    return Gate(meaning, unit, better, per_image=False, fewest=1, sample="rounds")


_LEVELS = "levels of 255"
GATES: dict[str, Gate] = {
    "psnr_mean_db": Gate("PSNR to the teacher, mean", "dB", "higher"),
    "psnr_p5_db": Gate("PSNR to the teacher, 5th percentile", "dB", "higher", fewest=FEWEST_FOR_P5),
    "ssim_mean": Gate("Structural similarity to the teacher, mean", "", "higher"),
    "ssim_p5": Gate("Structural similarity to the teacher, 5th percentile", "", "higher", fewest=FEWEST_FOR_P5),
    "ms_ssim_mean": Gate("Structural similarity over several scales, mean", "", "higher"),
    "perceptual_mean": _features("Distance to the teacher in feature space, mean", "lower"),
    "haar_ratio": Gate("Fine detail relative to the teacher (Haar, 3 levels)", "", "near 1"),
    "haar_finest_ratio": Gate("Detail at the finest Haar level relative to the teacher", "", "near 1"),
    "colour_shift_mean": Gate("Colour difference of local means to the teacher (Lab), mean", "delta E", "lower"),
    "landmark_error_mean": Gate(
        "Facial points against the teacher's, over the eyes' distance", "", "lower", backbone="landmarks"
    ),
    "eye_opening_ratio": Gate("How far eyes are open relative to the teacher, mean", "", "near 1", backbone="eyes"),
    "eye_opening_p5": Gate(
        "Opening of the eyes relative to the teacher, 5th percentile",
        "",
        "higher",
        fewest=FEWEST_FOR_P5,
        backbone="eyes",
    ),
    "style_strength": Gate("Share of the teacher's change of the photo (0 is the photo itself)", "", "near 1"),
    "gram_distance": _features("Style distance to the teacher (the photo's is 1)", "lower"),
    "kid_delta_upper": _features("KID to the teacher's pictures (the teacher against itself is 0)", "lower"),
    "sliced_wasserstein": Gate("Texture: sliced Wasserstein distance to the teacher's set of pictures", "", "lower"),
    "diversity_ratio": _features("Spread of the pictures relative to that of the teacher's", "near 1"),
    "identity_delta_mean": _identity("Likeness to the photo less the teacher's, mean"),
    "identity_delta_p5": _identity("Likeness less the teacher's, 5th percentile", fewest=FEWEST_FOR_P5),
    "rank1_relative": Gate(
        "Pictures that find their photo (rank 1) relative to the teacher", "", "higher", backbone="identity"
    ),
    "equivariance_shift_ratio": _steady("a shift"),
    "equivariance_crop_ratio": _steady("a crop"),
    "equivariance_rotation_ratio": _steady("a small rotation"),
    "equivariance_jpeg_ratio": _steady("JPEG compression"),
    "equivariance_noise_ratio": _steady("noise"),
    "flicker_ratio": Gate(
        "Flicker in videos over the teacher's", "", "lower", fewest=FEWEST_VIDEOS, needs="motion", sample="videos"
    ),
    "group_psnr_gap_db": Gate(
        "PSNR of the others less the worst group's", "dB", "lower", fewest=FEWEST_IN_GROUP, needs="groups"
    ),
    "group_identity_gap": _identity(
        "Likeness of the others less the worst group's", "groups", FEWEST_IN_GROUP, "lower"
    ),
    "group_perceptual_gap": _features(
        "Distance of the worst group to the teacher less the others'", "lower", "groups", FEWEST_IN_GROUP
    ),
    "int8_psnr_db": Gate("int8 against the float student, mean PSNR", "dB", "higher", needs="float"),
    "int8_identity_delta_mean": _identity("Likeness to the photo less the float student's, mean", "float"),
    "parity_float_levels": _of_model("Runtime against torch, float file, 99.9 % of values", _LEVELS, "lower", "torch"),
    "parity_int8_levels": _of_model("Runtime against torch, int8 file, 99.9 % of values", _LEVELS, "lower", "torch"),
    "parity_unoptimised_levels": _of_model("Runtime with against without graph optimisation", _LEVELS, "lower"),
    "parity_openvino_levels": _of_model("OpenVINO against ONNX Runtime", _LEVELS, "lower", "openvino"),
    "integer_convolutions": _of_model("Convolutions executed in integers", "share", "higher"),
    "macs": _of_model("True multiply-accumulates of the core", "MACs", "lower"),
    "parameters": _of_model("Parameters of the exported network", "", "lower"),
    "size_bytes": _of_model("Size of the exported file", "bytes", "lower"),
    "latency_ms": _timed("Median time for one photograph at the budget's size", "ms", "lower"),
    "latency_p95_ms": _timed("95th percentile of the time for one photograph", "ms", "lower"),
    "peak_memory_bytes": _of_model("Peak memory of a process that stylises one photograph", "bytes", "lower"),
    "int8_speedup": Gate(
        "Time of the float file over time of the int8 file", "", "higher", False, 1, needs="float", sample="rounds"
    ),
    "int8_core_speedup": Gate(
        "Time of the float core over time of the int8 core", "", "higher", False, 1, needs="float", sample="rounds"
    ),
}
