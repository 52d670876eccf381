"""A photo-like head and its cartoon twins, one a style, with ground truth: the public renderer.

Sample (seed, index) depends on these two numbers, the size and the assets alone; any order, any number of processes,
and each cartoon on its style alone, whatever others are rendered.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from compress.errors import InputError
from compress.faces.background import paint_background
from compress.faces.camera import aim
from compress.faces.character import StyleMap, stylise_person, stylise_pose
from compress.faces.film import sample_film
from compress.faces.folder import CardHair, check_folder, load_folder
from compress.faces.head import load_head
from compress.faces.lighting import sample_lighting
from compress.faces.mesh import Modeller, Posed
from compress.faces.population import Person, Population, change_clothes
from compress.faces.pose import sample_pose
from compress.faces.scene import sample_clothes, sample_framing
from compress.faces.styles import STYLES
from compress.faces.textures import build_atlas
from compress.faces.truth import Subject, cartoon_truth, face_points, facts, photo_truth
from compress.faces.view import Scene, View, render_view

Array = npt.NDArray[np.float32]
Sample = dict[str, npt.NDArray[Any]]


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
    """Renders pictures of size x size; `assets` adds skins and hair of a folder to the embedded ones.

    styles: names of STYLES, in the order of the cartoons. Raises InputError for a name that is none.
    """

    def __init__(self, size: int = 128, assets: Path | None = None, styles: Sequence[str] = tuple(STYLES)) -> None:
        unknown = sorted(set(styles) - set(STYLES))
        if unknown or not styles:
            raise InputError(f"styles: {unknown or 'none'} is not a style; choose from {', '.join(STYLES)}")
        if assets is not None:
            check_folder(Path(assets))
        self.size = size
        self.head = load_head()
        self.population = Population(self.head)
        self.modeller = Modeller(self.head, self.population)
        self.style_maps = [StyleMap(self.population, STYLES[name]) for name in styles]
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

    def person(self, random: np.random.Generator) -> Person:
        """Draw a person who wears the textures and hair at hand."""
        folder = bool(random.random() < 0.6) and bool(self.folder_skins)
        return self.population.sample(
            random,
            {name: self.skin_means[name] for name in (self.folder_skins if folder else self.embedded_skins)},
            self.folder_eyes if folder else self.eyes,
            self.atlas.names("brow/"),
            self.atlas.names("lash/"),
            list(self.cards) if folder else [],
        )

    def subject(self, seed: int, index: int, take: int = 0) -> Subject:
        """The person, pose and scene of sample (seed, index); other takes show the same person in other scenes."""
        random = np.random.default_rng([seed, index])
        person = self.person(random)
        if take:
            random = np.random.default_rng([seed, index, take])
            person = change_clothes(random, person)
        pose, lighting = sample_pose(random), sample_lighting(random)
        clothes = sample_clothes(random, person.male, person.child)
        film, framing = sample_film(random), sample_framing(random)
        topology = self.modeller.topology(person, clothes, self.cards.get(person.hair_cards))
        posed = self.modeller.pose(person, pose, topology, None)
        camera, turn = aim(face_points(posed.positions, self.head.landmarks), framing)
        scene = Scene(camera, lighting, clothes, film, paint_background(lighting))
        return Subject(person, pose, topology, turn_scene(posed, turn), scene, turn)

    def photograph(self, subject: Subject) -> View:
        """The photo-like view of a subject."""
        mean = self.skin_means[subject.person.skin]
        return render_view(self.atlas, subject.person, mean, subject.posed, subject.topology, subject.scene, self.size)

    def draw(self, subject: Subject, style_map: StyleMap) -> tuple[Posed, View]:
        """The cartoon of a subject in a style: its mesh in the scene and the view of it."""
        character = stylise_person(subject.person, style_map)
        pose, style = stylise_pose(subject.pose, style_map.style), style_map.style
        drawn = turn_scene(self.modeller.pose(character, pose, subject.topology, style), subject.turn)
        mean = self.skin_means[character.skin]
        return drawn, render_view(self.atlas, character, mean, drawn, subject.topology, subject.scene, self.size, style)

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
        """Photo, cartoons and ground truth of sample (seed, index); S is the size, K the number of styles.

        photo: uint8 [S, S, 3] RGB; cartoon: uint8 [K, S, S, 3]. flow: float16 [K, S, S, 2], cartoon pixel to photo
        pixel as a displacement (x, y) in pixels; visible: uint8 [K, S, S], 1 where the photo shows that point.
        labels_photo: uint8 [S, S], labels_cartoon: uint8 [K, S, S] (materials.LABELS). Of the photo: depth float16 [S,
        S] (towards the camera from the head's pivot, in half head heights), position float16 [S, S, 3] in the head's
        axes and half head heights, normal float16 [S, S, 3] in the picture's axes (x right, y up, z to the camera); all
        0 on the background. landmarks_photo: float32 [24, 2] pixels, landmarks_cartoon: float32 [K, 24, 2]; points:
        float32 [5, 2] of the photo. rotation: float32 [3, 3] of the head, and translation float32 [3]: a scene point is
        1.1 * rotation @ position + translation on the head (the neck bends between head and shoulders). camera: float32
        [5] (distance, focal, zoom, centre x, centre y; see camera.Camera); coefficients: float32 [K] target weights;
        light: float32 [9, 3] irradiance harmonics; key_light: float32 [2, 3] direction and colour. facts: float32 [8]
        (male, old, child, African, Asian, European share, melanin, beard).
        """
        subject = self.subject(seed, index)
        photo = self.photograph(subject)
        drawings = [self.draw(subject, style_map) for style_map in self.style_maps]
        weights = self.population.target_weights(subject.person, subject.pose.units)
        truth = photo_truth(subject, photo, self.head.landmarks, weights)
        return truth | cartoon_truth(subject, photo, drawings, self.head.landmarks)
