"""Work on several cores at once that comes back in order: networks and OpenCV leave Python's lock while they compute.

Each thread lets torch use one core only: two threads with a core each are faster than one that shares its work out.
Processes are not covered; they would each open the networks again.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")

MOST = 4  # each holds a batch and its feature maps


def in_order(calls: Iterable[Callable[[], T]], threads: int = 0) -> Iterator[T]:
    """What each of `calls` returns, in their order; `threads` (0: one a core, at most 4) of them run at a time.

    `calls` itself is drawn in the calling thread, only a little ahead. The first error of a call is raised.
    """
    count = threads or min(os.cpu_count() or 1, MOST)
    before = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,)) as workers:
            waiting: deque[Future[T]] = deque()
            for call in calls:
                waiting.append(workers.submit(call))
                if len(waiting) > count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
    finally:
        torch.set_num_threads(before)
