"""The run loop with stages that only write files: reuse, resume, publishing, and each way to fail."""

from __future__ import annotations

import errno
import fcntl
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import small_line
import small_model
import small_verdict
from compress import artifact
from compress.context import Progress
from compress.errors import InputError, KcompressError, NonFiniteError, StageError, StorageError
from compress.judging import verdict
from compress.plan import plan
from compress.planning.verification import verification_plan
from compress.run import carry_out, run, states, verify


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    small_line.CALLS.clear()
    small_verdict.STATES.clear()


def start(folder: Path, text: str = small_line.RECIPE) -> tuple[int, str]:
    """Run a recipe; returns the exit code and the log."""
    log = io.StringIO()
    the_plan = plan(small_line.recipe(folder, text))
    code = run(the_plan, folder / "runs", Progress(log), small_line.FUNCTIONS, lambda: "cpu")
    return code, log.getvalue()


def failing(error: BaseException) -> Any:
    def stage(settings: Any, inputs: Any, folder: Path, context: Any) -> dict[str, Any]:
        (folder / "checkpoint.json").write_text("half")
        raise error

    return stage


def test_run_makes_every_step_and_publishes(tmp_path: Path) -> None:
    code, log = start(tmp_path)
    folder = tmp_path / "runs" / "small"
    assert code == 0
    assert len(small_line.CALLS) == 19
    assert verdict.read_run(folder / "verdict.json").passed
    assert {path.name for path in folder.glob("*.*")} >= {"junit.xml", "summary.md"}
    assert len(json.loads((folder / "plan.json").read_text())["steps"]) == 19
    assert (folder / "report.html").is_file()
    for tier in ("cpu", "npu"):
        published = artifact.load(folder / "tiers" / tier)
        assert set(published.manifest["files"]) == {"model.onnx", "core.onnx"}
    assert "cpu: passed 1 of 1 gates, published in" in log


def test_manifest_tells_settings_parents_hashes_versions_and_numbers(tmp_path: Path) -> None:
    start(tmp_path)
    step = next(step for step in plan(tmp_path / "recipe.yaml").steps if step.name == "prune-cpu")
    manifest = artifact.load(tmp_path / "runs" / "small" / "steps" / step.folder).manifest
    assert manifest["key"] == step.key
    assert manifest["settings"]["macs"] == 500_000
    assert set(manifest["parents"]) == {"student", "inputs"}
    assert set(manifest["files"]) == {"weights.safetensors"}
    assert manifest["numbers"] == {"files": 1}
    assert "torch" in manifest["versions"]


def test_second_run_reuses_everything_and_says_so(tmp_path: Path) -> None:
    start(tmp_path)
    small_line.CALLS.clear()
    code, log = start(tmp_path)
    assert (code, small_line.CALLS) == (0, [])
    assert log.count("finished before, reused") == 19


def test_changed_setting_runs_only_what_depends_on_it(tmp_path: Path) -> None:
    start(tmp_path)
    small_line.CALLS.clear()
    start(tmp_path, small_line.RECIPE.replace("calibration_images: 32", "calibration_images: 33"))
    made = {f"{step}-{tier}" for step in ("quantize", "export", "verify") for tier in ("cpu", "npu")}
    assert set(small_line.CALLS) == made | {"report"}


