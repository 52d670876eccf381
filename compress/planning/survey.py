"""Looks at the files and folders that a recipe names: are they there, are they what they should be, what is in them.

Finds the user's mistakes before anything heavy starts, and turns contents into fingerprints for the keys of the steps.
Photographs are not decoded here; that a face is in them is found by the stage that reads them.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from compress.errors import InputError, RecipeError
from compress.judging.gates import FEWEST_IMAGES, GATES
from compress.planning import teacher_files
from compress.planning.document import Place
from compress.planning.estimate import core_macs
from compress.planning.reading import AnyRecipe, Source
from compress.recipe import (
    Assessment,
    AssessSettings,
    InputSettings,
    Recipe,
    TeacherRecipe,
    TeacherSettings,
    TierSettings,
)

# The endings that compress.photographs.photos reads; that module imports OpenCV, so a test compares the two.
PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif", ".ppm", ".pgm"})
_PIECE_BYTES = 16 << 10
_WHOLE_BYTES = 64 << 20
_SAMPLES = 256
# The same for one of many files of a folder, of which a plan must not read gigabytes.
_WHOLE_OF_MANY = 1 << 20
_SAMPLES_OF_MANY = 16
_Finding = tuple[Place, str]
Pictures = TypeVar("Pictures", bound=InputSettings)


@dataclass(frozen=True)
class Survey:
    """`recipe` with absolute paths; `fingerprints` of the contents by path; number of `photos` by section."""

    recipe: AnyRecipe | Assessment
    fingerprints: Mapping[str, str]
    photos: Mapping[str, int]


def survey(source: Source) -> Survey:
    """Find and fingerprint everything that the recipe names; raises RecipeError with all that is wrong."""
    look = _Look(source.path.parent)
    recipe = _recipe(look, source.recipe) if isinstance(source.recipe, Recipe) else _training(look, source.recipe)
    if look.findings:
        raise RecipeError(source.path, [source.problem(place, sentence) for place, sentence in look.findings])
    return Survey(recipe, look.fingerprints, look.photos)


def survey_assessment(told: Assessment, root: Path) -> Survey:
    """The same for a teacher that is there already; paths are relative to `root`. Raises InputError."""
    look = _Look(root)
    assess = _assessed(look, told.assess, ())
    teacher = look.weights(("teacher",), told.teacher)
    if look.findings:
        raise InputError("; ".join(sentence for _, sentence in look.findings))
    return Survey(told.model_copy(update={"teacher": teacher, "assess": assess}), look.fingerprints, look.photos)


def photo_files(folder: Path) -> list[Path]:
    """The pictures in a folder and below it, sorted; hidden ones and other endings are left out."""
    inside = (path.relative_to(folder) for path in folder.rglob("*") if path.suffix.lower() in PHOTO_SUFFIXES)
    shown = (path for path in inside if not any(part.startswith(".") for part in path.parts))
    return sorted(folder / path for path in shown if (folder / path).is_file())


def shipped_teachers() -> dict[str, Path]:
    """Weights that the `teachers` package carries, by name; found without importing it (that would import torch)."""
    package = importlib.util.find_spec("teachers")
    roots = list(package.submodule_search_locations or ()) if package is not None else []
    return {path.stem: path for root in roots for path in sorted(Path(root, "weights").glob("*.safetensors"))}


class _Look:
    """Collects findings, fingerprints and counts; paths are relative to the recipe's folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.findings: list[_Finding] = []
        self.fingerprints: dict[str, str] = {}
        self.photos: dict[str, int] = {}
        self._tested: dict[str, Path] = {}

    def path(self, text: str) -> Path:
        return (self.root / Path(text).expanduser()).resolve()

    def folder(self, place: Place, text: str, pictures: bool) -> str:
        """Absolute path of a folder; counts its files for the section that `place` begins with."""
        folder = self.path(text)
        if not folder.is_dir():
            problem = "is a file, not a folder" if folder.exists() else "there is no such folder"
            self.findings.append((place, f"{folder}: {problem}; correct the path (it is relative to the recipe)"))
            return str(folder)
        try:
            files = photo_files(folder) if pictures else sorted(path for path in folder.rglob("*") if path.is_file())
            contents = _contents(files)
        except OSError as error:
            self.findings.append((place, f"{error.filename}: {error.strerror}; give access to it or leave it out"))
            return str(folder)
        if not files:
            what = f"picture ({', '.join(sorted(PHOTO_SUFFIXES))})" if pictures else "file"
            self.findings.append((place, f"{folder}: no {what} in it; name another folder"))
        self.fingerprints[str(folder)] = _folder_fingerprint(folder, contents)
        section = str(place[0])
        self.findings += [(place, sentence) for sentence in self._copies(contents)] if section == "test" else []
        self.photos[section] = self.photos.get(section, 0) + len(files)
        return str(folder)

    def _copies(self, contents: Mapping[Path, str]) -> Iterator[str]:
        """Test pictures that were there before: counted twice they would make every interval too narrow."""
        for path, content in contents.items():
            first = self._tested.setdefault(content, path)
            if first != path:
                yield f"{path} is a copy of {first}; remove one of them"

    def weights(self, place: Place, text: str) -> str:
        """Absolute path of a checkpoint."""
        path = self.path(text)
        problem = _checkpoint_problem(path)
        if problem:
            self.findings.append((place, f"{path}: {problem}"))
        else:
            self.fingerprints[str(path)] = _file_fingerprint(path)
        return str(path)

    def file(self, place: Place, text: str, suffix: str) -> str:
        """Absolute path of a file that must be there; empty stays empty."""
        if not text:
            return text
        path = self.path(text)
        if not path.is_file():
            problem = "is a folder" if path.is_dir() else "there is no such file"
            self.findings.append((place, f"{path}: {problem}; correct the path (it is relative to the recipe)"))
        elif path.suffix.lower() != suffix:
            self.findings.append((place, f"{path}: is no {suffix} file; name one that is"))
        else:
            self.fingerprints[str(path)] = _file_fingerprint(path)
        return str(path)

    def teacher(self, place: Place, text: str) -> str:
        """A shipped name as it is, or the absolute path of a checkpoint."""
        shipped = shipped_teachers()
        if text in shipped:
            self.fingerprints[text] = _file_fingerprint(shipped[text])
            return text
        if text.endswith(".safetensors") or "/" in text:
            return self.weights(place, text)
        near = difflib.get_close_matches(text, shipped, 1)
        hint = f"did you mean '{near[0]}'?" if near else f"shipped are: {', '.join(shipped) or 'none'}"
        self.findings.append((place, f"'{text}' is no shipped teacher and no .safetensors file; {hint}"))
        return text

    def pairs(self, settings: TeacherSettings, photos: Sequence[str]) -> None:
        """A folder of pairs, which every photograph of the recipe must be part of."""
        root = Path(settings.pairs)
        results = root / teacher_files.RESULTS
        if not results.is_dir():
            self.findings.append((("teacher", "pairs"), f"{results}: there is no such folder; {teacher_files.LAYOUT}"))
            return
        folders = [self.path(text) for text in photos]
        named = [file for folder in folders if folder.is_dir() for file in photo_files(folder)]
        pictures = photo_files(results)
        found = teacher_files.pair_findings(root, named, pictures)
        self.findings += [(("teacher", field), sentence) for field, sentence in found]
        self.fingerprints[str(root)] = _folder_fingerprint(results, _contents(pictures))


