"""Pairs of a photo-like head and its cartoon twin with ground truth: the public renderer.

Sample (seed, index) depends on these two numbers, the size and the assets alone; any order, any number of processes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from compress.faces import style
from compress.faces.camera import aim
from compress.faces.folder import CardHair, check_folder, load_folder
from compress.faces.head import load_head
from compress.faces.mesh import HEAD_HEIGHT, Modeller, Posed, Topology
from compress.faces.population import Person, Population
from compress.faces.raster import interpolate
from compress.faces.scene import (
    Pose,
    sample_clothes,
    sample_film,
    sample_framing,
    sample_lighting,
    sample_pose,
)
from compress.faces.textures import build_atlas
from compress.faces.view import SUPERSAMPLING, Scene, View, render_view

Array = npt.NDArray[np.float32]
Sample = dict[str, npt.NDArray[Any]]

LIDS_LEFT, LIDS_RIGHT, NOSE, MOUTH = slice(0, 4), slice(4, 8), 8, (10, 9)
SEEN_SLACK = 0.06
"""A surface point counts as visible in the photo if at most this far behind the nearest one, in scene units."""


@dataclass(frozen=True)
class Subject:
    """A sampled person, posed before the camera, and the scene around."""

    person: Person
    pose: Pose
    topology: Topology
    posed: Posed
    scene: Scene
    turn: Array


def face_points(positions: Array, landmarks: npt.NDArray[np.int32]) -> Array:
    """Five points [5, 3] in image order: eyes from the left of the picture, nose tip, mouth corners."""
    at = positions[landmarks]
    return np.stack([at[LIDS_RIGHT].mean(0), at[LIDS_LEFT].mean(0), at[NOSE], at[MOUTH[0]], at[MOUTH[1]]])


def facts(person: Person) -> Array:
    """The renderer's numbers of a person [8]: see `PairRenderer.pair`."""
    return np.array([person.male, person.old, person.child, *person.ancestry, person.melanin, person.beard], np.float32)


def turn_scene(posed: Posed, turn: Array) -> Posed:
    """Rotate a posed mesh about the optical axis."""
    return replace(
        posed,
        positions=np.ascontiguousarray(posed.positions @ turn.T),
        normals=np.ascontiguousarray(posed.normals @ turn.T),
        rotation=turn @ posed.rotation,
        pivot=turn @ posed.pivot,
    )


