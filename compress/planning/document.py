"""Reads a YAML file as plain data and remembers on which line each value stands.

Only what is the same in everybody's head is accepted: YAML 1.2 numbers (`2e-3` is one, `010` is an error), `true` and
`false` as the only booleans (`off`, `yes`, `no` are text), no tags, no repeated keys, no empty values. All problems are
collected, none is raised. It knows nothing of recipes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from compress.errors import RecipeError

Place = tuple[str | int, ...]
"""Keys and list positions from the top of the file to a value."""

MAX_BYTES = 1 << 20
MAX_VALUES = 10_000
MAX_DIGITS = 32
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+")
_SEPARATED = re.compile(r"[-+]?[0-9][0-9_]*_[0-9_]*(\.[0-9_]*)?")
_EXACT = 2**53


@dataclass
class Document:
    """`data` is dicts, lists, text, numbers and booleans; `problems` are (line, place, sentence)."""

    path: Path
    data: Any = None
    lines: dict[Place, int] = field(default_factory=dict)
    problems: list[tuple[int, Place, str]] = field(default_factory=list)

    def line(self, place: Place) -> int:
        """Line of a value, or of the nearest section around it when the value itself is absent."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)

    def get(self, *place: str | int) -> Any:
        """The raw value at a place, or None if it is absent."""
        value = self.data
        for key in place:
            keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
            if key not in keys:
                return None
            value = value[key]
        return value


def spell(place: Place) -> str:
    """A place for people: `tiers.cpu.distill.images`, `training.phases[1].size`."""
    text = ""
    for key in place:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
    return text


class _PlainLoader(yaml.SafeLoader):
    """Resolves nothing itself (every plain scalar stays text) and notes the tags that the file writes."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own way of configuring a loader

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.tags: list[tuple[int, str]] = []

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]  # types-PyYAML leaves it untyped
        tag = getattr(event, "tag", None)
        if tag is not None:
            self.tags.append((event.start_mark.line + 1, tag))
        return super().compose_node(parent, index)


def read(path: Path) -> Document:
    """Read and convert a file; raises RecipeError when there is no document in it to speak of."""
    text = _read_text(path)
    loader = _PlainLoader(text)
    try:
        node = loader.get_single_node()
    except RecursionError:
        raise RecipeError(path, ["is nested too deeply; a recipe has a few levels"]) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = 1 if mark is None else mark.line + 1
        reason = ", ".join(part for part in (error.context, error.problem) if part)
        problem = f"line {line}: not valid YAML ({reason}); correct this line or the one before"
        raise RecipeError(path, [problem]) from None
    finally:
        loader.dispose()
    if node is None:
        raise RecipeError(path, ["line 1: the file is empty; start from recipes/quickstart.yaml"])
    document = Document(path)
    for line, tag in loader.tags:
        written = tag.replace("tag:yaml.org,2002:", "!!")
        document.problems.append((line, (), f"the tag {written} is not allowed; recipes are plain data, remove it"))
    document.data = _Converter(document).convert(node, (), ())
    return document


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise RecipeError(path, ["there is no such file; check the path"]) from None
    except IsADirectoryError:
        raise RecipeError(path, ["is a folder; name the YAML file in it"]) from None
    except OSError as error:
        raise RecipeError(path, [f"cannot be read ({error.strerror}); check the path and its permissions"]) from None
    if len(content) > MAX_BYTES:
        raise RecipeError(path, [f"is larger than {MAX_BYTES} bytes; a recipe is a short text file"])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problem = f"line {line}: byte {error.start} is not UTF-8 text; save the file as UTF-8"
        raise RecipeError(path, [problem]) from None
    unprintable = yaml.reader.Reader.NON_PRINTABLE.search(text)
    if unprintable:
        line = text.count("\n", 0, unprintable.start()) + 1
        raise RecipeError(path, [f"line {line}: unprintable character U+{ord(unprintable[0]):04X}; remove it"])
    return text


class _Converter:
    """Turns nodes into plain data, noting lines and problems in `document`."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._count = 0

    def convert(self, node: yaml.Node, place: Place, parents: tuple[int, ...]) -> Any:
        line = node.start_mark.line + 1
        self._document.lines.setdefault(place, line)
        self._count += 1
        if id(node) in parents:
            return self._problem(line, place, "the alias refers to a section around it; write the values out")
        if self._count == MAX_VALUES:
            self._problem(line, place, f"more than {MAX_VALUES} values; write less, or fewer aliases")
        if self._count >= MAX_VALUES:
            return None
        parents = (*parents, id(node))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place, parents)
        if isinstance(node, yaml.SequenceNode):
            return [self.convert(item, (*place, index), parents) for index, item in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)
        return node.value if node.style is not None else self._scalar(node.value, line, place)

    def _mapping(self, node: yaml.MappingNode, place: Place, parents: tuple[int, ...]) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self._problem(line, place, "a key is not a plain word; write `key: value`")
                continue
            key = str(key_node.value)
            inner = (*place, key)
            if key in data:
                first = self._document.lines[inner]
                self._problem(line, inner, f"stands here and on line {first}; keep one of them")
                continue
            self._document.lines[inner] = line
            data[key] = self.convert(value_node, inner, parents)
        return data

    def _scalar(self, text: str, line: int, place: Place) -> Any:
        if text in ("", "~", "null", "Null", "NULL"):
            return self._problem(line, place, "is empty; write a value or remove the key")
        if text in ("true", "True", "TRUE", "false", "False", "FALSE"):
            return text.lower() == "true"
        if len(text) > MAX_DIGITS and _FLOAT.fullmatch(text):
            return self._problem(line, place, f"a number of {len(text)} characters; write a shorter one")
        if _INTEGER.fullmatch(text):
            return int(text)
        if _LEADING_ZERO.fullmatch(text):
            number = int(text.replace("_", ""))
            self._problem(line, place, f"{text} starts with a zero; write {number} for the number, '{text}' for text")
            return number
        if _SEPARATED.fullmatch(text):
            plain = text.replace("_", "")
            self._problem(line, place, f"{text} is written with underscores; write {plain}")
            return float(plain) if "." in plain else int(plain)
        if _FLOAT.fullmatch(text):
            value = float(text)
            if abs(value) == float("inf"):
                return self._problem(line, place, f"{text} is too large for a number; write a smaller one")
            # 20e6 is how people write twenty million MACs.
            return int(value) if "e" in text.lower() and value.is_integer() and abs(value) < _EXACT else value
        return text

    def _problem(self, line: int, place: Place, sentence: str) -> None:
        self._document.problems.append((line, place, sentence))
