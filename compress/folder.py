"""The folder of a run: one process at a time works in it, and what goes wrong with the disk is one sentence.

Which steps lie in it is not known here (`compress.run`, `compress.publish`).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from compress import artifact
from compress.errors import InputError, storage_error

ELAPSED = "elapsed.json"


@contextmanager
def opened(folder: Path) -> Iterator[Path]:
    """The folder of a run, made if it is not there, and ours alone until the end."""
    with storage(folder):
        (folder / "steps").mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        yield folder


@contextmanager
def storage(place: Path) -> Iterator[None]:
    """Errors of the operating system inside leave as StorageError that names `place`."""
    try:
        yield
    except OSError as error:
        raise storage_error(error, place) from error


@contextmanager
def stopwatch(partial: Path) -> Iterator[Callable[[], float]]:
    """Seconds spent on a step over all its attempts; kept beside its checkpoint when it is interrupted."""
    path = partial / ELAPSED
    try:
        before = float(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        before = 0.0
    start = time.monotonic()

    def elapsed() -> float:
        return before + time.monotonic() - start

    try:
        yield elapsed
    except BaseException:
        # The disk may be what failed, and the time is a nicety.
        with suppress(OSError):
            artifact.write_json(path, elapsed())
        raise


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One run at a time in a folder; the lock is the operating system's, so a killed run leaves none behind."""
    import fcntl

    with storage(folder):
        file = (folder / ".lock").open("a+", encoding="utf-8")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            way_out = "wait for it, or choose another folder with --runs"
            raise InputError(f"{folder}: process {holder} is running in it; {way_out}") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
