"""The command `kcompress`: run, plan, verify, compare, calibrate, schema, assess, render, stylize.

Flags never repeat a field of the recipe; a variant is another YAML file. Exit codes: 0 all gates passed, 1 a gate
failed or is undecided, 2 bad input, 3 a stage failed. Errors of ours and of the system leave as one sentence, never as
a traceback.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from compress import __version__, process
from compress.errors import (
    EXIT_GATE_FAILED,
    EXIT_PASSED,
    EXIT_STAGE_FAILED,
    InputError,
    KcompressError,
    storage_error,
)

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

EXIT_INTERRUPTED = 130
"""128 + SIGINT, as shells report it."""
_INTERRUPTED = "interrupted; run the same command again to go on from here"
_TERMINATED: list[int] = []
"""Signals that asked this process to stop."""
_RANGES = ("-1..1", "0..1", "0..255")


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command line and return its exit code."""
    process.prepare()
    options = parser().parse_args(_joined(sys.argv[1:] if arguments is None else arguments))
    _TERMINATED.clear()
    before = signal.signal(signal.SIGTERM, _terminated)
    try:
        code: int = options.command(options)
    except KcompressError as error:
        if _TERMINATED:  # whatever it broke in the midst of
            return _fail(_INTERRUPTED, EXIT_INTERRUPTED)
        return _fail(": ".join([*getattr(error, "__notes__", ()), str(error)]), error.exit_code)
    except BrokenPipeError:
        # The reader of our output (head, less) has left; a second write while closing must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PASSED
    except OSError as error:
        return _fail(str(storage_error(error, Path.cwd())), EXIT_STAGE_FAILED)
    except MemoryError:
        return _fail("out of memory; close other programs or choose smaller pictures", EXIT_STAGE_FAILED)
    except KeyboardInterrupt:
        return _fail(_INTERRUPTED, EXIT_INTERRUPTED)
    finally:
        signal.signal(signal.SIGTERM, before)
    return code


def parser() -> argparse.ArgumentParser:
    """The command line; parsing imports nothing heavy and runs nothing."""
    root = argparse.ArgumentParser(
        prog="kcompress", description="Compresses heavy 3D-cartoon face stylisation networks into gated int8 students."
    )
    root.add_argument("--version", action="version", version=f"kcompress {__version__}")
    commands = root.add_subparsers(required=True, metavar="COMMAND")
    for name, function, summary in (
        ("run", _run, "execute a recipe; finished steps are reused, an unfinished one is resumed"),
        ("plan", _plan, "print the steps of a recipe, their keys, budgets and estimated time"),
    ):
        command = commands.add_parser(name, help=summary, description=summary)
        _of_recipe(command)
        command.set_defaults(command=function)
    _verification(commands)
    summary = "print which bounds a recipe's gates should have, from its teacher and from planted defects, and why"
    calibrate = commands.add_parser("calibrate", help=summary, description=summary)
    _of_recipe(calibrate, "the tier whose finished student is measured; needed if the recipe has several")
    calibrate.add_argument("--out", type=Path, metavar="FILE", help="write the proposed gates as YAML to this file")
    calibrate.set_defaults(command=_calibrate)
    summary = "print the JSON schema of recipes (for editors) or of verdict.json (for build servers)"
    schema = commands.add_parser("schema", help=summary, description=summary)
    schema.add_argument("of", nargs="?", choices=("recipe", "verdict"), default="recipe", help="default: recipe")
    schema.set_defaults(command=_schema)
    _assessment(commands)
    _pictures(commands)
    return root


def _of_recipe(command: argparse.ArgumentParser, tier: str = "") -> None:
    command.add_argument("recipe", type=Path, metavar="RECIPE", help="a YAML file, see recipes/")
    if tier:
        command.add_argument("--tier", metavar="TIER", help=tier)
    command.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="default: ./runs")


