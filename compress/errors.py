"""The one tree of errors that kcompress raises on purpose; each class carries the exit code of the command.

    KcompressError
    +-- InputError            2  the user's recipe, file or argument is at fault
    |   +-- RecipeError       2  all problems of one recipe file together
    |   +-- MissingExtraError 2  an optional package that is asked for is not installed
    +-- StageError            3  a stage could not finish
        +-- NonFiniteError    3  a loss or a weight became NaN or infinite
        +-- StorageError      3  the disk is full, read-only, or holds a damaged artifact

Messages are one sentence: "PLACE: VALUE problem; way out". A failed gate is a result (exit code 1), not an error, and
`assert` or ValueError mark bugs of our own; neither is covered here.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path

EXIT_PASSED = 0
EXIT_GATE_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_STAGE_FAILED = 3


class KcompressError(Exception):
    """Any failure that kcompress explains itself; `exit_code` is what the command returns for it."""

    exit_code = EXIT_STAGE_FAILED


class InputError(KcompressError):
    """A file, folder, recipe or argument of the user's is wrong; nothing was changed."""

    exit_code = EXIT_BAD_INPUT


class RecipeError(InputError):
    """One recipe with all its problems; `problems` holds them one sentence each, in the order of the file's lines."""

    def __init__(self, recipe: Path, problems: Sequence[str]) -> None:
        self.recipe = recipe
        self.problems = tuple(problems)
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        super().__init__("\n  ".join([f"{recipe}: {count}; nothing was started", *self.problems]))


class MissingExtraError(InputError):
    """`place` asks for what only the optional dependencies `extra` of this package can do."""

    def __init__(self, place: str, extra: str) -> None:
        super().__init__(f"{place}: {extra} is not installed; pip install 'kcompress[{extra}]'")


class StageError(KcompressError):
    """A stage could not finish; what it had stored before stays and is used by the next run."""

    exit_code = EXIT_STAGE_FAILED


class NonFiniteError(StageError):
    """A loss, gradient or weight is NaN or infinite."""


class StorageError(StageError):
    """The run folder cannot be written or read, or an artifact in it is damaged."""


_ADVICE = {
    errno.ENOSPC: "no space left on the device; free some and run the same command again",
    errno.EDQUOT: "the disk quota is used up; free some space and run the same command again",
    errno.EACCES: "permission denied; give access to it or choose another folder",
    errno.EPERM: "operation not permitted; give access to it or choose another folder",
    errno.EROFS: "the file system is read-only; choose another folder",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    errno.EMFILE: "too many open files; raise the limit (ulimit -n) and run the same command again",
}

STORAGE_ERRORS = frozenset(_ADVICE)
"""Numbers of the operating system's errors that are about disk and permissions, not about a wrong path."""


def storage_error(error: OSError, place: str | Path) -> StorageError:
    """Translate an operating system's error into one sentence; the file that it names wins over `place`."""
    where = error.filename if error.filename is not None else place
    advice = _ADVICE.get(error.errno or 0)
    if advice is None:
        advice = f"{error.strerror or error}; check the disk and run the same command again"
    return StorageError(f"{where}: {advice}")
