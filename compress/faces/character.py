"""The 3D style map: from a person in a pose to the same person as a character of a style.

A function of the 3D coefficients (details damped, traits kept and exaggerated a little, constant deltas towards the
style) and of 3D position (widths over the height of the head, a smooth magnification around the eyes). Numbers are in
styles.py; colour is in view.py, grade.py and shading.py.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import numpy as np
import numpy.typing as npt

from compress.faces.hair import smoothstep
from compress.faces.head import Head
from compress.faces.kernel import Floats, kernel
from compress.faces.population import Person, Population
from compress.faces.pose import Pose
from compress.faces.styles import Curve, Style
from compress.faces.uv_layout import ISLANDS
from compress.faces.wear import Lenses

Array = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

LOWEST, HIGHEST, NODES = -1.5, 2.0, 351
"""Range and nodes of a curve over the height in the head."""
ROUNDING = 0.05
"""Width of the blur that rounds a curve's corners, in head heights."""
MIDDLE = (0.10, 0.75)
"""Distance from the middle, in decimetres, from which widths begin to count and from which they count in full."""
SMALL_BLINK = 0.3
MOST_CHILDLIKE = 0.5
LENS_SHINE = 0.2
MOUTH_ISLAND, MOUTH_CORNERS, BAG_DRAWN_IN = ISLANDS[2][1], (9, 10), 0.2
FADED = 3.5
"""Distance from an eye, in reaches, from which its magnification (below 1e-5) is not counted."""


class StyleMap:
    """The linear map of a population's sliders: `kept` of each deviation from the mean, plus `delta`."""

    def __init__(self, population: Population, style: Style) -> None:
        unknown = set(style.deltas) - set(population.keys)
        if unknown:
            raise KeyError(f"styles: {style.name} changes {sorted(unknown)}, which no slider is called")
        self.style = style
        self.mean = population.prior
        self.kept = np.array(
            [
                next((share for words, share in style.damped if any(word in key for word in words)), style.exaggeration)
                for key in population.keys
            ],
            np.float32,
        )
        self.delta = np.array([style.deltas.get(key, 0.0) for key in population.keys], np.float32)


def stylise_person(person: Person, style_map: StyleMap) -> Person:
    """The character of a person: same colours and traits, other proportions."""
    mean, style = style_map.mean, style_map.style
    return replace(
        person,
        sliders=mean + (person.sliders - mean) * style_map.kept + style_map.delta,
        asymmetry=person.asymmetry * 0.5,
        old=person.old * style.age_kept,
        child=max(person.child, min(MOST_CHILDLIKE, person.child + style.childlike)),
        glasses=person.glasses * np.array(style.glasses, np.float32),
        wear=replace(person.wear, lenses=clear(person.wear.lenses)),
        eye_colour=np.asarray(np.maximum(person.eye_colour, 0.9) * np.array([1.2, 1.25, 1.25]), np.float32),
    )


def clear(lenses: Lenses | None) -> Lenses | None:
    """Spectacles hide nothing of a character's eyes; sunglasses stay what they are."""
    if lenses is None or lenses.opaque:
        return lenses
    return replace(lenses, through=np.sqrt(lenses.through), reflection=lenses.reflection * LENS_SHINE)


def stylise_pose(pose: Pose, style: Style) -> Pose:
    """The character's expression: what does not suit it damped, some units added."""
    units = {}
    for name, value in pose.units.items():
        keep = next((share for word, share in style.expression_kept if word in name), 1.0)
        if "Blink" in name and value < SMALL_BLINK:
            keep = style.blink_kept
        units[name] = value * keep
    for name, more in style.expression_added.items():
        units[name] = units.get(name, 0.0) + more
    return replace(pose, units=units)


@cache
def rounded(curve: Curve) -> Array:
    """Values [NODES] of a curve at even heights from LOWEST to HIGHEST, corners rounded, ends carried on."""
    at = np.linspace(LOWEST, HIGHEST, NODES)
    step = at[1] - at[0]
    reach = np.arange(-20, 21) * step
    kernel = np.exp(-0.5 * (reach / ROUNDING) ** 2)
    wide = np.linspace(LOWEST - 20 * step, HIGHEST + 20 * step, NODES + 40)
    return np.asarray(np.convolve(np.interp(wide, *np.array(curve).T), kernel / kernel.sum(), "valid"), np.float32)


