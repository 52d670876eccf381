"""What the shading kernel is told: textures, lights, colours and numbers of a photo or of a cartoon in a style.

Does not draw (view.py) nor grade (grade.py).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from compress.faces import shading
from compress.faces.atlas import Atlas
from compress.faces.beards import LEAST_SHELL
from compress.faces.film import Film
from compress.faces.lighting import Lighting, even
from compress.faces.look import Look
from compress.faces.materials import BEARD, MATERIALS
from compress.faces.population import Person
from compress.faces.scene import Clothes
from compress.faces.shading import NUMBERS
from compress.faces.styles import Style
from compress.faces.wear import NONE

Array = npt.NDArray[np.float32]
PHOTO_WRAP = (0.15, 0.08, 0.05)
"""How far light wraps around skin, red green blue: it scatters below the surface, red light furthest."""
PHOTO_SCLERA = 0.6
"""Gain of the white of the eye: lids and lashes shade it."""


def texture_table(atlas: Atlas, person: Person, cartoon: bool) -> npt.NDArray[np.int64]:
    """Place in the atlas of each material's texture: [materials, 3]."""
    cards = person.hair_cards and person.wear.headwear.kind == NONE
    hair = "hair/" + person.hair_cards if cards else person.hair.texture
    skin = "soft/" + person.skin[5:] if cartoon else person.skin
    names = [skin, person.eye, hair, person.brow, person.lash, "teeth", "tongue"]
    names += ["tongue"] * (MATERIALS - len(names))
    names[BEARD] = "beard/" + (person.wear.beard if person.beard >= LEAST_SHELL else "full")
    return np.array([atlas.places[name] for name in names], np.int64)


def cartoon_lights(lighting: Lighting, look: Look) -> tuple[Array, Array, Array, Array]:
    """Key colour, rim direction, rim colour and harmonics of the film set of a style."""
    lighting = even(lighting)
    key = lighting.key_colour * (1 - look.key_share)
    key = key + look.key_share * np.array(look.key_tint) * lighting.key_colour.mean()
    rim_colour = look.rim * np.array(look.rim_tint) + 0.5 * lighting.rim_colour
    rim = lighting.rim
    if lighting.rim_colour.max() < 0.05:
        rim = np.array([-lighting.key[0] * 1.2, 0.35, -0.9])
        rim = rim / np.linalg.norm(rim)
    harmonics = lighting.harmonics * 0.9
    harmonics[0] = harmonics[0] * 1.14 * look.fill * np.array(look.fill_tint)
    return (
        np.asarray(key, np.float32),
        np.asarray(rim, np.float32),
        np.asarray(rim_colour, np.float32),
        np.asarray(harmonics, np.float32),
    )


def catch_direction(lighting: Lighting, cartoon: bool) -> Array:
    """Direction of the light that eyes mirror; the cartoon's is moved to where an animator would want it."""
    if not cartoon:
        return lighting.key
    side = np.copysign(max(0.28, 0.45 * abs(lighting.key[0])), lighting.key[0])
    wanted = np.array([side, 0.35 + 0.15 * lighting.key[1], 1.0])
    return np.asarray(wanted / np.linalg.norm(wanted), np.float32)


def saturate(colour: Array, gain: float) -> Array:
    """A colour [3] whose distance from grey is multiplied."""
    level = colour.mean()
    return np.asarray(level + (colour - level) * gain, np.float32)


