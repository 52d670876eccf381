"""The command `kcompress`: run, plan, schema, render, stylize.

Flags never repeat a field of the recipe; a variant is another YAML file. Exit codes: 0 all gates passed, 1 a gate
failed, 2 bad input, 3 a stage failed. Errors of ours and of the system leave as one sentence, never as a traceback.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from compress import __version__, process
from compress.errors import EXIT_PASSED, EXIT_STAGE_FAILED, KcompressError, storage_error

EXIT_INTERRUPTED = 130
"""128 + SIGINT, as shells report it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command line and return its exit code."""
    process.prepare()
    options = _parser().parse_args(arguments)
    before = signal.signal(signal.SIGTERM, _terminated)
    try:
        code: int = options.command(options)
    except KcompressError as error:
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
        return _fail("interrupted; run the same command again to go on from here", EXIT_INTERRUPTED)
    finally:
        signal.signal(signal.SIGTERM, before)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kcompress", description="Compresses heavy 3D-cartoon face stylisation networks into gated int8 students."
    )
    parser.add_argument("--version", action="version", version=f"kcompress {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, function, summary in (
        ("run", _run, "execute a recipe; finished steps are reused, an unfinished one is resumed"),
        ("plan", _plan, "print the steps of a recipe, their keys, budgets and estimated time"),
    ):
        command = commands.add_parser(name, help=summary, description=summary)
        command.add_argument("recipe", type=Path, metavar="RECIPE", help="a YAML file, see recipes/")
        command.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="default: ./runs")
        command.set_defaults(command=function)
    summary = "print the JSON schema of recipes, for editors"
    commands.add_parser("schema", help=summary, description=summary).set_defaults(command=_schema)
    summary = "draw a sheet of rendered pairs of photo and cartoon"
    render = commands.add_parser("render", help=summary, description=summary)
    render.add_argument("--count", type=_whole(1, 10_000), default=64, metavar="N", help="pairs (default: 64)")
    render.add_argument("--size", type=_whole(32, 1024), default=128, metavar="PX", help="pixels a side (default: 128)")
    render.add_argument("--seed", type=_whole(0, 2**31 - 1), default=0, metavar="N", help="default: 0")
    render.add_argument("--out", type=Path, required=True, metavar="FILE", help="a .png or .jpg file")
    render.set_defaults(command=_render)
    summary = "turn photographs into cartoons and write each beside its source"
    stylize = commands.add_parser("stylize", help=summary, description=summary)
    stylize.add_argument("model", metavar="MODEL", help="a shipped teacher, a tier folder, or an ONNX file")
    stylize.add_argument("photos", nargs="+", metavar="PHOTO", help="photographs of any size")
    stylize.add_argument("--out", required=True, metavar="DIR", help="folder for the results")
    stylize.set_defaults(command=_stylize)
    return parser


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


def _schema(options: argparse.Namespace) -> int:
    import json

    from compress.reading import schema

    print(json.dumps(schema(), indent=2))
    return EXIT_PASSED


def _render(options: argparse.Namespace) -> int:
    from compress.faces.sheet import render_sheet

    render_sheet(options.count, options.size, options.seed, options.out)
    return EXIT_PASSED


def _stylize(options: argparse.Namespace) -> int:
    from compress.stylize import stylize

    return stylize(options.model, options.photos, options.out)


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
    raise KeyboardInterrupt


def _fail(sentence: str, code: int) -> int:
    print(f"kcompress: {sentence}", file=sys.stderr)
    return code
