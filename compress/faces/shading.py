"""What the shading kernel (shader.py) is told: rows and entries of its arrays of colours, lights and numbers."""

from __future__ import annotations

# Rows of `colours` [COLOURS, 3].
SKIN_GAIN, HAIR_COLOUR, CLOTH_COLOUR, SHIRT, TIE, LIPS, EYE_GAIN, BEARD_COLOUR, FRAME_COLOUR = range(9)
LENS_COLOUR, HEADWEAR_COLOUR, HEADWEAR_SECOND, SCARF_COLOUR, SCARF_SECOND, SHADOW_COLOUR, CLOTH_SECOND = range(9, 16)
COLOURS = 16
# Rows of `lights` [6, 3].
KEY, KEY_COLOUR, RIM, RIM_COLOUR, CAMERA, CATCH = range(6)
# Entries of `numbers`.
(
    CARTOON,
    GLOSS,
    ROUGHNESS,
    LIPSTICK,
    BLUSH,
    BEARD,
    FRECKLES,
    RIM_GAIN,
    HAIR_GLOSS,
    CATCHLIGHT,
    IRIS_ZOOM,
    SOFTNESS,
    SHADOW_SCALE,
    SHADOW_CENTRE,
    SUIT,
    LAPEL,
    TIED,
    SCLERA,
    HEADWEAR_PATTERN,
    HEADWEAR_PERIOD,
    SCARF_PATTERN,
    SCARF_PERIOD,
    EYE_SHADOW,
    LINER,
    WRAP_RED,
    WRAP_GREEN,
    WRAP_BLUE,
    STRANDS,
    SECOND_CATCHLIGHT,
    CLOTH_PATTERN,
    CLOTH_PERIOD,
) = range(31)
NUMBERS = 31
