"""Work on several threads: in order, little ahead, errors passed on, torch left as it was."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator

import pytest
import torch

from compress.threads import in_order


def late(number: int) -> int:
    time.sleep(0.02 if number % 3 == 0 else 0)
    return number


def test_results_come_in_the_order_of_the_calls() -> None:
    assert list(in_order((functools.partial(late, n) for n in range(12)), 3)) == list(range(12))


def test_calls_are_drawn_only_a_little_ahead() -> None:
    drawn: list[int] = []

    def calls() -> Iterator[Callable[[], int]]:
        for number in range(20):
            drawn.append(number)
            yield functools.partial(late, number)

    results = in_order(calls(), 2)
    assert next(results) == 0
    assert len(drawn) == 3
    results.close()  # type: ignore[attr-defined]


def test_first_error_is_raised() -> None:
    results = in_order([functools.partial(late, 1), functools.partial(int, "x")], 2)
    assert next(results) == 1
    with pytest.raises(ValueError, match="invalid literal"):
        next(results)


def test_torch_has_one_core_a_thread_and_all_of_them_afterwards() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert list(in_order([torch.get_num_threads] * 4, 2)) == [1] * 4
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
