"""The published form of a verdict: what `verdict.json` holds, as frozen models with a JSON schema and a version.

A file is read only if it says what its gates say: a verdict that was cut off, edited, or written by another version is
an error, never a pass. How gates are judged is `judging.gates`; nothing is measured here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from compress.artifact import write_text
from compress.errors import StorageError, storage_error

VERSION: Literal[1] = 1
State = Literal["passed", "failed", "undecided"]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the file, hexadecimal")]
Number = Annotated[float, Field(allow_inf_nan=False)]
Samples = Annotated[int, Field(ge=0)]
_WAY_OUT = "delete its folder and run the same command again"


class Part(BaseModel):
    """Base of all parts: frozen, strict about types, no unknown key."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class BoundRecord(Part):
    """What the recipe asks of a number; at least one side is given."""

    min: Number | None = None
    max: Number | None = None

    def holds(self, lower: float, upper: float) -> bool:
        """Whether all of `lower`..`upper` is inside."""
        return (self.min is None or lower >= self.min) and (self.max is None or upper <= self.max)


class IntervalRecord(Part):
    """A measured number: value, interval, and what it rests on. A counted number has an interval of no width."""

    value: Number
    lower: Number
    upper: Number
    n: Samples = Field(description="images, or videos")
    clusters: Samples = Field(description="independent ones among them: people, or videos")
    method: str = Field(description="how the interval was found; `counted` for numbers that were not sampled")
    confidence: float = Field(gt=0, le=1)


class GateRecord(IntervalRecord):
    """One gate on one part of the test set; `subset` is `model` for gates without images."""

    name: str
    subset: str
    state: State = Field(description="failed: the bound is missed; undecided: the sample cannot tell")
    passed: bool = Field(description="whether state is `passed`")
    bound: BoundRecord
    unit: str
    meaning: str
    detail: str = Field(description="why it did not pass; empty if it did")
    backbone: str = Field(description="the role in `backbones` that it depends on; empty if it needs no network")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.passed != (self.state == "passed"):
            raise ValueError(f"gate {self.name} on {self.subset}: `passed` is {self.passed}, its state {self.state}")
        if self.bound.min is None and self.bound.max is None:
            raise ValueError(f"gate {self.name} on {self.subset} has no bound")
        if self.passed and not self.bound.holds(self.lower, self.upper):
            raise ValueError(f"gate {self.name} on {self.subset}: passed, though its interval misses the bound")
        return self


class GroupRecord(Part):
    """One number of one group of people or pictures; `gap` is how much worse it is than the others of its category."""

    subset: str
    category: str
    label: str
    n: Samples
    judged: bool = Field(description="false where it or the others have too few people")
    metric: str = Field(description="empty for groups that are not judged")
    value: Number | None = None
    lower: Number | None = None
    upper: Number | None = None
    gap: Number | None = None


class BackboneRecord(Part):
    """A network that judged."""

    name: str
    sha256: Sha256
    layers: tuple[str, ...] = ()


class TeacherRecord(Part):
    """Who drew what the candidate is compared with."""

    name: str
    sha256: Sha256


class CandidateRecord(Part):
    """The file that was judged."""

    file: str
    sha256: Sha256
    size_bytes: int = Field(ge=1)


class Verdict(Part):
    """One candidate judged by the gates of one tier."""

    schema_: Literal[1] = Field(alias="schema", description="version of this form")
    tier: str
    passed: bool = Field(description="whether state is `passed`")
    state: State = Field(description="failed: at least one gate; undecided: none failed, and some cannot tell")
    images: dict[str, Samples] = Field(description="test images by part")
    seed: int
    not_judged: dict[str, str] = Field(description="parts of the test set that are too small, and why")
    left_out: tuple[str, ...] = Field(description="gates of the recipe that the command line left out")
    gates: tuple[GateRecord, ...] = Field(min_length=1)
    groups: tuple[GroupRecord, ...]
    backbones: dict[str, BackboneRecord]
    teacher: TeacherRecord
    candidate: CandidateRecord
    versions: dict[str, str]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        state = _together([gate.state for gate in self.gates])
        if self.state != state or self.passed != (state == "passed"):
            claim = f"`passed` is {self.passed} and `state` {self.state}"
            raise ValueError(f"{claim}, which its {len(self.gates)} gates do not say")
        unknown = {gate.backbone for gate in self.gates} - {"", *self.backbones}
        if unknown:
            raise ValueError(f"gates name the backbone {sorted(unknown)[0]}, which is not described")
        return self

    def missed(self) -> tuple[GateRecord, ...]:
        """The gates that did not pass, failed ones before undecided ones."""
        return tuple(sorted((gate for gate in self.gates if not gate.passed), key=lambda gate: gate.state != "failed"))


