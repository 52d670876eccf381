"""Verdicts: what was written is read back, and nothing else passes for one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from compress.errors import StorageError
from compress.judging import verdict
from small_verdict import fields, gate, small


def stored(folder: Path, data: Any) -> Path:
    path = folder / "verdict.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    return path


def plain(*gates: dict[str, Any]) -> dict[str, Any]:
    return json.loads(small(*gates).model_dump_json(by_alias=True))


def test_verdict_is_read_as_it_was_written(tmp_path: Path) -> None:
    made = small(gate(), gate("ssim_mean", "failed"))
    verdict.write(tmp_path / "verdict.json", made)
    assert verdict.read(tmp_path / "verdict.json") == made
    assert json.loads((tmp_path / "verdict.json").read_text())["schema"] == 1


@pytest.mark.parametrize(
    ("states", "state"),
    [
        (["passed"], "passed"),
        (["passed", "undecided"], "undecided"),
        (["undecided", "failed", "passed"], "failed"),
    ],
)
def test_state_follows_from_the_gates(states: list[str], state: str) -> None:
    made = small(*(gate(state=state) for state in states))
    assert (made.state, made.passed) == (state, state == "passed")


def test_run_passes_only_if_every_tier_does(tmp_path: Path) -> None:
    good, bad = small(), small(gate(state="undecided"), tier="npu")
    assert verdict.gathered("run", [good]).passed
    verdict.write(tmp_path / "verdict.json", verdict.gathered("run", [good, bad]))
    found = verdict.read_run(tmp_path / "verdict.json")
    assert not found.passed
    assert list(found.tiers) == ["cpu", "npu"]


def test_verdict_of_a_candidate_is_a_run_of_one_tier(tmp_path: Path) -> None:
    verdict.write(tmp_path / "verdict.json", small())
    found = verdict.read_run(tmp_path / "verdict.json")
    assert (found.name, list(found.tiers)) == ("model.onnx", ["cpu"])


def test_verdict_of_a_run_is_not_read_as_one_tier(tmp_path: Path) -> None:
    verdict.write(tmp_path / "verdict.json", verdict.gathered("run", [small()]))
    with pytest.raises(StorageError, match=r"the verdict of a whole run \(cpu\)"):
        verdict.read(tmp_path / "verdict.json")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"passed": False}, "`passed` is False and `state` passed, which its 1 gates do not say"),
        ({"state": "failed", "passed": False}, "`passed` is False and `state` failed, which"),
        ({"gates": []}, "gates: "),
        ({"gates": [gate(state="undecided")]}, "`passed` is True and `state` passed, which its 1 gates do not say"),
        (
            {"gates": [gate(passed=False)]},
            "gate psnr_mean_db on rendered: `passed` is False, its state passed",
        ),
        ({"gates": [gate(lower=19.0)]}, "passed, though its interval misses the bound"),
        ({"gates": [gate(bound={})]}, "gate psnr_mean_db on rendered has no bound"),
        ({"gates": [gate(value=None)]}, "gates.0.value: "),
        ({"gates": [gate(backbone="identity")]}, "the backbone identity, which is not described"),
        ({"teacher": {"name": "t", "sha256": "short"}}, "teacher.sha256: "),
        ({"unknown": 1}, "unknown: "),
        ({"schema": 2}, "a verdict of form 2, this kcompress reads 1"),
    ],
)
def test_verdict_that_contradicts_itself_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(StorageError) as caught:
        verdict.read(stored(tmp_path, plain() | changes))
    assert message in str(caught.value)
    assert "; delete its folder and run the same command again" in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 1, "tier"', "null", "\xff", '{"passed": true}'])
def test_damaged_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "verdict.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(StorageError, match="verdict.json: not a verdict"):
        verdict.read(path)


def test_cut_off_file_is_refused_wherever_it_ends(tmp_path: Path) -> None:
    text = small().model_dump_json(by_alias=True)
    for end in range(0, len(text), 97):
        with pytest.raises(StorageError):
            verdict.read(stored(tmp_path, text[:end]))


def test_absent_file_is_explained(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="there is no verdict; run kcompress run or kcompress verify first"):
        verdict.read(tmp_path / "verdict.json")


def test_run_that_contradicts_its_tiers_is_refused(tmp_path: Path) -> None:
    run = json.loads(verdict.gathered("run", [small()]).model_dump_json(by_alias=True))
    for changes, message in (({"passed": False}, "which its 1 tiers"), ({"tiers": {"npu": plain()}}, "another")):
        with pytest.raises(StorageError, match=message):
            verdict.read_run(stored(tmp_path, run | changes))


def test_verdict_with_a_missing_field_is_not_built() -> None:
    whole = fields()
    for name in set(whole) - {"gates"}:
        with pytest.raises(ValueError, match=name):
            verdict.build({key: value for key, value in whole.items() if key != name})


def test_gates_that_did_not_pass_come_failed_ones_first() -> None:
    made = small(gate("a", "undecided"), gate("b"), gate("c", "failed"))
    assert [gate.name for gate in made.missed()] == ["c", "a"]


def test_schema_describes_what_is_written() -> None:
    definitions = verdict.schema()["$defs"]
    written = plain()
    for name, record in (("Verdict", written), ("GateRecord", written["gates"][0])):
        assert set(definitions[name]["properties"]) == set(record)
        assert definitions[name]["additionalProperties"] is False
