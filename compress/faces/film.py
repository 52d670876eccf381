"""Camera and film of the photo-like view: lens, exposure, tone, grain, age, compression. Not the cartoon's grade.

`sample_film` draws a named kind by the shares of FILMS. Everything but the skin's gloss is applied in `develop_photo`,
after the picture was rendered; black-and-white is followed by the cartoon (`follow_film`): nobody knows the colours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from compress.faces.lighting import Lighting

Array = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

SHORTEST_BLUR = 0.12
"""Lens blur below this changes nothing that can be seen; in pixels at a size of 200."""
FILM_SATURATION = 1.0
LUMA = np.array([0.30, 0.59, 0.11], np.float32)


@dataclass(frozen=True)
class Stock:
    """Ranges of one kind of picture; a pair is the lower and upper end of a uniform draw.

    share: of all pictures. saturation, contrast: 1 and 0.6 are usual. fade: black is lifted by this. tint: deviation of
    the colour of the paper in logarithms. noise: deviation of the grain. blur: of the lens, in pixels at a size of 200.
    motion: length of a shake in the same unit. resolution: share of the side that is kept. quality: of a JPEG, 100
    for none. vignette: darkening of the corners.
    """

    share: float
    saturation: tuple[float, float] = (0.9, 1.15)
    contrast: tuple[float, float] = (0.3, 0.9)
    fade: tuple[float, float] = (0.0, 0.02)
    tint: float = 0.03
    noise: tuple[float, float] = (0.001, 0.010)
    blur: tuple[float, float] = (-0.3, 0.45)
    motion: tuple[float, float] = (0.0, 0.0)
    resolution: tuple[float, float] = (1.0, 1.0)
    quality: tuple[float, float] = (100, 100)
    vignette: tuple[float, float] = (0.0, 0.15)


FILMS: dict[str, Stock] = {
    "clean": Stock(0.53),
    "compressed": Stock(0.16, resolution=(0.5, 1.0), quality=(30, 80)),
    "vivid": Stock(0.10, saturation=(1.15, 1.4), contrast=(0.9, 1.3), vignette=(0, 0.3)),
    "faded": Stock(0.08, (0.45, 0.9), (0.0, 0.5), (0.03, 0.14), 0.10, (0.008, 0.03), (0.0, 0.7), vignette=(0.0, 0.5)),
    "black-and-white": Stock(
        0.04, (0.0, 0.0), (0.3, 1.3), (0.0, 0.10), 0.0, (0.002, 0.02), (-0.3, 0.7), vignette=(0.0, 0.4)
    ),
    "shaken": Stock(0.05, blur=(0.2, 1.0), motion=(1.0, 4.0), noise=(0.004, 0.02), quality=(60, 100)),
    "dark": Stock(0.04, (0.6, 1.0), noise=(0.012, 0.035), blur=(0.0, 0.6), resolution=(0.6, 1.0), quality=(50, 95)),
}
"""Stated shares of kinds of picture; they sum to 1."""


@dataclass(frozen=True)
class Film:
    """What the camera adds to the photo-like view; gloss of the skin belongs to the day, too.

    kind: its name. exposure: in logarithms. white_balance: gains [3]. paper: colour [3] of the print, 1 for none.
    motion: shake (x, y) in pixels at a size of 200. The rest as in Stock.
    """

    exposure: float
    white_balance: Array
    blur: float
    noise: float
    gloss: float
    roughness: float
    contrast: float
    kind: str
    saturation: float
    fade: float
    paper: Array
    motion: tuple[float, float]
    resolution: float
    quality: int
    vignette: float


def sample_film(random: np.random.Generator) -> Film:
    """Draw a kind of picture by its share, then its numbers and the gloss of the skin."""
    names = list(FILMS)
    shares = np.array([FILMS[name].share for name in names])
    kind = names[int(random.choice(len(names), p=shares / shares.sum()))]
    stock = FILMS[kind]
    u = random.uniform
    length, angle = u(*stock.motion), u(0, math.pi)
    paper = np.exp(random.normal(0, stock.tint) * np.array([1, 0.15, -1]) + random.normal(0, stock.tint / 3, 3))
    if kind == "black-and-white" and random.random() < 0.3:
        paper = np.array([1.10, 1.0, 0.80]) ** u(0.3, 1.2)
    return Film(
        exposure=float(random.normal(0, 0.2)),
        white_balance=np.exp(random.normal(0, 0.04, 3)).astype(np.float32),
        blur=float(max(0, u(*stock.blur))),
        noise=float(u(*stock.noise)),
        gloss=float(u(0.5, 1.3)),
        roughness=float(u(0.38, 0.56)),
        contrast=float(u(*stock.contrast)),
        kind=kind,
        saturation=float(u(*stock.saturation)),
        fade=float(u(*stock.fade)),
        paper=paper.astype(np.float32),
        motion=(float(length * math.cos(angle)), float(length * math.sin(angle))),
        resolution=float(u(*stock.resolution)),
        quality=round(u(*stock.quality)),
        vignette=float(u(*stock.vignette)),
    )


def blur(image: Array, sigma: float) -> Array:
    """Gaussian blur of a float image."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.float32)


