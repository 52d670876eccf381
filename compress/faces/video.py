"""A rendered person who turns and speaks before one camera: frames with the true flow from each to the one before.

Video (seed, index) shows the person, clothes and light of sample (seed, index); how they move follows from the same two
numbers, and frame t looks the same in videos of any length. Not covered: sound, hair that swings, cartoons.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from compress.faces.camera import Camera
from compress.faces.film import Film
from compress.faces.pair import PairRenderer, turn_scene
from compress.faces.pose import Pose
from compress.faces.raster import interpolate
from compress.faces.truth import Sample, Subject, face_points
from compress.faces.view import SUPERSAMPLING, View

Array = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

FRAMES_PER_SECOND = 25
TURN = {"yaw": (0.20, 1.6), "pitch": (0.06, 1.1), "roll": (0.04, 2.3)}
"""Amplitude in radians and period in seconds of the head's movement about each axis."""
SWINGING = (*TURN, "across", "down", "speech")
OCTAVE = 0.3
"""Share of a swing's octave: without, every swing would have the same shape."""
SYLLABLE, ROUNDING = 0.24, 0.65
"""Seconds of opening and closing the mouth, and of rounding the lips."""
BLINK_EVERY, BLINK_LENGTH = 1.4, 0.2
"""Seconds between blinks and of one; people blink every three, but short videos should show one, too."""
DRIFT, DRIFT_PERIOD = 0.006, 2.1
"""Of a camera held in the hand: amplitude in sides of the picture, and seconds."""
MOST_GRAIN = 0.012
"""Of a frame: video is denoised before it is compressed, and stronger grain would hide what else flickers."""
SAME_DEPTH = 0.03
"""A point was seen in the frame before if what was seen there is of its material and this near, in scene units."""

OUTLINE = 1 / 32
"""Share of the side around the person where the backdrop is not compared: a cartoon's outline lies elsewhere."""


@dataclass(frozen=True)
class Motion:
    """When things swing: `phase` in radians of all in SWINGING; and seconds to the first blink."""

    phase: dict[str, float]
    blink: float


def sample_motion(random: np.random.Generator) -> Motion:
    """Draw the phases: no two people move alike."""
    phases = random.uniform(0, 2 * math.pi, len(SWINGING)).tolist()
    return Motion(dict(zip(SWINGING, phases)), float(random.uniform(0, BLINK_LENGTH)))


def swing(amplitude: float, period: float, phase: float, seconds: float) -> float:
    """A sine and a little of its octave, within +-amplitude."""
    angle = 2 * math.pi * seconds / period + phase
    return amplitude * (math.sin(angle) + OCTAVE * math.sin(2 * angle + phase)) / (1 + OCTAVE)


def move(pose: Pose, motion: Motion, seconds: float) -> Pose:
    """The pose at a time: turned about all three axes, mouth and lids in motion, the expression kept."""
    yaw, pitch, roll = (swing(*TURN[axis], motion.phase[axis], seconds) for axis in ("yaw", "pitch", "roll"))
    opened, rounded = (
        0.5 - 0.5 * math.cos(2 * math.pi * seconds / period + motion.phase["speech"]) for period in (SYLLABLE, ROUNDING)
    )
    since = (seconds - motion.blink) % BLINK_EVERY
    lids = math.sin(math.pi * since / BLINK_LENGTH) ** 2 if since < BLINK_LENGTH else 0.0
    units = dict(pose.units)
    units["jawOpen"] = 0.5 * units.get("jawOpen", 0.0) + 0.22 * opened
    units["mouthFunnel"] = units.get("mouthFunnel", 0.0) + 0.3 * rounded
    for side in ("Left", "Right"):
        units[f"eyeBlink{side}"] = max(units.get(f"eyeBlink{side}", 0.0), 0.95 * lids)
    return replace(pose, units=units, yaw=pose.yaw + yaw, pitch=pose.pitch + pitch, roll=pose.roll + roll)


def drift(camera: Camera, motion: Motion, seconds: float) -> Camera:
    """The camera at a time, held by hand."""
    across, down = (swing(DRIFT, DRIFT_PERIOD, motion.phase[axis], seconds) for axis in ("across", "down"))
    x, y = camera.centre_x + across / camera.zoom, camera.centre_y + down / camera.zoom
    return replace(camera, centre_x=x, centre_y=y)


