"""Reads a recipe file into its sections and reports every problem of it at once, each with place, line and way out.

Checks the file alone: whether the folders and weights that it names exist is found by `compress.plan`.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from compress.errors import RecipeError
from compress.planning.conflicts import conflicts
from compress.planning.document import Document, Place, read, spell
from compress.recipe import Recipe, TeacherRecipe

AnyRecipe = Recipe | TeacherRecipe
Problem = tuple[int, Place, str]
UNKNOWN = "unknown key"
_LONGEST = 60


@dataclass(frozen=True)
class Source:
    """A recipe and the document that it came from, so that later problems can name the line as well."""

    path: Path
    recipe: AnyRecipe
    document: Document

    def problem(self, place: Place, sentence: str) -> str:
        """`tiers.cpu.prune.macs (line 14): 1.3 is not ...`."""
        return _spell(self.document.line(place), place, sentence)


def load(path: Path) -> Source:
    """Read, check and build a recipe; raises RecipeError with all problems in the order of their lines."""
    document = read(path)
    if not isinstance(document.data, dict):
        raise RecipeError(path, ["line 1: the file is not a list of `key: value` lines; see recipes/quickstart.yaml"])
    model: type[AnyRecipe] = TeacherRecipe if "training" in document.data else Recipe
    found = list(document.problems)
    recipe = None
    try:
        # Through JSON, because there a list is a tuple and a whole number is a float, while text is never a number.
        recipe = model.model_validate_json(json.dumps(document.data))
    except ValidationError as error:
        # A value that was already refused as written is not refused again for its type.
        written = {place for _, place, _ in found}
        found += [
            (line, place, sentence)
            for line, place, sentence in _problems(error, document, model)
            if place not in written or sentence.startswith(UNKNOWN)
        ]
    found += [(document.line(place), place, sentence) for place, sentence in conflicts(document)]
    if found or recipe is None:
        raise RecipeError(path, [_spell(*problem) for problem in sorted(found, key=lambda problem: problem[0])])
    return Source(path, recipe, document)


def schema() -> dict[str, Any]:
    """JSON schema of both kinds of recipe, for editors."""
    from pydantic.json_schema import models_json_schema

    _, definitions = models_json_schema([(Recipe, "validation"), (TeacherRecipe, "validation")])
    kinds = [{"$ref": "#/$defs/Recipe"}, {"$ref": "#/$defs/TeacherRecipe"}]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "kcompress recipe",
        "anyOf": kinds,
        **definitions,
    }


def _spell(line: int, place: Place, sentence: str) -> str:
    return f"{spell(place)} (line {line}): {sentence}" if place else f"line {line}: {sentence}"


def _problems(error: ValidationError, document: Document, model: type[AnyRecipe]) -> Iterator[Problem]:
    """Pydantic's findings in our words; a misspelt key hides the report that the right one is missing."""
    root = model.model_json_schema()
    details = error.errors(include_url=False, include_context=False, include_input=False)
    absent = {tuple(detail["loc"]) for detail in details if detail["type"] == "missing"}
    misspelt: set[Place] = set()
    told: set[Place] = set()
    for detail in details:
        place = tuple(detail["loc"])
        if detail["type"] == "extra_forbidden" or place[-1:] == ("[key]",):
            place = place[:-1] if place[-1] == "[key]" else place
            section = _schema_at(root, place[:-1])
            names = _names(section)
            present = document.get(*place[:-1])
            near = difflib.get_close_matches(str(place[-1]), [name for name in names if name not in present], 1)
            misspelt.update((*place[:-1], name) for name in near)
            yield document.line(place), place, _unknown(str(place[-1]), names, near, section)
        elif detail["type"] != "missing":
            # A field of several forms is reported once for each, with the form's name behind its place.
            while document.get(*place) is None:
                place = place[:-1]
            if place not in told:
                told.add(place)
                yield document.line(place), place, _wrong(document.get(*place), _schema_at(root, place))
    for place in absent - misspelt:
        expected = _expectation(_schema_at(root, place))
        yield document.line(place[:-1]), place, f"is missing; write {expected}"


