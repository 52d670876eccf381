"""Procedural textures of the embedded head: eyes, brows, lashes, hair, and the atlas of all. No files, fixed seeds.

Skins are painted in skin_textures.py, beards in beards.py, teeth in teeth.py.
Textures that come from a folder are added by folder.py.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from compress.faces.atlas import Atlas, Bytes
from compress.faces.beards import BEARDS, paint_beard
from compress.faces.head import Head
from compress.faces.painting import blur, noise, quantise
from compress.faces.skin_textures import SkinPainter, soften
from compress.faces.teeth import paint_teeth

Array = npt.NDArray[np.float32]

SKINS = 6
EYE_SIZE = 256
EYE_CENTRES = ((0.71, 0.70), (0.295, 0.305))
EYE_COLOURS = {
    "brown": ((0.30, 0.17, 0.09), (0.42, 0.26, 0.13)),
    "brownlight": ((0.38, 0.25, 0.15), (0.50, 0.35, 0.20)),
    "blue": ((0.30, 0.43, 0.58), (0.45, 0.55, 0.62)),
    "green": ((0.33, 0.43, 0.30), (0.52, 0.48, 0.28)),
    "grey": ((0.45, 0.50, 0.52), (0.52, 0.55, 0.56)),
    "deepblue": ((0.18, 0.30, 0.52), (0.33, 0.45, 0.58)),
}
BROW_SIZE, BROWS, LASHES = 128, 10, 3
HAIR_WIDTH, HAIR_HEIGHT = 512, 256
HAIR_KINDS = ("straight", "curly")


def eye(outer: tuple[float, float, float], inner: tuple[float, float, float], seed: int) -> Bytes:
    """Sclera, fibrous iris with a dark rim, pupil; both eyes in one texture (sRGB)."""
    random = np.random.default_rng(seed)
    size = EYE_SIZE
    yy, xx = np.mgrid[0:size, 0:size].astype(np.float32)
    u, v = (xx + 0.5) / size, 1 - (yy + 0.5) / size
    image = np.ones((size, size, 3), np.float32) * np.array([0.90, 0.88, 0.865], np.float32)
    for centre in EYE_CENTRES:
        r, angle = np.hypot(u - centre[0], v - centre[1]), np.arctan2(v - centre[1], u - centre[0])
        image *= np.where(r < 0.27, 1 - 0.22 * np.clip((r - 0.16) / 0.12, 0, 1) ** 2, 1)[..., None]
        fibre = np.zeros_like(r)
        for k in (17, 31, 53):
            fibre += np.sin(angle * k + random.uniform(0, 6) + 6 * np.sin(r * random.uniform(20, 60))) * 0.3
        q = np.clip((r - 0.04) / 0.07, 0, 1)[..., None]
        iris = np.array(inner) * (1 - q) + np.array(outer) * q
        iris = iris * (1 + 0.16 * fibre[..., None]) * (1 - 0.65 * np.clip((r - 0.094) / 0.02, 0, 1)[..., None])
        for edge, soft, colour in ((0.115, 0.009, iris), (0.044, 0.008, 0.015)):
            weight = np.clip((edge - r) / soft, 0, 1)[..., None]
            image = image * (1 - weight) + np.clip(colour, 0, 1) * weight
    return quantise(np.asarray(image, np.float32))


def brow(seed: int) -> Bytes:
    """Hairs of one brow in the band v = .5 (alpha only); u from the nose outwards."""
    random = np.random.default_rng(seed)
    size = BROW_SIZE
    alpha = np.zeros((size, size), np.float32)
    yy, xx = np.mgrid[0:size, 0:size].astype(np.float32)
    u, v = (xx + 0.5) / size, 1 - (yy + 0.5) / size
    along = np.clip((u - 0.1) / 0.8, 0, 1)
    width = 0.5 * np.sqrt(np.clip(1 - along**2.2, 0, 1)) * np.minimum(1, 0.5 + along * 3)
    inside = (u > 0.09) & (u < 0.91)
    body = np.clip(1.25 - np.abs(v - 0.5) / np.maximum(width * 0.55, 1e-3), 0, 1) * inside
    step = np.arange(16) / 16
    for _ in range(int(random.integers(220, 560))):
        s = random.beta(1.1, 1.4)
        limit = 0.28 * np.sqrt(max(0, 1 - s**2.2)) * min(1, 0.5 + s * 3)
        t = random.uniform(-1, 1) * limit
        length, slope = random.uniform(0.07, 0.12), random.normal(0.5 - 0.9 * s, 0.15) - (0.4 if t > 0 else -0.2) * s
        x = ((0.1 + 0.8 * s + length * step * np.cos(slope)) * size).astype(int)
        y = ((1 - (0.5 + t + length * step * np.sin(slope))) * size).astype(int)
        ok = (x >= 0) & (x < size) & (y >= 0) & (y < size)
        alpha[y[ok], x[ok]] = np.maximum(alpha[y[ok], x[ok]], 1 - step[ok] * 0.6)
    envelope = np.clip(blur(np.asarray(body, np.float32), 3) * 2, 0, 1)
    alpha = blur(alpha, 0.8) * 1.1 * envelope + random.uniform(0.3, 0.75) * blur(np.asarray(body, np.float32), 2.5)
    return quantise(np.dstack([np.zeros((size, size, 3), np.float32), alpha]))


def lash(seed: int) -> Bytes:
    """Upper lashes above v = .5, lower ones below (alpha only)."""
    random = np.random.default_rng(seed)
    size = BROW_SIZE
    alpha = np.zeros((size, size), np.float32)
    step = np.arange(60) / 60
    for _ in range(60):
        for up in (0, 1):
            x0, length = random.random(), random.uniform(0.25, 0.48) * (1 if up else 0.3)
            slant = random.normal(0, 0.03) + 0.08 * (x0 - 0.5)
            x = ((x0 + slant * step + 0.03 * step**2 * np.sign(x0 - 0.5)) * size).astype(int) % size
            y = ((1 - (0.5 + length * step * (1 if up else -1))) * size).astype(int).clip(0, size - 1)
            alpha[y, x] = np.maximum(alpha[y, x], (1 - step**2 * 0.8) * (1 if up else 0.14))
    v = 1 - (np.arange(size, dtype=np.float32)[:, None] + 0.5) / size
    line = np.where(v > 0.5, np.exp(-(((v - 0.5) / 0.07) ** 2)) * 0.85, np.exp(-(((v - 0.5) / 0.03) ** 2)) * 0.2)
    alpha = np.clip(blur(alpha, 0.5) * 1.3 + line, 0, 1)
    return quantise(np.dstack([np.zeros((size, size, 3), np.float32), alpha]))


def hair(kind: str, seed: int) -> Bytes:
    """Hair of a sheet (see hair.py), periodic in u. R: strand brightness, G: smooth brightness, alpha.

    The upper half belongs to the inner layer (closed, ragged only at the tips, v = .5), the lower half to the outer
    layer (gaps between the strands).
    """
    random = np.random.default_rng(seed)
    half = HAIR_HEIGHT // 2
    rows = []
    for layer in (0, 1):
        if kind == "straight":
            strands = noise(random, half, HAIR_WIDTH, 26, 0.8) * 0.7 + noise(random, half, HAIR_WIDTH, 34, 3.2) * 0.7
            smooth = noise(random, half, HAIR_WIDTH, 40, 5)
        else:
            strands = noise(random, half, HAIR_WIDTH, 1.6, 1.6) * 0.7 + noise(random, half, HAIR_WIDTH, 4, 4) * 0.6
            smooth = noise(random, half, HAIR_WIDTH, 5, 5)
        v = 1 - (np.arange(half, dtype=np.float32)[:, None] + 0.5) / half
        tip = np.clip((v - 0.01) / 0.16, 0, 1)
        alpha = np.clip(0.5 + 0.35 * strands + 2.0 * tip - 0.9, 0, 1)
        if layer:
            alpha = np.clip(alpha * (0.5 + 0.7 * strands), 0, 1)
        shade = 0.43 * (1 + 0.20 * strands) * (0.82 + 0.18 * np.clip(1.6 - v, 0, 1))
        calm = 0.43 * (1 + 0.10 * smooth) * np.ones_like(shade)
        rows.append(np.dstack([shade, calm, shade, alpha]))
    return quantise(np.concatenate(rows).astype(np.float32))


def build_atlas(head: Head) -> Atlas:
    """All embedded textures; takes about a second."""
    atlas = Atlas()
    painter = SkinPainter(head)
    atlas.add("zones", painter.zones())
    for style in BEARDS:
        atlas.add(f"beard/{style}", paint_beard(style, head, painter.position))
    for k in range(SKINS):
        for name, age in (("", 0.1 + 0.05 * k), ("-old", 0.7 + 0.06 * k)):
            skin = painter.skin(11 + k, age)
            atlas.add(f"skin/embedded{k}{name}", skin)
            atlas.add(f"soft/embedded{k}{name}", soften(skin, painter.masks["lips"]))
    for number, (name, (outer, inner)) in enumerate(EYE_COLOURS.items()):
        atlas.add(f"eye/{name}", eye(outer, inner, 50 + number))
    for k in range(BROWS):
        atlas.add(f"brow/{k}", brow(100 + k))
    for k in range(LASHES):
        atlas.add(f"lash/{k}", lash(200 + k))
    atlas.add("teeth", paint_teeth())
    atlas.add("tongue", np.full((4, 4, 3), (176, 92, 92), np.uint8))
    for kind in HAIR_KINDS:
        for k in range(3):
            atlas.add(f"hair/{kind}{k}", hair(kind, 300 + k))
    return atlas