def luma(image: Array) -> Array:
    """Mean of the channels [S, S, 1]; three additions are faster than a reduction over a short axis."""
    return np.asarray(((image[..., 0] + image[..., 1] + image[..., 2]) / 3)[..., None])


def exposure(image: Array, cover: Array, lighting: Lighting, target: float, own: float, light: float) -> float:
    """Gain that brings the person near the target level: a mix of metering the picture and metering the light."""
    person = np.asarray(cover > 0.5, np.uint8)
    mean = sum(cv2.mean(image, person)[:3]) / 3 if person.any() else target
    level = float((lighting.key_colour * 0.42 + lighting.harmonics[0] * 0.2821 * 0.8).mean())
    return float((target / max(mean, 0.05)) ** own * (0.58 / level) ** light)


def develop_photo(image: Array, cover: Array, lighting: Lighting, film: Film) -> Bytes:
    """Photograph [S, S, 3] uint8 of linear light [S, S, 3]: exposure, tint, lens, film curve, age, grain, file."""
    gain = exposure(image, cover, lighting, 0.29, 0.45, 0.40) * math.exp(film.exposure + 0.69 * lighting.stops)
    image = through_lens(image * np.asarray(gain * film.white_balance, np.float32), film)
    level = luma(image) if film.saturation else np.asarray((image @ LUMA)[..., None], np.float32)
    image = np.maximum(level + (image - level) * np.float32(FILM_SATURATION * film.saturation), 0)
    # OpenCV's exponential and power are several times as fast as NumPy's.
    tone = cv2.pow(np.maximum(1 - cv2.exp(np.asarray(np.float32(-1.5) * image, np.float32)), 0), 1 / 2.2)
    contrast, black = np.float32(film.contrast), np.float32(film.fade)
    tone = tone * (1 - contrast + contrast * tone * (3 - 2 * tone))
    tone = (black + np.clip(tone, 0, 1) * np.float32(1 - 1.3 * film.fade)) * film.paper
    tone = tone + grain(lighting.background_seed + 1, tone.shape[0], film)
    return through_file(np.asarray(np.clip(tone, 0, 1) * 255 + 0.5, np.uint8), film)


def through_lens(image: Array, film: Film) -> Array:
    """Defocus, shake and dark corners of linear light [S, S, 3]."""
    size = image.shape[0]
    if film.blur > SHORTEST_BLUR:
        image = blur(image, film.blur * size / 200)
    across, down = film.motion[0] * size / 200, film.motion[1] * size / 200
    if max(abs(across), abs(down)) > 0.5:
        side = 2 * math.ceil(max(abs(across), abs(down)) / 2 + 1) + 1
        kernel = np.zeros((side, side), np.float32)
        for step in np.linspace(-0.5, 0.5, 4 * side):
            kernel[round(side // 2 + down * step), round(side // 2 + across * step)] += 1
        image = np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), np.float32)
    if film.vignette > 0:
        line = (np.arange(size, dtype=np.float32) / size - 0.5) ** 2
        image = image * (1 - np.float32(2 * film.vignette) * (line[:, None] + line))[..., None]
    return image


def grain(seed: int, size: int, film: Film) -> Array:
    """Noise of sensor or film [S, S, 3]; without colour on black-and-white film."""
    random = np.random.default_rng(seed)
    if film.saturation == 0:
        return random.standard_normal((size, size, 1), np.float32) * np.float32(film.noise)
    return random.standard_normal((size, size, 3), np.float32) * np.float32(film.noise)


def through_file(image: Bytes, film: Film) -> Bytes:
    """A picture that was small and compressed: [S, S, 3] uint8 to the same."""
    size = image.shape[0]
    if film.resolution < 0.97:
        side = max(24, round(size * film.resolution))
        image = np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    if film.quality < 100:
        data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, film.quality])[1]
        image = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)[..., ::-1]
    if image.shape[0] != size:
        image = np.asarray(cv2.resize(image, (size, size), interpolation=cv2.INTER_CUBIC), np.uint8)
    return image


def follow_film(cartoon: Bytes, film: Film) -> Bytes:
    """The cartoon [S, S, 3] uint8 of a picture: without colours where the photograph has none, on the same paper."""
    if film.saturation > 0:
        return cartoon
    grey = (cartoon.astype(np.float32) @ LUMA)[..., None] * film.paper
    return np.asarray(np.clip(grey, 0, 255) + 0.5, np.uint8)
