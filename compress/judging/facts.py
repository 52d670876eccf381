"""Who is in a test picture, for metrics by group: exact labels of rendered people, a CSV file for photographs.

A render is labelled by the renderer's own numbers, with the thresholds below. A photograph is labelled only by what its
owner wrote down: nothing is guessed from pixels, and what is not written is unknown. Not covered: metrics over groups.
"""

from __future__ import annotations

import csv
import difflib
import hashlib
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compress.errors import InputError

LABELS: Mapping[str, tuple[str, ...]] = {
    "ancestry": ("african", "asian", "european", "mixed"),
    "skin": ("dark", "medium", "light"),
    "age": ("child", "adult", "senior"),
    "gender": ("female", "male"),
    "glasses": ("yes", "no"),
    "pose": ("frontal", "turned", "profile"),
    "light": ("even", "side", "dim"),
}
CATEGORIES = tuple(LABELS)
LABEL_BYTES, PERSON_BYTES = 16, 64
ANCESTRY_SHARE = 0.6
"""An ancestry of less than this share is `mixed`."""
SKIN_ITA = (10.0, 41.0)
"""Individual typology angle in degrees below which skin is dark, and from which it is light."""
CHILD_SHARE, SENIOR_SHARE = 0.05, 0.55
"""Shares of the child and old shapes from which a person counts as such; the population's children begin at 0.5."""
FRONTAL_YAW, PROFILE_YAW = 15.0, 30.0
"""Degrees between face and camera: frontal below the first, profile from the second; the population ends at 58."""
DIM_KEY, SIDE_AZIMUTH = 0.75, 40.0
"""A key light weaker than this (the population: 0.55 to 1.5) is dim; one further round the face, in degrees, side."""
# CIE: linear sRGB to XYZ over the white point D65.
_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
_XYZ /= _XYZ.sum(axis=1, keepdims=True)


@dataclass(frozen=True)
class Facts:
    """`person` is the same for all pictures of one person; `labels` maps categories to labels, absent is unknown."""

    person: str
    labels: Mapping[str, str] = field(default_factory=dict)


def fields(facts: Facts) -> dict[str, NDArray[Any]]:
    """Fields of a sample: `person` S64 and each category S16, b"" where it is unknown."""
    labels = {name: np.array(facts.labels.get(name, "").encode(), f"S{LABEL_BYTES}") for name in CATEGORIES}
    return {"person": np.array(_identifier(facts.person), f"S{PERSON_BYTES}"), **labels}


def _identifier(person: str) -> bytes:
    """The person's name; of one too long a digest, so that two people never become one."""
    name = person.encode()
    return name if len(name) <= PERSON_BYTES else hashlib.sha256(name).hexdigest().encode()


def of_render(person: str, sample: Mapping[str, NDArray[Any]]) -> Facts:
    """Labels of a rendered person from the fields that `PairRenderer.photo` gives beside the picture."""
    male, old, child, african, asian, european = sample["facts"][:6].tolist()
    shares = {"african": african, "asian": asian, "european": european}
    largest = max(shares, key=lambda name: shares[name])
    angle, (dark, light) = typology_angle(sample["skin_tone"]), SKIN_ITA
    yaw = abs(float(sample["yaw"]))
    return Facts(
        person,
        {
            "ancestry": largest if shares[largest] >= ANCESTRY_SHARE else "mixed",
            "skin": "dark" if angle < dark else "light" if angle >= light else "medium",
            "age": "child" if child >= CHILD_SHARE else "senior" if old >= SENIOR_SHARE else "adult",
            "gender": "male" if male >= 0.5 else "female",
            "glasses": "yes" if sample["glasses"] else "no",
            "pose": "frontal" if yaw < FRONTAL_YAW else "turned" if yaw < PROFILE_YAW else "profile",
            "light": light_label(sample["key_light"]),
        },
    )


