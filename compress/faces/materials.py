"""Material numbers of mesh triangles, and the labels written to segmentation maps.

Does not hold colours or shading rules (see shading.py).
"""

from __future__ import annotations

SKIN, EYE, HAIR, BROW, LASH, TEETH, TONGUE, CLOTH, GLASSES, HEADWEAR, SCARF, BEARD = range(12)
MATERIALS = 12

BACKGROUND_LABEL = 0
LIP_LABEL = MATERIALS + 1
LABELS = {
    "background": BACKGROUND_LABEL,
    "skin": SKIN + 1,
    "eye": EYE + 1,
    "hair": HAIR + 1,
    "brow": BROW + 1,
    "lash": LASH + 1,
    "teeth": TEETH + 1,
    "tongue": TONGUE + 1,
    "cloth": CLOTH + 1,
    "glasses": GLASSES + 1,
    "headwear": HEADWEAR + 1,
    "scarf": SCARF + 1,
    "beard": BEARD + 1,
    "lips": LIP_LABEL,
}
"""Name of every value in `labels_photo` and `labels_cartoon`: 0 background, material + 1, lips last."""
