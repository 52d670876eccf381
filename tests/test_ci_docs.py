"""The page about CI is true: its commands run as they stand, and the gates that it leaves out are those it must."""

from __future__ import annotations

import fnmatch
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import small_line
import small_model
from compress.cli import parser
from compress.errors import InputError
from compress.planning.verification import verification_plan

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
WORKFLOW = yaml.safe_load((ROOT / "docs" / "github-workflow.yml").read_text(encoding="utf-8"))
STEPS = WORKFLOW["jobs"]["verify"]["steps"]
SHELL = re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
GITLAB_JOB = yaml.safe_load("\n".join(re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)))["verify"]
GITLAB = GITLAB_JOB["script"]
RECIPE = small_line.RECIPE.replace("name: small", "name: quickstart").replace(
    "gates: {psnr_mean_db: {min: 20}}",
    "gates: {psnr_mean_db: {min: 20}, int8_psnr_db: {min: 30}, parity_float_levels: {max: 2}, "
    "parity_int8_levels: {max: 2}}",
)
KCOMPRESS = f"""\
#!{sys.executable}
import sys
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests")!r}]
import small_line
from compress import cli, run
run.run.__defaults__ = run.verify.__defaults__ = (small_line.FUNCTIONS, lambda: "cpu")
sys.exit(cli.main())
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """What the workflow checks out, with another student in `target`; `kcompress` has small stages."""
    program = tmp_path / "bin" / "kcompress"
    program.parent.mkdir()
    program.write_text(KCOMPRESS)
    program.chmod(0o755)
    team = tmp_path / "team"
    (team / "recipes").mkdir(parents=True)
    small_line.recipe(team / "recipes", RECIPE).rename(team / "recipes" / "quickstart.yaml")
    for folder, gain in ((team / "target" / "models", 0.8), (team / "models", 0.9)):
        folder.mkdir(parents=True)
        for name in ("student.onnx", "student-float.onnx"):
            small_model.write(folder / name, gain)
    return team


def shell(folder: Path, script: str, **env: str) -> None:
    path = f"{folder.parent / 'bin'}{os.pathsep}{os.environ['PATH']}"
    summary = {"GITHUB_STEP_SUMMARY": str(folder.parent / "summary.md")}
    whole = {**os.environ, "PATH": path, **summary, **env}
    # As GitHub calls it: https://docs.github.com/actions, `jobs.<job_id>.steps[*].shell`.
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    done = subprocess.run(command, cwd=folder, env=whole, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_workflow_runs_as_it_stands(repository: Path) -> None:
    scripts = {step["name"]: step for step in STEPS if "run" in step}
    assert list(scripts) == ["Install", "Verify", "Compare with the target branch", "Summary"]
    assert scripts["Install"]["run"] == "python -m pip install ./kcompress"
    for name in list(scripts)[1:]:
        shell(repository, scripts[name]["run"], **WORKFLOW["env"])
    summary = (repository.parent / "summary.md").read_text()
    assert summary.startswith("## ✅ student.onnx: cpu passed 1 of 1 gates")
    assert re.search(r"^## student-cpu-\w{8} against target-cpu-\w{8}: ", summary, re.MULTILINE)


def test_files_that_the_workflow_hands_on_are_there(repository: Path) -> None:
    (verify,) = (step["run"] for step in STEPS if step.get("name") == "Verify")
    shell(repository, verify, **WORKFLOW["env"])
    paths = [
        step["with"]
        for step in STEPS
        if step.get("name") in ("Test page", "Report") or "cache@" in step.get("uses", "")
    ]
    cached, tests, report = (str(given.get("path", given.get("report_paths"))).split() for given in paths)
    for pattern in (*cached, *tests, report[0]):
        assert list(repository.glob(pattern)), pattern
    assert report[1] == "compared.html"


def test_later_steps_of_the_workflow_are_taken_after_a_failed_gate() -> None:
    after = STEPS[[step.get("name") for step in STEPS].index("Verify") + 1 :]
    assert after and all(step["if"] == "${{ !cancelled() }}" for step in after)


def test_commands_before_a_merge_run_as_they_stand(repository: Path) -> None:
    first, pre_merge = SHELL
    shell(repository, first)
    shell(repository, "mv runs/quickstart/candidates/student-* shipped")
    shell(repository, pre_merge)
    assert (repository / "shipped" / "verdict.json").is_file()
    shell(repository, GITLAB[0])


def test_commands_before_a_merge_take_one_student_after_another(repository: Path) -> None:
    first, pre_merge = SHELL
    shell(repository, first)
    shell(repository, "cp -r runs/quickstart/candidates/student-* shipped")
    page = repository / "shipped" / "report.html"
    before = page.read_text()
    for name in ("student.onnx", "student-float.onnx"):
        small_model.write(repository / "models" / name, 0.95)
    shell(repository, pre_merge)
    assert page.read_text() != before  # the small report names its step's folder
    assert not list(page.parent.glob("student-*"))


def test_caches_hold_the_test_set_and_nothing_that_was_measured() -> None:
    (github,) = (step["with"]["path"] for step in STEPS if "cache@" in step.get("uses", ""))
    assert [github] == GITLAB_JOB["cache"]["paths"]
    assert not fnmatch.fnmatch("runs/quickstart/steps/verify-cpu-0123456789ab", github)


def test_gates_left_out_on_the_page_are_those_of_the_shipped_recipe(tmp_path: Path) -> None:
    student = small_model.write(tmp_path / "student.onnx")
    (verify,) = (step["run"] for step in STEPS if step.get("name") == "Verify")
    for key in ("RECIPE", "TIER", "WITHOUT"):
        verify = verify.replace(f"${key}", WORKFLOW["env"][key])
    for command in (verify, SHELL[0], GITLAB[0]):
        options = parser().parse_args(shlex.split(command.replace("\\\n", ""))[1:])
        float_file = student if options.float_file else None
        recipe = ROOT / options.recipe
        assert verification_plan(recipe, student, options.tier, float_file, without=options.without).steps
        for index, gate in enumerate(options.without):
            if gate != "latency_ms":
                rest = [*options.without[:index], *options.without[index + 1 :]]
                with pytest.raises(InputError, match=gate):
                    verification_plan(recipe, student, options.tier, float_file, without=rest)


def test_every_command_and_option_named_on_the_page_exists() -> None:
    usage = "".join(action.format_help() for name in ("verify", "compare", "calibrate", "schema", "run")
                    for action in [parser()._subparsers._group_actions[0].choices[name]])  # fmt: skip
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE))
    assert named and not {option for option in named if option not in usage}
    assert set(re.findall(r"kcompress (\w+)", PAGE)) <= {"verify", "compare", "calibrate", "schema", "run"}


def test_links_of_the_page_exist() -> None:
    missing = [link for link in re.findall(r"\]\(([^)]+)\)", PAGE) if not (ROOT / "docs" / link).exists()]
    assert not missing
