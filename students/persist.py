"""Store and load a student: `architecture.json` (record) and `weights.safetensors`, both checked strictly, no pickle.

Not covered: quantized students, whose ranges belong to the quantizer's own files.
"""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from students.network import Student, build

RECORD_FILE = "architecture.json"
WEIGHTS_FILE = "weights.safetensors"


def save(student: Student, folder: str | Path) -> None:
    """Write the record and the float32 weights of a student into an existing folder."""
    target = Path(folder)
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in student.state_dict().items()}
    (target / RECORD_FILE).write_text(json.dumps(student.record, indent=2) + "\n", encoding="utf-8")
    save_file(tensors, target / WEIGHTS_FILE)


def load(folder: str | Path) -> Student:
    """The student stored in a folder, in eval mode on the CPU.

    Raises ValueError where a file is missing or unreadable, the record is wrong, or the weights do not fit the record.
    """
    record_path, weights_path = Path(folder) / RECORD_FILE, Path(folder) / WEIGHTS_FILE
    for path in (record_path, weights_path):
        if not path.is_file():
            raise ValueError(f"{path}: is missing; a student is the two files {RECORD_FILE} and {WEIGHTS_FILE}")
    try:
        record = json.loads(record_path.read_text(encoding="utf-8"))
    except ValueError as problem:
        raise ValueError(f"{record_path}: is not JSON ({problem}); store the student again") from problem
    if not isinstance(record, dict):
        raise ValueError(f"{record_path}: {type(record).__name__} is not a record; store the student again")
    student = build(record)
    try:
        tensors = load_file(weights_path)
    except SafetensorError as problem:
        raise ValueError(f"{weights_path}: is damaged or no safetensors file ({problem}); store it again") from problem
    _check_fit(student, {name: tuple(value.shape) for name, value in tensors.items()}, weights_path)
    student.load_state_dict(tensors)
    return student.eval()


def _check_fit(student: Student, stored: dict[str, tuple[int, ...]], path: Path) -> None:
    wanted = {name: tuple(value.shape) for name, value in student.state_dict().items()}
    missing = sorted(wanted.keys() - stored.keys())
    unknown = sorted(stored.keys() - wanted.keys())
    shapes = [f"{n} is {stored[n]}, not {wanted[n]}" for n in wanted.keys() & stored.keys() if stored[n] != wanted[n]]
    if missing or unknown or shapes:
        problems = [f"missing {missing[:3]}"] * bool(missing) + [f"unknown {unknown[:3]}"] * bool(unknown)
        detail = "; ".join(problems + sorted(shapes)[:3])
        raise ValueError(f"{path}: does not fit {RECORD_FILE}: {detail}; take both files from the same student")
