"""Fields of a recipe that are each in order and cannot stand together: leaks, impossible budgets, empty sets.

Works on the raw document, so that these problems are reported together with all others; a value that is absent or of
the wrong type is left to the schema. Nothing outside the file is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator

from compress.planning.document import Document, Place
from compress.recipe import (
    WAYS,
    DistillSettings,
    InputSettings,
    PairSettings,
    QuantizeSettings,
    SteadinessSettings,
    Way,
)

Conflict = tuple[Place, str]
Number = int | float
_SIZE = InputSettings.model_fields["size"].default
_PAIR_SIZE = PairSettings.model_fields["size"].default
_DISTILL_BATCH = DistillSettings.model_fields["batch"].default
_QUANTIZE_BATCH = QuantizeSettings.model_fields["batch"].default
# Which ways of naming a teacher read an option; `accept` is read by all.
_FOREIGN: frozenset[Way] = frozenset({"onnx", "program", "python"})
_READ_BY: dict[str, frozenset[Way]] = {
    **dict.fromkeys(("input_range", "output_range", "input_colour", "output_colour", "outputs"), _FOREIGN),
    **dict.fromkeys(("factory", "files", "trust"), frozenset[Way]({"python"})),
    "style": frozenset({"network"}),
    "size": _FOREIGN | {"network"},
}


def conflicts(document: Document) -> Iterator[Conflict]:
    """All (place, sentence) of a document, whatever else is wrong with it."""
    yield from _leaks(document)
    yield from _empty_sets(document)
    yield from _teacher(document)
    tiers = document.get("tiers")
    for name in tiers if isinstance(tiers, dict) else ():
        yield from _tier(document, ("tiers", name))
    yield from _styles(document)
    yield from _painted(document)
    bounds = document.get("training", "assess", "bounds")
    for name in bounds if isinstance(bounds, dict) else ():
        yield from _bounds(document, ("training", "assess", "bounds", name))
    phases = document.get("training", "phases")
    for index in range(len(phases) if isinstance(phases, list) else 0):
        yield from _phase(document, ("training", "phases", index))


def _number(document: Document, place: Place, default: Number | None = None) -> Number | None:
    value = document.get(*place)
    if value is None:
        return default
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _folders(document: Document, section: str) -> list[str]:
    photos = document.get(section, "photos")
    return [folder for folder in photos if isinstance(folder, str)] if isinstance(photos, list) else []


def _leaks(document: Document) -> Iterator[Conflict]:
    for known, kept_apart in ((("inputs", "rendered_seed"), ("test", "rendered_seed")),
                              (("training", "pairs", "seed"), ("training", "validation", "seed")),
                              (("training", "pairs", "seed"), ("training", "assess", "rendered_seed"))):  # fmt: skip
        seed = _number(document, kept_apart)
        if seed is not None and seed == _number(document, known):
            way_out = "the same faces would be learned and judged; choose another seed"
            yield kept_apart, f"{seed} is the seed of {'.'.join(known)} (line {document.line(known)}) too, {way_out}"


def _painted(document: Document) -> Iterator[Conflict]:
    place: Place = ("training", "unpaired", "painted")
    painter: Place = (*place[:2], "painter")
    named = document.get(*painter) or document.get("training", "initial")
    if _number(document, place) and not named:
        way_out = f"name some in {'.'.join(map(str, painter))} or training.initial, or write 0"
        yield place, f"{document.get(*place)}, but there are no weights whose results could be painted over; {way_out}"
    if document.get(*painter) and not _number(document, place):
        yield painter, f"{document.get(*painter)} draws nothing while painted is 0; give painted a weight, or remove it"


def _empty_sets(document: Document) -> Iterator[Conflict]:
    for section in ("inputs", "test"):
        if _number(document, (section, "rendered")) == 0 and not _folders(document, section):
            yield (section, "rendered"), "0 rendered images and no folder of photos; give some of either"


def _teacher(document: Document) -> Iterator[Conflict]:
    """A teacher named in no way or in several, options that its way does not read, and what it cannot give."""
    teacher = document.get("teacher")
    if not isinstance(teacher, dict):
        return
    ways = [way for way in WAYS if teacher.get(way)]
    if len(ways) != 1:
        given = f"is named in {len(ways)} ways ({', '.join(ways)})" if ways else "is not named"
        yield ("teacher",), f"{given}; give exactly one of {', '.join(WAYS)}"
        return
    way = ways[0]
    for option in teacher:
        if way not in _READ_BY.get(option, {way}):
            yield ("teacher", option), f"means nothing for a teacher named by {way}; remove it"
    if way == "python":
        if not teacher.get("factory"):
            yield ("teacher", "factory"), "is missing; write the name of the function that makes the teacher"
        if teacher.get("trust") is not True:
            sentence = "the file would be executed with all your rights; read it, then write trust: true beside it"
            yield ("teacher", "python"), sentence
    if way == "pairs":
        yield from _pairs(document)
    if way != "network":
        outputs = teacher.get("outputs")
        yield from _not_offered(document, way, set(outputs) if isinstance(outputs, dict) else set())


def _pairs(document: Document) -> Iterator[Conflict]:
    """What needs a teacher that can be run; pairs have results for their own photos only."""
    for section in ("inputs", "test"):
        if rendered := _number(document, (section, "rendered"), 0):
            way_out = "set 0 and name folders within its photos folder"
            yield (
                (section, "rendered"),
                f"{rendered} where the teacher is a folder of pairs, without results; {way_out}",
            )
    for kind in ("images", "videos"):
        place: Place = ("test", "steadiness", kind)
        if _number(document, place, SteadinessSettings.model_fields[kind].default):
            sentence = "is above 0, but pairs hold no results of changed photos; set it to 0, without gates on it"
            yield place, sentence


def _not_offered(document: Document, way: Way, outputs: set[str]) -> Iterator[Conflict]:
    """Losses on maps or taps of a teacher that gives none."""
    tiers = document.get("tiers")
    for name in tiers if isinstance(tiers, dict) else ():
        for stage in ("distill", "finetune", "quantize"):
            for loss, output in (("flow", "maps"), ("maps", "maps"), ("taps", "tap")):
                place: Place = ("tiers", name, stage, "weights", loss)
                if output not in outputs and (weight := _number(document, place)):
                    way_out = "set it to 0" if way == "pairs" else f"set it to 0, or name {output} in teacher.outputs"
                    yield place, f"{weight:g}, but the teacher gives no {output}; {way_out}"


def _tier(document: Document, tier: Place) -> Iterator[Conflict]:
    yield from _above(document, (*tier, "prune", "macs"), (*tier, "budget", "macs"))
    for name in ("macs", "size_bytes", "latency_ms"):
        yield from _above(document, (*tier, "gates", name, "max"), (*tier, "budget", name))
    yield from _above(document, (*tier, "student", "core_resolution"), ("inputs", "size"), _SIZE)
    for stage in ("distill", "finetune"):
        yield from _above(document, (*tier, stage, "batch"), (*tier, stage, "images"), default=_DISTILL_BATCH)
    quantize = (*tier, "quantize")
    if _number(document, (*quantize, "images")):
        yield from _above(document, (*quantize, "batch"), (*quantize, "images"), default=_QUANTIZE_BATCH)
    gates = document.get(*tier, "gates")
    for name in gates if isinstance(gates, dict) else ():
        yield from _bounds(document, (*tier, "gates", name))


def _bounds(document: Document, gate: Place) -> Iterator[Conflict]:
    section = document.get(*gate)
    if not isinstance(section, dict):
        return
    if not {"min", "max"} & set(section):
        yield gate, "has neither min nor max; give at least one"
    yield from _above(document, (*gate, "min"), (*gate, "max"))


def _styles(document: Document) -> Iterator[Conflict]:
    styles = document.get("training", "pairs", "styles")
    for index, style in enumerate(styles if isinstance(styles, list) else ()):
        if style in styles[:index]:
            yield ("training", "pairs", "styles", index), f"'{style}' is there already; name each style once"


def _phase(document: Document, phase: Place) -> Iterator[Conflict]:
    yield from _above(document, (*phase, "size"), ("training", "pairs", "size"), _PAIR_SIZE)
    yield from _above(document, (*phase, "batch"), (*phase, "images"))


def _above(
    document: Document, place: Place, limit: Place, limit_default: Number | None = None, default: Number | None = None
) -> Iterator[Conflict]:
    """A conflict if the number at `place` is above the one at `limit`."""
    value, most = _number(document, place, default), _number(document, limit, limit_default)
    if value is not None and most is not None and value > most:
        name = ".".join(str(key) for key in limit)
        line = f" (line {document.line(limit)})" if limit in document.lines else ""
        yield place, f"{value:.12g} is above {name}{line}, which is {most:.12g}; lower the one or raise the other"
