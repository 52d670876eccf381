"""A rendered head that turns before a still camera: photo and cartoon frames, each with its true flow.

Nothing else moves: expression, light and shoulders stay, so that what changes is the turn alone. Turn (seed, index)
shows the person, clothes and light of sample (seed, index). Not covered: speech, blinks, a camera in a hand (`video`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from compress.faces.pair import PairRenderer, Sample, turn_scene
from compress.faces.truth import Subject, face_points
from compress.faces.video import nowhere, trace
from compress.faces.view import View

WIDEST = 0.45
"""Radians between the first and the last frame, with the sampled pose in the middle."""


def render_turn(renderer: PairRenderer, seed: int, index: int, frames: int) -> Iterator[Sample]:
    """Yield the frames of a turn at the renderer's size S, with the renderer's K styles.

    photo: uint8 [S, S, 3]; cartoon: uint8 [K, S, S, 3]; points: float32 [5, 2] in pixels of the photo. flow: float16
    [1 + K, 2, S, S], of the photo and of each cartoon: from a pixel of this frame to its place in the frame before,
    (x, y) in pixels. visible: uint8 [1 + K, S, S], 1 where both frames show the same point. In frame 0 both are 0.
    """
    subject = renderer.subject(seed, index)
    film = replace(subject.scene.film, noise=0.0)
    scene = replace(subject.scene, film=film)
    before: list[tuple[Subject, View]] = []
    for offset in np.linspace(-WIDEST / 2, WIDEST / 2, frames):
        pose = replace(subject.pose, yaw=subject.pose.yaw + float(offset))
        posed = turn_scene(renderer.modeller.pose(subject.person, pose, subject.topology, None), subject.turn)
        now = replace(subject, pose=pose, posed=posed, scene=scene)
        seen = [(now, renderer.photograph(now))]
        for style_map in renderer.style_maps:
            drawn, view = renderer.draw(now, style_map)
            seen.append((replace(now, posed=drawn), view))
        traced = [trace(view, *then) for (_, view), then in zip(seen, before)] or [nowhere(renderer.size)] * len(seen)
        points = scene.camera.project(face_points(posed.positions, renderer.head.landmarks), renderer.size)
        yield {
            "photo": seen[0][1].image,
            "cartoon": np.stack([view.image for _, view in seen[1:]]),
            "points": np.asarray(points[:, :2], np.float32),
            "flow": np.stack([flow for flow, _ in traced]).astype(np.float16),
            "visible": np.stack([visible for _, visible in traced]).astype(np.uint8),
        }
        before = seen
