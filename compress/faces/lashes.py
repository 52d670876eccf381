"""Brows and lashes over the shaded samples: thin hairs that cover what is beneath, in the light that falls on it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from compress.faces.kernel import Bytes, Floats, kernel
from compress.faces.materials import BROW, GLASSES, HAIR, HEADWEAR, LASH, MATERIALS, SCARF, SKIN, TEETH
from compress.faces.population import Person
from compress.faces.raster import cover
from compress.faces.shading import HAIR_COLOUR

Array = npt.NDArray[np.float32]

UNDER = np.isin(np.arange(MATERIALS + 2), (SKIN + 1, TEETH + 1, HAIR + 1))
"""Labels whose brightness says how much light falls on the hairs above; of others it says little."""
FREE = ~np.isin(np.arange(MATERIALS + 2), (0, GLASSES + 1, HEADWEAR + 1, SCARF + 1))
"""Labels that brows and lashes are drawn over."""
LUMA = np.array([0.30, 0.55, 0.15], np.float32)
LASH_COLOUR = 0.006


@kernel
def cover_samples(light: Floats, label: Bytes, through: Floats, brow: Floats, skin_level: float) -> None:
    """Blend hairs that let `through` [H, W, 2] (brows, lashes) over light [H, W, 3] and label [H, W], in place.

    brow [3]: colour of the brows; skin_level: brightness of skin in light of 1.
    """
    for y in range(label.shape[0]):
        for x in range(label.shape[1]):
            of_brow, of_lash = through[y, x, 0], through[y, x, 1]
            if (of_brow >= 1 and of_lash >= 1) or not FREE[label[y, x]]:
                continue
            level = light[y, x, 0] * LUMA[0] + light[y, x, 1] * LUMA[1] + light[y, x, 2] * LUMA[2]
            lit = min(level / skin_level, 2.5) if UNDER[label[y, x]] else 0.6
            for k in range(3):
                value = light[y, x, k] * of_brow + (1 - of_brow) * brow[k] * lit
                light[y, x, k] = value * of_lash + (1 - of_lash) * LASH_COLOUR
            if of_lash < 0.5:
                label[y, x] = LASH + 1
            elif of_brow < 0.5:
                label[y, x] = BROW + 1


def draw_hairs(
    light: Array,
    label: npt.NDArray[np.uint8],
    screen: Array,
    mesh: tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.int8], Array],
    flat: npt.NDArray[np.uint8],
    textures: npt.NDArray[np.int64],
    depth: Array,
    person: Person,
    colours: Array,
    cartoon: bool,
) -> None:
    """Blend brows and lashes over the shaded samples, in place; their colour follows the light on the skin below."""
    gain = np.ones(MATERIALS, np.float32)
    gain[BROW] = 0.85
    mascara = 1 + 0.5 * person.wear.make_up.liner
    gain[LASH] = (1.0 if person.male < 0.5 else 0.45) * (0.9 if cartoon else 1.1) * mascara
    brow = np.clip(colours[HAIR_COLOUR] * 0.55 + 0.01, 0.012, 0.30)
    cover_samples(
        light,
        label,
        cover(screen, *mesh, flat, textures, depth, gain),
        brow,
        float((person.skin_tone * LUMA).sum()) + 0.03,
    )