def _recipe(look: _Look, recipe: Recipe) -> Recipe:
    teacher = _teacher(look, recipe)
    inputs = _pictures(look, "inputs", recipe.inputs)
    test = _pictures(look, "test", recipe.test)
    judges = recipe.judges
    if judges.identity != "sface":
        identity = look.file(("judges", "identity"), judges.identity, ".onnx")
        judges = judges.model_copy(update={"identity": identity})
    look.findings += _shared_folders(inputs, test)
    look.findings += _still_only(recipe)
    if not look.findings:
        look.findings += _shortages(recipe, look.photos)
    return recipe.model_copy(update={"teacher": teacher, "inputs": inputs, "test": test, "judges": judges})


def _teacher(look: _Look, recipe: Recipe) -> TeacherSettings:
    """The teacher with absolute paths; its files are looked at and fingerprinted."""
    settings, place = recipe.teacher, recipe.teacher.way
    if place == "network":
        network = look.teacher(("teacher", "network"), settings.network)
        path = shipped_teachers().get(network, Path(network))
        if network in look.fingerprints and (sentence := teacher_files.style_finding(path, settings.style)):
            look.findings.append((("teacher", "style"), sentence))
        return settings.model_copy(update={"network": network})
    path = look.path(settings.path)
    files = tuple(str(look.path(text)) for text in settings.files)
    settings = settings.model_copy(update={place: str(path), "files": files})
    if place == "pairs":
        look.pairs(settings, [*recipe.inputs.photos, *recipe.test.photos])
        return settings
    found = list(teacher_files.findings(settings, {recipe.inputs.size, recipe.test.size}))
    look.findings += [(("teacher", field), sentence) for field, sentence in found]
    if not found:
        own = teacher_files.data_files(path) if place == "onnx" else [path]
        look.fingerprints[str(path)] = "".join(_file_fingerprint(file) for file in own)
        look.fingerprints |= {file: _file_fingerprint(Path(file)) for file in files if Path(file).is_file()}
    return settings


