"""Planted defects: a good student made bad on purpose, to prove that the gates say so and by their right names.

    scene     what a defect may look at, and where it can sit
    pictures  defects of single pictures and of the photos that a student is fed
    motion    defects between pictures
    models    defects of the int8 file

`DEFECTS` is the table. Which gates should name a defect was decided by reasoning, before anything was measured.
`Defective` wraps a student; files are changed by `plant`. Measuring and judging are not done here.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from compress.errors import InputError
from compress.judging.defects import models, motion, pictures
from compress.judging.defects.scene import STRENGTHS as STRENGTHS
from compress.judging.defects.scene import Bytes, Defect, First, ModelDefect, PhotoDefect, PictureDefect, Scene
from compress.judging.defects.scene import Strength as Strength

if TYPE_CHECKING:
    from compress.judging.evaluation import Batch, Student

_STEADY = (
    "flicker_ratio", "equivariance_shift_ratio", "equivariance_crop_ratio", "equivariance_rotation_ratio",
    "equivariance_jpeg_ratio", "equivariance_noise_ratio",
)  # fmt: skip
_GAPS = ("group_psnr_gap_db", "group_perceptual_gap", "group_identity_gap")
_PERSON = ("identity_delta_mean", "identity_delta_p5", "rank1_relative")
_VARIETY = ("rank1_relative", "diversity_ratio", "identity_delta_mean", "kid_delta_upper", "sliced_wasserstein")

DEFECTS: dict[str, Defect] = {
    "blur": PictureDefect(
        "Pictures are blurred", (0.5, 1.1, 2.2), "px sigma", ("haar_ratio", "haar_finest_ratio"), pictures.blur
    ),
    "halos": PictureDefect(
        "Edges have halos of sharpening", (0.4, 1.2, 3), "gain", ("haar_ratio", "haar_finest_ratio"), pictures.halos
    ),
    "colour_cast": PictureDefect(
        "Pictures are too red", (4, 12, 32), "levels", ("colour_shift_mean",), pictures.colour_cast
    ),
    "gamma": PictureDefect(
        "Mid-tones are too dark", (0.1, 0.35, 1), "exponent", ("colour_shift_mean",), pictures.gamma
    ),
    "wrong_normalisation": PhotoDefect(
        "The photo arrives in [0, 1] instead of [-1, 1]", (0.1, 0.35, 1), "share of the way",
        ("colour_shift_mean",), pictures.wrong_normalisation,
    ),
    "swapped_channels": PhotoDefect(
        "Photos arrive as BGR", (0.05, 0.4, 1), "share of images", ("colour_shift_mean",), pictures.swapped_channels
    ),
    "other_identity": PictureDefect(
        "Another person shines through", (0.15, 0.45, 0.8), "opacity", _PERSON, pictures.other_identity
    ),
    "averaged_face": PictureDefect(
        "Faces tend to their average", (0.2, 0.5, 0.9), "opacity", (*_PERSON, "diversity_ratio"),
        pictures.averaged_face,
    ),
    "frozen_output": PictureDefect(
        "An old picture comes back", (0.03, 0.25, 1), "share of images", (*_VARIETY, "identity_delta_p5"),
        pictures.frozen_output,
    ),
    "copied_input": PictureDefect(
        "The photo comes back without style", (0.05, 0.4, 1), "share of images",
        ("style_strength", "gram_distance"), pictures.copied_input,
    ),
    "weakened_style": PictureDefect(
        "The photo is left in the picture", (0.12, 0.35, 0.7), "opacity", ("style_strength", "gram_distance"),
        pictures.weakened_style,
    ),
    "half_style": PictureDefect(
        "Half of the head keeps the photo", (0.35, 0.7, 1), "opacity", ("style_strength", "gram_distance"),
        pictures.half_style,
    ),
    "geometry_shift": PictureDefect(
        "Everything lies beside its place", (0.6, 2, 6), "px", ("landmark_error_mean",), pictures.geometry_shift
    ),
    "narrowed_eyes": PictureDefect(
        "Eyes are less open", (0.06, 0.2, 0.4), "share of the opening", ("eye_opening_ratio", "eye_opening_p5"),
        pictures.narrowed_eyes,
    ),
    "checkerboard": PictureDefect(
        "A checkerboard lies over the picture", (1.5, 6, 20), "levels", ("haar_finest_ratio", "haar_ratio"),
        pictures.checkerboard,
    ),
    "mode_collapse": PictureDefect(
        "All pictures look like one of two", (0.15, 0.4, 0.9), "opacity", _VARIETY, pictures.mode_collapse
    ),
    "bleached_dark_skin": PictureDefect(
        "Dark skin is lightened", (0.12, 0.4, 1), "exponent", _GAPS, pictures.bleached_dark_skin
    ),
    "smeared_glasses": PictureDefect(
        "Faces with glasses are smeared", (0.8, 2, 5), "px sigma", _GAPS, pictures.smeared_glasses
    ),
    "doubled_profiles": PictureDefect(
        # One face in twenty: a test set may have too few profiles to judge them as a group; then its tail shows them.
        "Faces in profile are drawn twice", (1.5, 5, 14), "px apart",
        (*_GAPS, "psnr_p5_db", "ssim_p5"), pictures.doubled_profiles
    ),
    "flicker": PictureDefect("Brightness jumps from frame to frame", (1, 4, 12), "levels", _STEADY, motion.flicker),
    "jitter": PictureDefect("The picture trembles", (0.2, 0.8, 3), "px", _STEADY, motion.jitter),
    "dead_channels": ModelDefect(
        "A group of channels of one convolution is dead", (0.1, 0.4, 1), "share of channels",
        ("int8_psnr_db", "int8_identity_delta_mean"), models.dead_channels,
    ),
    "clipped_activations": ModelDefect(
        "Activations of one layer overflow their 8 bits", (2, 6, 16), "times too short",
        ("int8_psnr_db", "int8_identity_delta_mean"), models.clipped_activations,
    ),
    "saturating_sums": ModelDefect(
        "Sums of products overflow 16 bits (x86 before VNNI)", (0.2, 0.5, 1), "share of channels",
        ("parity_unoptimised_levels", "int8_psnr_db"), models.saturating_sums,
    ),
    "rounded_scales": ModelDefect(
        "Scales of the weights are rounded too far", (4, 6, 7), "bits lost",
        ("int8_psnr_db", "int8_identity_delta_mean"), models.rounded_scales,
    ),
}  # fmt: skip


class Defective:
    """A student with a planted defect of its pictures; implements `compress.judging.evaluation.Student`.

    It keeps the pictures of the first batch that it draws: frozen, averaged and collapsed outputs are made of them.
    Deterministic for the same test set read in the same order.
    """

    def __init__(self, student: Student, defect: str, strength: Strength) -> None:
        """Raises InputError for an unknown defect, or one of the file, which `plant` writes."""
        self._student = student
        self._defect = find(defect)
        self._amount = self._defect.amount(strength)
        self._first: First | None = None
        if isinstance(self._defect, ModelDefect):
            raise InputError(f"planted defects: {defect} is one of the file; write that file with plant")

    def draw(self, batch: Batch) -> Bytes:
        """Pictures uint8 [N, H, W, 3] of the batch, with the defect."""
        if isinstance(self._defect, PhotoDefect):
            numbers = np.where(batch.rows >= 0, batch.rows, batch.frame)
            photo = self._defect.act(batch.photo, numbers, self._amount)
            return self._student.draw(dataclasses.replace(batch, photo=photo))
        assert isinstance(self._defect, PictureDefect)
        drawn = self._student.draw(batch)
        if self._first is None:
            self._first = First(drawn.copy(), batch.points.copy())
        scene = Scene(batch.photo, batch.points, batch.rows, batch.kind, batch.frame, batch.labels, self._first)
        return self._defect.act(drawn, scene, self._amount)


def find(name: str) -> Defect:
    """The defect of a name; raises InputError for one that is not in the table."""
    if name not in DEFECTS:
        raise InputError(f"planted defects: {name!r} is unknown; known are {', '.join(DEFECTS)}")
    return DEFECTS[name]


def plant(defect: str, strength: Strength, source: Path, target: Path) -> None:
    """Write a copy of the int8 file `source` with a defect of the file at `target`.

    Raises InputError for an unknown defect, one of pictures, or a file without quantized convolutions.
    """
    import onnx

    found = find(defect)
    if not isinstance(found, ModelDefect):
        raise InputError(f"planted defects: {defect} is one of pictures; wrap the student in Defective")
    model = onnx.load(source)
    found.act(model, found.amount(strength))
    onnx.checker.check_model(model)
    onnx.save(model, target)
