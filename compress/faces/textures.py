"""Procedural textures of the embedded head: skin, zones, eyes, brows, lashes, hair. No files, fixed seeds.

Skins are relative: their mean colour is about SKIN_LEVEL, and the absolute tone is an attribute of the identity.
Textures that come from a folder are added by folder.py.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from compress.faces.atlas import Atlas, Bytes
from compress.faces.head import Head
from compress.faces.raster import rasterize
from compress.faces.teeth import paint_teeth
from compress.faces.uv_layout import ISLANDS

Array = npt.NDArray[np.float32]

SKIN_SIZE = 512
SKIN_LEVEL = 0.8
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
BROW_SIZE, BROWS, LASHES = 128, 6, 3
HAIR_WIDTH, HAIR_HEIGHT = 512, 256
HAIR_KINDS = ("straight", "curly")


def blur(image: Array, sigma: float) -> Array:
    """Gaussian blur with wrapped edges left to OpenCV's default reflection."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.float32)


def noise(random: np.random.Generator, height: int, width: int, sigma_y: float, sigma_x: float) -> Array:
    """Smooth noise of zero mean and unit deviation, periodic in x."""
    raw = random.standard_normal((height, width)).astype(np.float32)
    margin = min(width, int(4 * sigma_x) + 1)
    wide = np.concatenate([raw[:, -margin:], raw, raw[:, :margin]], 1)
    wide = np.asarray(cv2.GaussianBlur(wide, (0, 0), sigmaX=sigma_x, sigmaY=sigma_y), np.float32)
    out = wide[:, margin : margin + width]
    return np.asarray(out / out.std(), np.float32)


def quantise(image: Array) -> Bytes:
    """0..1 to uint8."""
    return np.asarray(np.clip(image, 0, 1) * 255 + 0.5, np.uint8)


def unfold(head: Head, size: int) -> Array:
    """Position on the mean head [size, size, 3] of every texel of the body's texture space."""
    uv = head.body_uv
    screen = np.stack([uv[:, 0] * size, (1 - uv[:, 1]) * size, np.ones(len(uv))], 1).astype(np.float32)
    faces = head.body_uv_faces
    triangle, b0, b1, _ = rasterize(
        screen,
        faces,
        faces,
        np.zeros(len(faces), np.int8),
        uv,
        np.zeros(4, np.uint8),
        np.ones((9, 3), np.int64),
        size,
        size,
    )
    corner = head.faces["body"][np.maximum(triangle, 0)]
    weight = np.stack([b0, b1, 1 - b0 - b1], 2)
    position = np.asarray((head.mean[corner] * weight[..., None]).sum(2), np.float32)
    position[triangle < 0] = -9
    return position


def island_mask(island: int, size: int) -> Array:
    """1 inside one island of the packed texture space, else 0: [size, size]."""
    u0, v0, u1, v1 = ISLANDS[island][1]
    out = np.zeros((size, size), np.float32)
    out[round((1 - v1) * size) : round((1 - v0) * size), round(u0 * size) : round(u1 * size)] = 1
    return out


