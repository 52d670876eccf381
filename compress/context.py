"""What a stage is told about its surroundings: device, seed and where to show progress.

On a terminal progress is one live line per task with rate and time left (rich); anywhere else it is a plain line now
and then. It holds no settings: those come from the recipe's sections.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

QUIET_SECONDS = 30.0


def duration(seconds: float) -> str:
    """A length of time for people: `8 s`, `3 min 05 s`, `2 h 10 min`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class Task:
    """One piece of work of known length; `advance` as it goes."""

    def __init__(self, label: str, total: int, unit: str, done: int, show: Callable[[Task, bool], None]) -> None:
        self.label, self.total, self.unit, self.done = label, total, unit, done
        self.numbers: dict[str, float] = {}
        self._first = done
        self._start = time.monotonic()
        self._show = show

    def advance(self, count: int = 1, **numbers: float) -> None:
        """`count` more units are done; `numbers` (loss=0.12) are shown beside the rate."""
        self.done += count
        self.numbers.update(numbers)
        self._show(self, False)

    @property
    def rate(self) -> float:
        """Units a second since the task began here (a resumed part does not count)."""
        return (self.done - self._first) / max(time.monotonic() - self._start, 1e-9)

    def describe(self) -> str:
        """`label 300/1200 images, 41.2 images/s, 22 s left, loss 0.123`."""
        parts = [f"{self.label} {self.done}/{self.total} {self.unit}"]
        if self.done > self._first:
            parts.append(f"{self.rate:.3g} {self.unit}/s")
            if self.done < self.total:
                parts.append(f"{duration((self.total - self.done) / self.rate)} left")
            else:
                parts.append(f"took {duration(time.monotonic() - self._start)}")
        parts += [f"{name} {value:.4g}" for name, value in self.numbers.items()]
        return ", ".join(parts)


class Progress:
    """Shows tasks and messages: live lines on a terminal, plain ones (every 30 s and at the end) elsewhere."""

    def __init__(self, stream: TextIO | None = None, interactive: bool | None = None) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._interactive = self._stream.isatty() if interactive is None else interactive
        self._live: RichProgress | None = None

    def log(self, text: str) -> None:
        """Print one line, above the live ones if there are any."""
        if self._live is not None:
            self._live.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            print(text, file=self._stream, flush=True)

    @contextmanager
    def task(self, label: str, total: int, unit: str = "images", done: int = 0) -> Iterator[Task]:
        """A task of `total` units, `done` of them finished earlier; how far it came is shown also after an error."""
        shown = self._live_task if self._interactive else self._quiet
        with shown(label, total, unit, done) as task:
            yield task

    @contextmanager
    def _quiet(self, label: str, total: int, unit: str, done: int) -> Iterator[Task]:
        shown, shown_done = time.monotonic(), done

        def show(task: Task, last: bool) -> None:
            nonlocal shown, shown_done
            news = task.done > shown_done
            if news and (last or time.monotonic() - shown >= QUIET_SECONDS):
                shown, shown_done = time.monotonic(), task.done
                self.log(f"  {task.describe()}")

        task = Task(label, total, unit, done, show)
        try:
            yield task
        finally:
            show(task, True)

    @contextmanager
    def _live_task(self, label: str, total: int, unit: str, done: int) -> Iterator[Task]:
        outermost = self._live is None
        live = self._live = self._live or self._start()
        row: TaskID = live.add_task(label, total=total, completed=done, text="")

        def show(task: Task, last: bool) -> None:
            live.update(row, completed=task.done, text=task.describe())

        task = Task(label, total, unit, done, show)
        show(task, False)
        try:
            yield task
        finally:
            live.update(row, visible=False)
            if task.done > done:
                self.log(f"  {task.describe()}")
            if outermost:
                live.stop()
                self._live = None

    def _start(self) -> RichProgress:
        # Imported here: rich costs more than a whole `kcompress plan`.
        from rich.console import Console
        from rich.progress import BarColumn, SpinnerColumn, TextColumn
        from rich.progress import Progress as Rich

        columns = (SpinnerColumn(), BarColumn(bar_width=24), TextColumn("{task.fields[text]}", markup=False))
        live = Rich(*columns, console=Console(file=self._stream, force_terminal=True), transient=True)
        live.start()
        return live


@dataclass(frozen=True)
class Context:
    """`device` is a torch device name; `seed` belongs to the recipe; samples depend on (seed, index) only."""

    device: str = "cpu"
    progress: Progress = field(default_factory=Progress)
    seed: int = 0
