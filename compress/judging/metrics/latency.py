"""Time of several callables, measured in turns so that whatever else the machine does hits all of them alike.

Two clocks: wall time, which a user feels, and the processor time of the calling thread, which other jobs do not stretch
much and which says the truth only for work of one thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compress.judging.metrics import intervals
from compress.judging.metrics.estimate import Estimate


@dataclass(frozen=True)
class Latency:
    """Milliseconds of each round: wall clock and processor time of the calling thread, both [rounds]."""

    wall_ms: NDArray[np.floating]
    thread_ms: NDArray[np.floating]

    def of(self, threads: int) -> NDArray[np.floating]:
        """The clock to trust for work of `threads` threads: processor time of one, wall time of several."""
        return self.thread_ms if threads == 1 else self.wall_ms


def percentile(times: Latency, percent: float, threads: int, seed: int) -> Estimate:
    """A percentile (50 is the median) of the clock to trust, in ms, with its interval over rounds."""
    return intervals.percentile(times.of(threads), percent, seed)


def speedup(slow: Latency, fast: Latency, threads: int, seed: int) -> Estimate:
    """Median of the time of `slow` over that of `fast`, round by round, with its interval."""
    return intervals.percentile(slow.of(threads) / fast.of(threads), 50, seed)


def measure(calls: Mapping[str, Callable[[], object]], rounds: int, warm_up: int = 3) -> dict[str, Latency]:
    """Call each of `calls` once per round, in the given order, after `warm_up` rounds that do not count."""
    wall: dict[str, list[float]] = {name: [] for name in calls}
    thread: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(warm_up + rounds):
        for name, call in calls.items():
            began_wall, began_thread = time.perf_counter(), time.thread_time()
            call()
            took_thread, took_wall = time.thread_time() - began_thread, time.perf_counter() - began_wall
            if turn >= warm_up:
                wall[name].append(1e3 * took_wall)
                thread[name].append(1e3 * took_thread)
    return {name: Latency(np.array(wall[name]), np.array(thread[name])) for name in calls}
