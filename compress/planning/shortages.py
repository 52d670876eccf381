"""What the files of a recipe are too few or too alike for: sets, tiers and gates against the pictures that were found.

Not covered: problems of the recipe's text alone (`planning.conflicts`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from compress.judging.gates import FEWEST_IMAGES, GATES
from compress.planning.document import Place
from compress.planning.estimate import core_macs
from compress.recipe import InputSettings, Recipe, TierSettings

Finding = tuple[Place, str]
"""Where in the recipe, and what is wrong there."""


def shared_folders(inputs: InputSettings, test: InputSettings) -> Iterator[Finding]:
    """Folders of the test set that hold pictures of the training, or are held by one that does."""
    for index, folder in enumerate(test.photos):
        for other in inputs.photos:
            if Path(folder).is_relative_to(other) or Path(other).is_relative_to(folder):
                way_out = "the same faces would be learned and judged; keep the two apart"
                yield ("test", "photos", index), f"{folder} and {other} of inputs.photos share pictures; {way_out}"


def shortages(recipe: Recipe, photos: Mapping[str, int]) -> Iterator[Finding]:
    """Sets too small, and students too small, for what the tiers do with them."""
    parts = {"rendered": recipe.test.rendered, "photographs": photos.get("test", 0)}
    judged = {part: count for part, count in parts.items() if count >= FEWEST_IMAGES}
    if not judged:
        have = " and ".join(f"{count} {part}" for part, count in parts.items())
        yield ("test",), f"has {have}; gates need at least {FEWEST_IMAGES} of one kind, add some"
    available = recipe.inputs.rendered + photos.get("inputs", 0)
    for name, tier in recipe.tiers.items():
        place: Place = ("tiers", name)
        yield from _needs(place, tier, available)
        for gate in tier.gates:
            fewest = GATES[gate].fewest if GATES[gate].per_image else 0
            for part, count in judged.items():
                if count < fewest:
                    sentence = f"cannot pass on {count} {part}, it needs {fewest}; add images to test or drop the gate"
                    yield (*place, "gates", gate), sentence


def still_only(recipe: Recipe) -> Iterator[Finding]:
    """Gates on steadiness where nothing moves."""
    steady = recipe.test.steadiness
    for name, tier in recipe.tiers.items():
        for gate in tier.gates:
            kind = "videos" if gate == "flicker_ratio" else "images"
            if GATES[gate].needs == "motion" and not getattr(steady, kind):
                sentence = f"test.steadiness.{kind} is 0, it cannot be measured; raise that or drop the gate"
                yield ("tiers", name, "gates", gate), sentence


def _needs(place: Place, tier: TierSettings, available: int) -> Iterator[Finding]:
    unpruned = core_macs(tier.student)
    if tier.prune.macs > unpruned:
        sentence = f"{tier.prune.macs} is above the {unpruned} of the unpruned student; lower it or widen the student"
        yield (*place, "prune", "macs"), sentence
    needed = {
        ("prune", "images"): tier.prune.images,
        ("quantize", "calibration_images"): tier.quantize.calibration_images,
    }
    for key, count in needed.items():
        if count > available:
            yield (*place, *key), f"{count} is more than the {available} images of inputs; lower it or add images"