def _training(look: _Look, recipe: TeacherRecipe) -> TeacherRecipe:
    training = recipe.training
    assets, initial = training.pairs.assets, training.initial
    if assets:
        place: Place = ("training", "pairs", "assets")
        pairs = training.pairs.model_copy(update={"assets": look.folder(place, assets, pictures=False)})
        training = training.model_copy(update={"pairs": pairs})
    if training.unpaired is not None:
        named = training.unpaired.photos
        folders = [look.folder(("training", "unpaired", "photos", i), t, pictures=True) for i, t in enumerate(named)]
        unpaired = training.unpaired.model_copy(update={"photos": tuple(folders)})
        training = training.model_copy(update={"unpaired": unpaired})
    if training.assess is not None:
        learned = training.unpaired.photos if training.unpaired is not None else ()
        training = training.model_copy(update={"assess": _assessed(look, training.assess, learned)})
    if initial:
        training = training.model_copy(update={"initial": look.teacher(("training", "initial"), initial)})
    return recipe.model_copy(update={"training": training})


def _assessed(look: _Look, settings: AssessSettings, learned: Sequence[str]) -> AssessSettings:
    """The photographs that a teacher is measured on: none that it has `learned` from."""
    place: Place = ("training", "assess")
    before = look.photos.get("training", 0)
    folders = [look.folder((*place, "photos", i), text, pictures=True) for i, text in enumerate(settings.photos)]
    look.photos["assess"] = look.photos.get("training", 0) - before
    look.photos["training"] = before
    for index, folder in enumerate(folders):
        for other in learned:
            if Path(folder).is_relative_to(other) or Path(other).is_relative_to(folder):
                way_out = "the same faces would be learned and judged; keep the two apart"
                sentence = f"{folder} and {other} of training.unpaired.photos share pictures; {way_out}"
                look.findings.append(((*place, "photos", index), sentence))
    facts = look.file((*place, "facts"), settings.facts, ".csv")
    return settings.model_copy(update={"photos": tuple(folders), "facts": facts})


def _pictures(look: _Look, section: str, settings: Pictures) -> Pictures:
    facts = look.file((section, "facts"), settings.facts, ".csv")
    folders = [look.folder((section, "photos", i), text, pictures=True) for i, text in enumerate(settings.photos)]
    return settings.model_copy(update={"photos": tuple(folders), "facts": facts})


def _shared_folders(inputs: InputSettings, test: InputSettings) -> Iterator[_Finding]:
    for index, folder in enumerate(test.photos):
        for other in inputs.photos:
            if Path(folder).is_relative_to(other) or Path(other).is_relative_to(folder):
                way_out = "the same faces would be learned and judged; keep the two apart"
                yield ("test", "photos", index), f"{folder} and {other} of inputs.photos share pictures; {way_out}"


