"""The benchmark of the gates: what its table says of a trial, and where it writes it."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

from compress.errors import InputError
from compress.judging import gates
from compress.judging.defects import DEFECTS, STRENGTHS
from compress.judging.defects.campaign import CLEAN
from compress.judging.metrics.estimate import Estimate
from compress.recipe import GateSettings

PATH = Path(__file__).parents[1] / "benchmarks" / "gates.py"


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("benchmark_of_gates", PATH)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def results(**values: float) -> list[gates.GateResult]:
    """Every gate named asks for at least 10."""
    numbers = {name: Estimate(v, v - 1, v + 1, 200) for name, v in values.items()}
    measured = dict.fromkeys(("rendered", gates.MOTION, gates.WHOLE), numbers)
    return gates.evaluate({name: GateSettings(min=10) for name in values}, measured)


def test_gate_that_should_is_named_first_and_others_are_counted(benchmark: ModuleType) -> None:
    blurred = results(psnr_mean_db=5, haar_ratio=5, ssim_mean=20)
    assert benchmark.named(("blur", "medium"), blurred) == ["haar_ratio"]
    assert benchmark.cell(("blur", "medium"), blurred) == "`haar_ratio` + 1"


def test_defect_refused_by_another_gate_is_not_named(benchmark: ModuleType) -> None:
    blurred = results(psnr_mean_db=5, haar_ratio=20)
    assert not benchmark.named(("blur", "medium"), blurred)
    assert benchmark.cell(("blur", "medium"), blurred) == "not named; `psnr_mean_db`"
    assert benchmark.cell(("blur", "medium"), results(psnr_mean_db=20)) == "passes"


def test_undecided_gate_refuses_and_a_failed_one_comes_first(benchmark: ModuleType) -> None:
    blurred = results(haar_finest_ratio=10.5, haar_ratio=5)
    assert benchmark.named(("blur", "weak"), blurred) == ["haar_ratio", "haar_finest_ratio"]
    assert benchmark.state_of(blurred) == "failed"
    assert benchmark.state_of(results(haar_finest_ratio=10.5)) == "undecided"


def test_table_has_a_row_for_every_defect_and_unnamed_ones_are_told(benchmark: ModuleType) -> None:
    judged = {(defect, s): results(**dict.fromkeys(DEFECTS[defect].caught_by[:1], 5)) for defect in DEFECTS
              for s in STRENGTHS}  # fmt: skip
    judged[CLEAN, "weak"], judged["gamma", "weak"] = results(ssim_mean=20), results(ssim_mean=20)
    assert len(benchmark.table(judged)) == 2 + len(DEFECTS)
    assert benchmark.unnamed(judged) == []
    judged["gamma", "medium"] = results(ssim_mean=5)
    assert benchmark.unnamed(judged) == ["gamma medium"]
    assert json.loads(json.dumps(benchmark.as_json(judged)))[0]["fired"][0]["state"] in ("failed", "undecided")


def test_docs_get_the_table_between_their_markers(benchmark: ModuleType, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{benchmark.BEGIN}\nold\n{benchmark.END}\nafter\n")
    benchmark.write_docs(page, ["new"])
    assert page.read_text() == f"before\n{benchmark.BEGIN}\nnew\n{benchmark.END}\nafter\n"
    page.write_text("nothing")
    with pytest.raises(InputError, match="has no lines"):
        benchmark.write_docs(page, ["new"])


def test_docs_of_gates_have_the_markers_and_name_every_gate(benchmark: ModuleType) -> None:
    text = (PATH.parents[1] / "docs" / "gates.md").read_text(encoding="utf-8")
    assert text.count(benchmark.BEGIN) == text.count(benchmark.END) == 1
    plain = text.replace("`_", "`equivariance_").replace("_`", "_ratio`")
    assert [name for name in gates.GATES if name not in plain] == []


def test_folder_that_is_no_run_is_refused(benchmark: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no plan.json; name the folder of a finished run"):
        benchmark.Run(tmp_path, None)