def _verification(commands: Commands) -> None:
    summary = "judge an exported model by the gates of a recipe, without training"
    verify = commands.add_parser("verify", help=summary, description=summary)
    _of_recipe(verify, "the tier whose gates judge; needed if the recipe has several")
    verify.add_argument("--candidate", type=Path, required=True, metavar="FILE", help="the ONNX file to judge")
    verify.add_argument("--float", type=Path, dest="float_file", metavar="FILE", help="its float version, as ONNX")
    for name, direction in (("input", "expects"), ("output", "gives")):
        known = (*_RANGES, "imagenet") if name == "input" else _RANGES
        text = f"values that the file {direction}: {', '.join(known)} (default: what its type says; uint8 is 0..255)"
        verify.add_argument(f"--{name}-range", choices=known, default="", metavar="RANGE", help=text)
    text = "nchw or nhwc (default: what its shape says)"
    verify.add_argument("--layout", choices=("nchw", "nhwc"), default="", metavar="LAYOUT", help=text)
    text = "leave this gate out, on record; may be repeated"
    verify.add_argument("--without", action="append", default=[], metavar="GATE", help=text)
    verify.set_defaults(command=_verify)
    summary = "say what got better or worse, beyond noise, than in the first of several runs"
    compare = commands.add_parser("compare", help=summary, description=summary)
    compare.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="runs/NAME, or a folder of its candidates/")
    compare.add_argument("--out", type=Path, metavar="FILE", help="write a page with plots to this .html file")
    compare.add_argument("--markdown", type=Path, metavar="FILE", help="write a summary for a job's page to this file")
    compare.add_argument("--fail-on-worse", action="store_true", help="exit with 1 if anything got worse")
    compare.set_defaults(command=_compare)


def _assessment(commands: Commands) -> None:
    summary = "measure a teacher on photographs: identity, style, geometry, sharpness, steadiness, 3D consistency"
    assess = commands.add_parser("assess", help=summary, description=summary)
    assess.add_argument("teacher", metavar="TEACHER", help="a shipped teacher or a .safetensors file")
    assess.add_argument("--photos", nargs="+", required=True, metavar="DIR", help="folders of photographs")
    assess.add_argument("--facts", default="", metavar="CSV", help="who is in them: columns file, person, skin, ...")
    assess.add_argument("--style", action="append", default=[], metavar="NAME", help="one style; default: all it has")
    text = "rendered cartoons to compare with (default: 320)"
    assess.add_argument("--rendered", type=_whole(16, 100_000), default=320, metavar="N", help=text)
    assess.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder; photos and renders are reused")
    assess.set_defaults(command=_assess)


def _pictures(commands: Commands) -> None:
    summary = "draw a sheet of rendered photos and their cartoons"
    render = commands.add_parser("render", help=summary, description=summary)
    render.add_argument("--count", type=_whole(1, 10_000), default=64, metavar="N", help="pairs (default: 64)")
    render.add_argument("--size", type=_whole(32, 1024), default=128, metavar="PX", help="pixels a side (default: 128)")
    render.add_argument("--seed", type=_whole(0, 2**31 - 1), default=0, metavar="N", help="default: 0")
    text = "styles of the cartoons, one row each (default: all)"
    render.add_argument("--styles", nargs="+", metavar="STYLE", help=text)
    render.add_argument("--out", type=Path, required=True, metavar="FILE", help="a .png or .jpg file")
    render.set_defaults(command=_render)
    summary = "turn photographs into cartoons and write each beside its source"
    stylize = commands.add_parser("stylize", help=summary, description=summary)
    stylize.add_argument("model", metavar="MODEL", help="a shipped teacher, a tier folder, or an ONNX file")
    stylize.add_argument("photos", nargs="+", metavar="PHOTO", help="photographs of any size")
    stylize.add_argument("--out", required=True, metavar="DIR", help="folder for the results")
    text = "of a teacher: a name, or weights as fairy-tale=0.5,toy=0.5 (default: its first)"
    stylize.add_argument("--style", default="", metavar="STYLE", help=text)
    stylize.set_defaults(command=_stylize)


def _joined(arguments: Sequence[str]) -> list[str]:
    """`--input-range -1..1` as one argument: the parser would take -1..1 for an option of its own."""
    joined: list[str] = []
    for argument in arguments:
        if argument in _RANGES and joined and joined[-1] in ("--input-range", "--output-range"):
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined


# Each command imports what it needs itself: `plan` must not wait for torch.


def _run(options: argparse.Namespace) -> int:
    from compress.context import Progress
    from compress.plan import plan
    from compress.run import run

    return run(plan(options.recipe), options.runs, Progress())