def reshape(points: Array, chin: float, crown: float, depth: float, style: Style) -> Array:
    """Points [n, 3] of a head whose chin and crown are at these heights, with the widths and depths of a style.

    depth: z of the axis about which depths grow. Widths draw the outline; the features in the middle stay, by which
    people are known.
    """
    x, y, z = np.ascontiguousarray(points.T)
    level = ((y - chin) / (crown - chin) - LOWEST) * np.float32((NODES - 1) / (HIGHEST - LOWEST))
    node = np.clip(level.astype(np.int64), 0, NODES - 2)
    beyond = np.clip(level - node, 0, 1).astype(np.float32)

    def along(curve: Curve) -> Array:
        """The curve at every point's height."""
        values = rounded(curve)
        return np.asarray(values[node] + np.diff(values)[node] * beyond, np.float32)

    outer = smoothstep(*MIDDLE, np.abs(x))
    wide = x * (1 + (along(style.widths) - 1) * outer)
    deep = depth + (z - depth) * along(style.depths)
    return np.stack([wide, y + along(style.lifts) * (crown - chin), deep], 1).astype(np.float32)


def mouth_bag(head: Head) -> tuple[Ints, Array]:
    """Vertices [k] behind the lips, lower teeth among them, and how far a style draws each in, as a share [k]."""
    left, bottom, right, top = MOUTH_ISLAND
    corner = head.body_uv[head.body_uv_faces]
    u, v = corner[..., 0], corner[..., 1]
    inside = ((u > left) & (u < right) & (v > bottom) & (v < top)).all(1)
    faces = head.faces["body"]
    index = np.setdiff1d(faces[inside], faces[~inside]).astype(np.int32)
    lips = head.mean[head.landmarks[list(MOUTH_CORNERS)], 2].mean()
    share = BAG_DRAWN_IN * smoothstep(0.0, 0.3, lips - head.mean[index, 2])
    teeth = np.unique(head.faces["helper-lower-teeth"]).astype(np.int32)
    return np.concatenate([index, teeth]), np.concatenate([share, np.full(len(teeth), BAG_DRAWN_IN, np.float32)])


def draw_in(body: Array, bag: tuple[Ints, Array], lips: float) -> Array:
    """Base vertices [n, 3] with a smaller inside of the mouth, so that it stays inside of a smaller chin.

    lips: height of the mouth.
    """
    index, share = bag
    out = body.copy()
    out[index, 0] *= 1 - share
    out[index, 1] += (lips - body[index, 1]) * share
    return out


def magnify_eye(positions: Array, eyeball: Array, style: Style) -> None:
    """Move points [n, 3] in place by the smooth magnification around one eyeball [k, 3]."""
    centre = eyeball.mean(0)
    reach = style.eye_reach * float(np.abs(eyeball[:, 0] - centre[0]).max())
    shift = np.array(style.eye_shift, np.float32) * np.array([np.sign(centre[0]), 1, 1], np.float32)
    spread_from(positions, centre, reach, np.array(style.eye_growth, np.float32), shift)


@kernel
def spread_from(points: Floats, centre: Floats, reach: float, growth: Floats, shift: Floats) -> None:
    """Move points [n, 3] in place away from a centre by growth [3] and along shift [3], less the farther they are."""
    for i in range(len(points)):
        x, y, z = points[i, 0] - centre[0], points[i, 1] - centre[1], points[i, 2] - centre[2]
        square = (x * x + 1.21 * y * y + 0.64 * z * z) / (reach * reach)
        if square < FADED * FADED:
            weight = math.exp(-square)
            points[i, 0] += weight * (x * growth[0] + shift[0])
            points[i, 1] += weight * (y * growth[1] + shift[1])
            points[i, 2] += weight * (z * growth[2] + shift[2])
