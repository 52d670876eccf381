"""Hair as closed sheets: from a crown, strands run over the skull to the hairline and may hang beyond it.

The sheet is built on
the mean head and bound to the skull's triangles, hence it follows any identity, expression and style. Hair cards of an
assets folder are in folder.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from compress.faces.hairstyles import HairStyle
from compress.faces.scalp import Scalp

Array = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

COLUMNS, ROWS = 112, 26
SKULL_ROWS = 17
"""Rows of the sheet that follow the skull; the others hang."""
LUMPS = 9
"""Curls along a strand of a curly sheet."""
OUTLINE = 0.045
"""Deviation of a person's hairline at the front from the common outline, in radians about the crown."""
TUCK = -0.02
"""Depth below the skin at which a short strand ends, so that no gap shows at the hairline."""


@dataclass(frozen=True)
class HairSheet:
    """Geometry on the mean head: binding of each vertex and offset from the bound point; occlusion 0..1."""

    index: Ints
    weight: Array
    offset: Array
    faces: Ints
    uv_faces: Ints
    uv: Array
    occlusion: Array


def smoothstep(low: float, high: float, x: Array) -> Array:
    """Cubic step from 0 at low to 1 at high."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def ring_noise(random: np.random.Generator, count: int, harmonics: range) -> Array:
    """Smooth periodic noise [count] of unit deviation with the given harmonics."""
    return np.asarray(ring_noises(random, count, harmonics, 1)[0])


def ring_noises(random: np.random.Generator, count: int, harmonics: range, rows: int) -> Array:
    """Independent noises [rows, count], each as `ring_noise`."""
    spectrum = np.zeros((rows, count // 2 + 1), np.complex128)
    drawn = random.standard_normal((rows, len(harmonics), 2))
    spectrum[:, harmonics.start : harmonics.stop] = drawn[..., 0] + 1j * drawn[..., 1]
    out = np.fft.irfft(spectrum, count)
    deviation = np.sqrt(np.einsum("rc,rc->r", out, out) / count)
    return np.asarray(out / (deviation[:, None] + 1e-12), np.float32)


@cache
def _between_rows() -> Array:
    """Weights [LUMPS, ROWS] that interpolate values at LUMPS even places along a strand to its rows."""
    places = np.linspace(0, LUMPS - 1, ROWS)
    return np.asarray(np.clip(1 - np.abs(places[None] - np.arange(LUMPS)[:, None]), 0, 1), np.float32)


def grow_sheet(scalp: Scalp, style: HairStyle) -> HairSheet:
    """Build the two layers (closed inner one, gappy outer one) of a style."""
    random = np.random.default_rng(style.seed)
    frame = _crown_frame(style)
    hairline = _hairline_polar(scalp, _azimuth(), frame)
    layers = [_grow_layer(scalp, style, random.spawn(1)[0], layer, frame, hairline) for layer in (0, 1)]
    faces, uv_faces, uv = _sheet_topology()
    count = COLUMNS * ROWS
    parts = [np.concatenate([layer[k] for layer in layers]) for k in range(4)]
    layer_uv = [uv * np.array([1, 0.5], np.float32) + np.array([0, 0.5 * (1 - k)], np.float32) for k in (0, 1)]
    return HairSheet(
        index=parts[0].astype(np.int32),
        weight=parts[1],
        offset=parts[2],
        faces=np.concatenate([faces, faces + count]).astype(np.int32),
        uv_faces=np.concatenate([uv_faces, uv_faces + len(uv)]).astype(np.int32),
        uv=np.concatenate(layer_uv).astype(np.float32),
        occlusion=parts[3],
    )


@cache
def _sheet_topology() -> tuple[Ints, Ints, Array]:
    """Triangles over the closed grid, and texture coordinates (u around, v from 1 at the crown to 0 at the tips)."""
    column, row = (x.reshape(-1) for x in np.meshgrid(np.arange(COLUMNS), np.arange(ROWS - 1), indexing="ij"))
    right = (column + 1) % COLUMNS
    corner = [column * ROWS + row, right * ROWS + row, column * ROWS + row + 1, right * ROWS + row + 1]
    uv_corner = [column * ROWS + row, (column + 1) * ROWS + row, column * ROWS + row + 1, (column + 1) * ROWS + row + 1]

    def triangles(c: list[npt.NDArray[np.int64]]) -> Ints:
        return np.concatenate([np.stack([c[0], c[2], c[1]], 1), np.stack([c[1], c[2], c[3]], 1)]).astype(np.int32)

    u, v = np.meshgrid(np.arange(COLUMNS + 1) / COLUMNS, 1 - np.arange(ROWS) / (ROWS - 1), indexing="ij")
    uv = np.stack([u.ravel() * 0.998 + 0.001, v.ravel() * 0.99 + 0.005], 1).astype(np.float32)
    return triangles(corner), triangles(uv_corner), uv


def _crown_frame(style: HairStyle) -> Array:
    """Rows: side, up (the crown) and front axis of the tilted hair frame."""
    cb, sb = math.cos(style.tilt_back), math.sin(style.tilt_back)
    cs, ss = math.cos(style.tilt_side), math.sin(style.tilt_side)
    back = np.array([[1, 0, 0], [0, cb, -sb], [0, sb, cb]])
    side = np.array([[cs, ss, 0], [-ss, cs, 0], [0, 0, 1]])
    return np.asarray(back @ side, np.float32)


def _directions(azimuth: Array, polar: Array, frame: Array) -> Array:
    """Unit directions in head axes of angles around the tilted crown."""
    local = np.stack([np.sin(azimuth) * np.sin(polar), np.cos(polar), np.cos(azimuth) * np.sin(polar)], -1)
    return np.asarray(local @ frame, np.float32)


def _azimuth() -> Array:
    """Angle around the crown of each column."""
    return (np.arange(COLUMNS) * 2 * math.pi / COLUMNS).astype(np.float32)


def _hairline_polar(scalp: Scalp, azimuth: Array, frame: Array) -> Array:
    """Polar angle around the crown at which each column leaves the hairy part of the skull."""
    steps = np.linspace(0.25, 2.5, 60, dtype=np.float32)
    direction = _directions(azimuth[:, None], np.broadcast_to(steps, (len(azimuth), len(steps))), frame)
    outside = scalp.look_up(np.asarray(scalp.height, np.float32), direction) < 0.0
    first = np.where(outside.any(1), outside.argmax(1), len(steps) - 1)
    ends = steps[first]
    kernel = np.array([1, 2, 3, 2, 1], np.float32) / 9
    wide = np.concatenate([ends[-2:], ends, ends[:2]])
    return np.asarray(np.convolve(wide, kernel, "valid"), np.float32)


def _grow_layer(
    scalp: Scalp, style: HairStyle, random: np.random.Generator, layer: int, frame: Array, ends: Array
) -> tuple[Ints, Array, Array, Array]:
    """Binding, weights, offsets and occlusion of one layer's vertices, column by column."""
    azimuth = _azimuth()
    shape = np.random.default_rng(style.seed + 1)
    rim = _directions(azimuth, ends, frame)
    head_azimuth = np.abs(np.arctan2(rim[:, 0], rim[:, 2])).astype(np.float32)
    front = 1 - smoothstep(0.5, 1.0, head_azimuth)
    hang_zone = smoothstep(style.curtain, style.curtain + 0.28, head_azimuth)
    back = smoothstep(1.7, 2.5, head_azimuth)
    hang = hang_zone * (style.hang_side * (1 - back) + style.hang_back * back)
    ragged = ring_noise(random, COLUMNS, range(6, 30))
    hang = hang * (1 + 0.05 * ragged)
    ends = ends * (1 + 0.012 * ring_noise(random, COLUMNS, range(4, 40)))
    ends = ends - style.recede * front * (0.75 + 0.25 * np.cos(6 * head_azimuth)).astype(np.float32)
    ends = ends + front * (0.08 + OUTLINE * ring_noise(shape, COLUMNS, range(2, 9)))
    ends = ends + front * style.fringe * (1 + 0.12 * ragged)
    hanging = smoothstep(0.02, 0.25, hang)
    ends = np.minimum(ends, np.where(hanging > 0.5, 1.75, 9))

    share = np.clip(np.arange(ROWS) / (SKULL_ROWS - 1), 0, 1).astype(np.float32)
    polar = 0.02 + ends[:, None] * share[None]
    direction = _directions(np.broadcast_to(azimuth[:, None], polar.shape), polar, frame)
    thickness = _thickness(style, random, head_azimuth, front, hanging, share, direction, layer)
    cells = scalp.cells(direction)
    radius = scalp.mix(scalp.radius, cells)
    points = scalp.head.centre + direction * (radius + thickness)[..., None]
    points = points + _hang(style, random, points, hang, direction)
    points = _lift_off_shoulders(points)
    index, weight = scalp.nearest(cells)
    bound = np.einsum("abkc,abk->abc", scalp.head.mean[index], weight)
    depth = np.clip(thickness / max(style.top, 0.06), 0, 1)
    below = np.clip((np.arange(ROWS) - SKULL_ROWS + 1) / (ROWS - SKULL_ROWS), 0, 1)
    occlusion = (0.55 + 0.45 * depth) * (1 - 0.25 * below[None])
    return (
        index.reshape(-1, 3),
        weight.reshape(-1, 3).astype(np.float32),
        (points - bound).reshape(-1, 3).astype(np.float32),
        occlusion.reshape(-1).astype(np.float32),
    )