class RunVerdict(Part):
    """All tiers of a run."""

    schema_: Literal[1] = Field(alias="schema", description="version of this form")
    name: str
    passed: bool = Field(description="whether every tier passed")
    tiers: dict[str, Verdict] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.passed != all(tier.passed for tier in self.tiers.values()):
            raise ValueError(f"`passed` is {self.passed}, which its {len(self.tiers)} tiers do not say")
        if any(name != tier.tier for name, tier in self.tiers.items()):
            raise ValueError("a tier stands under the name of another")
        return self


def gathered(name: str, verdicts: Iterable[Verdict]) -> RunVerdict:
    """The verdict of run `name` from those of its tiers, at least one."""
    tiers = {verdict.tier: verdict for verdict in verdicts}
    return RunVerdict(schema=VERSION, name=name, passed=all(v.passed for v in tiers.values()), tiers=tiers)


def build(fields: Mapping[str, Any]) -> Verdict:
    """A verdict of plain data as JSON has it (lists, dicts); `schema`, `state` and `passed` follow from its gates.

    Raises ValueError for a field that is missing, unknown or contradicts another: a bug of the caller.
    """
    state = _together([gate["state"] for gate in fields["gates"]])
    whole = {"schema": VERSION, **fields, "state": state, "passed": state == "passed"}
    return Verdict.model_validate_json(json.dumps(whole))


def read(path: Path) -> Verdict:
    """The verdict of one tier or candidate; raises StorageError where the file is missing, damaged or contradictory."""
    found = _read(path)
    if isinstance(found, Verdict):
        return found
    raise StorageError(f"{path}: the verdict of a whole run ({', '.join(found.tiers)}); read it as one")


def read_run(path: Path) -> RunVerdict:
    """The verdict of a run; that of one candidate is a run of one tier. Raises StorageError as `read` does."""
    found = _read(path)
    return gathered(found.candidate.file, [found]) if isinstance(found, Verdict) else found


def _together(states: Sequence[State]) -> State:
    """What gates of these states say together."""
    return "failed" if "failed" in states else "undecided" if "undecided" in states else "passed"


def _read(path: Path) -> Verdict | RunVerdict:
    try:
        text = path.read_text(encoding="utf-8")
        data = json.loads(text)
        version = data["schema"]
        if version == VERSION:
            return (RunVerdict if "tiers" in data else Verdict).model_validate_json(text)
    except FileNotFoundError:
        raise StorageError(f"{path}: there is no verdict; run kcompress run or kcompress verify first") from None
    except OSError as error:
        raise storage_error(error, path) from error
    except ValidationError as error:
        raise StorageError(f"{path}: not a verdict ({_first(error)}); {_WAY_OUT}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(f"{path}: not a verdict ({type(error).__name__}: {error}); {_WAY_OUT}") from None
    raise StorageError(f"{path}: a verdict of form {version}, this kcompress reads {VERSION}; {_WAY_OUT}")


def _first(error: ValidationError) -> str:
    """The first finding, in one line."""
    found = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(key) for key in found["loc"])
    sentence = found["msg"].removeprefix("Value error, ")
    return f"{place}: {sentence}" if place else sentence


def write(path: Path, verdict: Verdict | RunVerdict) -> None:
    """Write a verdict so that a reader sees the old file or the whole new one."""
    write_text(path, verdict.model_dump_json(by_alias=True, indent=2) + "\n")


def schema() -> dict[str, Any]:
    """JSON schema of `verdict.json`: of a run with its tiers, or of one candidate."""
    from pydantic.json_schema import models_json_schema

    _, definitions = models_json_schema([(RunVerdict, "validation"), (Verdict, "validation")], by_alias=True)
    kinds = [{"$ref": "#/$defs/RunVerdict"}, {"$ref": "#/$defs/Verdict"}]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "kcompress verdict",
        "anyOf": kinds,
        **definitions,
    }
