"""The self-check of a teacher: a few faces are drawn twice before anything is trained, and all that is off is told.

What would train a student on nonsense is refused; what may be intended (`recipe.Oddity`) can be accepted in the recipe.
Not covered: the quality of the style, and a wrong order of channels at the input alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from compress.errors import NonFiniteError, StageError
from compress.exporting import fused
from compress.recipe import Oddity, Range
from compress.teaching.source import MAP_CHANNELS, SPANS, U8, Network, quantize_picture

FACES = 4
# Levels of 255, means over all pixels. The same photos give the same picture, but for the order of sums on a GPU. One
# photo alone may be drawn by other kernels, which round differently (by 1e-4 in float32, more in 16 bits).
REPEATED, BATCHED = 0.1, 1.5
SEEN = 1.0  # a difference that can be seen at all
OUTSIDE = 0.5  # percent of the values that may lie outside at each end
SWAPPED = -0.5  # cosine between the red-blue differences of result and photo
LEVELS = 255.0


@dataclass(frozen=True)
class Finding:
    """One thing that is off; `oddity` is the word by which a recipe accepts it, None if it cannot."""

    sentence: str
    oddity: Oddity | None = None


def require_fit(teacher: Network, photos: U8) -> None:
    """Draw uint8 photos [N, S, S, 3] (a few faces) twice; raises StageError with one sentence for each finding.

    NonFiniteError if the result is not finite, which hides everything else.
    """
    if len(photos) == 1:
        photos = np.concatenate([photos, photos // 2])  # a batch of two that differ
    _refuse(teacher.name, list(_network_findings(teacher, photos)), teacher.settings.accept)


def require_fit_pairs(name: str, images: U8, photos: U8, accept: Collection[Oddity]) -> None:
    """The same for results that were made elsewhere; also that they belong to their photos."""
    found = list(picture_findings(images, photos))
    _refuse(name, [*found, *_mispaired(images, photos)], accept)


def _refuse(name: str, findings: list[Finding], accept: Collection[Oddity]) -> None:
    left = [finding for finding in findings if finding.oddity not in accept]
    ways_out = [f" (if that is intended: teacher.accept: [{f.oddity}])" if f.oddity else "" for f in left]
    if left:
        told = "\n  ".join(finding.sentence + way_out for finding, way_out in zip(left, ways_out))
        raise StageError(f"teacher {name}: found by the self-check, before any training:\n  {told}")


def _network_findings(teacher: Network, photos: U8) -> Iterator[Finding]:
    outputs = teacher.outputs(photos)
    sentences = list(_shape_sentences(teacher, outputs, photos))
    if sentences:
        yield from map(Finding, sentences)
        return
    _require_finite(outputs)
    declared = teacher.settings.output_range
    misfit = range_sentence(outputs["image"], declared)
    if misfit:
        yield Finding(misfit, "range")
    scale = LEVELS / max(
        SPANS[declared][1] - SPANS[declared][0], float(outputs["image"].max() - outputs["image"].min())
    )
    again = _difference(outputs["image"], teacher.outputs(photos)["image"]) * scale
    if again > REPEATED:
        sentence = f"random output: the same photos again differ by {again:.2g} levels of 255 in the mean"
        yield Finding(f"{sentence}; export or load it in evaluation mode, without dropout and noise", "random")
    else:
        alone = _difference(outputs["image"][:1], teacher.outputs(photos[:1])["image"]) * scale
        if alone > BATCHED:
            sentence = f"batch-dependent output: a photo alone differs by {alone:.2g} levels from itself in a batch"
            yield Finding(
                f"{sentence}; export or load it in evaluation mode (BatchNorm with its stored statistics)", "batch"
            )
    if misfit and "range" not in teacher.settings.accept:
        return  # pictures in a wrong range say nothing
    finished = teacher.finished(outputs, photos.shape[1])
    pictures = quantize_picture(finished["image"])
    found = list(picture_findings(pictures, photos))
    if any("constant" in finding.sentence for finding in found) and (fitting := _other_input_range(teacher, photos)):
        yield Finding(f"constant output: with input_range {fitting} it is not; set teacher.input_range: {fitting}")
        return
    yield from found
    if "maps" in outputs:
        yield from map(Finding, maps_sentences(finished["maps"], pictures, photos))


def _shape_sentences(teacher: Network, outputs: dict[str, Tensor], photos: U8) -> Iterator[str]:
    """Wrong channels and sizes of what the network gives."""
    image, count, side = outputs["image"], len(photos), photos.shape[1]
    shape = tuple(image.shape)
    if image.ndim != 4 or len(image) != count:
        yield f"wrong shape: image {shape} for {count} photos; return [N, 3, S, S], one picture for each photo"
        return
    kinds = {1: "greyscale; repeat its channel three times", 4: "four channels; drop the transparency"}
    if shape[1] != 3:
        yield f"wrong channels: image {shape} is {kinds.get(shape[1], 'no RGB')}, so that it gives [N, 3, S, S]"
    elif shape[2] != shape[3]:
        yield f"wrong size: image {shape} is no square; let it keep the size of the photo"
    elif not teacher.settings.size and shape[2] != side:
        yield f"wrong size: {shape[2]} px for photos of {side} px; set teacher.size: {side} to have it resized"
    if "maps" in outputs and (outputs["maps"].ndim != 4 or outputs["maps"].shape[1] != MAP_CHANNELS):
        yield f"wrong maps: {tuple(outputs['maps'].shape)}; they are flow (2), gain (3), bias (3), [N, 8, S/4, S/4]"
    elif "maps" in outputs and not teacher.settings.size and outputs["maps"].shape[-1] != side // 4:
        yield f"wrong maps: {tuple(outputs['maps'].shape)}; for photos of {side} px they are of {side // 4} px"
    if "tap" in outputs and outputs["tap"].ndim != 4:
        yield f"wrong tap: {tuple(outputs['tap'].shape)}; features must be [N, C, h, w]"


def _require_finite(outputs: dict[str, Tensor]) -> None:
    for name, value in outputs.items():
        bad = int((~torch.isfinite(value)).sum())
        if bad:
            count = f"{bad} of {value.numel()} values of its {name}"
            raise NonFiniteError(f"teacher: {count} are NaN or infinite; check its weights and teacher.input_range")


def range_sentence(image: Tensor, declared: Range) -> str:
    """Whether the values of pictures lie in the `declared` range and use it; otherwise which range would fit."""
    values = image.float().flatten().cpu().numpy()
    low, high = (float(v) for v in np.percentile(values, [OUTSIDE, 100 - OUTSIDE]))
    fitting = fitting_range(low, high)
    if fitting == declared or high - low < 1e-6:
        return ""
    way_out = f"set teacher.output_range: {fitting}" if fitting else "no known range fits, check its weights"
    return f"range of the output: {low:.3g} to {high:.3g} where {declared} is expected; {way_out}"


def fitting_range(low: float, high: float) -> Range | None:
    """The range that pictures with values between `low` and `high` (nearly all of them) are in.

    A photograph's face has dark and light parts, so pictures in -1..1 go below 0 and those in 0..255 above 3.
    """
    if high > 3:
        return "0..255" if low > -25 and high < 280 else None
    if low < -0.1:
        return "-1..1" if low > -1.7 and high < 1.7 else None
    return "0..1" if high < 1.4 else None


def picture_findings(images: U8, photos: U8) -> Iterator[Finding]:
    """What can be seen on pictures alone: constant, the same for all, equal to the photo, red and blue exchanged."""
    if float(images.std(axis=(1, 2)).max()) < SEEN:
        yield Finding("constant output: each picture is one flat colour; check weights and input_range")
        return
    others = np.roll(images, 1, axis=0)
    if len(images) > 1 and _mean(images, others) < SEEN <= _mean(photos, np.roll(photos, 1, axis=0)):
        yield Finding("constant output: all faces give the same picture; check weights and input_range")
        return
    if (distance := _mean(images, photos)) < SEEN:
        sentence = f"output equal to the photo: {distance:.2g} levels of 255 in the mean, there is no style to learn"
        yield Finding(f"{sentence}; check which file and which output this is", "unchanged")
    if (cosine := _red_over_blue(images, photos)) < SWAPPED:
        sentence = f"red and blue look exchanged (cosine of the red-blue differences to the photo {cosine:.2f})"
        yield Finding(f"{sentence}; set teacher.output_colour to the other order of channels", "colour")


def maps_sentences(maps: Tensor, images: U8, photos: U8) -> Iterator[str]:
    """Whether maps, applied to the photo, lead towards the picture; flow in the wrong unit does not."""
    made = np.stack([fused.composite(p, m) for p, m in zip(photos, maps.float().cpu().numpy())])
    reached, before = _mean(made, images), _mean(photos, images)
    if reached > before + SEEN:
        apart = f"{reached:.1f} levels from its picture where the photo is {before:.1f}"
        unit = "flow is backward, in units of half the picture; gain and bias are for pixels in -1..1"
        yield f"wrong maps: applied to the photo they end {apart}; {unit}"


def _other_input_range(teacher: Network, photos: U8) -> Range | None:
    """The first other input range with which the output is not constant."""
    ranges: tuple[Range, ...] = ("-1..1", "0..1", "0..255")
    for other in ranges:
        if other != teacher.settings.input_range:
            changed = replace(teacher, settings=teacher.settings.model_copy(update={"input_range": other}))
            image = changed.finished(changed.outputs(photos), photos.shape[1])["image"]
            if not any("constant" in found.sentence for found in picture_findings(quantize_picture(image), photos)):
                return other
    return None


def _mispaired(images: U8, photos: U8) -> Iterator[Finding]:
    """Results that are no more like their own photo than like the others'."""
    if len(images) < 3:
        return
    own = _vectors(images) @ _vectors(photos).T
    others = float(own[~np.eye(len(own), dtype=bool)].mean())
    if float(np.diag(own).mean()) <= others:
        sentence = "results are no more like their own photos than like other photos"
        yield Finding(f"{sentence}; check that equal names are one face, and that results have the photo's framing")


def _vectors(pictures: U8) -> NDArray[np.float64]:
    """Brightness of pictures on a coarse grid, without mean, of unit length: [N, 1024]."""
    small = np.stack([cv2.resize(picture, (32, 32), interpolation=cv2.INTER_AREA) for picture in pictures])
    flat = small.astype(np.float64).mean(axis=3).reshape(len(small), -1)
    flat = flat - flat.mean(axis=0)
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9))


def _red_over_blue(images: U8, photos: U8) -> float:
    """Cosine between red minus blue of result and photo, on a coarse grid; 0 where a photo has no colour."""
    ours, theirs = (
        np.stack([cv2.resize(p, (8, 8), interpolation=cv2.INTER_AREA) for p in pictures]).astype(np.float64)
        for pictures in (images, photos)
    )
    a, b = ((side[..., 0] - side[..., 2]).ravel() for side in (ours, theirs))
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / norm if norm > 1e-9 else 0.0


def _difference(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().mean()) if one.shape == other.shape else float("inf")


def _mean(one: U8, other: U8) -> float:
    return float(np.abs(one.astype(np.int16) - other).mean())