def _thickness(
    style: HairStyle,
    random: np.random.Generator,
    head_azimuth: Array,
    front: Array,
    hanging: Array,
    share: Array,
    direction: Array,
    layer: int,
) -> Array:
    """Distance [COLUMNS, ROWS] of the sheet from the skull."""
    up = smoothstep(0.1, 0.8, direction[..., 1])
    volume = style.sides + (style.top - style.sides) * up
    ahead = np.exp(-((head_azimuth / 0.8) ** 2))[:, None] * np.exp(-(((share - 0.82) / 0.22) ** 2))[None]
    volume = volume + style.quiff * ahead
    grown = np.clip(share * 3, 0, 1)[None]
    strands = ring_noise(random, COLUMNS, range(8, 40))[:, None] * grown
    lumps = ring_noises(random, COLUMNS, range(5, 28), LUMPS).T @ _between_rows() * grown
    volume = volume * (1 + style.ridges * strands + style.curls * lumps)
    fringed = np.clip(style.fringe * 4, 0, 1) * front
    taper = 1 - smoothstep(0.66, 1.0, share)[None] * (1 - np.maximum(hanging, 0.75 * fringed))[:, None]
    thickness = np.maximum(volume, 0.012) * taper + TUCK * (1 - taper)
    if layer:
        thickness = thickness * (1.10 + 0.05 * strands) + 0.012 * taper
    return np.asarray(thickness, np.float32)


