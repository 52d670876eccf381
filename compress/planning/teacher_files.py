"""Looks at the file or folder that names a teacher before anything runs: whole, of the right kind, and of fitting size.

What it finds is told with the recipe's other problems; nothing of a teacher is executed here, and torch is not needed.
Not covered: shipped networks (`planning.contents`), and what a teacher draws (`teaching.teacher_check`).
"""

from __future__ import annotations

import ast
import difflib
import json
import re
import zipfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compress.errors import InputError
from compress.planning.style_choice import UNNAMED, Choice, weights_of
from compress.recipe import TeacherArchitecture, TeacherSettings

PHOTOS, RESULTS = "photos", "results"
LAYOUT = f"a folder of pairs holds {PHOTOS}/NAME.jpg and {RESULTS}/NAME.png, with the same names below both"
SUFFIXES = {"onnx": ".onnx", "program": ".pt2", "python": ".py"}
_AGAIN = "save it again with torch.export.save"
Shape = Sequence[int | str | None]
Finding = tuple[str, str]
# Sizes in a program are texts of SymPy that torch evaluates: Mul(Integer(4), Symbol('s39', positive=True)).
_SIZE_TERM = re.compile(r"'\w+'|[A-Z][A-Za-z]*|[a-z]{1,3}\d+|positive|integer|nonnegative|real|\d+|[\s(),=.+\-*/<>]")


@dataclass(frozen=True)
class Port:
    """What a file says about the tensor that takes photos; 0 where it says nothing or anything goes."""

    channels_last: bool
    batch: int
    side: int


def findings(settings: TeacherSettings, sizes: Collection[int]) -> Iterator[Finding]:
    """(field of the teacher, sentence) for all that is wrong with its file; `sizes` are those of inputs and test.

    `settings` has absolute paths. Source of the formats: ONNX, PyTorch (pt2 archive), Python.
    """
    path, way = Path(settings.path), settings.way
    for file in settings.files:
        if not Path(file).is_file():
            yield "files", f"{file}: there is no such file; correct the path (it is relative to the recipe)"
    if not path.is_file():
        problem = "is a folder, not a file" if path.is_dir() else "there is no such file"
        yield way, f"{path}: {problem}; correct the path (it is relative to the recipe)"
    elif path.suffix.lower() != SUFFIXES[way]:
        fitting = next((other for other, suffix in SUFFIXES.items() if suffix == path.suffix.lower()), "network")
        yield way, f"{path}: not a {SUFFIXES[way]} file; name it as `{fitting}:` or give another file"
    elif way == "python":
        yield from _python(path, settings.factory)
    else:
        try:
            shape, outputs = _onnx(path) if way == "onnx" else _program(path)
            wanted = {settings.size} if settings.size else set(sizes)
            port_of(path, shape, wanted)
        except InputError as error:
            yield way, str(error)
        else:
            yield from _outputs(path, settings, outputs)


def style_finding(path: Path, style: Choice) -> str:
    """What is wrong with the style that is asked of a .safetensors file with a sound header; empty if nothing is."""
    try:
        weights_of(style, known_styles(path))
    except ValueError as error:
        return str(error)
    return ""


def known_styles(path: Path) -> tuple[str, ...]:
    """Names of the styles of a .safetensors file with a sound header; loading it tells if its architecture is wrong."""
    styles = architecture_of(path).get("styles")
    return tuple(map(str, styles)) if isinstance(styles, list) and styles else UNNAMED


def architecture_of(path: Path) -> dict[str, Any]:
    """The architecture record of a .safetensors file with a sound header; empty if it has none.

    Source: the safetensors format (8 bytes length, JSON header).
    """
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    try:
        record = json.loads(header["__metadata__"]["architecture"])
    except (ValueError, TypeError, KeyError):
        return {}
    return record if isinstance(record, dict) else {}