def test_interrupted_step_keeps_its_checkpoint_and_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(small_line, "prune", failing(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            start(tmp_path)
    the_plan = plan(tmp_path / "recipe.yaml")
    assert states(the_plan, tmp_path / "runs")["prune-cpu"] == "begun"
    seen = []

    def resuming(settings: Any, inputs: Any, folder: Path, context: Any) -> dict[str, Any]:
        seen.append((folder / "checkpoint.json").is_file())
        (folder / "checkpoint.json").unlink(missing_ok=True)
        return {}

    monkeypatch.setattr(small_line, "prune", resuming)
    code, log = start(tmp_path)
    assert (code, seen) == (0, [True, False])
    assert "prune-cpu: resumed, " in log
    assert not list((tmp_path / "runs").rglob("*.partial"))


def test_failed_gate_publishes_nothing_for_its_tier_alone(tmp_path: Path) -> None:
    small_verdict.STATES["cpu"] = "failed"
    code, log = start(tmp_path)
    folder = tmp_path / "runs" / "small"
    assert code == 1
    assert not (folder / "tiers" / "cpu").exists()
    assert (folder / "tiers" / "npu" / "model.onnx").is_file()
    assert (folder / "report.html").is_file()
    assert json.loads((folder / "verdict.json").read_text())["passed"] is False
    assert "cpu: failed 1 of 1 gates, not published: psnr_mean_db 18 (18 is below 20)" in log


def test_tier_published_earlier_is_removed_when_its_successor_fails(tmp_path: Path) -> None:
    start(tmp_path)
    small_verdict.STATES["cpu"] = "failed"
    code, _ = start(tmp_path, small_line.RECIPE.replace("{min: 20}", "{min: 25}"))
    assert code == 1
    assert sorted(path.name for path in (tmp_path / "runs" / "small" / "tiers").iterdir()) == ["npu"]


def test_tier_published_earlier_stays_until_its_successor_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(tmp_path)
    before = (tmp_path / "runs" / "small" / "tiers" / "cpu" / "model.onnx").read_text()
    monkeypatch.setattr(small_line, "export", failing(StageError("export failed; mend it")))
    with pytest.raises(StageError):
        start(tmp_path, small_line.RECIPE.replace("images: 160", "images: 176"))
    folder = tmp_path / "runs" / "small"
    assert (folder / "tiers" / "cpu" / "model.onnx").read_text() == before
    assert not (folder / "verdict.json").exists()
    assert not (folder / "report.html").exists()


def test_tier_that_left_the_recipe_is_unpublished(tmp_path: Path) -> None:
    start(tmp_path)
    start(tmp_path, small_line.RECIPE.replace("  npu: *tier\n", ""))
    assert [path.name for path in (tmp_path / "runs" / "small" / "tiers").iterdir()] == ["cpu"]


def test_damaged_step_is_made_again(tmp_path: Path) -> None:
    start(tmp_path)
    small_line.CALLS.clear()
    step = plan(tmp_path / "recipe.yaml").steps[0]
    (tmp_path / "runs" / "small" / "steps" / step.folder / "photos.bin").write_text("rotten")
    _, log = start(tmp_path)
    assert small_line.CALLS == ["inputs"]
    assert "inputs: damaged, made again" in log


@pytest.mark.parametrize(
    ("error", "kind", "sentence"),
    [
        (OSError(errno.ENOSPC, "No space"), StorageError, "no space left on the device; free some and run the same"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), StorageError, "no space left on the device"),
        (PermissionError(errno.EACCES, "no", "/x/y"), StorageError, "/x/y: permission denied; give access to it"),
        (MemoryError(), StageError, "out of memory; close other programs or lower the batch"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), StageError, "out of memory; close other programs"),
        (NonFiniteError("step 4: the loss is nan; lower it"), NonFiniteError, "step 4: the loss is nan; lower it"),
        (InputError("x.jpg: not an image; remove it"), InputError, "x.jpg: not an image; remove it"),
        (ZeroDivisionError("division by zero"), StageError, r"stopped by ZeroDivisionError \(division by zero\); the"),
    ],
)
def test_failure_of_a_stage_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, kind: type[KcompressError], sentence: str
) -> None:
    monkeypatch.setattr(small_line, "distill", failing(error))
    with pytest.raises(kind, match=sentence) as caught:
        start(tmp_path)
    assert caught.value.__notes__ == ["distill-cpu"]
    assert len(list((tmp_path / "runs" / "small" / "steps").glob("distill-cpu-*.partial"))) == 1


def test_unexpected_failure_leaves_its_traceback_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small_line, "distill", failing(ZeroDivisionError("division by zero")))
    with pytest.raises(StageError):
        start(tmp_path)
    log = (tmp_path / "runs" / "small" / "error-distill-cpu.log").read_text()
    assert "Traceback" in log
    assert "ZeroDivisionError: division by zero" in log


def test_number_that_is_not_finite_fails_the_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small_line, "prune", lambda *_: {"error": {"mean": float("nan")}})
    with pytest.raises(NonFiniteError, match="mean is nan; lower the learning rate of prune-cpu"):
        start(tmp_path)


def test_verdict_that_contradicts_its_gates_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    verify = small_verdict.verify

    def contradicting(settings: Any, inputs: Any, folder: Path, context: Any) -> dict[str, Any]:
        small_verdict.STATES[settings.tier] = "failed"
        verify(settings, inputs, folder, context)
        text = (folder / "verdict.json").read_text()
        (folder / "verdict.json").write_text(
            text.replace('"tier": "cpu",\n  "passed": false', '"tier": "cpu", "passed": true')
        )
        return {}

    monkeypatch.setattr(small_verdict, "verify", contradicting)
    with pytest.raises(StorageError, match="`passed` is True and `state` failed, which its 1 gates do not say"):
        start(tmp_path)
    assert not (tmp_path / "runs" / "small" / "tiers").exists()