def render_video(renderer: PairRenderer, seed: int, index: int, frames: int) -> Iterator[Sample]:
    """Yield the frames of video (seed, index) at the renderer's size S.

    photo: uint8 [S, S, 3]. points: float32 [5, 2] in pixels. flow: float16 [2, S, S], from a pixel of this frame to its
    place in the frame before as a displacement (x, y) in pixels. visible: uint8 [S, S], 1 where both frames show the
    same points, away from the person's outline. In frame 0 both are 0.
    """
    subject = renderer.subject(seed, index)
    motion = sample_motion(np.random.default_rng([seed, index, 0]))
    film = subject.scene.film
    still = replace(subject.scene, film=replace(film, noise=0.0))
    before: tuple[Subject, View] | None = None
    for frame in range(frames):
        seconds = frame / FRAMES_PER_SECOND
        pose = move(subject.pose, motion, seconds)
        posed = turn_scene(renderer.modeller.pose(subject.person, pose, subject.topology, None), subject.turn)
        scene = replace(still, camera=drift(still.camera, motion, seconds))
        now = replace(subject, pose=pose, posed=posed, scene=scene)
        view = renderer.photograph(now)
        flow, visible = trace(view, *before) if before else nowhere(renderer.size)
        points = scene.camera.project(face_points(posed.positions, renderer.head.landmarks), renderer.size)
        random = np.random.default_rng([seed, index, 1 + frame])
        yield {
            "photo": add_grain(view.image, film, random),
            "points": points[:, :2],
            "flow": flow.astype(np.float16),
            "visible": visible.astype(np.uint8),
        }
        before = now, view


def add_grain(image: npt.NDArray[np.uint8], film: Film, random: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Grain [S, S, 3] of its own for each frame, as strong as the film's up to MOST_GRAIN; grey on grey film."""
    channels = 3 if film.saturation else 1
    grain = random.standard_normal((*image.shape[:2], channels), np.float32)
    noisy = image + grain * (255 * min(film.noise, MOST_GRAIN))
    return np.asarray(np.rint(noisy).clip(0, 255), np.uint8)


def nowhere(size: int) -> tuple[Array, Bools]:
    """Flow and visibility of a frame that has none before it."""
    return np.zeros((2, size, size), np.float32), np.zeros((size, size), np.bool_)


def trace(view: View, before: Subject, view_before: View) -> tuple[Array, Bools]:
    """Displacement [2, S, S] of each pixel of `view` to where its point was before, and whether it was seen there.

    Every sample of a pixel is traced: their mean is the pixel's own displacement, and one that holds an edge in one of
    the two frames is not visible.
    """
    topology, camera = before.topology, before.scene.camera
    wide = view.triangle.shape[0]
    there = camera.project(
        interpolate(view.triangle, view.bary0, view.bary1, topology.faces, before.posed.positions, 1), wide
    )
    rows, columns = np.mgrid[0:wide, 0:wide]
    solid = view.triangle >= 0
    moved = np.where(solid, there[..., :2].transpose(2, 0, 1) - np.stack([columns, rows]) - 0.5, 0)
    x, y = (np.clip((side + step).astype(int), 0, wide - 1) for side, step in zip((columns + 0.5, rows + 0.5), moved))
    inside = ((there[..., :2] >= 0) & (there[..., :2] < wide)).all(-1)
    material = np.append(topology.material, -1)  # the last stands for the background, triangle -1
    same = material[view.triangle] == material[view_before.triangle[y, x]]
    near = np.abs(there[..., 2] - view_before.depth[y, x]) < SAME_DEPTH
    seen = same & (~solid | (inside & near))
    blocks = (wide // SUPERSAMPLING, SUPERSAMPLING) * 2
    person, backdrop, whole = (np.asarray(a.reshape(blocks).all((1, 3))) for a in (solid, same & ~solid, seen))
    flow = moved.reshape(2, *blocks).mean((2, 4)) / SUPERSAMPLING
    # The filter that reads the frame before reaches a pixel further, and must not reach over the outline.
    clear = shrink(person, 1) | shrink(backdrop, round(len(person) * OUTLINE))
    return flow.astype(np.float32), whole & clear


def shrink(mask: Bools, pixels: int) -> Bools:
    """A mask [S, S] without what lies within so many pixels of its border (the picture's border is none)."""
    return np.asarray(cv2.erode(mask.astype(np.uint8), np.ones((2 * pixels + 1,) * 2, np.uint8)) > 0)
