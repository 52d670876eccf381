"""Stage candidate: an ONNX file that anybody may have exported becomes an artifact that can be judged like an export.

Writes `model.onnx`, `float.onnx` if a float version is given (each with its external data inside), and
`admission.json`. Refuses, before anything is measured, what cannot be judged, and values in another range than the file
was made for. Not covered: the judging itself (stage verify) and parity with torch, which only an export can know.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from compress.artifact import Artifact, hash_file, write_json
from compress.context import Context
from compress.errors import InputError, storage_error
from compress.exporting import model_file, parity
from compress.judging import admission, candidate
from compress.judging.admission import Admission
from compress.judging.candidate import Candidate
from compress.judging.signature import Bytes, Signature
from compress.shards import Shards

if TYPE_CHECKING:
    from compress.steps import CandidateStep

RANGE_PHOTOS = 8


def run(settings: CandidateStep, inputs: Mapping[str, Artifact], folder: Path, context: Context) -> dict[str, Any]:
    """Admit, copy and check the file and its float version; returns its hash, size, opset and how it is run.

    `inputs` are test_inputs and test_targets. Raises InputError for a file that cannot be judged.
    """
    files, admitted = _files(settings), admitted_files(settings, context)
    for name, file in files.items():
        _copy(file, folder / name)
        size = (folder / name).stat().st_size
        admitted[name] = replace(admitted[name], sha256=hash_file(folder / name), size_bytes=size)
    photos = _rows(inputs["test_inputs"], "photo")
    pictures = _rows(inputs["test_targets"], "image")
    likeness = {
        name: admission.check_ranges(Candidate(file, signature=admitted[name].signature), photos, pictures)
        for name, file in files.items()
    }
    write_json(folder / candidate.ADMISSION, {name: found.as_dict() for name, found in admitted.items()})
    judged, _ = candidate.open_folder(folder)
    integer, every = parity.convolutions(judged.path)
    context.progress.log(f"candidate: {settings.file} admitted, {likeness[candidate.INT8]:.1f} dB from the teacher")
    found = admitted[candidate.INT8]
    return {
        "sha256": found.sha256,
        "size_bytes": found.size_bytes,
        "opset": found.opset,
        "psnr_db": likeness[candidate.INT8],
        "integer_convolutions": integer,
        "convolutions": every,
    }


def admitted_files(settings: CandidateStep, context: Context) -> dict[str, Admission]:
    """What is found of the file and its float version by themselves, without a test set.

    Raises InputError for one that cannot be judged.
    """
    options = admission.Options(settings.input_range, settings.output_range, settings.layout)
    files = _files(settings)
    found = {name: admission.admit(file, settings.size, options) for name, file in files.items()}
    for line in _ranges_not_used(options, [(files[name], one.signature) for name, one in found.items()]):
        context.progress.log(f"candidate: {line}")
    return found


def _files(settings: CandidateStep) -> dict[str, Path]:
    given = {candidate.INT8: settings.file, candidate.FLOAT: settings.float_file}
    return {name: Path(file) for name, file in given.items() if file}


def _ranges_not_used(options: admission.Options, files: Sequence[tuple[Path, Signature]]) -> list[str]:
    """Which stated range does not hold for which file, because its uint8 values are 0..255 whatever is stated.

    Raises InputError for a range that holds for none of the files.
    """
    lines = []
    for flag, stated, field in (
        ("--input-range", options.input_range, "input_range"),
        ("--output-range", options.output_range, "output_range"),
    ):
        fixed = [path for path, signature in files if stated not in ("", getattr(signature, field))]
        if len(fixed) == len(files):
            raise InputError(f"{flag}: {stated} is not possible in the uint8 values of {fixed[0]}; leave the flag out")
        lines += [f"{flag} {stated} does not hold for {path}, whose uint8 values are 0..255" for path in fixed]
    return lines


def _copy(file: Path, copy: Path) -> None:
    """Byte by byte; a file with external data is written anew with the data inside."""
    try:
        if model_file.has_external_data(file):
            onnx.save(model_file.read(file), copy)
        else:
            shutil.copyfile(file, copy)
    except OSError as error:
        raise storage_error(error, copy) from error


def _rows(stored: Artifact, field: str) -> Bytes:
    """A few pictures uint8 [N, S, S, 3], spread evenly over the test set."""
    shards = Shards(stored.path)
    rows = np.unique(np.linspace(0, len(shards) - 1, RANGE_PHOTOS).astype(np.int64))
    pictures: Bytes = shards.read(rows, [field])[field]
    return pictures