def test_two_runs_in_one_folder_are_refused(tmp_path: Path) -> None:
    start(tmp_path)
    with (tmp_path / "runs" / "small" / ".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="is running in it; wait for it, or choose another folder with --runs"):
            start(tmp_path)


def test_runs_folder_that_is_a_file_is_explained(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(StorageError, match="runs"):
        start(tmp_path)


def test_teacher_recipe_publishes_its_weights(tmp_path: Path) -> None:
    code, log = start(tmp_path, small_line.TRAINING)
    published = tmp_path / "runs" / "small-teacher" / "teacher.safetensors"
    assert code == 0
    assert published.is_file()
    assert f"see {published}" in log


def test_student_without_a_separate_core_is_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def whole(settings: Any, inputs: Any, folder: Path, context: Any) -> dict[str, Any]:
        (folder / "model.onnx").write_text("model")
        return {}

    monkeypatch.setattr(small_line, "export", whole)
    start(tmp_path)
    published = artifact.load(tmp_path / "runs" / "small" / "tiers" / "cpu")
    assert set(published.manifest["files"]) == {"model.onnx"}


def test_undecided_gate_publishes_nothing(tmp_path: Path) -> None:
    small_verdict.STATES["cpu"] = "undecided"
    code, log = start(tmp_path)
    assert code == 1
    assert not (tmp_path / "runs" / "small" / "tiers" / "cpu").exists()
    assert "cpu: undecided 1 of 1 gates, not published: psnr_mean_db 20.5 (undecided: needs about 60 more" in log


def judge(folder: Path, **options: Any) -> tuple[int, str]:
    """Judge a candidate by the small recipe; returns the exit code and the log."""
    log = io.StringIO()
    small_model.write(folder / "mine.onnx")
    the_plan = verification_plan(small_line.recipe(folder), folder / "mine.onnx", "cpu", **options)
    code = verify(the_plan, folder / "runs", Progress(log), small_line.FUNCTIONS, lambda: "cpu")
    return code, log.getvalue()


def candidate_folder(folder: Path) -> Path:
    (found,) = (folder / "runs" / "small" / "candidates").iterdir()
    return found


def test_candidate_is_judged_and_its_records_handed_over(tmp_path: Path) -> None:
    code, log = judge(tmp_path)
    folder = candidate_folder(tmp_path)
    assert code == 0
    assert folder.name == f"mine-cpu-{artifact.hash_file(tmp_path / 'mine.onnx')[:8]}"
    files = {"verdict.json", "junit.xml", "summary.md", "report.html", "images.csv", "metrics.json"}
    assert {path.name for path in folder.iterdir()} == files
    assert verdict.read(folder / "verdict.json").candidate.file == "mine.onnx"
    assert f"mine.onnx, cpu: passed 1 of 1 gates, see {folder}" in log


def test_candidate_that_fails_returns_one(tmp_path: Path) -> None:
    small_verdict.STATES["cpu"] = "failed"
    assert judge(tmp_path)[0] == 1
    assert not verdict.read(candidate_folder(tmp_path) / "verdict.json").passed


def test_candidate_shares_the_test_set_of_the_run_and_leaves_the_run_alone(tmp_path: Path) -> None:
    start(tmp_path)
    folder = tmp_path / "runs" / "small"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and "steps" not in path.parts}
    small_line.CALLS.clear()
    judge(tmp_path)
    assert small_line.CALLS == ["candidate", "verify-cpu", "report"]
    assert {path: path.read_bytes() for path in before} == before


def test_candidate_judged_again_is_reused(tmp_path: Path) -> None:
    judge(tmp_path)
    small_line.CALLS.clear()
    assert judge(tmp_path)[0] == 0
    assert not small_line.CALLS


def test_verdict_of_a_candidate_does_not_outlive_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judge(tmp_path)
    monkeypatch.setattr(small_verdict, "verify", failing(StageError("verify failed; mend it")))
    with pytest.raises(StageError):
        judge(tmp_path, without=["latency_ms"])
    assert not list((tmp_path / "runs" / "small" / "candidates").iterdir())


def test_some_steps_are_carried_out_without_publishing(tmp_path: Path) -> None:
    whole = plan(small_line.recipe(tmp_path))
    tested = replace(whole, steps=tuple(step for step in whole.steps if step.name.startswith("test-")))
    made = carry_out(tested, tmp_path / "runs", Progress(io.StringIO()), small_line.FUNCTIONS, lambda: "cpu")
    assert list(made) == small_line.CALLS == ["test-inputs", "test-targets", "test-features", "test-motion"]
    assert {path.name for path in (tmp_path / "runs" / "small").iterdir()} == {".lock", "steps"}
