"""From a person and a pose to one triangle mesh in the scene. Pure geometry; no colours, no camera."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compress.faces.cavities import cavity
from compress.faces.character import draw_in, magnify_eye, mouth_bag, reshape
from compress.faces.folder import CardHair
from compress.faces.hair import HairSheet, comb, grow_sheet, smoothstep
from compress.faces.hairstyles import BALD, LONG
from compress.faces.head import Head
from compress.faces.materials import BROW, CLOTH, EYE, HAIR, LASH, SKIN, TEETH, TONGUE
from compress.faces.neckwear import neckline
from compress.faces.outfit import TUCKED, Outfit, Outfitter
from compress.faces.patches import brow_patch, brow_uv, ear_share, lash_patch, whole_patch
from compress.faces.population import Person, Population
from compress.faces.pose import Pose
from compress.faces.raster import vertex_normals
from compress.faces.scalp import Scalp
from compress.faces.scene import Clothes
from compress.faces.styles import Style
from compress.faces.teeth import build_teeth
from compress.faces.wear import HEADSCARF, NONE

Array = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

HEAD_HEIGHT = 2.2
"""Height of every head from chin to crown, in scene units."""
SCALP_SINK = 0.035
"""The scalp under hair is sunk by this, in decimetres, so that it does not poke through."""
EAR_TUCK = 0.14
"""Ears under long hair lie closer to the head by this, in decimetres."""
PAINTED = (BALD, "buzz")
"""Styles without a sheet; `buzz` is painted on the scalp."""


@dataclass(frozen=True)
class Topology:
    """Triangles of a whole mesh, the same for photo and cartoon."""

    faces: Ints
    uv_faces: Ints
    material: npt.NDArray[np.int8]
    uv: Array
    sheet: HairSheet | None
    cards: CardHair | None
    hair_start: int
    outfit: Outfit
    outfit_start: int

    @property
    def lenses(self) -> Ints | None:
        """Triangles of lenses that are drawn over the shaded picture; they are not among `faces`."""
        clear = self.outfit.clear
        return None if clear is None else clear + self.outfit_start


@dataclass(frozen=True)
class Posed:
    """Vertices [n, 3] in the scene, normals, occlusion 0..1, share of scalp hair; the head's rotation and its pivot."""

    positions: Array
    normals: Array
    occlusion: Array
    scalp: Array
    rotation: Array
    pivot: Array
    pivot_in_head: Array
    scale: float

    def to_head_frame(self, points: Array) -> Array:
        """Scene points [..., 3] in the head's own axes, in half head heights, from the middle of the head."""
        turned = (points - self.pivot) @ self.rotation / self.scale
        return np.asarray((turned + self.pivot_in_head) / (HEAD_HEIGHT / 2), np.float32)

    @property
    def translation(self) -> Array:
        """The middle of the head in the scene [3]: a scene point is half a height * rotation @ its position + this."""
        return np.asarray(self.pivot - self.rotation @ self.pivot_in_head * self.scale, np.float32)


