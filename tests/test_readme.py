"""The README is true: its commands exist, the quick ones run as they stand, its links lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from compress import cli
from compress.cli import main

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = "\n".join(re.findall(r"^```sh\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)).replace("\\\n", "")
COMMANDS = [line.split("#")[0].strip() for line in re.findall(r"^kcompress .*$", BLOCKS, re.MULTILINE)]
QUICK = ("plan", "schema", "render")
# On tiny networks: test_line.py, test_stylize.py, test_calibration.py, test_cli.py, test_assess.py and test_ci_docs.py.
TESTED_ELSEWHERE = ("run", "stylize", "calibrate", "verify", "compare", "assess")


def test_every_command_is_one_that_a_test_runs() -> None:
    assert {command.split()[1] for command in COMMANDS} == {*QUICK, *TESTED_ELSEWHERE}


def test_every_command_is_one_that_the_program_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_run", "_plan", "_schema", "_render", "_stylize", "_assess", "_verify", "_compare", "_calibrate"):
        monkeypatch.setattr(cli, name, lambda options: 0)
    for command in COMMANDS:
        assert cli.main(shlex.split(command)[1:]) == 0


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.split()[1] in QUICK])
def test_quick_command_runs_as_it_stands(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(command)[1:]) == 0


def test_make_targets_of_the_readme_exist() -> None:
    targets = re.findall(r"^make (\w+)", BLOCKS, re.MULTILINE)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert targets and all(f"\n{target}:" in makefile for target in targets)


def test_links_and_named_files_exist() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", TEXT) if "://" not in link]
    named = re.findall(r"`((?:compress|teachers|students|recipes|benchmarks|docs)/[\w./-]+)`", TEXT)
    missing = [path for path in links + named if not (ROOT / path).exists()]
    assert not missing
