"""Speed of rendering: pairs in one style and in all, photos alone, what each part costs, and the cost of starting.

    python benchmarks/rendering.py [--count 24] [--size 128] [--processes 2]

CPU time of one thread, so that a busy machine matters little; ratios come from the same run. A view is the photo or one
of its cartoons; a pair's ground truth and the sampling of its person count to its views. The first lines also hold the
compilation, if numba's cache on disk is empty.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import resource
import time
from collections.abc import Callable
from typing import Any

import cv2

PARTS = {
    "triangles": ("view.rasterize",),
    "shading": ("view.shade",),
    "brows, lashes": ("view.draw_hairs",),
    "film, grade": ("view.compose",),
    "mesh": ("pair.turn_scene", "mesh.Modeller.pose"),
    "person, hair": ("pair.PairRenderer.subject",),
    "ground truth": ("pair.photo_truth", "pair.cartoon_truth"),
}
"""Functions of compress.faces whose own time, without that of the other parts, is a part."""


class Stopwatch:
    """Own CPU time of the parts, while they are wrapped."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self.inner: list[float] = []

    def wrap(self, part: str, path: str) -> None:
        """Measure a function from now on."""
        module, *names = path.split(".")
        place: Any = importlib.import_module(f"compress.faces.{module}")
        for name in names[:-1]:
            place = getattr(place, name)
        setattr(place, names[-1], self.timed(part, getattr(place, names[-1])))

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function with its own time added to a part."""

        @functools.wraps(function)
        def measured(*arguments: Any, **named: Any) -> Any:
            start = time.process_time()
            self.inner.append(0.0)
            try:
                return function(*arguments, **named)
            finally:
                spent = time.process_time() - start
                self.seconds[part] += spent - self.inner.pop()
                if self.inner:
                    self.inner[-1] += spent

        return measured


def main() -> None:
    """Print one line per figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    cv2.setNumThreads(1)

    start = time.process_time()
    from compress.faces import PairRenderer, render_many
    from compress.faces.styles import STYLES

    everything = PairRenderer(options.size)
    loaded = time.process_time()
    everything.pair(0, 0)
    first = time.process_time()
    print(f"load                 {loaded - start:8.2f} s CPU")
    print(f"first pair           {first - loaded:8.2f} s CPU (with compilation unless cached)")

    def cost(render: Callable[[int, int], object]) -> float:
        begin = time.process_time()
        for index in range(1, options.count + 1):
            render(0, index)
        return float((time.process_time() - begin) / options.count)

    single = PairRenderer(options.size, styles=list(STYLES)[:1])
    kinds = {
        "all styles": (everything.pair, 1 + len(STYLES)),
        "one style": (single.pair, 2),
        "photo": (single.photo, 1),
    }
    rounds = [[cost(render) for render, _ in kinds.values()] for _ in range(3)]
    best = [min(each) for each in zip(*rounds)]
    for (name, (_, views)), spent in zip(kinds.items(), best):
        print(
            f"{name + ',':11} {options.size} px   {spent * 1e3:8.1f} ms CPU = {1 / spent:5.1f} a second and core, "
            f"{spent / views * 1e3:5.1f} ms a view = {spent / best[0]:.2f} of all styles"
        )
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    watch = Stopwatch()
    for part, paths in PARTS.items():
        for path in paths:
            watch.wrap(part, path)
    whole = cost(everything.pair)
    for part, seconds in watch.seconds.items():
        spent = seconds / options.count
        print(f"  {part:18} {spent * 1e3:8.1f} ms CPU = {spent / whole:.2f} of all styles")
    print(f"memory               {memory:8.0f} MB")
    begin = time.perf_counter()
    count = sum(1 for _ in render_many(0, range(options.count * 2), options.size, options.processes))
    wall = time.perf_counter() - begin
    print(f"{options.processes} processes          {count / wall:8.1f} pairs a second, wall clock, start included")


if __name__ == "__main__":
    main()