def _plan(options: argparse.Namespace) -> int:
    from compress.plan import plan, table
    from compress.run import states

    the_plan = plan(options.recipe)
    for line in table(the_plan, states(the_plan, options.runs)):
        print(line)
    return EXIT_PASSED


def _verify(options: argparse.Namespace) -> int:
    from compress.context import Context, Progress
    from compress.planning.verification import candidate_settings, verification_plan
    from compress.run import verify
    from compress.stages.candidate import admitted_files

    names = ("candidate", "tier", "float_file", "input_range", "output_range", "layout", "without")
    plan = verification_plan(options.recipe, **{name: getattr(options, name) for name in names})
    # A file that cannot be judged is refused before the test set is made, which takes minutes.
    admitted_files(candidate_settings(plan), Context(progress=Progress(interactive=False)))
    return verify(plan, options.runs, Progress())


def _compare(options: argparse.Namespace) -> int:
    from compress.artifact import write_text

    _require_writable("--markdown", options.markdown)
    _require_writable("--out", options.out)
    from compress.reporting.comparison import compare
    from compress.reporting.comparison_text import markdown, table

    found = compare(options.runs)
    for line in table(found):
        print(line)
    if options.markdown:
        write_text(options.markdown, markdown(found))
    if options.out:
        from compress.reporting.comparison_page import render

        write_text(options.out, render(found))
    worse = found.changed("worse") or found.missing
    return EXIT_GATE_FAILED if options.fail_on_worse and worse else EXIT_PASSED


def _calibrate(options: argparse.Namespace) -> int:
    from compress.planning.reading import load
    from compress.planning.verification import chosen_tier

    _require_writable("--out", options.out)
    tier = chosen_tier(load(options.recipe), options.tier)
    from compress.artifact import write_text
    from compress.context import Progress
    from compress.judging.calibration import calibrate
    from compress.run import carry_out

    proposals = calibrate(options.recipe, tier, options.runs, Progress(), carry_out)
    for line in proposals.table():
        print(line)
    if options.out:
        write_text(options.out, proposals.yaml())
    return EXIT_PASSED


def _require_writable(option: str, path: Path | None) -> None:
    """Before any work: a file at `path` can be written, as far as a look tells."""
    if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
        problem = "is a folder" if path.is_dir() else f"there is no folder {path.absolute().parent}"
        raise InputError(f"{option} {path}: {problem}; name a file in a folder that exists")


def _schema(options: argparse.Namespace) -> int:
    import json

    from compress.judging import verdict
    from compress.planning import reading

    print(json.dumps((verdict if options.of == "verdict" else reading).schema(), indent=2))
    return EXIT_PASSED


def _render(options: argparse.Namespace) -> int:
    from compress.faces.sheet import render_sheet
    from compress.faces.styles import STYLES

    render_sheet(options.count, options.size, options.seed, options.out, styles=options.styles or tuple(STYLES))
    return EXIT_PASSED


def _assess(options: argparse.Namespace) -> int:
    from compress.context import Progress
    from compress.planning.assessment import assessment_plan
    from compress.run import run

    names = ("teacher", "photos", "facts", "style", "rendered", "out")
    code = run(assessment_plan(**{name: getattr(options, name) for name in names}), options.out.parent, Progress())
    print((options.out / "assessment.md").read_text(encoding="utf-8"))
    return code


def _stylize(options: argparse.Namespace) -> int:
    from compress.photographs.stylize import stylize
    from compress.planning.style_choice import parse

    try:
        style = parse(options.style)
    except ValueError as error:
        raise InputError(f"--style: {error}") from error
    return stylize(options.model, options.photos, options.out, style=style)


class _whole:
    """An argument that is a whole number from `least` to `most`."""

    def __init__(self, least: int, most: int) -> None:
        self._least, self._most = least, most

    def __call__(self, text: str) -> int:
        if not text.isdecimal() or not self._least <= int(text) <= self._most:
            message = f"{text!r} is not a whole number from {self._least} to {self._most}"
            raise argparse.ArgumentTypeError(message)
        return int(text)


def _terminated(number: int, frame: FrameType | None) -> None:
    _TERMINATED.append(number)
    raise KeyboardInterrupt


def _fail(sentence: str, code: int) -> int:
    print(f"kcompress: {sentence}", file=sys.stderr)
    return code
