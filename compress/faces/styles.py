"""The styles of the cartoon: every number of the style map, one parameter set a style.

A style is data alone, another one is another entry of STYLES. Its shape is applied in character.py and mesh.py, its
look (look.py) in paints.py, background.py and grade.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from compress.faces.look import Look, Triple

Curve = tuple[tuple[float, float], ...]


DAMPED = (
    (("hump", "nostrils", "septum", "compression", "greek", "curve"), 0.75),
    (("ears",), 0.8),
    (("cleft", "bag", "laugh", "eyefold", "double"), 0.5),
    (("eye-height", "eye-push"), 0.7),
)
OPEN_LIDS = {"l/eyes/eye-height1": 0.35, "l/eyes/eye-height2": 0.30, "l/eyes/eye-height3": 0.25}
WIDE_EYES = {"eyeWideLeft": 0.25, "eyeWideRight": 0.25}


@dataclass(frozen=True)
class Style:
    """Shape and look of a character; lengths in decimetres.

    damped: sliders whose name holds one of the words keep this share of their deviation from the mean; the others are
    multiplied by exaggeration. deltas: added to sliders. widths, depths: factors over the height in the head (0 chin, 1
    crown), interpolated; lifts: displacements upwards in head heights over the same. age_kept: share of the age;
    childlike: added. head_scale: of the head on its neck. hair_scale: of the hair's thickness. iris_zoom: of iris and
    pupil. eye_growth: magnification at an eyeball's centre along x, y, z; eye_shift: displacement there, outwards, up
    and to the front; eye_reach: width of both in eyeball radii. expression_kept: shares of the expression units whose
    names hold a word; blink_kept: share of a small blink; expression_added: added to units. glasses: factors of (worn,
    width, height, roundness, wire, brightness).
    """

    name: str
    exaggeration: float
    deltas: Mapping[str, float]
    look: Look
    damped: tuple[tuple[tuple[str, ...], float], ...] = DAMPED
    widths: Curve = ((0.0, 1.0),)
    depths: Curve = ((0.0, 1.0),)
    lifts: Curve = ((0.0, 0.0),)
    age_kept: float = 0.4
    childlike: float = 0.20
    head_scale: float = 1.06
    hair_scale: float = 1.12
    iris_zoom: float = 1.22
    eye_growth: Triple = (0.25, 0.28, 0.17)
    eye_shift: Triple = (0.03, -0.02, -0.015)
    eye_reach: float = 1.75
    expression_kept: tuple[tuple[str, float], ...] = (("browDown", 0.5), ("Frown", 0.5), ("Squint", 0.45))
    blink_kept: float = 0.3
    expression_added: Mapping[str, float] = field(default_factory=dict)
    glasses: tuple[float, ...] = (1, 1.06, 1.08, 0.95, 1.25, 1)


FAIRY_TALE = Style(
    name="fairy-tale",
    exaggeration=1.2,
    deltas={
        "l/eyes/eye-scale": 0.38,
        **OPEN_LIDS,
        "l/nose/nose-scale-horiz": -0.21,
        "l/nose/nose-scale-vert": -0.18,
        "l/nose/nose-volume": -0.13,
        "l/nose/nose-point": 0.16,
        "l/nose/nose-scale-depth": -0.08,
        "l/mouth/mouth-scale-horiz": -0.05,
        "l/mouth/mouth-lowerlip-volume": 0.10,
        "l/mouth/mouth-upperlip-volume": 0.06,
        "l/chin/chin-width": -0.16,
        "l/chin/chin-height": -0.16,
        "l/chin/chin-bones": -0.10,
        "l/cheek/cheek-volume": 0.22,
        "l/head/head-age": -0.12,
        "l/head/head-invertedtriangular": 0.11,
        "l/neck/neck-scale-horiz": -0.45,
        "l/neck/neck-scale-depth": -0.35,
    },
    widths=((-0.5, 0.95), (-0.12, 0.9), (0.0, 0.86), (0.18, 0.95), (0.35, 1.04), (0.6, 1.02), (1.0, 1.0)),
    age_kept=0.9,
    childlike=0.05,
    iris_zoom=1.22,
    eye_growth=(0.37, 0.43, 0.23),
    eye_reach=1.55,
    expression_added={
        **WIDE_EYES,
        "mouthSmileLeft": 0.08,
        "mouthSmileRight": 0.08,
        "browInnerUp": 0.15,
        "browOuterUpLeft": 0.08,
        "browOuterUpRight": 0.08,
    },
    look=Look(),
)
"""Big soft eyes, rounded cheeks over a small chin, warm light with violet shadows."""

MOONLIGHT = Style(
    name="moonlight",
    exaggeration=1.25,
    deltas={
        "l/eyes/eye-scale": 0.26,
        **OPEN_LIDS,
        "l/nose/nose-scale-horiz": -0.26,
        "l/nose/nose-volume": -0.13,
        "l/mouth/mouth-scale-horiz": -0.10,
        "l/chin/chin-triangle": 0.21,
        "l/cheek/cheek-bones": 0.34,
        "l/cheek/cheek-volume": -0.17,
        "l/head/head-fat": -0.26,
        "l/neck/neck-scale-horiz": -0.90,
        "l/neck/neck-scale-depth": -0.80,
    },
    widths=(
        (-0.6, 0.8),
        (-0.15, 0.72),
        (0.0, 0.55),
        (0.12, 0.68),
        (0.28, 0.84),
        (0.45, 0.95),
        (0.7, 0.98),
        (1.0, 0.95),
    ),
    age_kept=0.9,
    childlike=0.0,
    iris_zoom=0.92,
    eye_growth=(0.41, 0.52, 0.25),
    eye_shift=(0.035, 0.0, -0.01),
    eye_reach=1.55,
    expression_added={**WIDE_EYES, "browInnerUp": 0.15},
    look=Look(
        tone_gain=(0.98, 1.0, 1.03),
        skin_saturation=0.85,
        hair_saturation=0.95,
        hair_gain=1.1,
        blush=0.1,
        gloss=0.25,
        roughness=0.55,
        wrap=(0.40, 0.34, 0.40),
        strands=1.2,
        catchlight=3.6,
        key_share=0.45,
        key_tint=(0.85, 1.0, 1.12),
        rim=0.55,
        rim_tint=(0.75, 0.65, 1.3),
        level=0.36,
        saturation=0.95,
        shadows=(0.02, -0.01, 0.05),
        highlights=(-0.02, 0.01, 0.01),
        contrast=0.7,
        haze=(0.5, 0.85, 1.0),
        haze_share=0.25,
        background_saturation=0.8,
        background_gain=0.7,
    ),
)
"""A stop-motion puppet of a gothic tale: pointed chin, thin neck, round wide-set eyes, pale skin in cold light."""

TOY = Style(
    name="toy",
    exaggeration=1.15,
    deltas={
        "l/eyes/eye-scale": 0.36,
        **OPEN_LIDS,
        "l/nose/nose-scale-horiz": -0.17,
        "l/nose/nose-scale-vert": -0.24,
        "l/nose/nose-scale-depth": -0.28,
        "l/nose/nose-point": 0.14,
        "l/chin/chin-height": -0.14,
        "l/chin/chin-bones": -0.21,
        "l/cheek/cheek-volume": 0.21,
        "l/cheek/cheek-bones": -0.14,
        "l/head/head-age": -0.07,
        "l/head/head-fat": 0.07,
        "l/head/head-round": 0.07,
        "l/neck/neck-scale-horiz": -0.70,
        "l/neck/neck-scale-depth": -0.60,
    },
    widths=(
        (-0.5, 0.9),
        (-0.2, 0.85),
        (-0.08, 1.02),
        (0.03, 1.17),
        (0.2, 1.17),
        (0.35, 1.14),
        (0.6, 1.1),
        (1.0, 1.08),
    ),
    age_kept=0.85,
    childlike=0.05,
    head_scale=1.08,
    iris_zoom=1.3,
    eye_growth=(0.31, 0.39, 0.22),
    eye_reach=1.55,
    expression_added={**WIDE_EYES, "mouthSmileLeft": 0.08, "mouthSmileRight": 0.08},
    look=Look(
        tone_gain=(1.03, 1.0, 0.98),
        skin_saturation=1.0,
        hair_gain=1.2,
        blush=0.4,
        gloss=1.3,
        roughness=0.34,
        wrap=(0.5, 0.46, 0.44),
        strands=0.35,
        hair_gloss=1.8,
        key_share=0.4,
        key_tint=(1.02, 1.0, 0.97),
        fill=1.12,
        rim=0.4,
        softness=1.8,
        level=0.43,
        saturation=1.14,
        bloom=0.12,
        shadows=(0.02, 0.0, 0.0),
        haze=(1.0, 0.92, 0.8),
        haze_share=0.3,
        background_saturation=1.4,
        background_gain=1.15,
    ),
)
"""A vinyl figure: broad round head, full cheeks, small nose, large irises, glossy even skin, moulded hair."""

STYLES: dict[str, Style] = {style.name: style for style in (FAIRY_TALE, MOONLIGHT, TOY)}
"""All styles by name, in the order in which a teacher numbers them."""
