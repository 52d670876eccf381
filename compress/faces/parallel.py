"""Many samples by several processes, in order; the number of processes changes nothing but the time."""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from functools import cache
from multiprocessing.pool import AsyncResult
from pathlib import Path
from typing import Any

import cv2
import numpy.typing as npt

from compress.errors import InputError
from compress.faces.pair import PairRenderer
from compress.faces.styles import STYLES

Sample = dict[str, npt.NDArray[Any]]
WHATS = ("pair", "photo")
AHEAD = 4
"""Samples a process may be ahead of the reader; bounds the memory."""


@cache
def _renderer(size: int, assets: Path | None, styles: tuple[str, ...]) -> PairRenderer:
    """The one renderer of this process."""
    cv2.setNumThreads(1)
    return PairRenderer(size, assets, styles)


def _render(size: int, assets: Path | None, styles: tuple[str, ...], what: str, seed: int, index: int) -> Sample:
    """One sample as a dictionary."""
    renderer = _renderer(size, assets, styles)
    return renderer.pair(seed, index) if what == "pair" else renderer.photo(seed, index)


def render_many(
    seed: int,
    indices: Sequence[int],
    size: int = 128,
    processes: int = 1,
    what: str = "pair",
    assets: Path | None = None,
    styles: Sequence[str] = tuple(STYLES),
) -> Iterator[Sample]:
    """Yield sample (seed, index) for every index, in order.

    what is "pair" or "photo": all fields of that method of PairRenderer; styles: those of the cartoons, in order.
    processes > 1 starts that many workers with the spawn method. Raises InputError for another `what`.
    """
    if what not in WHATS:
        raise InputError(f"render_many: what={what!r} is unknown; choose one of {', '.join(WHATS)}")
    if processes <= 1 or len(indices) < 2:
        for index in indices:
            yield _render(size, assets, tuple(styles), what, seed, int(index))
        return
    # An interruption is the parent's to handle: workers that were interrupted too would print where they stood.
    quiet = (signal.SIGINT, signal.SIG_IGN)
    with multiprocessing.get_context("spawn").Pool(min(processes, len(indices)), signal.signal, quiet) as pool:
        waiting: deque[AsyncResult[Sample]] = deque()
        for index in indices:
            waiting.append(pool.apply_async(_render, (size, assets, tuple(styles), what, seed, int(index))))
            if len(waiting) >= AHEAD * processes:
                yield waiting.popleft().get()
        while waiting:
            yield waiting.popleft().get()
