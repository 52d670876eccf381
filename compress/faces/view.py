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
from compress.faces.lashes import draw_hairs
from compress.faces.lenses import lay_lenses
from compress.faces.lighting import Lighting, dapple
from compress.faces.look import Look
from compress.faces.mesh import Posed, Topology
from compress.faces.paints import cartoon_lights, catch_direction, material_colours, shading_numbers, texture_table
from compress.faces.population import Person
from compress.faces.raster import rasterize
from compress.faces.scene import Clothes
from compress.faces.shader import shade
from compress.faces.shadows import SHADOW_DEPTH
from compress.faces.styles import Style

Array = npt.NDArray[np.float32]
SUPERSAMPLING = 2
SHADOW_SIZE, SHADOW_SPAN = 320, 5.4
"""Texels of the shadow map and the width of the scene that it holds."""


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


def light_axes(direction: Array) -> Array:
    """Rows: two axes across the light and the direction to it."""
    side = np.cross([0.0, 1.0, 0.0], direction)
    side /= np.linalg.norm(side) + 1e-9
    return np.stack([side, np.cross(direction, side), direction]).astype(np.float32)


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
    scale, centre = SHADOW_SIZE / SHADOW_SPAN, SHADOW_SIZE / 2
    shadow_screen = posed.positions @ (axes * np.array([[scale], [scale], [-1]], np.float32)).T
    shadow_screen += np.array([centre, centre, SHADOW_DEPTH], np.float32)
    shadow_map = rasterize(shadow_screen, *mesh, flat, textures, SHADOW_SIZE, SHADOW_SIZE, 1)[3]
    if not look:  # a film set has no leaves before its lamps
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
    numbers = shading_numbers(person, lighting, scene.clothes, scene.film, style)
    numbers[shading.SHADOW_SCALE], numbers[shading.SHADOW_CENTRE] = scale, centre
    zones = np.array(atlas.places["zones"], np.int64)
    light, label = shade(
        triangle,
        bary0,
        bary1,
        depth,
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
        numbers,
    )
    draw_hairs(light, label, screen, mesh, flat, textures, depth, person, colours, look is not None)
    if topology.lenses is not None and person.wear.lenses:
        glints = (lighting.key, key_colour, harmonics, scene.camera.position)
        lay_lenses(light, depth, screen, topology.lenses, posed.positions, person.wear.lenses, glints)
    image = compose(light, triangle >= 0, scene, size, person.skin_tone, look)
    return View(image, label, triangle, bary0, bary1, depth)


def compose(
    light: Array, solid: npt.NDArray[np.bool_], scene: Scene, size: int, tone: Array, look: Look | None
) -> npt.NDArray[np.uint8]:
    """Average the samples, put them before the background, grade."""
    backdrop = dream_background(scene.backdrop, look) if look else scene.backdrop
    backdrop = np.clip(cv2.resize(backdrop, (size, size), interpolation=cv2.INTER_CUBIC), 0, 3)
    person = cv2.resize(np.minimum(light, 6.0), (size, size), interpolation=cv2.INTER_AREA)
    alpha = cv2.resize(solid.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
    image = np.asarray(person + backdrop * (1 - alpha[..., None]), np.float32)
    if look:
        return follow_film(develop_cartoon(image, alpha, scene.lighting, tone, look), scene.film)
    return develop_photo(image, alpha, scene.lighting, scene.film)
