"""Progress: quiet lines away from a terminal, live ones on it, and lengths of time for people."""

from __future__ import annotations

import io

import pytest

from compress import context
from compress.context import Progress, duration


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59.4, "59 s"), (59.9, "1 min 00 s"), (185, "3 min 05 s"), (7800, "2 h 10 min")]
)
def test_duration_is_written_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_quiet_progress_prints_one_line_at_the_end() -> None:
    stream = io.StringIO()
    with Progress(stream).task("distillation", 40, "images") as task:
        for _ in range(4):
            task.advance(10, loss=0.25)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("  distillation 40/40 images, ")
    assert "images/s, took " in lines[0]
    assert lines[0].endswith("loss 0.25")


def test_quiet_progress_prints_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(context.time, "monotonic", lambda: float(next(clock)))
    stream = io.StringIO()
    with Progress(stream).task("rendering", 6, done=2) as task:
        for _ in range(4):
            task.advance()
    lines = stream.getvalue().splitlines()
    assert 2 <= len(lines) <= 4
    assert " left" in lines[0]


def test_interrupted_task_shows_how_far_it_came() -> None:
    stream = io.StringIO()
    with pytest.raises(KeyboardInterrupt), Progress(stream).task("rendering", 10) as task:
        task.advance(3)
        raise KeyboardInterrupt
    assert "rendering 3/10 images" in stream.getvalue()


def test_live_progress_shows_tasks_within_tasks() -> None:
    stream = io.StringIO()
    progress = Progress(stream, interactive=True)
    with progress.task("outer", 2) as outer:
        with progress.task("inner", 1) as inner:
            inner.advance()
        progress.log("a message")
        outer.advance(2)
    text = stream.getvalue()
    assert "inner 1/1 images" in text
    assert "a message" in text
    assert "outer 2/2 images" in text


@pytest.mark.parametrize("interactive", [False, True])
def test_task_without_work_says_nothing(interactive: bool) -> None:
    stream = io.StringIO()
    with Progress(stream, interactive).task("photographs", 0):
        pass
    assert "took" not in stream.getvalue()
    assert interactive or not stream.getvalue()


def test_last_line_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "QUIET_SECONDS", 0.0)
    stream = io.StringIO()
    with Progress(stream).task("export", 1) as task:
        task.advance()
    assert len(stream.getvalue().splitlines()) == 1
