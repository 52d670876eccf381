"""The benchmark of intervals and false alarms finds what was planted: intervals too narrow, gates too close."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from types import SimpleNamespace as Bound

import numpy as np
import pytest

from compress.judging import gates
from compress.judging.metrics.estimate import Estimate

PATH = Path(__file__).parents[1] / "benchmarks" / "intervals.py"


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("interval_benchmark", PATH)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_drawn_people_keep_their_rows_together(benchmark: ModuleType) -> None:
    table = {"person": np.array([b"a", b"b", b"a", b"c"], "S64"), "value": np.array([1, 2, 3, 4])}
    drawn = benchmark.drawn(table, 200, np.random.default_rng(0))
    people = [tuple(drawn["value"][drawn["person"] == name]) for name in np.unique(drawn["person"])]
    assert len(people) == 200 and set(people) == {(1, 3), (2,), (4,)}


def test_drawn_set_has_the_sizes_asked_for(benchmark: ModuleType) -> None:
    moving = {
        "person": np.repeat(np.array([f"m{i}" for i in range(9)], "S64"), 5),
        "kind": np.repeat(np.array(["shift", "video"], "S16"), [30, 15]),
    }
    pool = {"stills": {"person": np.array([f"p{i}" for i in range(20)], "S64")}, "moving": moving}
    tables = benchmark.draw_set(pool, (12, 4, 2), 0)
    counts = [
        len(tables["stills"]["person"]),
        *(int((tables["moving"]["kind"] == k).sum()) for k in (b"shift", b"video")),
    ]
    assert counts == [12, 20, 10]


def test_coverage_counts_what_lies_on_either_side(benchmark: ModuleType) -> None:
    draws = [{"a": Estimate(x, x - 1, x + 1, 9), "bytes": Estimate.exact(3)} for x in (-1.5, 0.2, 1.5, 1.6)]
    tallies = benchmark.coverage({"a": Estimate(0, 0, 0, 1), "bytes": Estimate.exact(4)}, draws)
    assert set(tallies) == {"a"}
    assert (tallies["a"].below, tallies["a"].above, tallies["a"].held) == (1, 2, 0.25)


def test_table_shows_groups_of_one_metric_together(benchmark: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = benchmark.Tally(1.0, 100, 2, 3, 50.0), benchmark.Tally(2.0, 100, 10, 15, 50.0)
    benchmark.show({"gap: skin dark": good, "gap: age child": bad, "psnr": good})
    rows = capsys.readouterr().out.splitlines()[2:]
    assert rows[0] == "| gap, each of 2 groups | 1 to 2 | 85.0% | 6.0% | 9.0% | 0.5 | 200 |"
    assert rows[1].startswith("| psnr | 1 | 95.0%")


def test_every_state_but_passed_is_an_alarm(benchmark: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    def verdict(value: float) -> list[gates.GateResult]:
        numbers = {"ssim_mean": Estimate(value, value - 0.1, value + 0.1, 99)}
        return gates.evaluate({"ssim_mean": Bound(min=0.5, max=None)}, {"rendered": numbers})

    benchmark.show_alarms(verdict(value) for value in (0.9, 0.8, 0.55, 0.3))
    shown = capsys.readouterr().out
    assert "| ssim_mean | 2 | 1 | 1 |" in shown and "| whole verdict | 2 | 1 | 1 |" in shown
    assert "2 false alarms in 4 verdicts" in shown


def test_pool_that_was_not_made_is_refused(benchmark: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"no stills\.npz; make the pool first"):
        benchmark.load(tmp_path)
