"""Looks at the files and folders that a recipe names: are they there, are they what they should be, what is in them.

Finds the user's mistakes before anything heavy starts, and turns contents into fingerprints for the keys of the steps.
Photographs are not decoded here; that a face is in them is found by the stage that reads them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from compress.errors import InputError, RecipeError
from compress.planning import teacher_files
from compress.planning.contents import (
    PHOTO_SUFFIXES,
    checkpoint_problem,
    contents_of,
    file_fingerprint,
    folder_fingerprint,
    photo_files,
    shipped_teachers,
)
from compress.planning.document import Place
from compress.planning.reading import AnyRecipe, Source
from compress.planning.shortages import Finding, shared_folders, shortages, still_only
from compress.recipe import (
    Assessment,
    AssessSettings,
    InputSettings,
    Recipe,
    TeacherRecipe,
    TeacherSettings,
)

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


class _Look:
    """Collects findings, fingerprints and counts; paths are relative to the recipe's folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.findings: list[Finding] = []
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
            contents = contents_of(files)
        except OSError as error:
            self.findings.append((place, f"{error.filename}: {error.strerror}; give access to it or leave it out"))
            return str(folder)
        if not files:
            what = f"picture ({', '.join(sorted(PHOTO_SUFFIXES))})" if pictures else "file"
            self.findings.append((place, f"{folder}: no {what} in it; name another folder"))
        self.fingerprints[str(folder)] = folder_fingerprint(folder, contents)
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
        problem = checkpoint_problem(path)
        if problem:
            self.findings.append((place, f"{path}: {problem}"))
        else:
            self.fingerprints[str(path)] = file_fingerprint(path)
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
            self.fingerprints[str(path)] = file_fingerprint(path)
        return str(path)

    def teacher(self, place: Place, text: str) -> str:
        """A shipped name as it is, or the absolute path of a checkpoint."""
        shipped = shipped_teachers()
        if text in shipped:
            self.fingerprints[text] = file_fingerprint(shipped[text])
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
        self.fingerprints[str(root)] = folder_fingerprint(results, contents_of(pictures))


def _recipe(look: _Look, recipe: Recipe) -> Recipe:
    teacher = _teacher(look, recipe)
    inputs = _pictures(look, "inputs", recipe.inputs)
    test = _pictures(look, "test", recipe.test)
    judges = recipe.judges
    if judges.identity != "sface":
        identity = look.file(("judges", "identity"), judges.identity, ".onnx")
        judges = judges.model_copy(update={"identity": identity})
    look.findings += shared_folders(inputs, test)
    look.findings += still_only(recipe)
    if not look.findings:
        look.findings += shortages(recipe, look.photos)
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
        look.fingerprints[str(path)] = "".join(file_fingerprint(file) for file in own)
        look.fingerprints |= {file: file_fingerprint(Path(file)) for file in files if Path(file).is_file()}
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
        if unpaired.painter:
            unpaired = unpaired.model_copy(update={"painter": _painter(look, unpaired.painter, training.pairs.styles)})
        training = training.model_copy(update={"unpaired": unpaired})
    if training.assess is not None:
        learned = training.unpaired.photos if training.unpaired is not None else ()
        training = training.model_copy(update={"assess": _assessed(look, training.assess, learned)})
    if initial:
        begun = look.teacher(("training", "initial"), initial)
        training = training.model_copy(update={"initial": begun})
        if begun in look.fingerprints:
            found = teacher_files.architecture_findings(
                shipped_teachers().get(begun, Path(begun)), training.architecture
            )
            look.findings += [(("training", "architecture", field), sentence) for field, sentence in found]
    return recipe.model_copy(update={"training": training})


def _painter(look: _Look, text: str, styles: Sequence[str]) -> str:
    """The weights whose results are painted over: they must know the styles by the same numbers."""
    place: Place = ("training", "unpaired", "painter")
    painter = look.teacher(place, text)
    if painter in look.fingerprints:
        known = teacher_files.known_styles(shipped_teachers().get(painter, Path(painter)))
        if known[: len(styles)] != tuple(styles):
            sentence = f"{text} draws {', '.join(known)}, not {', '.join(styles)} in this order; name weights that do"
            look.findings.append((place, sentence))
    return painter


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
