"""Dresses a head: which sheets a person wears, with their materials, and what they do to hair and ears."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compress.faces.beards import Barber
from compress.faces.garments import Sheet
from compress.faces.glasses import frame_faces, frame_vertices, lens_faces
from compress.faces.hair import HairSheet
from compress.faces.head import Head
from compress.faces.headwear import Hatter
from compress.faces.materials import BEARD, GLASSES, HEADWEAR, SCARF
from compress.faces.neckwear import Neck, headscarf
from compress.faces.population import Person
from compress.faces.scalp import Scalp
from compress.faces.wear import BEANIE, HEADSCARF, NONE

Array = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]
FRAME_UV, LENS_UV = 0.0, 1.0
"""u of frames and of opaque lenses."""
TUCKED = {BEANIE: 0.10, HEADSCARF: 0.20}
"""Ears below headwear lie closer to the head by this, in decimetres."""


@dataclass(frozen=True)
class Part:
    """Triangles of a worn part in numbers of its own vertices, their texture coordinates and material."""

    faces: Ints
    uv_faces: Ints
    uv: Array
    material: int
    count: int


@dataclass(frozen=True)
class Outfit:
    """Worn sheets with their materials, after a frame; `clear`: triangles of lenses drawn over the shading."""

    sheets: tuple[tuple[Sheet, int], ...]
    frame: Part | None
    clear: Ints | None

    @property
    def parts(self) -> list[Part]:
        """All parts in the order of `Outfitter.vertices`."""
        worn = [Part(sheet.faces, sheet.faces, sheet.uv, number, len(sheet.index)) for sheet, number in self.sheets]
        return ([self.frame] if self.frame else []) + worn

    @property
    def occlusion(self) -> Array:
        """Of every vertex, in the same order."""
        frame = [np.ones(self.frame.count, np.float32)] if self.frame else []
        return np.concatenate([*frame, *(sheet.occlusion for sheet, _ in self.sheets), np.zeros(0, np.float32)])


class Outfitter:
    """Builds outfits; holds what does not depend on the person."""

    def __init__(self, head: Head, scalp: Scalp) -> None:
        self.head = head
        self.hatter = Hatter(scalp)
        self.neck = Neck(head)
        self.barber = Barber(head)
        self.tubes, self.lenses = frame_faces(), lens_faces()
        self.frame_count = int(self.lenses.max()) + 1

    def dress(self, person: Person) -> Outfit:
        """The outfit of a person."""
        wear = person.wear
        sheets: list[tuple[Sheet, int]] = []
        if wear.headwear.kind == HEADSCARF:
            sheets.append((headscarf(self.hatter, self.neck, wear.headwear, person.hair.seed), HEADWEAR))
        elif wear.headwear.kind != NONE:
            sheets.append((self.hatter.build(wear.headwear), HEADWEAR))
        if wear.scarf:
            sheets.append((self.neck.scarf(person.hair.seed), SCARF))
        shells = self.barber.grow(wear.beard, person.beard)
        if shells:
            sheets.append((shells, BEARD))
        if person.glasses[0] <= 0:
            return Outfit(tuple(sheets), None, None)
        opaque = wear.lenses is not None and wear.lenses.opaque
        faces = np.concatenate([self.tubes, self.lenses]) if opaque else self.tubes
        which = np.zeros_like(faces)
        which[len(self.tubes) :] = 1
        uv = np.array([[FRAME_UV, 0.5], [LENS_UV, 0.5]], np.float32)
        frame = Part(faces, which, uv, GLASSES, self.frame_count)
        return Outfit(tuple(sheets), frame, None if opaque else self.lenses)

    def hair(self, person: Person, sheet: HairSheet | None) -> HairSheet | None:
        """Hair as the headwear leaves it."""
        kind = person.wear.headwear.kind
        if sheet is None or kind == HEADSCARF:
            return None
        return sheet if kind == NONE else self.hatter.press(person.wear.headwear, sheet)

    def vertices(self, person: Person, outfit: Outfit, body: Array, eyes: Array, grow: float) -> list[Array]:
        """Vertices of every part on a body [n, 3] with its eyes; offsets of sheets scaled by `grow`."""
        frame = [self._glasses(person, body, eyes)] if outfit.frame else []
        return frame + [sheet.place(body, self.head.mean, grow) for sheet, _ in outfit.sheets]

    def _glasses(self, person: Person, body: Array, eyes: Array) -> Array:
        """Spectacles on a head."""
        half, marks = len(eyes) // 2, self.head.landmarks
        ears = body[marks[[14, 18]]] + np.array([0, 0.12, -0.25], np.float32)
        return frame_vertices(person.glasses, eyes[:half].mean(0), eyes[half:].mean(0), body[marks[22]], ears)
