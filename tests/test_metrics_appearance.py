"""Colour, style, texture and landmarks: against published values, hand-made pictures and brute force."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.stats import wasserstein_distance

import compress
from compress.judging.defects.pictures import narrowed_eyes
from compress.judging.defects.scene import First, Scene
from compress.judging.metrics import colour, eyes, landmarks, style, texture

# Lab, Lab and CIEDE2000. Source: Sharma, Wu and Dalal 2005, table 1, all 34 pairs.
PUBLISHED = """
50 2.6772 -79.7751 50 0 -82.7485 2.0425
50 3.1571 -77.2803 50 0 -82.7485 2.8615
50 2.8361 -74.0200 50 0 -82.7485 3.4412
50 -1.3802 -84.2814 50 0 -82.7485 1.0000
50 -1.1848 -84.8006 50 0 -82.7485 1.0000
50 -0.9009 -85.5211 50 0 -82.7485 1.0000
50 0 0 50 -1 2 2.3669
50 -1 2 50 0 0 2.3669
50 2.4900 -0.0010 50 -2.4900 0.0009 7.1792
50 2.4900 -0.0010 50 -2.4900 0.0010 7.1792
50 2.4900 -0.0010 50 -2.4900 0.0011 7.2195
50 2.4900 -0.0010 50 -2.4900 0.0012 7.2195
50 -0.0010 2.4900 50 0.0009 -2.4900 4.8045
50 -0.0010 2.4900 50 0.0010 -2.4900 4.8045
50 -0.0010 2.4900 50 0.0011 -2.4900 4.7461
50 2.5 0 50 0 -2.5 4.3065
50 2.5 0 73 25 -18 27.1492
50 2.5 0 61 -5 29 22.8977
50 2.5 0 56 -27 -3 31.9030
50 2.5 0 58 24 15 19.4535
50 2.5 0 50 3.1736 0.5854 1.0000
50 2.5 0 50 3.2972 0 1.0000
50 2.5 0 50 1.8634 0.5757 1.0000
50 2.5 0 50 3.2592 0.3350 1.0000
60.2574 -34.0099 36.2677 60.4626 -34.1751 39.4387 1.2644
63.0109 -31.0961 -5.8663 62.8187 -29.7946 -4.0864 1.2630
61.2901 3.7196 -5.3901 61.4292 2.2480 -4.9620 1.8731
35.0831 -44.1164 3.7933 35.0232 -40.0716 1.5901 1.8645
22.7233 20.0904 -46.6940 23.0331 14.9730 -42.5619 2.0373
36.4612 47.8580 18.3852 36.2715 50.5065 21.2231 1.4146
90.8027 -2.0831 1.4410 91.1528 -1.6435 0.0447 1.4441
90.9257 -0.5406 -0.9208 88.6381 -0.8985 -0.7239 1.5381
6.7747 -0.2908 -2.4247 5.8714 -0.0985 -2.2286 0.6377
2.0776 0.0795 -1.1350 0.9033 -0.0636 -0.5514 0.9082
"""


@pytest.fixture
def pictures() -> np.ndarray:
    noise = np.random.default_rng(0).normal(size=(24, 48, 48, 3))
    return np.clip(128 + 300 * gaussian_filter(noise, (0, 2, 2, 0)), 0, 255).astype(np.uint8)


def test_ciede2000_gives_the_published_values_both_ways() -> None:
    table = np.array([row.split() for row in PUBLISHED.strip().splitlines()], np.float64)
    assert len(table) == 34
    for first, second in ((slice(0, 3), slice(3, 6)), (slice(3, 6), slice(0, 3))):
        assert colour.ciede2000(table[:, first], table[:, second]) == pytest.approx(table[:, 6], abs=6e-5)


def test_lab_of_white_black_and_primary_red() -> None:
    light = np.array([[1.0, 1, 1], [0, 0, 0], [1, 0, 0]])
    # sRGB's red: CIE Lab 53.24, 80.09, 67.20.
    assert colour.lab(light) == pytest.approx(np.array([[100, 0, 0], [0, 0, 0], [53.24, 80.09, 67.20]]), abs=0.005)


def test_colour_shift_of_grey_levels_is_their_difference_in_lightness() -> None:
    dark, light = (np.full((1, 16, 16, 3), level, np.uint8) for level in (119, 124))
    l1, l2 = (116 * np.cbrt(((v / 255 + 0.055) / 1.055) ** 2.4) - 16 for v in (119, 124))
    weight = 1 + 0.015 * ((l1 + l2) / 2 - 50) ** 2 / np.sqrt(20 + ((l1 + l2) / 2 - 50) ** 2)
    assert colour.shift(colour.fields(dark), colour.fields(light)) == pytest.approx([(l2 - l1) / weight], abs=1e-3)


def test_colour_shift_sees_a_cast_and_hardly_a_blur(pictures: np.ndarray) -> None:
    pictures = pictures.repeat(4, axis=1).repeat(4, axis=2)  # so that a blur moves little over the edges of fields
    fields = colour.fields(pictures)
    blurred = gaussian_filter(pictures, (0, 1, 1, 0))
    cast = np.clip(pictures * np.array([1.06, 1, 0.94]), 0, 255).astype(np.uint8)
    blur, tint = (colour.shift(colour.fields(x), fields).mean() for x in (blurred, cast))
    assert tint > 2 > 4 * blur


def test_colour_fields_of_sides_that_are_no_multiple_of_8_are_the_means() -> None:
    image = np.full((1, 19, 30, 3), 200, np.uint8)
    assert np.ptp(colour.fields(image), axis=(1, 2)) == pytest.approx(np.zeros((1, 3)), abs=1e-4)
    with pytest.raises(ValueError, match="7 x 30 px needs at least 8"):
        colour.fields(image[:, :7])


def test_style_followed_is_the_share_that_was_blended() -> None:
    photo = np.full((2, 4, 4, 3), 50, np.uint8)
    teacher = np.random.default_rng(1).choice(np.array([10, 90, 150], np.uint8), (2, 4, 4, 3))
    student = (0.25 * teacher.astype(float) + 0.75 * photo).astype(np.uint8)
    share = style.followed(photo, teacher, student) / style.change(photo, teacher)
    assert share == pytest.approx([0.25, 0.25])
    assert not style.followed(photo, teacher, photo).any()


def test_gram_is_the_matrix_over_pixels_and_its_distance_that_of_frobenius() -> None:
    first, second = np.random.default_rng(2).normal(size=(2, 3, 4, 5, 6))
    a, b = (np.einsum("nchw,ndhw->ncd", x, x) / 30 for x in (first, second))
    expected = np.linalg.norm(a - b, axis=(1, 2)) / np.linalg.norm(b, axis=(1, 2))
    found = style.gram_distance([style.gram(first)] * 2, [style.gram(second)] * 2)
    assert found == pytest.approx(expected)


def test_gram_distance_does_not_ask_where_the_features_lie() -> None:
    maps = np.random.default_rng(3).normal(size=(1, 4, 6, 6))
    assert style.gram_distance([style.gram(maps[:, :, ::-1])], [style.gram(maps)]) == pytest.approx([0], abs=1e-12)


def test_pyramid_adds_up_to_the_picture() -> None:
    image = np.random.default_rng(4).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    levels = texture.pyramid(image)
    whole = levels[-1]
    for level in levels[-2::-1]:
        whole = level + cv2.pyrUp(whole)
    assert [level.shape[:2] for level in levels] == [(32, 48), (16, 24), (8, 12)]
    assert whole + 127.5 == pytest.approx(image.astype(float), abs=1e-3)


def test_sliced_wasserstein_is_close_to_that_of_sorted_projections(pictures: np.ndarray) -> None:
    blurred = gaussian_filter(pictures, (0, 1, 1, 0))
    expected = []
    for index, side in enumerate((48, 24, 12)):
        places, directions = texture._plan(index, side, side)
        one, other = (
            np.concatenate([texture.pyramid(image)[index].reshape(-1)[places] for image in images]) @ directions
            for images in (blurred, pictures)
        )
        expected += [wasserstein_distance(a, b) / b.std() for a, b in zip(one.T, other.T)]
    found = texture.sliced_wasserstein(texture.slices(blurred), texture.slices(pictures), 0)
    assert found.value == pytest.approx(np.mean(expected), rel=0.05)


def test_sliced_wasserstein_grows_with_blur_and_is_zero_for_the_same_set(pictures: np.ndarray) -> None:
    of_teacher = texture.slices(pictures)
    weak, strong = (
        texture.sliced_wasserstein(texture.slices(gaussian_filter(pictures, (0, sigma, sigma, 0))), of_teacher, 0)
        for sigma in (0.6, 1.2)
    )
    assert 0 < weak.upper < strong.lower
    assert texture.sliced_wasserstein(of_teacher, of_teacher, 0).upper == 0


def test_slices_of_a_small_picture_are_refused() -> None:
    with pytest.raises(ValueError, match="16 x 40 px need at least 32"):
        texture.slices(np.zeros((1, 16, 40, 3), np.uint8))


def test_landmark_error_is_relative_to_the_teachers_eyes() -> None:
    teacher = np.array([[[10.0, 10], [30, 10], [20, 20], [12, 30], [28, 30]]])
    assert landmarks.error(teacher + np.array([3, 4]), teacher) == pytest.approx([5 / 20])


def test_landmark_error_counts_lost_faces_and_leaves_out_teachers_without() -> None:
    teacher = np.array([[10.0, 10], [30, 10], [20, 20], [12, 30], [28, 30]])
    lost = np.full((5, 2), np.nan)
    found = landmarks.error(np.stack([lost, teacher + 100, teacher]), np.stack([teacher, teacher, lost]))
    assert found[:2].tolist() == [1, 1]
    assert np.isnan(found[2])


def test_finder_finds_the_same_points_whatever_the_size_and_none_in_noise() -> None:
    sheet = cv2.imread(str(Path(compress.__file__).parent.parent / "docs" / "faces.jpg"))[:, :, ::-1]
    face, expected = sheet[None, :128, :128], np.full((1, 5, 2), 64.0)
    finder = landmarks.Finder()
    found = finder.find(face, expected, landmarks.TEACHER_SCORE)
    large = np.stack([cv2.resize(face[0], (256, 256), interpolation=cv2.INTER_CUBIC)])
    assert landmarks.error(finder.find(large, 2 * expected, landmarks.TEACHER_SCORE) / 2, found)[0] < 0.05
    assert 30 < np.linalg.norm(found[0, 1] - found[0, 0]) < 45  # the eyes of an aligned face
    noise = np.random.default_rng(5).integers(0, 256, (1, 128, 128, 3), dtype=np.uint8)
    assert np.isnan(finder.find(noise, expected, landmarks.STUDENT_SCORE)).all()


def test_finder_looks_the_same_from_another_thread() -> None:
    sheet = cv2.imread(str(Path(compress.__file__).parent.parent / "docs" / "faces.jpg"))[:, :, ::-1]
    faces, expected = sheet[None, :128, 128:256], np.full((1, 5, 2), 64.0)
    finder = landmarks.Finder()
    here = finder.find(faces, expected, 0.7)
    with ThreadPoolExecutor(1) as workers:
        assert workers.submit(finder.find, faces, expected, 0.7).result() == pytest.approx(here)


def test_eyes_that_were_narrowed_are_found_less_open_by_as_much() -> None:
    sheet = cv2.imread(str(Path(compress.__file__).parent.parent / "docs" / "faces.jpg"))[:, :, ::-1]
    teacher = np.ascontiguousarray(sheet[128:256].reshape(128, -1, 128, 3).transpose(1, 0, 2, 3))
    points = landmarks.Finder().find(teacher, np.full((len(teacher), 5, 2), 64.0), landmarks.TEACHER_SCORE)
    nothing = np.zeros(len(teacher), np.int64)
    scene = Scene(teacher, points.astype(np.float32), nothing, "still", nothing, {}, First(teacher, points))
    finder = eyes.EyeFinder()
    before = finder.opening(teacher)
    for share in (0.1, 0.2, 0.3):
        found = eyes.opened(finder.opening(narrowed_eyes(teacher, scene, share)), before)
        assert found.mean() == pytest.approx(1 - share, abs=0.04)


def test_eyes_that_the_teacher_closes_give_a_finite_ratio() -> None:
    assert eyes.opened(np.array([0.02, 0.15]), np.array([0.0, 0.1])) == pytest.approx([0.02 / eyes.SMALLEST, 1.5])