class Modeller:
    """Builds meshes; holds what does not depend on the person."""

    def __init__(self, head: Head, population: Population) -> None:
        self.head = head
        self.population = population
        self.scalp_table = Scalp(head)
        self.normals = vertex_normals(head.mean, head.faces["body"])
        body = np.unique(head.faces["body"])
        self.top = int(body[head.vertices[body, 1].argmax()])
        self.chin = int(head.landmarks[13])
        self.hairline = smoothstep(-0.06, 0.10, head.hairline)
        self.sunk = smoothstep(0.02, 0.2, head.hairline)
        self.bag = mouth_bag(head)
        self.ears = ear_share(head)
        half = len(head.eye_index) // 2
        eye = head.eyes(head.mean)[:half].mean(0)
        self.brow = brow_patch(head, self.normals, eye)
        self.lash = lash_patch(head, eye)
        self.teeth = build_teeth(head)
        self.tongue = whole_patch(head, "helper-tongue")
        self.outfitter = Outfitter(head, self.scalp_table)

    def topology(self, person: Person, clothes: Clothes, cards: CardHair | None) -> Topology:
        """Triangles and texture coordinates of a person; hair comes last."""
        outfit = self.outfitter.dress(person)
        cards = None if person.wear.headwear.kind != NONE else cards
        sheet = None
        if cards is None and person.hair.name not in PAINTED and person.wear.headwear.kind != HEADSCARF:
            sheet = self.outfitter.hair(person, grow_sheet(self.scalp_table, person.hair))
        cloth_uv_faces, cloth_uv = neckline(self.head, clothes)
        head = self.head
        parts: list[tuple[Ints, Ints, Array, int, int]] = [
            (head.faces["body"], head.body_uv_faces, head.body_uv, SKIN, 0),
            (head.faces["cloth"], cloth_uv_faces, cloth_uv, CLOTH, 0),
            (head.faces["eyes"], head.faces["eyes"], head.eye_uv, EYE, len(head.eye_index)),
        ]
        for patch, uv, material in (
            (self.brow, brow_uv(self.brow, person.brow_shape), BROW),
            (self.lash, self.lash.uv, LASH),
            (self.teeth, self.teeth.uv, TEETH),
            (self.tongue, self.tongue.uv, TONGUE),
        ):
            parts.append((patch.faces, patch.faces, uv, material, len(uv)))
        outfit_start = head.count + sum(part[4] for part in parts)
        parts += [(part.faces, part.uv_faces, part.uv, part.material, part.count) for part in outfit.parts]
        hair_start = head.count + sum(part[4] for part in parts)
        if sheet is not None:
            parts.append((sheet.faces, sheet.uv_faces, sheet.uv, HAIR, len(sheet.index)))
        elif cards is not None:
            parts.append((cards.faces, cards.uv_faces, cards.uv, HAIR, len(cards.index)))
        base, uv_base = head.count, 0
        faces, uv_faces, uvs, material_list = [], [], [], []
        for part_faces, part_uv_faces, uv, material, count in parts:
            faces.append(part_faces + (base if count else 0))
            uv_faces.append(part_uv_faces + uv_base)
            uvs.append(uv)
            material_list.append(np.full(len(part_faces), material, np.int8))
            base += count
            uv_base += len(uv)
        return Topology(
            np.ascontiguousarray(np.concatenate(faces), np.int32),
            np.ascontiguousarray(np.concatenate(uv_faces), np.int32),
            np.concatenate(material_list),
            np.ascontiguousarray(np.concatenate(uvs), np.float32),
            sheet,
            cards,
            hair_start,
            outfit,
            outfit_start,
        )

    def vertices(self, person: Person, pose: Pose, topology: Topology, style: Style | None) -> Array:
        """All vertices [n, 3] of the unposed mesh in decimetres; a style redraws them."""
        body = self.head.shape(self.population.target_weights(person, pose.units))
        if style:
            body = draw_in(body, self.bag, float(body[self.head.landmarks[[9, 10]], 1].mean()))
        if topology.sheet is not None or topology.cards is not None:
            body = body - self.normals * (self.sunk * SCALP_SINK)[:, None]
        tuck = EAR_TUCK if person.hair.name in LONG and topology.sheet is not None else 0.0
        tuck = max(tuck, TUCKED.get(person.wear.headwear.kind, 0.0))
        if tuck:
            body[:, 0] -= np.sign(body[:, 0]) * self.ears * tuck
        parts = [body, self.head.eyes(body)]
        for patch in (self.brow, self.lash, self.teeth, self.tongue):
            parts.append(patch.place(body))
        grow = style.hair_scale if style else 1.0
        parts += self.outfitter.vertices(person, topology.outfit, body, parts[1], grow)
        if topology.sheet is not None:
            sheet = topology.sheet
            parts.append(np.einsum("nkc,nk->nc", body[sheet.index], sheet.weight) + sheet.offset * grow)
        elif topology.cards is not None:
            parts.append(topology.cards.place(body))
        points = np.concatenate(parts).astype(np.float32)
        if style:
            points = reshape(points, points[self.chin, 1], points[self.top, 1], self.head.centre[2], style)
            start, half = self.head.count, len(self.head.eye_index) // 2
            for first in (start, start + half):
                magnify_eye(points, points[first : first + half], style)
        return points

    def pose(self, person: Person, pose: Pose, topology: Topology, style: Style | None) -> Posed:
        """The mesh in the scene: head height 2.2, turned about the neck, shoulders following half-way."""
        points = self.vertices(person, pose, topology, style)
        eyes = points[self.head.count : self.head.count + len(self.head.eye_index)].mean(0)
        top, chin = points[self.top, 1], points[self.chin, 1]
        height = top - chin
        depth = eyes[2] - 0.55 * height
        centre = np.array([0, (top + chin) / 2, depth], np.float32)
        pivot = (np.array([0, chin + 0.08 * height, depth], np.float32) - centre) / height * HEAD_HEIGHT
        # Long rows instead of many short ones: several times faster.
        scaled = (np.ascontiguousarray(points.T) - centre[:, None]) / height * HEAD_HEIGHT
        blend = smoothstep(pivot[1] - 0.55, pivot[1] + 0.35, scaled[1])
        rotation = rotate(pose.yaw, pose.pitch, pose.roll)
        torso = rotate(pose.yaw * 0.45 + pose.body_yaw * 0.4, 0, 0)
        scale = style.head_scale if style else 1.0
        scaled -= pivot[:, None]
        moved = (rotation * scale) @ scaled * blend + torso @ scaled * (1 - blend) + pivot[:, None]
        posed = np.ascontiguousarray(moved.T, np.float32)
        normals = vertex_normals(posed, topology.faces)
        if topology.sheet is not None or topology.cards is not None:
            hair = slice(topology.hair_start, None)
            normals[hair] = comb(posed[hair], normals[hair], 0.55 if style else 0.35)
        occlusion, scalp = self._covering(person, points, topology)
        if style is None:  # a drawn face has few folds
            count = self.head.count
            occlusion[:count] *= cavity(posed, normals, self.head.faces["body"], count)
        pivot = pivot.astype(np.float32)
        return Posed(posed, normals, occlusion, scalp, rotation, pivot, pivot, scale)

    def _covering(self, person: Person, points: Array, topology: Topology) -> tuple[Array, Array]:
        """Ambient occlusion and scalp hair of every vertex."""
        head = self.head
        occlusion = np.ones(len(points), np.float32)
        occlusion[: head.count] = head.occlusion
        start, half = head.count, len(head.eye_index) // 2
        for first in (start, start + half):
            eye = points[first : first + half]
            centre = eye.mean(0)
            radius = np.abs(eye[:, 0] - centre[0]).max() + 1e-6
            up = smoothstep(-0.05, 0.75, (eye[:, 1] - centre[1]) / radius)
            out = np.clip((np.abs(eye[:, 0] - centre[0]) / radius - 0.45) / 0.55, 0, 1)
            occlusion[first : first + half] = 0.98 * (1 - 0.45 * up) * (1 - 0.35 * out)
        first = start + 2 * half + len(self.brow.index) + len(self.lash.index)
        teeth = slice(first, first + len(self.teeth.uv))
        occlusion[teeth] = self.teeth.shade
        occlusion[teeth.stop : teeth.stop + len(self.tongue.index)] = 0.4
        occlusion[topology.outfit_start : topology.hair_start] = topology.outfit.occlusion
        scalp = np.zeros(len(points), np.float32)
        if topology.sheet is not None:
            occlusion[topology.hair_start :] = topology.sheet.occlusion
            scalp[: head.count] = self.hairline * 0.9
        elif topology.cards is not None:
            occlusion[topology.hair_start :] = topology.cards.occlusion
            scalp[: head.count] = self.hairline * 0.9
        elif person.hair.name != BALD:
            scalp[: head.count] = self.hairline * person.buzz
        return occlusion, scalp


def rotate(yaw: float, pitch: float, roll: float) -> Array:
    """Rotation [3, 3] of a head: yaw to its left, pitch down, then roll."""
    cy, sy, cp, sp, cr, sr = (f(a) for a in (yaw, pitch, roll) for f in (math.cos, math.sin))
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return np.asarray(about_z @ about_y @ about_x, np.float32)
