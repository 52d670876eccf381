"""Speed of rendering: pairs with ground truth and photos alone, per core, and the cost of starting.

    python benchmarks/rendering.py [--count 40] [--size 128] [--processes 2]

CPU time of one thread, so that a busy machine matters little; the ratio photo / pair comes from the same run. The
first line also holds the compilation, if numba's cache on disk is empty.
"""

from __future__ import annotations

import argparse
import resource
import time

import cv2


def main() -> None:
    """Print one line per figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    cv2.setNumThreads(1)

    start = time.process_time()
    from compress.faces import PairRenderer, render_many

    renderer = PairRenderer(options.size)
    loaded = time.process_time()
    renderer.pair(0, 0)
    first = time.process_time()
    print(f"load                 {loaded - start:8.2f} s CPU")
    print(f"first pair           {first - loaded:8.2f} s CPU (with compilation unless cached)")

    def cost(kind: str) -> float:
        begin = time.process_time()
        for index in range(1, options.count + 1):
            if kind == "pair":
                renderer.pair(0, index)
            else:
                renderer.photo(0, index)
        return float((time.process_time() - begin) / options.count)

    rounds = [(cost("pair"), cost("photo")) for _ in range(3)]
    pair, photo = (min(r[k] for r in rounds) for k in (0, 1))
    print(f"pair, {options.size} px         {pair * 1e3:8.1f} ms CPU = {1 / pair:.1f} a second and core")
    print(f"photo, {options.size} px        {photo * 1e3:8.1f} ms CPU = {photo / pair:.2f} of a pair")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    for _ in render_many(0, range(options.count * 2), options.size, 1):
        pass
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - memory
    print(f"memory               {memory:8.0f} MB, {grown:+.0f} MB with a second renderer, {options.count * 2} pairs")
    begin = time.perf_counter()
    count = sum(1 for _ in render_many(0, range(options.count * 2), options.size, options.processes))
    wall = time.perf_counter() - begin
    print(f"{options.processes} processes          {count / wall:8.1f} pairs a second, wall clock, start included")


if __name__ == "__main__":
    main()
