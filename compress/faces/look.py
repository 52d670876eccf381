"""The look of a style: colour, light and surface as numbers. Shape is in styles.py; nothing is drawn here."""

from __future__ import annotations

from dataclasses import dataclass

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Look:
    """Colour, light and surface of a style; colours are linear light, red green blue.

    Skin: tone_power, tone_gain (of the albedo), skin_saturation, blush (red on the cheeks), lip (colour of women's lips
    at least), gloss, roughness, wrap (how far light wraps around, red green blue). Hair: hair_gain, hair_saturation (of
    the albedo), hair_gloss, strands (their contrast). Eyes: sclera (gain of the white), catchlight, second_catchlight
    (brightness of the mirrored light and of a small one below). Light: key_share, key_tint (how much of the key light's
    colour is replaced by the tint), fill, fill_tint (gain of the light from all sides), rim, rim_tint (light from
    behind), softness (width of shadows' edges over the photo's). Frame: level, metered (brightness aimed at, and the
    share of it that the person's own brightness decides), saturation, bloom (glow around lights), shadows, highlights
    (added to dark and to light tones), contrast (share of the S curve). Place: haze, haze_share (colour laid over it),
    background_saturation, background_gain.
    """

    tone_power: float = 0.97
    tone_gain: Triple = (1.03, 1.01, 0.99)
    skin_saturation: float = 0.9
    hair_gain: float = 1.2
    hair_saturation: float = 1.1
    blush: float = 0.25
    lip: float = 0.15
    gloss: float = 0.5
    roughness: float = 0.48
    wrap: Triple = (0.58, 0.42, 0.38)
    strands: float = 1.0
    hair_gloss: float = 0.8
    sclera: float = 1.05
    catchlight: float = 3.2
    second_catchlight: float = 0.6
    key_share: float = 0.2
    key_tint: Triple = (1.03, 1.0, 0.95)
    fill: float = 1.03
    fill_tint: Triple = (1.03, 1.0, 0.97)
    rim: float = 0.5
    rim_tint: Triple = (0.85, 0.9, 1.15)
    softness: float = 1.5
    level: float = 0.40
    metered: float = 0.55
    saturation: float = 1.12
    bloom: float = 0.25
    shadows: Triple = (0.014, -0.004, 0.024)
    highlights: Triple = (0.016, 0.006, -0.012)
    contrast: float = 0.5
    haze: Triple = (0.95, 0.8, 1.0)
    haze_share: float = 0.12
    background_saturation: float = 1.3
    background_gain: float = 1.0
