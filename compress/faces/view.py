"""Render one view: geometry in, linear light and sample buffers out, then the graded picture."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from compress.faces import shading
from compress.faces.atlas import Atlas
from compress.faces.background import dream_background
from compress.faces.camera import Camera
from compress.faces.film import Film, develop_photo, follow_film
from compress.faces.grade import develop_cartoon
from compress.faces.lighting import Lighting, dapple
from compress.faces.lenses import lay_lenses
from compress.faces.materials import BROW, HAIR, LASH, MATERIALS, SKIN, TEETH
from compress.faces.mesh import Posed, Topology
from compress.faces.population import Person
from compress.faces.raster import cover, rasterize
from compress.faces.scene import Clothes
from compress.faces.shading import NUMBERS
from compress.faces.styles import Look, Style
from compress.faces.wear import NONE

Array = npt.NDArray[np.float32]
SUPERSAMPLING = 2
SHADOW_SIZE, SHADOW_SPAN = 320, 5.4
"""Texels of the shadow map and the width of the scene that it holds."""
LUMA = np.array([0.30, 0.55, 0.15], np.float32)


@dataclass(frozen=True)
class Scene:
    """Everything that photo and cartoons share but the geometry; backdrop [64, 64, 3] in linear light."""

    camera: Camera
    lighting: Lighting
    clothes: Clothes
    film: Film
    backdrop: Array


@dataclass(frozen=True)
class View:
    """A picture [S, S, 3] uint8 and its sample buffers at twice the resolution."""

    image: npt.NDArray[np.uint8]
    label: npt.NDArray[np.uint8]
    triangle: npt.NDArray[np.int32]
    bary0: Array
    bary1: Array
    depth: Array


def texture_table(atlas: Atlas, person: Person, cartoon: bool) -> npt.NDArray[np.int64]:
    """Place in the atlas of each material's texture: [materials, 3]."""
    cards = person.hair_cards and person.wear.headwear.kind == NONE
    hair = "hair/" + person.hair_cards if cards else person.hair.texture
    skin = "soft/" + person.skin[5:] if cartoon else person.skin
    names = [skin, person.eye, hair, person.brow, person.lash, "teeth", "tongue"]
    names += ["tongue"] * (MATERIALS - len(names))
    return np.array([atlas.places[name] for name in names], np.int64)


def light_axes(direction: Array) -> Array:
    """Rows: two axes across the light and the direction to it."""
    side = np.cross([0.0, 1.0, 0.0], direction)
    side /= np.linalg.norm(side) + 1e-9
    return np.stack([side, np.cross(direction, side), direction]).astype(np.float32)


def cartoon_lights(lighting: Lighting, look: Look) -> tuple[Array, Array, Array, Array]:
    """Key colour, rim direction, rim colour and harmonics of the film set of a style."""
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
    wanted = 0.55 * lighting.key + np.array([0.0, 0.30, 0.75])
    return np.asarray(wanted / np.linalg.norm(wanted), np.float32)


def material_colours(person: Person, clothes: Clothes, skin_mean: Array, look: Look | None) -> Array:
    """Rows of colours for the shading kernel."""
    tone, hair = person.skin_tone, person.hair_colour
    if look:
        tone = tone**look.tone_power * np.array(look.tone_gain)
        level = hair.mean()
        hair = np.clip((level + (hair - level) * look.hair_saturation) * look.hair_gain + 0.004, 0.003, 1)
    beard = np.minimum(hair * 0.7 + 0.1 * tone, 0.5)
    colours = np.zeros((shading.COLOURS, 3), np.float32)
    colours[shading.SKIN_GAIN] = tone / skin_mean
    colours[shading.HAIR_COLOUR] = hair
    colours[shading.CLOTH_COLOUR] = clothes.colour
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


def shading_numbers(person: Person, scene: Scene, look: Look | None, iris_zoom: float) -> Array:
    """Scalars for the shading kernel."""
    n = np.zeros(NUMBERS, np.float32)
    film, clothes = scene.film, scene.clothes
    stubble = 0.35 * person.stubble
    n[shading.SOFTNESS] = scene.lighting.softness * (look.softness if look else 1.0)
    n[shading.SHADOW_SCALE] = SHADOW_SIZE / SHADOW_SPAN
    n[shading.SHADOW_CENTRE] = SHADOW_SIZE / 2
    n[shading.SUIT], n[shading.TIED], n[shading.LAPEL] = clothes.suit, clothes.tie, clothes.lapel
    n[shading.BEARD] = min(0.95, max(person.beard * 0.95, stubble * (0.25 if look else 1)))
    wear = person.wear
    n[shading.HEADWEAR_PATTERN], n[shading.HEADWEAR_PERIOD] = wear.headwear.fabric.pattern, wear.headwear.fabric.period
    if wear.scarf:
        n[shading.SCARF_PATTERN], n[shading.SCARF_PERIOD] = wear.scarf.pattern, wear.scarf.period
    if look:
        n[shading.CARTOON] = 1
        n[shading.GLOSS], n[shading.ROUGHNESS] = look.gloss, look.roughness
        n[shading.LIPSTICK] = max(look.lip, person.lipstick) if person.male < 0.5 else person.lipstick * 0.5
        n[shading.BLUSH] = look.blush + 0.5 * person.blush
        n[shading.RIM_GAIN], n[shading.HAIR_GLOSS], n[shading.CATCHLIGHT] = 1.0, look.hair_gloss, look.catchlight
        n[shading.IRIS_ZOOM], n[shading.SCLERA] = iris_zoom, look.sclera
    else:
        n[shading.GLOSS], n[shading.ROUGHNESS] = film.gloss, film.roughness
        n[shading.LIPSTICK], n[shading.BLUSH], n[shading.FRECKLES] = person.lipstick, person.blush, person.freckles
        n[shading.RIM_GAIN], n[shading.HAIR_GLOSS], n[shading.CATCHLIGHT] = 0.15, 1.0, 2.2
        n[shading.IRIS_ZOOM], n[shading.SCLERA] = iris_zoom, 0.88
    return n


