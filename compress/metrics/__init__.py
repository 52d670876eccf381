"""Measures of a student against its teacher: pure functions over arrays, one module a question.

    estimate      a number with its interval and sample size (plain data, imports nothing)
    intervals     bootstrap over images
    fidelity      one image pair: PSNR, SSIM, Haar detail, perceptual distance
    distribution  two sets of images: KID and its noise floor
    identity      is it still the same person
    latency       time of several callables, measured in turns

Which of them gate a release is `compress.gates`; reading files and running models is `compress.stages.verify`. Not
covered: steadiness over time, landmarks, groups of people. There is no FID: it is biased below thousands of images.
"""

from __future__ import annotations
