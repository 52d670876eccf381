"""Verdicts made up for tests of what is done with them."""

from __future__ import annotations

from typing import Any

from compress import verdict
from compress.verdict import Verdict

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
