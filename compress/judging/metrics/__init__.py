"""Measures of a student against its teacher: pure functions over arrays, one module a question.

    estimate      a number with its interval and sample size (plain data, imports nothing)
    intervals     bootstrap over images, by person
    fidelity      one image pair: PSNR, SSIM at one and several scales, Haar detail, perceptual distance
    colour        one image pair: local colour
    landmarks     one image pair: where the face stands
    eyes          one image pair: how far the eyes are open
    style         photo, teacher and student: how much of the style is applied
    texture       two sets of images: sliced Wasserstein distance
    distribution  two sets of images: KID and its noise floor, diversity
    identity      is it still the same person
    steadiness    two pictures that should agree: changed photos, frames of a video
    consistency   frames of a head that turns, against the true flow
    latency       time of several callables, measured in turns

Which of them gate a release is `judging.gates`; reading files and running models is `compress.stages.verify`. Not
covered: groups of people (`judging.groups`). There is no FID: it is biased below thousands of images.
"""

from __future__ import annotations