def _shortages(recipe: Recipe, photos: Mapping[str, int]) -> Iterator[_Finding]:
    """Sets too small, and students too small, for what the tiers do with them."""
    parts = {"rendered": recipe.test.rendered, "photographs": photos.get("test", 0)}
    judged = {part: count for part, count in parts.items() if count >= FEWEST_IMAGES}
    if not judged:
        have = " and ".join(f"{count} {part}" for part, count in parts.items())
        yield ("test",), f"has {have}; gates need at least {FEWEST_IMAGES} of one kind, add some"
    available = recipe.inputs.rendered + photos.get("inputs", 0)
    for name, tier in recipe.tiers.items():
        place: Place = ("tiers", name)
        yield from _needs(place, tier, available)
        for gate in tier.gates:
            fewest = GATES[gate].fewest if GATES[gate].per_image else 0
            for part, count in judged.items():
                if count < fewest:
                    sentence = f"cannot pass on {count} {part}, it needs {fewest}; add images to test or drop the gate"
                    yield (*place, "gates", gate), sentence


def _still_only(recipe: Recipe) -> Iterator[_Finding]:
    """Gates on steadiness where nothing moves."""
    steady = recipe.test.steadiness
    for name, tier in recipe.tiers.items():
        for gate in tier.gates:
            kind = "videos" if gate == "flicker_ratio" else "images"
            if GATES[gate].needs == "motion" and not getattr(steady, kind):
                sentence = f"test.steadiness.{kind} is 0, it cannot be measured; raise that or drop the gate"
                yield ("tiers", name, "gates", gate), sentence


def _needs(place: Place, tier: TierSettings, available: int) -> Iterator[_Finding]:
    unpruned = core_macs(tier.student)
    if tier.prune.macs > unpruned:
        sentence = f"{tier.prune.macs} is above the {unpruned} of the unpruned student; lower it or widen the student"
        yield (*place, "prune", "macs"), sentence
    needed = {
        ("prune", "images"): tier.prune.images,
        ("quantize", "calibration_images"): tier.quantize.calibration_images,
    }
    for key, count in needed.items():
        if count > available:
            yield (*place, *key), f"{count} is more than the {available} images of inputs; lower it or add images"


def _contents(files: list[Path]) -> dict[Path, str]:
    """What is in each file; above 1 MiB of 16 pieces, as whole collections would cost more than a plan may."""
    return {path: _file_fingerprint(path, _WHOLE_OF_MANY, _SAMPLES_OF_MANY) for path in files}


def _folder_fingerprint(folder: Path, contents: Mapping[Path, str]) -> str:
    """Of names and contents."""
    digest = hashlib.sha256()
    for path, content in contents.items():
        digest.update(json.dumps([path.relative_to(folder).as_posix(), content]).encode())
    return digest.hexdigest()


def _file_fingerprint(path: Path, whole: int = _WHOLE_BYTES, samples: int = _SAMPLES) -> str:
    """Of the whole file, or of its size and evenly spaced pieces, first and last bytes among them, above `whole`."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        if size <= whole:
            digest.update(file.read())
        else:
            for index in range(samples):
                file.seek((size - _PIECE_BYTES) * index // (samples - 1))
                digest.update(file.read(_PIECE_BYTES))
    return digest.hexdigest()


def _checkpoint_problem(path: Path) -> str:
    """What is wrong with a .safetensors file of a teacher, by its header alone; empty if nothing is.

    Source: the safetensors format (8 bytes length, JSON header, tensors).
    """
    way_out = "save the teacher again with teachers.save"
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > min(size, _WHOLE_BYTES):
                return f"not a safetensors file; {way_out}"
            header = json.loads(file.read(length))
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        if size < 8 + length + max(ends, default=0):
            return "the file is truncated; copy it again"
        if "architecture" not in header.get("__metadata__", {}):
            return f"has no architecture in its metadata; {way_out}"
    except FileNotFoundError:
        return "there is no such file; correct the path (it is relative to the recipe)"
    except OSError as error:
        return f"{error.strerror}; correct the path"
    except (ValueError, struct.error, KeyError, TypeError, AttributeError):
        return f"not a safetensors file; {way_out}"
    return ""