def architecture_findings(path: Path, wanted: TeacherArchitecture) -> Iterator[Finding]:
    """Fields in which the recipe asks for another network than the weights that its training begins with are of.

    What an older record does not name has its default.
    """
    record = architecture_of(path)
    for name, value in wanted.model_dump(mode="json").items() if record else ():
        own = record.get(name, TeacherArchitecture.model_fields[name].default)
        if own != value:
            yield name, f"{value} is not the {own} of {path.name}, which training.initial names; write {own}"


def port_of(path: Path, shape: Shape, sizes: Collection[int]) -> Port:
    """What the shape of an input, [N, 3, S, S] or [N, S, S, 3], says; anything but a whole number above 0 is free.

    Raises InputError if no photo of one of `sizes` px has this shape.
    """
    known = [size if isinstance(size, int) and size > 0 else 0 for size in shape]
    text = "x".join(str(size or "?") for size in known)
    if not known:
        return Port(channels_last=False, batch=0, side=0)  # nothing is said
    if len(known) != 4:
        raise InputError(f"{path}: its input is {text}, where a batch [N, 3, S, S] is needed; export it so")
    channels_last = known[3] == 3 and known[1] != 3
    batch, channels, height, width = [known[i] for i in ((0, 3, 1, 2) if channels_last else (0, 1, 2, 3))]
    if channels not in (0, 3):
        kind = {1: "greyscale", 4: "with a fourth channel"}.get(channels, f"of {channels} channels")
        raise InputError(f"{path}: its input {text} is {kind}, photos have 3 (RGB); export it with 3 channels")
    if batch > 1:
        raise InputError(f"{path}: takes {batch} photos at once, no more and no less; export it with a free batch or 1")
    if height != width and height and width:
        raise InputError(f"{path}: its input {text} is no square; export it with a square or a free size")
    side = height or width
    if unfit := sorted(size for size in sizes if side not in (0, size)):
        raise InputError(
            f"{path}: takes {side} px only, which {unfit[0]} px is not; set teacher.size: {side} to have photos and "
            "results resized, or export it with a free size"
        )
    return Port(channels_last, batch, side)


def pictures_below(folder: Path, files: Sequence[Path]) -> dict[str, list[Path]]:
    """Pictures of a folder by their path in it without the ending."""
    found: dict[str, list[Path]] = {}
    for file in files:
        found.setdefault(file.relative_to(folder).with_suffix("").as_posix(), []).append(file)
    return found


def pair_findings(root: Path, photos: Sequence[Path], results: Sequence[Path]) -> Iterator[Finding]:
    """What is wrong with a folder of pairs for these `photos`; each needs one of `results` of the same name."""
    by_name = pictures_below(root / RESULTS, results)
    outside = [photo for photo in photos if not photo.is_relative_to(root / PHOTOS)]
    if outside:
        yield "pairs", f"{outside[0]}: not below {root / PHOTOS}, so it has no result; name folders in there as photos"
        return
    of_photos = pictures_below(root / PHOTOS, photos)
    if twice := [name for name, files in of_photos.items() if len(files) > 1]:
        yield "pairs", f"{root / PHOTOS / twice[0]}: {len(of_photos[twice[0]])} photos of this name; keep one of them"
    if missing := [name for name in of_photos if name not in by_name]:
        count = f"{len(missing)} of {len(of_photos)} photos have no result, the first is {missing[0]}"
        yield "pairs", f"{root / RESULTS}: {count}; add a picture of the same name there, or remove the photo"
    if twice := [name for name in of_photos if len(by_name.get(name, ())) > 1]:
        yield "pairs", f"{root / RESULTS / twice[0]}: {len(by_name[twice[0]])} results of this name; keep one of them"


def _outputs(path: Path, settings: TeacherSettings, outputs: Sequence[str]) -> Iterator[Finding]:
    """Names that the recipe gives and the file does not have; `outputs` is empty where the file does not tell."""
    if not outputs:
        return
    has = f"has the outputs {', '.join(outputs)}"
    for name in settings.outputs.values():
        if name not in outputs:
            yield "outputs", f"{path}: no output '{name}', it {has}; name one of these"
    if "image" not in settings.outputs and len(outputs) > 1 and "image" not in outputs:
        yield "outputs", f"{path}: {has}; say which is the picture: outputs: {{image: {outputs[0]}}}"