def _hang(style: HairStyle, random: np.random.Generator, points: Array, hang: Array, direction: Array) -> Array:
    """Displacement of the rows beyond the skull: down by gravity, with waves and flare."""
    below = np.clip((np.arange(ROWS) - SKULL_ROWS + 1) / (ROWS - SKULL_ROWS), 0, 1).astype(np.float32)
    drop = hang[:, None] * below[None]
    outwards = direction * np.array([1, 0, 1], np.float32)
    outwards /= np.linalg.norm(outwards, axis=-1, keepdims=True) + 1e-6
    phase = ring_noise(random, COLUMNS, range(1, 5))[:, None]
    sway = style.wave * np.sin(drop * 5.0 + phase * 0.9) * np.clip(drop * 2, 0, 1)
    spread = style.flare * drop * np.sin(np.clip(below * math.pi, 0, math.pi))[None] + sway
    out = outwards * spread[..., None]
    out[..., 1] -= drop
    return np.asarray(out, np.float32)


def _lift_off_shoulders(points: Array) -> Array:
    """Hair that reaches the shoulders lies on them instead of going through."""
    lift = np.clip(5.55 - points[..., 1], 0, None)
    out = points.copy()
    out[..., 2] += lift * 0.35 * np.sign(points[..., 2] - 0.1)
    return out


def comb(points: Array, normals: Array, share: float) -> Array:
    """Normals [n, 3] of hair at points [n, 3], turned outwards and by a share towards the radius of the head."""
    radius = np.ascontiguousarray(points.T) - np.array([[0], [0.1], [-0.1]], np.float32)
    radius /= np.sqrt((radius * radius).sum(0)) + 1e-6
    normal = np.ascontiguousarray(normals.T)
    mixed = normal * np.sign((normal * radius).sum(0) + 1e-9) * (1 - share) + radius * share
    return np.asarray((mixed / (np.sqrt((mixed * mixed).sum(0)) + 1e-6)).T, np.float32)
