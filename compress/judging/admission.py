"""Admission of an ONNX file that anybody may have exported: what it takes and gives, or one sentence why it cannot be
judged.

A file is admitted if it maps one photo to one picture of the same size, repeatably. Free and fixed sizes and batches,
float32, float16 and uint8, channels first and last, and the usual ranges of values are understood; what a file does not
say itself (the range) is assumed, and `check_ranges` proves the assumption against the teacher. Not covered: several
inputs or outputs, grey pictures, channels in another order than RGB.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from compress import artifact
from compress.errors import InputError, StageError
from compress.exporting import model_file
from compress.judging import candidate
from compress.judging.candidate import Candidate
from compress.judging.signature import INPUT_RANGES, LAYOUTS, OUTPUT_RANGES, Bytes, Floats, Signature

DTYPES = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(uint8)": "uint8"}
SIZES = range(32, 1025, 16)  # what `test.size` may be
RANGE_GAIN_DB = 3.0  # another reading of the values that is this much nearer to the teacher is the right one
PICTURE_DB = 12.0  # below it is no likeness of the teacher's picture, whatever the range
REPEATABLE = 1 / 127.5  # one level of 255


@dataclass(frozen=True)
class Options:
    """What the user says about a file; "" is what its types and shapes say. No range can be said of uint8: it is
    0..255."""

    input_range: str = ""
    output_range: str = ""
    layout: str = ""


@dataclass(frozen=True)
class Admission:
    """What is known about an admitted file; sizes of 0 in the signature are free."""

    signature: Signature
    opset: int
    ir_version: int
    operators: dict[str, int]
    sha256: str
    size_bytes: int

    def as_dict(self) -> dict[str, Any]:
        """For `admission.json`, of which `candidate.read_signatures` reads the signature again."""
        facts = {"opset": self.opset, "ir_version": self.ir_version, "operators": self.operators}
        return {**self.signature.as_dict(), **facts, "sha256": self.sha256, "size_bytes": self.size_bytes}


def admit(path: Path, size: int, options: Options) -> Admission:
    """Look at `path`, then run it on two synthetic photos of `size` px: what it takes and gives.

    Raises InputError, naming the file, what is wrong and the way out, for any file that cannot be judged.
    """
    model = model_file.read(path)
    try:
        session = candidate.create_session(path)
    except candidate.FAILURES as error:
        raise model_file.refusal(path, model, error) from error
    photo, picture = _only(path, "input", session.get_inputs()), _only(path, "output", session.get_outputs())
    possible = _possible(path, photo, picture, options)
    _require_size(path, possible[0], size)
    signature = _probe(Candidate(path, signature=possible[0]), possible, size)
    return Admission(
        signature=signature,
        opset=model_file.opset(model),
        ir_version=model.ir_version,
        operators=model_file.operators(model),
        sha256=artifact.hash_file(path),
        size_bytes=path.stat().st_size,
    )


def check_ranges(file: Candidate, photos: Bytes, teacher: Bytes) -> float:
    """PSNR in dB to the teacher's pictures of `photos`, both uint8 [N, H, W, 3], with the ranges of the file's
    signature.

    Raises InputError if another pair of known ranges brings the file at least 3 dB nearer to the teacher.
    """
    stated = file.signature
    inputs = INPUT_RANGES if stated.dtype != "uint8" else (stated.input_range,)
    outputs = OUTPUT_RANGES if stated.output_dtype != "uint8" else (stated.output_range,)
    target = teacher.astype(np.float32) / np.float32(127.5) - np.float32(1)
    found = {}
    for input_range in inputs:
        reader = file.read_as(replace(stated, input_range=input_range))
        tensors = [reader.run(reader.tensor(photos[row : row + 1])) for row in range(len(photos))]
        for output_range in outputs:
            decode = replace(stated, output_range=output_range).decode
            found[input_range, output_range] = _psnr(np.concatenate([decode(t)[:1] for t in tensors]), target)
    own = found[stated.input_range, stated.output_range]
    best = max(found, key=lambda ranges: found[ranges])
    if found[best] >= max(own + RANGE_GAIN_DB, PICTURE_DB):
        flags = f"--input-range {best[0]} --output-range {best[1]}"
        raise InputError(
            f"{file.path}: {own:.1f} dB from the teacher with values {stated.input_range} in and "
            f"{stated.output_range} out, {found[best]:.1f} dB with {best[0]} in and {best[1]} out; give {flags}"
        )
    return own


def _psnr(pictures: Floats, target: Floats) -> float:
    """PSNR in dB of pictures in [-1, 1]; what is not finite is no likeness at all."""
    error = float(np.square(pictures - target, dtype=np.float64).mean())
    return float(10 * np.log10(4 / max(error, 1e-10))) if np.isfinite(error) else -np.inf


def _only(path: Path, side: str, values: list[Any]) -> Any:
    """The one input or output, as ONNX Runtime describes it."""
    if len(values) == 1:
        return values[0]
    names = ", ".join(f"{value.name} {_text(value.shape)}" for value in values) or "none"
    wanted = "photo" if side == "input" else "picture"
    raise InputError(f"{path}: {len(values)} {side}s ({names}), one is needed; export it with its {wanted} alone")


def _possible(path: Path, photo: Any, picture: Any, options: Options) -> list[Signature]:
    """All readings that types, shapes and options leave open, the likeliest first."""
    dtype, output_dtype = (_dtype(path, side, value) for side, value in (("takes", photo), ("gives", picture)))
    input_range = _range("--input-range", dtype, options.input_range)
    output_range = _range("--output-range", output_dtype, options.output_range)
    taken = _layouts(path, "takes", photo.shape, options.layout)
    given = _layouts(path, "gives", picture.shape, "")
    # What the shapes leave open is most likely the same on both sides.
    pairs = sorted(itertools.product(taken, given), key=lambda pair: (taken.index(pair[0]), pair[0] != pair[1]))
    signatures = []
    for layout, output_layout in pairs:
        batch, height, width = (_fixed(photo.shape, axis) for axis in ((0, 2, 3) if layout == "nchw" else (0, 1, 2)))
        signature = Signature(
            photo.name, picture.name, layout, output_layout, dtype, output_dtype, input_range, output_range,
            batch, height, width,
        )  # fmt: skip
        signatures.append(signature)
    return signatures


def _dtype(path: Path, verb: str, value: Any) -> str:
    if value.type not in DTYPES:
        known = ", ".join(DTYPES.values())
        raise InputError(f"{path}: {verb} {value.type}, known are {known}; export it with one of them")
    return DTYPES[value.type]


def _range(flag: str, dtype: str, asked: str) -> str:
    known = INPUT_RANGES if flag == "--input-range" else OUTPUT_RANGES
    if asked and asked not in known:
        raise InputError(f"{flag}: {asked} is not known; give one of {', '.join(known)}")
    return "0..255" if dtype == "uint8" else asked or "-1..1"


def _layouts(path: Path, verb: str, shape: list[Any], asked: str) -> list[str]:
    """Layouts that a shape allows; where one axis says 3 channels, only that one."""
    if asked and asked not in LAYOUTS:
        raise InputError(f"--layout: {asked} is not known; give one of {', '.join(LAYOUTS)}")
    if shape and len(shape) != 4:
        raise InputError(f"{path}: {verb} {_text(shape)}, four axes are needed; export it for a batch of pictures")
    channels = {"nchw": _fixed(shape, 1), "nhwc": _fixed(shape, 3)}
    certain = [layout for layout in LAYOUTS if channels[layout] == 3]
    # One grey channel is no side of a picture.
    few = any(0 < count < SIZES.start for count in channels.values())
    open_ = certain or [layout for layout in LAYOUTS if channels[layout] == 0 and not few]
    if not open_:
        raise InputError(f"{path}: {verb} {_text(shape)}, no axis has 3 channels; export it for RGB pictures")
    if asked and asked not in open_:
        raise InputError(f"--layout: {asked} does not fit {_text(shape)} of {path}; leave the flag out")
    return [asked] if asked else open_


def _require_size(path: Path, signature: Signature, size: int) -> None:
    if signature.takes(size, size):
        return
    height, width = signature.height or size, signature.width or size
    usable = height == width and height in SIZES
    way_out = f"set test.size: {height}" if usable else "export it with free height and width"
    sides = f"{height}" if height == width else f"{height} x {width}"
    raise InputError(f"{path}: takes {sides} px, test.size is {size}; {way_out}")


def _probe(file: Candidate, possible: list[Signature], size: int) -> Signature:
    """The first reading under which the file turns a photo into a picture of its size, proven by running it."""
    photos = np.random.default_rng(0).integers(0, 256, (2, size, size, 3)).astype(np.uint8)
    problem = ""
    for signature in possible:
        reader = file.read_as(signature)
        try:
            answer = reader.run(reader.tensor(photos[:1]))
        except StageError as error:
            cause = error.__cause__
            reason = model_file.plain(cause) if isinstance(cause, Exception) else str(error)
            problem = problem or f"fails on a photo of {size} px ({reason}); export it for photos of that size"
            continue
        if answer[:1].shape == signature.picture_shape(photos[:1]):
            return _settle(reader, photos, answer)
        sides = f"{_text(list(answer.shape))} for a photo of {size} px"
        problem = f"gives {sides}, a picture of the same size is needed; export it with such an output"
    raise InputError(f"{file.path}: {problem}")


def _settle(reader: Candidate, photos: Bytes, answer: Any) -> Signature:
    """The reader's signature; with a batch of one if the file cannot be trusted with more."""
    path, signature = reader.path, reader.signature
    if not np.isfinite(answer).all():
        raise InputError(f"{path}: its picture of a plain photo holds NaN or infinity; mend the model")
    alone = signature.decode(answer)[:1]
    if not _same(alone, signature.decode(reader.run(reader.tensor(photos[:1])))[:1]):
        raise InputError(f"{path}: gives another picture of the same photo each time; export it without random numbers")
    if signature.batch == 1:
        return signature
    try:
        beside = reader.run(reader.tensor(photos))
    except StageError:
        return replace(signature, batch=1)
    if len(beside) >= 2 and _same(alone, signature.decode(beside)[:1]):
        return signature
    if signature.batch:
        raise InputError(f"{path}: its picture of a photo depends on the others of its batch; export it for one photo")
    return replace(signature, batch=1)


def _same(pictures: Floats, others: Floats) -> bool:
    return pictures.shape == others.shape and bool(np.abs(pictures - others).max() <= REPEATABLE)


def _fixed(shape: list[Any], axis: int) -> int:
    """Extent of an axis, 0 if it is free or nothing is said about the shape."""
    return shape[axis] if shape and isinstance(shape[axis], int) and shape[axis] > 0 else 0


def _text(shape: list[Any]) -> str:
    return "[" + ", ".join(str(extent) for extent in shape) + "]"