def _schema_at(root: Mapping[str, Any], place: Place) -> Mapping[str, Any]:
    """The part of a JSON schema that describes the value at `place`; {} where nothing is known of it."""
    part: Mapping[str, Any] = root
    for key in place:
        part = _resolved(root, part)
        if isinstance(key, int):
            prefix: Sequence[Mapping[str, Any]] = part.get("prefixItems", ())
            part = prefix[key] if key < len(prefix) else part.get("items", {})
        else:
            # A name of the wrong form still gets the description of its siblings.
            others = [part.get("additionalProperties"), *part.get("patternProperties", {}).values()]
            part = next((other for other in [part.get("properties", {}).get(key), *others] if other), {})
    return _resolved(root, part)


def _resolved(root: Mapping[str, Any], part: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" in part:
        target: Mapping[str, Any] = root["$defs"][part["$ref"].rpartition("/")[2]]
        return {**target, **{key: value for key, value in part.items() if key != "$ref"}}
    forms = [form for form in part.get("anyOf", ()) if form.get("type") != "null"]
    if len(forms) == 1:
        return {**forms[0], **{key: value for key, value in part.items() if key != "anyOf"}}
    return part


def _names(section: Mapping[str, Any]) -> list[str]:
    return list(section.get("properties", {})) or list(section.get("propertyNames", {}).get("enum", ()))


def _unknown(key: str, names: Sequence[str], near: Sequence[str], section: Mapping[str, Any]) -> str:
    if near:
        return f"{UNKNOWN} '{key}'; did you mean '{near[0]}'?"
    if names:
        return f"{UNKNOWN} '{key}'; known here: {', '.join(names)}"
    return f"'{key}' is not a name of {section.get('propertyNames', {}).get('description', 'the right form')}"


def _wrong(value: Any, part: Mapping[str, Any]) -> str:
    sentence = f"{_show(value)} is not {_expectation(part)}"
    near = difflib.get_close_matches(value, part.get("enum", ()), 1) if isinstance(value, str) else []
    if near:
        return f"{sentence}; did you mean '{near[0]}'?"
    if part.get("type") == "string" and isinstance(value, int | float):
        return f"{sentence}; put it in quotes"
    return sentence


def _show(value: Any) -> str:
    if isinstance(value, dict):
        return "a section" if value else "an empty section"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    text = f"'{value}'" if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."


def _expectation(part: Mapping[str, Any]) -> str:
    """What a JSON schema asks for, in words: `a whole number from 1 to 1024 (images a step)`."""
    if "anyOf" in part:
        note = f" ({part['description']})" if "description" in part else ""
        return " or ".join(_expectation(form) for form in part["anyOf"]) + note
    choices = part.get("enum") or ([part["const"]] if "const" in part else [])
    if choices:
        return ("one of " if len(choices) > 1 else "") + ", ".join(map(str, choices))
    kind = {
        "integer": "a whole number",
        "number": "a number",
        "string": "text",
        "boolean": "true or false",
        "array": "a list",
        "object": "a section",
    }.get(part.get("type", ""), "a value")
    if part.get("minItems", 0) > 0:
        exact = part.get("maxItems") == part["minItems"]
        kind += f" of {part['minItems']} values" if exact else f" of at least {part['minItems']}"
    if part.get("minProperties", 0) > 0:
        kind += " with at least one entry"
    note = f" ({part['description']})" if "description" in part and part.get("type") != "object" else ""
    return kind + _range(part) + note


def _range(part: Mapping[str, Any]) -> str:
    if "minimum" in part and "maximum" in part:
        return f" from {part['minimum']:g} to {part['maximum']:g}"
    bounds = []
    for key, word in (("minimum", "at least"), ("exclusiveMinimum", "above")):
        bounds += [f"{word} {part[key]:g}"] if key in part else []
    for key, word in (("maximum", "at most"), ("exclusiveMaximum", "below")):
        bounds += [f"{word} {part[key]:g}"] if key in part else []
    return " " + " and ".join(bounds) if bounds else ""