def render_view(
    atlas: Atlas,
    person: Person,
    skin_mean: Array,
    posed: Posed,
    topology: Topology,
    scene: Scene,
    size: int,
    style: Style | None = None,
) -> View:
    """Rasterise, shade, cover with brows and lashes, put before the background, grade; without a style as a photo."""
    look = style.look if style else None
    wide = size * SUPERSAMPLING
    flat, textures = atlas.flat, texture_table(atlas, person, look is not None)
    lighting = scene.lighting
    mesh = (topology.faces, topology.uv_faces, topology.material, topology.uv)
    screen = scene.camera.project(posed.positions, wide)
    triangle, bary0, bary1, depth = rasterize(screen, *mesh, flat, textures, wide, wide, -1)
    axes = light_axes(lighting.key)
    seen = posed.positions @ axes.T
    scale, centre = SHADOW_SIZE / SHADOW_SPAN, SHADOW_SIZE / 2
    shadow_screen = np.stack(
        [seen[:, 0] * scale + centre, seen[:, 1] * scale + centre, shading.SHADOW_DEPTH - seen[:, 2]], 1
    ).astype(np.float32)
    shadow_map = rasterize(shadow_screen, *mesh, flat, textures, SHADOW_SIZE, SHADOW_SIZE, 1)[3]
    dapple(shadow_map, lighting.leaves)

    key_colour, rim, rim_colour, harmonics = (
        cartoon_lights(lighting, look)
        if look
        else (lighting.key_colour, lighting.rim, lighting.rim_colour, lighting.harmonics)
    )
    lights = np.stack(
        [lighting.key, key_colour, rim, rim_colour, scene.camera.position, catch_direction(lighting, look is not None)]
    ).astype(np.float32)
    colours = material_colours(person, scene.clothes, skin_mean, look)
    zones = np.array(atlas.places["zones"], np.int64)
    light, label = shading.shade(
        triangle,
        bary0,
        bary1,
        *mesh,
        posed.positions,
        posed.normals,
        posed.occlusion,
        posed.scalp,
        flat,
        textures,
        zones,
        shadow_map,
        axes,
        lights,
        harmonics,
        colours,
        shading_numbers(person, scene, look, style.iris_zoom if style else 1.0),
    )
    draw_hairs(light, label, screen, mesh, flat, textures, depth, person, colours, look is not None)
    if topology.lenses is not None and person.wear.lenses:
        glints = (lighting.key, key_colour, harmonics, scene.camera.position)
        lay_lenses(light, depth, screen, topology.lenses, posed.positions, person.wear.lenses, glints)
    image = compose(light, triangle >= 0, scene, size, look)
    return View(image, label, triangle, bary0, bary1, depth)


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
    gain[LASH] = (1.0 if person.male < 0.5 else 0.45) * (0.9 if cartoon else 0.7)
    through = cover(screen, *mesh, flat, textures, depth, gain)
    under = (label == SKIN + 1) | (label == TEETH + 1) | (label == HAIR + 1)
    touched = ((through[..., 0] < 1) | (through[..., 1] < 1)) & (label > 0)
    base, share = light[touched], through[touched]
    skin_level = float((person.skin_tone * LUMA).sum()) + 0.03
    lit = np.clip((base * LUMA).sum(1, keepdims=True) / skin_level, 0, 2.5)
    lit[~under[touched]] = 0.6
    brow = np.clip(colours[shading.HAIR_COLOUR] * 0.55 + 0.01, 0.012, 0.30)
    base = base * share[:, :1] + (1 - share[:, :1]) * brow * lit
    base = base * share[:, 1:] + (1 - share[:, 1:]) * 0.006
    light[touched] = base
    label[touched & (through[..., 0] < 0.5)] = BROW + 1
    label[touched & (through[..., 1] < 0.5)] = LASH + 1


def compose(
    light: Array, solid: npt.NDArray[np.bool_], scene: Scene, size: int, look: Look | None
) -> npt.NDArray[np.uint8]:
    """Average the samples, put them before the background, grade."""
    backdrop = dream_background(scene.backdrop, look) if look else scene.backdrop
    backdrop = np.clip(cv2.resize(backdrop, (size, size), interpolation=cv2.INTER_CUBIC), 0, 3)
    person = cv2.resize(np.minimum(light, 6.0), (size, size), interpolation=cv2.INTER_AREA)
    alpha = cv2.resize(solid.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
    image = np.asarray(person + backdrop * (1 - alpha[..., None]), np.float32)
    if look:
        return follow_film(develop_cartoon(image, alpha, scene.lighting, look), scene.film)
    return develop_photo(image, alpha, scene.lighting, scene.film)
