"""Architecture records: the plain data from which a student is built, checked field by field.

A record lists every channel count that pruning may change, so that a pruned network is only another record. Not
covered: the weights (persist.py) and the presets of the tiers (tiers.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, cast

Family = Literal["map", "rgb"]
BlockKind = Literal["plain", "inverted"]

FAMILIES = ("map", "rgb")
BLOCK_KINDS = ("plain", "inverted")
CHANNEL_FIELDS = ("stem", "middle", "bottom", "blocks", "fuse_middle", "fuse_stem")
CORE_STRIDE = 8  # three convolutions of stride 2
RAW_CHANNELS = 12  # map: flow 2, log gain 3, bias 3, residual 3, mask logit 1; rgb: 3 colours x 2 x 2 pixels
INVERTED_EXPANSION = 2


@dataclass(frozen=True)
class Channels:
    """Widths of the core: at strides 2, 4 and 8, inside each bottom block, and after the two fusions on the way up."""

    stem: int
    middle: int
    bottom: int
    blocks: tuple[int, ...]
    fuse_middle: int
    fuse_stem: int


@dataclass(frozen=True)
class Architecture:
    """A student as data. `core_resolution` is the side in pixels of the square picture that the core sees."""

    family: Family
    core_resolution: int
    block: BlockKind
    channels: Channels

    def record(self) -> dict[str, Any]:
        """The same as plain JSON data; `parse` reads it back."""
        record = asdict(self)
        record["channels"]["blocks"] = list(self.channels.blocks)
        return record


def record_for(
    family: str,
    width: int | Sequence[int],
    core_resolution: int,
    blocks: int | Sequence[int],
    block: str = "plain",
) -> dict[str, Any]:
    """The unpruned record of a student.

    `width` is that at stride 2, doubled at strides 4 and 8, or the three widths themselves. `blocks` is the number of
    bottom blocks, as wide inside as the bottom (plain) or twice as wide (inverted), or the width inside each block.
    Raises ValueError for an unknown family or block kind, a width under 1 and a core resolution that is no multiple
    of 8.
    """
    stem, middle, bottom = (width, 2 * width, 4 * width) if isinstance(width, int) else _three(width)
    if isinstance(blocks, int):
        blocks = [bottom * (INVERTED_EXPANSION if block == "inverted" else 1)] * blocks
    channels = {"stem": stem, "middle": middle, "bottom": bottom, "blocks": list(blocks)}
    channels |= {"fuse_middle": middle, "fuse_stem": stem}
    record = {"family": family, "core_resolution": core_resolution, "block": block, "channels": channels}
    return parse(record).record()


def parse(record: Mapping[str, Any]) -> Architecture:
    """Check a record and make an `Architecture` of it.

    Raises ValueError that names the field and its value: missing, unknown, or out of its range.
    """
    _expect_fields(record, ("family", "core_resolution", "block", "channels"), "student record")
    channels = record["channels"]
    if not isinstance(channels, Mapping):
        raise ValueError(f"student record channels: {channels!r} is not a table of widths; rebuild it with record_for")
    _expect_fields(channels, CHANNEL_FIELDS, "student record channels")
    if not isinstance(channels["blocks"], list | tuple):
        raise ValueError(
            f"student record channels.blocks: {channels['blocks']!r} is not a list of widths; give one a block"
        )
    resolution = _positive(record["core_resolution"], "core_resolution")
    if resolution % CORE_STRIDE:
        raise ValueError(f"student record core_resolution: {resolution} is not a multiple of {CORE_STRIDE}; round it")
    return Architecture(
        family=cast(Family, _one_of(record["family"], FAMILIES, "family")),
        core_resolution=resolution,
        block=cast(BlockKind, _one_of(record["block"], BLOCK_KINDS, "block")),
        channels=Channels(
            stem=_positive(channels["stem"], "channels.stem"),
            middle=_positive(channels["middle"], "channels.middle"),
            bottom=_positive(channels["bottom"], "channels.bottom"),
            blocks=tuple(_positive(w, f"channels.blocks[{i}]") for i, w in enumerate(channels["blocks"])),
            fuse_middle=_positive(channels["fuse_middle"], "channels.fuse_middle"),
            fuse_stem=_positive(channels["fuse_stem"], "channels.fuse_stem"),
        ),
    )


def _three(widths: Sequence[int]) -> tuple[int, int, int]:
    if len(widths) != 3:
        raise ValueError(
            f"student width: {list(widths)} has {len(widths)} widths; give one, or those at strides 2, 4, 8"
        )
    return widths[0], widths[1], widths[2]


def _expect_fields(table: Mapping[str, Any], names: tuple[str, ...], place: str) -> None:
    missing = [name for name in names if name not in table]
    unknown = [name for name in table if name not in names]
    if missing or unknown:
        raise ValueError(f"{place}: missing {missing}, unknown {unknown}; the fields are {', '.join(names)}")


def _one_of(value: object, allowed: tuple[str, ...], field: str) -> str:
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"student record {field}: {value!r} is unknown; choose one of {', '.join(allowed)}")
    return value


def _positive(value: object, field: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"student record {field}: {value!r} is not a positive whole number; correct the record")
    return value
