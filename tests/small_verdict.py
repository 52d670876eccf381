"""Verdicts made up for tests of what is done with them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import small_line
from compress.artifact import Artifact, write_json
from compress.context import Context
from compress.judging import verdict
from compress.judging.verdict import Verdict

VALUES = {"passed": 21.0, "failed": 18.0, "undecided": 20.5}


def gate(name: str = "psnr_mean_db", state: str = "passed", subset: str = "rendered", **changes: Any) -> dict[str, Any]:
    """One gate that asks for at least 20."""
    value = VALUES[state]
    details = {"passed": "", "failed": "18 is below 20", "undecided": "undecided: needs about 60 more images"}
    plain = {
        "name": name, "subset": subset, "state": state, "passed": state == "passed",
        "value": value, "lower": value - 1, "upper": value + 1, "n": 80, "clusters": 80, "method": "bootstrap",
        "confidence": 0.95, "bound": {"min": 20.0}, "unit": "dB", "meaning": "PSNR to the teacher, mean",
        "detail": details[state], "backbone": "",
    }  # fmt: skip
    return plain | changes


def fields(*gates: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """What a verify stage knows of a candidate."""
    plain = {
        "tier": "cpu", "images": {"rendered": 80, "photographs": 0}, "seed": 3, "not_judged": {}, "left_out": [],
        "gates": list(gates or [gate()]), "groups": [], "backbones": {}, "versions": {"python": "3.12.3"},
        "teacher": {"name": "teacher", "sha256": "1" * 64},
        "candidate": {"file": "model.onnx", "sha256": "2" * 64, "size_bytes": 1000},
    }  # fmt: skip
    return plain | changes


def small(*gates: dict[str, Any], **changes: Any) -> Verdict:
    """A verdict over `gates`."""
    return verdict.build(fields(*gates, **changes))


STATES: dict[str, str] = {}
"""What the small verify stage says of a tier; `passed` unless told otherwise."""


def verify(settings: Any, inputs: Mapping[str, Artifact], folder: Path, context: Context) -> dict[str, Any]:
    """A verify stage that judges nothing and writes all its files."""
    small_line.CALLS.append(f"verify-{settings.tier}")
    judged = gate(state=STATES.get(settings.tier, "passed"))
    found = small(judged, tier=settings.tier, left_out=list(settings.left_out), seed=context.seed)
    verdict.write(folder / "verdict.json", found)
    number = {name: judged[name] for name in ("value", "lower", "upper", "n")}
    write_json(folder / "metrics.json", {"numbers": {"rendered": {"psnr_mean_db": number}}})
    rows = [f"{row},render-{row},rendered,{judged['value']}" for row in range(80)]
    (folder / "images.csv").write_text("\n".join(["row,name,source,psnr_db", *rows]) + "\n", encoding="utf-8")
    return {"passed": found.passed}
