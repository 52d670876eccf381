"""The presets of the tiers, a literal table: which student each class of hardware gets before pruning.

The widths and block kinds come from measured int8 speed (benchmarks/runtime.py), not from MACs. Not covered: budgets
and gates, which stand in the recipe.
"""

from __future__ import annotations

from typing import Any

from students.architecture import record_for

TIERS: dict[str, dict[str, Any]] = {
    # 79 M MACs: nine tenths of the time of the whole student on a 512 px photo pass around the core, whatever the core.
    "cpu": {"family": "map", "width": [40, 64, 80], "core_resolution": 80, "blocks": 2, "block": "plain"},
    # 449 M MACs, most of them at stride 8 in widths that fill 8-bit vector units: few channels where pixels are many.
    "npu": {"family": "map", "width": [64, 128, 192], "core_resolution": 96, "blocks": [192, 192], "block": "plain"},
}


def preset(tier: str) -> dict[str, Any]:
    """The architecture record of a tier; raises ValueError for a name that is not in the table."""
    if tier not in TIERS:
        raise ValueError(f"tier: {tier!r} is unknown; the presets are {', '.join(TIERS)}")
    return record_for(**TIERS[tier])