def _onnx(path: Path) -> tuple[Shape, list[str]]:
    """Shape of the one input, names of the outputs; onnx is imported only for recipes that name such a file."""
    from compress.exporting import model_file

    graph = model_file.read(path).graph
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        raise InputError(f"{path}: inputs {names}, where one for the photo is needed; export it with the others fixed")
    dimensions = inputs[0].type.tensor_type.shape.dim
    return [size.dim_value or size.dim_param for size in dimensions], [value.name for value in graph.output]


def _program(path: Path) -> tuple[Shape, list[str]]:
    """Shape of the one input of a .pt2 file; names of outputs are known only to torch."""
    try:
        graph = read_program(path)["graph_module"]
        inputs = [spec["user_input"]["arg"] for spec in graph["signature"]["input_specs"] if "user_input" in spec]
        if len(inputs) != 1 or "as_tensor" not in inputs[0]:
            way_out = "export it with one tensor, the photo"
            raise InputError(f"{path}: {len(inputs)} inputs, where one for the photo is needed; {way_out}")
        sizes = graph["graph"]["tensor_values"][inputs[0]["as_tensor"]["name"]]["sizes"]
        return [size.get("as_int") for size in sizes], []
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: no program of a current torch ({error}); {_AGAIN}") from error


def data_files(path: Path) -> list[Path]:
    """An ONNX file and those that hold its weights outside of it; it has been found sound before."""
    import onnx

    entries = [t.external_data for t in onnx.load(path, load_external_data=False).graph.initializer]
    locations = {entry.value for external in entries for entry in external if entry.key == "location"}
    return [path, *(path.parent / location for location in sorted(locations))]


def read_program(path: Path) -> dict[str, Any]:
    """The description of a program in a .pt2 file.

    Raises InputError if the file is damaged, was written by an old torch, or holds what torch would unpickle or
    evaluate: objects other than tensors, and sizes that are no formulas.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            inside = {name.partition("/")[2]: name for name in archive.namelist()}
            records = {name: json.loads(archive.read(inside[name])) for name in inside if name.endswith(".json")}
            if damaged := archive.testzip():
                raise InputError(f"{path}: damaged at {damaged}; copy it again")
    except (zipfile.BadZipFile, ValueError, OSError, EOFError) as error:
        raise InputError(f"{path}: truncated or no .pt2 file ({error}); copy it again, or {_AGAIN}") from error
    models = [record for name, record in records.items() if name.startswith("models/")]
    if len(models) != 1 or "data/weights/model_weights_config.json" not in records:
        raise InputError(f"{path}: no program of a current torch in it; {_AGAIN}")
    payloads = [entry for record in records.values() for entry in record.get("config", {}).values()]
    if any(entry["use_pickle"] for entry in payloads) or any(n.endswith(".pt") for n in inside if "sample_" not in n):
        raise InputError(f"{path}: holds pickled objects, which are not read; export a program of plain tensors")
    for text in _sizes(models[0]):
        if _SIZE_TERM.sub("", text) or "__" in text:
            raise InputError(f"{path}: size {text[:60]!r} is no formula; {_AGAIN}")
    program: dict[str, Any] = models[0]
    return program


def _sizes(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "expr_str" and isinstance(item, str):
                yield item
            yield from _sizes(item)
    elif isinstance(value, list):
        for item in value:
            yield from _sizes(item)


def _python(path: Path, factory: str) -> Iterator[Finding]:
    try:
        tree = ast.parse(path.read_bytes(), str(path))
    except (SyntaxError, ValueError) as error:
        yield "python", f"{path}: not a Python file ({error}); correct it"
        return
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    if factory and factory not in names:
        near = difflib.get_close_matches(factory, names, 1)
        hint = f"did you mean '{near[0]}'?" if near else f"it defines: {', '.join(names) or 'none'}"
        yield "factory", f"{path}: no function '{factory}' in it; {hint}"