def material_colours(person: Person, clothes: Clothes, skin_mean: Array, look: Look | None) -> Array:
    """Rows of colours for the shading kernel."""
    tone, hair = person.skin_tone, person.hair_colour
    if look:
        tone = saturate(tone**look.tone_power * np.array(look.tone_gain), look.skin_saturation)
        hair = np.clip(saturate(hair, look.hair_saturation) * look.hair_gain + 0.004, 0.003, 1)
    beard = np.minimum(hair * 0.7 + 0.1 * tone, 0.5)
    colours = np.zeros((shading.COLOURS, 3), np.float32)
    colours[shading.SKIN_GAIN] = tone / skin_mean
    colours[shading.HAIR_COLOUR] = hair
    colours[shading.CLOTH_COLOUR], colours[shading.CLOTH_SECOND] = clothes.fabric.colour, clothes.fabric.second
    colours[shading.SHIRT] = clothes.shirt
    colours[shading.TIE] = clothes.tie_colour
    colours[shading.LIPS] = person.lip_colour
    colours[shading.EYE_GAIN] = person.eye_colour
    colours[shading.BEARD_COLOUR] = beard
    colours[shading.FRAME_COLOUR] = person.glasses[5] * np.array([1.0, 0.85, 0.7])
    wear_colours(colours, person)
    return colours


def wear_colours(colours: Array, person: Person) -> None:
    """Fill in the rows of what is worn."""
    wear = person.wear
    fabric = wear.headwear.fabric
    colours[shading.HEADWEAR_COLOUR], colours[shading.HEADWEAR_SECOND] = fabric.colour, fabric.second
    if wear.scarf:
        colours[shading.SCARF_COLOUR], colours[shading.SCARF_SECOND] = wear.scarf.colour, wear.scarf.second
    if wear.lenses:
        colours[shading.LENS_COLOUR] = wear.lenses.through
    colours[shading.SHADOW_COLOUR] = wear.make_up.shadow_colour


def shading_numbers(person: Person, lighting: Lighting, clothes: Clothes, film: Film, style: Style | None) -> Array:
    """Scalars for the shading kernel, but for the shadow map's."""
    n = np.zeros(NUMBERS, np.float32)
    look = style.look if style else None
    stubble = 0.45 * person.stubble
    n[shading.SOFTNESS] = max(3.5, lighting.softness * look.softness) if look else lighting.softness
    n[shading.SUIT], n[shading.TIED], n[shading.LAPEL] = clothes.suit, clothes.tie, clothes.lapel
    n[shading.BEARD] = min(0.95, max(person.beard * 0.95, stubble * (0.25 if look else 1)))
    n[shading.CLOTH_PATTERN], n[shading.CLOTH_PERIOD] = clothes.fabric.pattern, clothes.fabric.period
    wear = person.wear
    n[shading.EYE_SHADOW], n[shading.LINER] = wear.make_up.shadow, wear.make_up.liner
    n[shading.HEADWEAR_PATTERN], n[shading.HEADWEAR_PERIOD] = wear.headwear.fabric.pattern, wear.headwear.fabric.period
    if wear.scarf:
        n[shading.SCARF_PATTERN], n[shading.SCARF_PERIOD] = wear.scarf.pattern, wear.scarf.period
    n[shading.WRAP_RED : shading.WRAP_BLUE + 1] = look.wrap if look else PHOTO_WRAP
    n[shading.STRANDS] = look.strands if look else 1.0
    if style and look:
        n[shading.CARTOON] = 1
        n[shading.GLOSS], n[shading.ROUGHNESS] = look.gloss, look.roughness
        n[shading.LIPSTICK] = max(look.lip, person.lipstick) if person.male < 0.5 else person.lipstick * 0.5
        n[shading.BLUSH] = look.blush + 0.5 * person.blush
        n[shading.RIM_GAIN], n[shading.HAIR_GLOSS], n[shading.CATCHLIGHT] = 1.0, look.hair_gloss, look.catchlight
        n[shading.SECOND_CATCHLIGHT] = look.second_catchlight
        n[shading.IRIS_ZOOM], n[shading.SCLERA] = style.iris_zoom, look.sclera
    else:
        n[shading.GLOSS], n[shading.ROUGHNESS] = film.gloss, film.roughness
        n[shading.LIPSTICK], n[shading.BLUSH], n[shading.FRECKLES] = person.lipstick, person.blush, person.freckles
        n[shading.RIM_GAIN], n[shading.HAIR_GLOSS], n[shading.CATCHLIGHT] = 0.15, 1.0, 2.2
        n[shading.IRIS_ZOOM], n[shading.SCLERA] = 1.0, PHOTO_SCLERA
    return n
