"""The presets of the tiers, a literal table: which student each class of hardware gets before pruning.

The widths and block kinds come from measured int8 speed (benchmarks/runtime.py), not from MACs. Not covered: budgets and gates,
which stand in the recipe.
"""

from __future__ import annotations

from typing import Any

from students.architecture import record_for

TIERS: dict[str, dict[str, Any]] = {
    "cpu": {"family": "map", "width": 16, "core_resolution": 64, "blocks": 2, "block": "plain"},
    "npu": {"family": "map", "width": 32, "core_resolution": 128, "blocks": 2, "block": "plain"},
}


def preset(tier: str) -> dict[str, Any]:
    """The architecture record of a tier; raises ValueError for a name that is not in the table."""
    if tier not in TIERS:
        raise ValueError(f"tier: {tier!r} is unknown; the presets are {', '.join(TIERS)}")
    return record_for(**TIERS[tier])
