"""The command: exit codes, sentences instead of tracebacks, and what each command prints."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import small_line
import small_model
import small_verdict
from compress import cli, process, run
from compress.errors import StageError


@pytest.fixture(autouse=True)
def _small_stages(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(run.run, "__defaults__", (small_line.FUNCTIONS, lambda: "cpu"))
    monkeypatch.setattr(run.verify, "__defaults__", (small_line.FUNCTIONS, lambda: "cpu"))
    small_verdict.STATES.clear()
    small_line.CALLS.clear()
    return iter(())


def sentence(capsys: pytest.CaptureFixture[str]) -> str:
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return error


def test_run_returns_zero_when_all_gates_passed(tmp_path: Path) -> None:
    assert cli.main(["run", str(small_line.recipe(tmp_path)), "--runs", str(tmp_path / "runs")]) == 0


def test_run_returns_one_when_a_gate_failed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small_verdict.STATES["npu"] = "failed"
    assert cli.main(["run", str(small_line.recipe(tmp_path)), "--runs", str(tmp_path / "runs")]) == 1
    assert "npu: failed 1 of 1 gates, not published" in sentence(capsys)


def test_run_returns_two_for_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = small_line.recipe(tmp_path, small_line.RECIPE.replace("seed: 3", "seed: off"))
    assert cli.main(["run", str(path), "--runs", str(tmp_path / "runs")]) == 2
    assert "seed (line 2): 'off' is not a whole number" in sentence(capsys)
    assert not (tmp_path / "runs").exists()


def test_run_returns_three_when_a_stage_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(*_: Any) -> None:
        raise StageError("budget: 1000 MACs cannot be reached; raise it")

    monkeypatch.setattr(small_line, "prune", failing)
    assert cli.main(["run", str(small_line.recipe(tmp_path)), "--runs", str(tmp_path / "runs")]) == 3
    assert "kcompress: prune-cpu: budget: 1000 MACs cannot be reached; raise it\n" in sentence(capsys)


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (KeyboardInterrupt(), 130, "interrupted; run the same command again to go on from here"),
        (MemoryError(), 3, "out of memory"),
        (OSError(28, "No space left on device", "/x/y"), 3, "/x/y: no space left on the device"),
    ],
)
def test_command_that_stops_says_why(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    text: str,
) -> None:
    def stopped(*_: Any) -> None:
        raise error

    monkeypatch.setattr("compress.plan.plan", stopped)
    assert cli.main(["plan", str(tmp_path / "recipe.yaml")]) == code
    assert text in sentence(capsys)


def test_terminated_command_stops_like_an_interrupted_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("compress.plan.plan", lambda _: os.kill(os.getpid(), signal.SIGTERM))
    before = signal.getsignal(signal.SIGTERM)
    assert cli.main(["plan", str(tmp_path)]) == cli.EXIT_INTERRUPTED
    assert "interrupted; run the same command again" in sentence(capsys)
    assert signal.getsignal(signal.SIGTERM) is before


def test_plan_prints_steps_and_what_is_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [str(small_line.recipe(tmp_path)), "--runs", str(tmp_path / "runs")]
    assert cli.main(["plan", *arguments]) == 0
    before = capsys.readouterr().out
    assert "distill-cpu" in before
    assert "done" not in before
    cli.main(["run", *arguments])
    capsys.readouterr()
    cli.main(["plan", *arguments])
    after = capsys.readouterr().out
    assert after.count("done") == 19
    assert "about 0 s of work left" in after


def test_schema_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["schema"]) == 0
    assert "Recipe" in json.loads(capsys.readouterr().out)["$defs"]


def test_schema_of_verdicts_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["schema", "verdict"]) == 0
    assert "GateRecord" in json.loads(capsys.readouterr().out)["$defs"]


def verify(folder: Path, *options: str) -> int:
    candidate = small_model.write(folder / "mine.onnx")
    recipe = str(small_line.recipe(folder))
    return cli.main(["verify", recipe, "--candidate", str(candidate), "--runs", str(folder / "runs"), *options])


@pytest.mark.parametrize(("state", "code"), [("passed", 0), ("failed", 1), ("undecided", 1)])
def test_verify_returns_what_the_gates_say(tmp_path: Path, state: str, code: int) -> None:
    small_verdict.STATES["cpu"] = state
    assert verify(tmp_path, "--tier", "cpu") == code


def test_verify_returns_two_for_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(tmp_path) == 2
    assert "has the tiers cpu, npu; choose one with --tier" in sentence(capsys)
    assert verify(tmp_path, "--tier", "cpu", "--without", "nothing") == 2
    assert not (tmp_path / "runs").exists()


def test_verify_returns_three_when_a_stage_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: Any) -> None:
        raise StageError("motion: no flow; mend it")

    monkeypatch.setattr(small_line, "motion", failing)
    assert verify(tmp_path, "--tier", "cpu") == 3


def test_verify_passes_on_what_is_said_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(small_line, "candidate", lambda settings, *_: seen.append(settings) or {})
    options = ["--input-range", "-1..1", "--output-range=0..255", "--layout", "nchw", "--without", "macs"]
    verify(tmp_path, "--tier", "cpu", *options)
    assert (seen[0].input_range, seen[0].output_range, seen[0].layout) == ("-1..1", "0..255", "nchw")


def test_file_that_cannot_be_judged_is_refused_before_the_test_set_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify(tmp_path, "--tier", "cpu", "--layout", "nhwc") == 2
    assert "nhwc" in sentence(capsys)
    assert not small_line.CALLS


@pytest.mark.parametrize("option", ["--out", "--markdown"])
def test_place_that_cannot_be_written_is_refused_first(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["compare", "nowhere", "nothing", option, str(tmp_path / "none" / "page")]) == 2
    assert f"{option} {tmp_path}/none/page: there is no folder {tmp_path}/none; name a file" in sentence(capsys)


def test_compare_with_a_run_that_lacks_a_tier_fails_on_worse(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["run", str(small_line.recipe(tmp_path)), "--runs", str(tmp_path / "runs")]) == 0
    runs = [str(tmp_path / "runs" / "small"), *candidates(tmp_path, ["passed"])]
    assert cli.main(["compare", *runs, "--fail-on-worse"]) == 1
    assert "has no tier npu: it was not compared." in capsys.readouterr().out
    assert cli.main(["compare", *runs]) == 0


def candidates(folder: Path, states: Sequence[str]) -> list[str]:
    for number, state in enumerate(states):
        (folder / str(number)).mkdir()
        small_verdict.STATES["cpu"] = state
        verify(folder / str(number), "--tier", "cpu")
    return [str(path) for path in sorted(folder.glob("*/runs/small/candidates/*"))]


def test_compare_prints_what_changed_and_writes_pages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    summary = tmp_path / "compared.md"
    arguments = ["compare", *candidates(tmp_path, ["passed", "failed"]), "--markdown", str(summary)]
    assert cli.main(arguments) == 0
    assert "psnr_mean_db" in capsys.readouterr().out
    assert "1 worse" in summary.read_text()
    assert cli.main([*arguments, "--fail-on-worse"]) == 1


def test_compare_of_equal_runs_is_no_failure(tmp_path: Path) -> None:
    assert cli.main(["compare", *candidates(tmp_path, ["passed", "passed"]), "--fail-on-worse"]) == 0


def test_compare_returns_two_for_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 2
    assert "a: there is no such folder" in sentence(capsys)


def test_calibrate_prints_and_writes_what_is_proposed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def calibrate(*arguments: Any) -> SimpleNamespace:
        asked.append(arguments)
        return SimpleNamespace(table=lambda: ["why"], yaml=lambda: "gates: {}\n")

    monkeypatch.setitem(sys.modules, "compress.judging.calibration", SimpleNamespace(calibrate=calibrate))
    recipe, out = small_line.recipe(tmp_path), tmp_path / "gates.yaml"
    assert cli.main(["calibrate", str(recipe), "--tier", "npu", "--runs", "r", "--out", str(out)]) == 0
    assert (capsys.readouterr().out, out.read_text()) == ("why\n", "gates: {}\n")
    assert asked[0][:3] == (recipe, "npu", Path("r"))
    assert asked[0][4] is run.carry_out
    assert cli.main(["calibrate", str(recipe)]) == 2


@pytest.mark.parametrize("count", ["0", "-1", "many", "10001"])
def test_count_out_of_range_is_refused(count: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["render", "--count", count, "--out", "a.png"])
    assert stopped.value.code == 2
    assert "is not a whole number from 1 to 10000" in sentence(capsys)


def test_plan_imports_nothing_heavy(tmp_path: Path) -> None:
    program = (
        "import sys; from compress.cli import main; code = main(sys.argv[1:]);"
        "heavy = {'torch', 'numpy', 'numba', 'cv2', 'onnx', 'onnxruntime', 'nncf', 'rich', 'PIL'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else code)"
    )
    arguments = [sys.executable, "-c", program, "plan", str(small_line.recipe(tmp_path))]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    command = f"{sys.executable} -m compress schema | head -n 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_container_quota_limits_the_threads(tmp_path: Path) -> None:
    limit = tmp_path / "cpu.max"
    limit.write_text("50000 100000\n")
    assert process.cores(limit) == 1
    limit.write_text("max 100000\n")
    assert process.cores(limit) == process.cores(tmp_path / "absent")


def test_settings_of_the_user_win(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    monkeypatch.delenv("NNCF_EXTENSION_LOAD_TIMEOUT", raising=False)
    process.prepare(tmp_path / "absent")
    assert process.os.environ["OMP_WAIT_POLICY"] == "active"
    assert process.os.environ["NNCF_EXTENSION_LOAD_TIMEOUT"] == "0"