class PairRenderer:
    """Renders pictures of size x size; `assets` adds skins and hair of a folder to the embedded ones."""

    def __init__(self, size: int = 128, assets: Path | None = None) -> None:
        if assets is not None:
            check_folder(Path(assets))
        self.size = size
        self.head = load_head()
        self.population = Population(self.head)
        self.modeller = Modeller(self.head, self.population)
        self.style_map = style.StyleMap(self.population)
        self.atlas = build_atlas(self.head)
        self.cards: dict[str, CardHair] = {}
        self.embedded_skins = self.atlas.names("skin/")
        self.folder_skins: list[str] = []
        self.eyes = self.atlas.names("eye/")
        self.folder_eyes: list[str] = []
        if assets is not None:
            added = load_folder(Path(assets), self.head, self.atlas)
            self.cards = added.cards
            self.folder_skins, self.folder_eyes = list(added.skins), list(added.eyes)
        self.skin_means = {name: self._skin_mean(name) for name in (*self.embedded_skins, *self.folder_skins)}

    def _skin_mean(self, name: str) -> Array:
        """Mean linear colour of a skin over the face."""
        offset, width, height = self.atlas.places[name]
        image = self.atlas.flat[offset : offset + width * height * 4].reshape(height, width, 4)
        face = image[int(height * 0.3) : int(height * 0.7), int(width * 0.25) : int(width * 0.52), :3]
        return np.asarray(((face / 255.0) ** 2.2).mean((0, 1)), np.float32)

    def subject(self, seed: int, index: int) -> Subject:
        """The person, pose and scene of sample (seed, index)."""
        random = np.random.default_rng([seed, index])
        folder = bool(random.random() < 0.6) and bool(self.folder_skins)
        skins = self.folder_skins if folder else self.embedded_skins
        person = self.population.sample(
            random,
            {name: self.skin_means[name] for name in skins},
            self.folder_eyes if folder else self.eyes,
            self.atlas.names("brow/"),
            self.atlas.names("lash/"),
            list(self.cards) if folder else [],
        )
        pose, lighting = sample_pose(random), sample_lighting(random)
        clothes = sample_clothes(random, person.male, person.child)
        film, framing = sample_film(random), sample_framing(random)
        topology = self.modeller.topology(person, clothes, self.cards.get(person.hair_cards))
        posed = self.modeller.pose(person, pose, topology, False)
        camera, turn = aim(face_points(posed.positions, self.head.landmarks), framing)
        return Subject(person, pose, topology, turn_scene(posed, turn), Scene(camera, lighting, clothes, film), turn)

    def photograph(self, subject: Subject) -> View:
        """The photo-like view of a subject."""
        mean = self.skin_means[subject.person.skin]
        return render_view(
            self.atlas, subject.person, mean, subject.posed, subject.topology, subject.scene, self.size, False
        )

    def photo(self, seed: int, index: int) -> Sample:
        """The photo-like view alone, and what is known of its person and light.

        photo: uint8 [S, S, 3]. points: float32 [5, 2] in pixels. facts: as of `pair`. skin_tone: float32 [3], mean
        albedo of the skin in linear light. glasses: uint8, 1 where worn. yaw, pitch: float32 degrees of the head, 0
        towards the camera. key_light: float32 [2, 3], direction to it in the head's axes (as `position`) and colour.
        softness: float32, width of its shadows' edges.
        """
        subject = self.subject(seed, index)
        person, pose, lighting = subject.person, subject.pose, subject.scene.lighting
        points = face_points(subject.posed.positions, self.head.landmarks)
        return {
            "photo": self.photograph(subject).image,
            "points": subject.scene.camera.project(points, self.size)[:, :2],
            "facts": facts(person),
            "skin_tone": person.skin_tone,
            "glasses": np.array(person.glasses[0] > 0, np.uint8),
            "yaw": np.array(math.degrees(pose.yaw), np.float32),
            "pitch": np.array(math.degrees(pose.pitch), np.float32),
            "key_light": np.stack([subject.posed.rotation.T @ lighting.key, lighting.key_colour]).astype(np.float32),
            "softness": np.array(lighting.softness, np.float32),
        }

    def pair(self, seed: int, index: int) -> Sample:
        """Photo, cartoon and ground truth of sample (seed, index); S is the size.

        photo, cartoon: uint8 [S, S, 3] RGB. flow: float16 [S, S, 2], cartoon pixel to photo pixel as a displacement
        (x, y) in pixels; visible: uint8 [S, S], 1 where the photo shows that point. labels_photo, labels_cartoon:
        uint8 [S, S] (materials.LABELS). Of the photo: depth float16 [S, S] (towards the camera from the head's pivot,
        in half head heights), position float16 [S, S, 3] in the head's axes and half head heights, normal float16 [S,
        S, 3] in the picture's axes (x right, y up, z to the camera); all 0 on the background. landmarks_photo,
        landmarks_cartoon: float32 [24, 2] pixels; points: float32 [5, 2] of the photo. rotation: float32 [3, 3] of
        the head, and translation float32 [3]: a scene point is 1.1 * rotation @ position + translation on the head
        (the neck bends between head and shoulders). camera: float32 [5] (distance, focal, zoom, centre x, centre y;
        see camera.Camera); coefficients: float32 [K] target weights; light: float32 [9, 3] irradiance harmonics;
        key_light: float32 [2, 3] direction and colour. facts: float32 [8] (male, old, child, African, Asian, European
        share, melanin, beard).
        """
        subject = self.subject(seed, index)
        photo = self.photograph(subject)
        character = style.stylise_person(subject.person, self.style_map)
        character_pose = style.stylise_pose(subject.pose)
        drawn = turn_scene(self.modeller.pose(character, character_pose, subject.topology, True), subject.turn)
        mean = self.skin_means[character.skin]
        cartoon = render_view(self.atlas, character, mean, drawn, subject.topology, subject.scene, self.size, True)
        return self._truth(subject, photo, drawn, cartoon)

    def _truth(self, subject: Subject, photo: View, drawn: Posed, cartoon: View) -> Sample:
        """Collect pictures and ground truth."""
        size, camera, posed = self.size, subject.scene.camera, subject.posed
        flow, visible = self._flow(subject, photo, cartoon)
        faces = subject.topology.faces
        centred = np.concatenate([posed.positions, posed.normals], 1)
        buffers = interpolate(photo.triangle, photo.bary0, photo.bary1, faces, centred, SUPERSAMPLING)
        label = photo.label[SUPERSAMPLING // 2 :: SUPERSAMPLING, SUPERSAMPLING // 2 :: SUPERSAMPLING]
        solid = (label > 0)[..., None]
        where, normal = buffers[..., :3], buffers[..., 3:]
        normal = normal / (np.linalg.norm(normal, axis=2, keepdims=True) + 1e-6)
        depth = (where[..., 2] - posed.pivot[2]) / (HEAD_HEIGHT / 2)
        points = face_points(posed.positions, self.head.landmarks)
        return {
            "photo": photo.image,
            "cartoon": cartoon.image,
            "flow": flow.astype(np.float16),
            "visible": visible.astype(np.uint8),
            "labels_photo": label.copy(),
            "labels_cartoon": cartoon.label[
                SUPERSAMPLING // 2 :: SUPERSAMPLING, SUPERSAMPLING // 2 :: SUPERSAMPLING
            ].copy(),
            "depth": (depth * solid[..., 0]).astype(np.float16),
            "position": (posed.to_head_frame(where) * solid).astype(np.float16),
            "normal": (normal * solid).astype(np.float16),
            "landmarks_photo": camera.project(posed.positions[self.head.landmarks], size)[:, :2],
            "landmarks_cartoon": camera.project(drawn.positions[self.head.landmarks], size)[:, :2],
            "points": camera.project(points, size)[:, :2],
            "rotation": posed.rotation.astype(np.float32),
            "translation": posed.translation,
            "camera": np.array(
                [camera.distance, camera.focal, camera.zoom, camera.centre_x, camera.centre_y], np.float32
            ),
            "coefficients": self.population.target_weights(subject.person, subject.pose.units),
            "light": subject.scene.lighting.harmonics,
            "key_light": np.stack([subject.scene.lighting.key, subject.scene.lighting.key_colour]),
            "facts": facts(subject.person),
        }

    def _flow(self, subject: Subject, photo: View, cartoon: View) -> tuple[Array, npt.NDArray[np.bool_]]:
        """Displacement from each cartoon pixel to the same point in the photo, and whether the photo shows it."""
        size, step = self.size, SUPERSAMPLING
        source = interpolate(
            cartoon.triangle, cartoon.bary0, cartoon.bary1, subject.topology.faces, subject.posed.positions, step
        )
        solid = cartoon.triangle[step // 2 :: step, step // 2 :: step] >= 0
        there = subject.scene.camera.project(source, size)
        rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
        flow = np.stack([there[..., 0] - columns - 0.5, there[..., 1] - rows - 0.5], 2)
        flow[~solid] = 0
        x = (there[..., 0] * step).astype(int)
        y = (there[..., 1] * step).astype(int)
        inside = (x >= 0) & (y >= 0) & (x < size * step) & (y < size * step)
        nearest = photo.depth[np.clip(y, 0, size * step - 1), np.clip(x, 0, size * step - 1)]
        visible = solid & inside & (there[..., 2] < nearest + SEEN_SLACK)
        backdrop = ~solid & (photo.triangle[step // 2 :: step, step // 2 :: step] < 0)
        return flow.astype(np.float32), visible | backdrop