def typology_angle(albedo: NDArray[np.floating]) -> float:
    """Individual typology angle in degrees of an albedo [3] in linear sRGB: atan2(L* - 50, b*), from D65.

    Source: Chardon et al. 1991; the usual classes begin at 55, 41, 28, 10 and -30 degrees.
    """
    x = _XYZ @ albedo.astype(np.float64)
    _, y, z = np.where(x > 216 / 24389, np.cbrt(x), (24389 / 27 * x + 16) / 116)
    return math.degrees(math.atan2(116 * y - 66, 200 * (y - z)))


def light_label(key: NDArray[np.floating]) -> str:
    """Label of a key light [2, 3]: the direction to it in the head's axes, its colour; dim wins over side."""
    if key[1].mean() < DIM_KEY:
        return "dim"
    return "side" if abs(math.degrees(math.atan2(key[0, 0], key[0, 2]))) >= SIDE_AZIMUTH else "even"


def read(table: Path, paths: Sequence[Path], names: Mapping[Path, str]) -> dict[Path, Facts]:
    """Facts of photographs by path, from a CSV file with the columns `file`, `person` and any category.

    `file` is relative to the CSV file or the photograph's name as in `names`; an empty cell is unknown. Raises
    InputError with the line for a column, value or file that is not known, a row that is given twice or not whole.
    """
    rows = csv.reader(io.StringIO(_text(table), newline=""), strict=True)
    found: dict[Path, Facts] = {}
    lines: dict[Path, int] = {}
    try:
        columns = _columns(table, next(rows, []))
        for cells in rows:
            if not any(cell.strip() for cell in cells):
                continue
            place = f"{table}, line {rows.line_num}"
            row = _row(place, columns, cells)
            path = _photograph(place, table, row.pop("file"), paths, names)
            if path in lines:
                raise InputError(f"{place}: {path.name} stands here and on line {lines[path]}; keep one of them")
            lines[path] = rows.line_num
            person = row.pop("person", "") or names[path]
            found[path] = Facts(person, {name: _label(place, name, text) for name, text in row.items() if text})
    except csv.Error as error:
        raise InputError(f"{table}, line {rows.line_num}: not CSV ({error}); save it as UTF-8 with commas") from error
    return found


def _text(table: Path) -> str:
    try:
        return table.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise InputError(f"{table}: cannot be read ({reason}); give a CSV file saved as UTF-8") from error


def _columns(table: Path, header: Sequence[str]) -> list[str]:
    columns = [name.strip() for name in header]
    known = ("file", "person", *CATEGORIES)
    for name in columns:
        if name not in known:
            raise InputError(f"{table}, line 1: column {name!r} is unknown; {_choice(name, known)}")
        if columns.count(name) > 1:
            raise InputError(f"{table}, line 1: column {name!r} stands there twice; keep one of them")
    if "file" not in columns:
        raise InputError(f"{table}, line 1: no column 'file'; begin with a line like file,person,age,glasses")
    return columns


def _row(place: str, columns: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
    if len(cells) != len(columns):
        raise InputError(f"{place}: {len(cells)} cells for {len(columns)} columns; write an empty one where unknown")
    return {name: cell.strip() for name, cell in zip(columns, cells)}


def _photograph(place: str, table: Path, file: str, paths: Sequence[Path], names: Mapping[Path, str]) -> Path:
    wanted = (table.parent / file).resolve()
    found = [path for path in paths if path.resolve() == wanted] or [path for path in paths if names[path] == file]
    if len(found) != 1:
        matches = f"{file!r} is {'none' if not found else len(found)} of the {len(paths)} photographs"
        raise InputError(f"{place}: {matches}; write its path relative to this file, or remove the row")
    return found[0]


def _label(place: str, category: str, text: str) -> str:
    label = text.lower()
    if label not in LABELS[category]:
        raise InputError(f"{place}: {category} {text!r}; {_choice(label, LABELS[category])}; or leave it empty")
    return label


def _choice(text: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(text, known, 1)
    return f"did you mean {near[0]}? Known are {', '.join(known)}" if near else f"known are {', '.join(known)}"