class SkinPainter:
    """Paints zones and skins in texture space from positions on the mean head."""

    def __init__(self, head: Head) -> None:
        self.position = unfold(head, SKIN_SIZE)
        half = len(head.eye_index) // 2
        self.eye = head.eyes(head.mean)[:half].mean(0)
        self.nose = head.mean[head.landmarks[8]]
        self.mouth = head.mean[head.landmarks[[9, 10]]].mean(0)
        self.chin = head.mean[head.landmarks[13]]
        self.masks = {
            name: cv2.resize(mask, (SKIN_SIZE, SKIN_SIZE), interpolation=cv2.INTER_LINEAR).astype(np.float32) / 255
            for name, mask in head.masks.items()
        }

    def blob(self, centre: object, size: object, mirror: bool = True) -> Array:
        """Gaussian blob around a point of the head, mirrored to the other side."""
        c = np.asarray(centre, np.float32)
        s = np.asarray(size, np.float32)
        out = np.exp(-(((self.position - c) / s) ** 2).sum(2))
        if mirror:
            other = c * np.array([-1, 1, 1], np.float32)
            out = np.maximum(out, np.exp(-(((self.position - other) / s) ** 2).sum(2)))
        return np.asarray(out, np.float32)

    def beard(self, lips: Array) -> Array:
        """Where a beard grows: below a line from the temples past the mouth to the nose, above the throat."""
        m, c, n = self.mouth, self.chin, self.nose
        across, y = np.abs(self.position[..., 0]), self.position[..., 1]
        angle = np.arctan2(across, self.position[..., 2] - 0.25)
        level = m[1] - n[1]
        line = np.interp(angle, [0, 0.18, 0.3, 0.48, 0.75, 1.2, 1.35], [0.25, 0.3, 0.6, 1.05, 1.0, 0.1, -0.8])
        below = np.clip((n[1] + line * level - y) / 0.10, 0, 1)
        above = np.clip((y - (c[1] - 0.26 + 0.30 * np.clip(angle - 0.3, 0, 1))) / 0.14, 0, 1)
        side = np.clip((1.42 - angle) / 0.12, 0, 1)
        return np.asarray(below * above * side * (1 - np.clip(blur(lips, 2.5) * 1.6, 0, 1)), np.float32)

    def zones(self) -> Bytes:
        """RGBA: lips, beard, blush, fine noise."""
        random = np.random.default_rng(7)
        lips = blur(self.masks["lips"], 1.2)
        n = self.nose
        beard = self.beard(lips)
        blush = self.blob([0.45, n[1] + 0.06, n[2] - 0.4], [0.28, 0.22, 0.5])
        fine = np.clip(0.5 + noise(random, SKIN_SIZE, SKIN_SIZE, 0.9, 0.9) / 8, 0, 1)
        head = island_mask(0, SKIN_SIZE)
        beard, blush = beard * head, blush * head
        return quantise(np.dstack([lips, blur(np.asarray(beard, np.float32), 3), blush, fine]))

    def skin(self, seed: int) -> Bytes:
        """One relative skin texture: redness, shadows of lids and creases, soft mottling, lips."""
        random = np.random.default_rng(seed)
        e, n = self.eye, self.nose
        drop = e[1] - n[1]
        red = 0.55 * self.blob([0.42, n[1] + 0.05, n[2] - 0.35], [0.28, 0.26, 0.5])
        red += 0.6 * self.blob(n, [0.16, 0.14, 0.25], False)
        red += 0.35 * self.blob([0, n[1] - 1.05 * drop - 0.25, n[2] - 0.1], [0.22, 0.14, 0.4], False)
        red += 0.6 * self.masks["ears"]
        mottling = noise(random, SKIN_SIZE, SKIN_SIZE, 11, 11), noise(random, SKIN_SIZE, SKIN_SIZE, 3.5, 3.5)
        red += 0.05 * mottling[0] + 0.025 * mottling[1]
        dark = 0.45 * self.blob([e[0] * 0.85, e[1] - 0.17, e[2] + 0.12], [0.14, 0.07, 0.3])
        dark += 0.35 * self.masks["eyelids"]
        yellow = self.blob([0, e[1] + 0.55, e[2]], [0.7, 0.3, 0.6], False)
        level = np.full((SKIN_SIZE, SKIN_SIZE, 1), SKIN_LEVEL, np.float32)
        base = level * (1 + random.uniform(0.6, 1.3) * red[..., None] * np.array([0.01, -0.10, -0.11]))
        base = base * (1 - random.uniform(0.5, 1.2) * dark[..., None] * np.array([0.12, 0.16, 0.12]))
        base = base * (1 + yellow[..., None] * np.array([0.015, 0.015, -0.02]))
        base = base * (1 + 0.005 * noise(random, SKIN_SIZE, SKIN_SIZE, 1.3, 1.3)[..., None])
        lips = blur(self.masks["lips"], 0.8)[..., None]
        base = base * (1 - lips) + base * np.array([0.93, 0.70, 0.71]) * lips
        cavity = island_mask(2, SKIN_SIZE)[..., None]
        base = base * (1 - cavity) + np.array([0.42, 0.17, 0.16]) * cavity
        return quantise(np.asarray(base, np.float32))


def soften(skin: Bytes, lips: Array) -> Bytes:
    """The cartoon's copy of a skin texture: strongly blurred, but for the lips' outline."""
    size = skin.shape[0]
    wide, narrow = (
        np.dstack([blur(skin[..., c].astype(np.float32), s * size / 1024) for c in range(3)]) for s in (14.0, 2.0)
    )
    weight = np.clip(blur(lips, 2 * size / 1024) * 1.3, 0, 1)[..., None]
    return np.asarray(np.clip(wide * (1 - weight) + narrow * weight, 0, 255), np.uint8)


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
    for _ in range(420):
        s = random.beta(1.1, 1.4)
        limit = 0.28 * np.sqrt(max(0, 1 - s**2.2)) * min(1, 0.5 + s * 3)
        t = random.uniform(-1, 1) * limit
        length, slope = random.uniform(0.07, 0.12), random.normal(0.5 - 0.9 * s, 0.15) - (0.4 if t > 0 else -0.2) * s
        x = ((0.1 + 0.8 * s + length * step * np.cos(slope)) * size).astype(int)
        y = ((1 - (0.5 + t + length * step * np.sin(slope))) * size).astype(int)
        ok = (x >= 0) & (x < size) & (y >= 0) & (y < size)
        alpha[y[ok], x[ok]] = np.maximum(alpha[y[ok], x[ok]], 1 - step[ok] * 0.6)
    envelope = np.clip(blur(np.asarray(body, np.float32), 3) * 2, 0, 1)
    alpha = blur(alpha, 0.8) * 1.1 * envelope + 0.55 * blur(np.asarray(body, np.float32), 2.5)
    return quantise(np.dstack([np.zeros((size, size, 3), np.float32), alpha]))


def lash(seed: int) -> Bytes:
    """Upper lashes above v = .5, lower ones below (alpha only)."""
    random = np.random.default_rng(seed)
    size = BROW_SIZE
    alpha = np.zeros((size, size), np.float32)
    step = np.arange(60) / 60
    for _ in range(60):
        for up in (0, 1):
            x0, length = random.random(), random.uniform(0.25, 0.48) * (1 if up else 0.4)
            slant = random.normal(0, 0.03) + 0.08 * (x0 - 0.5)
            x = ((x0 + slant * step + 0.03 * step**2 * np.sign(x0 - 0.5)) * size).astype(int) % size
            y = ((1 - (0.5 + length * step * (1 if up else -1))) * size).astype(int).clip(0, size - 1)
            alpha[y, x] = np.maximum(alpha[y, x], (1 - step**2 * 0.8) * (1 if up else 0.35))
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
    for k in range(SKINS):
        skin = painter.skin(11 + k)
        atlas.add(f"skin/embedded{k}", skin)
        atlas.add(f"soft/embedded{k}", soften(skin, painter.masks["lips"]))
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
