"""What it takes to measure a teacher that is there already: its photographs, renders, and the assess stage.

The same steps as those of a training recipe with `training.assess`, key by key; nothing is trained or looked for.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from compress.errors import InputError
from compress.plan import Plan, make_plan
from compress.planning.contents import shipped_teachers
from compress.planning.survey import survey_assessment
from compress.recipe import STYLES, Assessment


def assessment_plan(
    teacher: str, photos: Sequence[str], facts: str, style: Sequence[str], rendered: int, out: Path
) -> Plan:
    """The steps that measure `teacher`, a shipped name or a file, in the styles named (default: all that it has).

    Raises InputError for a file, folder or style that is not there.
    """
    path = shipped_teachers().get(teacher, Path(teacher))
    size, known = record_of(path)
    wanted = tuple(style) or known
    for name in wanted:
        if name not in known:
            raise InputError(f"--style {name}: {path.name} has no such style; it has {', '.join(known)}")
        if name not in STYLES:
            raise InputError(f"{path.name}: style {name} is none of the renderer's ({', '.join(STYLES)}); name --style")
    assess = {"photos": list(photos), "facts": facts, "rendered": rendered}
    told = {"name": out.name, "teacher": str(path), "size": size, "styles": list(wanted), "assess": assess}
    try:
        settings = Assessment.model_validate_json(json.dumps(told))
    except ValidationError as error:
        problem = error.errors()[0]["msg"]
        raise InputError(f"{path}: cannot be assessed ({problem}); save it with teachers.save") from error
    return make_plan(survey_assessment(settings, Path.cwd()), path)


def record_of(path: Path) -> tuple[int, tuple[str, ...]]:
    """Size and styles of a teacher's file, by its header alone. Raises InputError.

    Source: the safetensors format (8 bytes length, JSON header).
    """
    way_out = "give a shipped teacher or a file that teachers.save wrote"
    try:
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        record: dict[str, Any] = json.loads(header["__metadata__"]["architecture"])
        styles = record.get("styles", 1)
        return int(record["size"]), STYLES[:1] if styles == 1 else tuple(str(name) for name in styles)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file; {way_out}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, MemoryError) as error:
        raise InputError(f"{path}: not a teacher ({type(error).__name__}); {way_out}") from error
