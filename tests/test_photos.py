"""Photographs: reading every usual format, refusing damaged files by name, detection, and the FFHQ framing."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from compress.errors import InputError
from compress.photographs import alignment, photos

JPEG_LEVELS = 12  # quality 95, chroma at half resolution, smooth picture
RESAMPLED_LEVELS = 3  # two interpolations of a smooth picture
POINTS = np.array([[80, 90], [140, 94], [112, 130], [86, 160], [134, 164]], np.float32)


def _smooth(height: int, width: int, seed: int = 0) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(30, 225, (6, 6, 3)).astype(np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "ppm", "webp", "gif", "jpg"])
def test_usual_formats_are_read_as_rgb(suffix: str, tmp_path: Path) -> None:
    picture, path = _smooth(48, 64), tmp_path / f"photo.{suffix}"
    Image.fromarray(picture).save(path, **{"webp": {"lossless": True}, "jpg": {"quality": 95}}.get(suffix, {}))
    tolerance = {"jpg": JPEG_LEVELS, "gif": 80}.get(suffix, 0)
    assert np.abs(photos.read(path).astype(int) - picture).max() <= tolerance


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_honoured(orientation: int, tmp_path: Path) -> None:
    picture = _smooth(48, 64)
    stored = {
        1: picture,
        2: picture[:, ::-1],
        3: picture[::-1, ::-1],
        4: picture[::-1],
        5: picture.transpose(1, 0, 2),
        6: np.rot90(picture, 1),  # shown after a quarter turn clockwise
        7: picture[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(picture, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(photos.read(tmp_path / "turned.png"), picture)


def test_damaged_exif_does_not_cost_the_picture(tmp_path: Path) -> None:
    Image.fromarray(_smooth(48, 64)).save(tmp_path / "odd.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert photos.read(tmp_path / "odd.jpg").shape == (48, 64, 3)


@pytest.mark.parametrize("mode", ["L", "1", "P"])
def test_grey_and_palette_become_rgb(mode: str, tmp_path: Path) -> None:
    picture = Image.fromarray(_smooth(40, 40)).convert(mode)
    picture.save(tmp_path / "photo.png")
    np.testing.assert_array_equal(photos.read(tmp_path / "photo.png"), np.array(picture.convert("RGB")))


def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    rgba = np.zeros((40, 40, 4), np.uint8)
    rgba[:, 20:] = (200, 0, 0, 255)
    Image.fromarray(rgba).save(tmp_path / "alpha.png")
    read = photos.read(tmp_path / "alpha.png")
    assert read[0, 0].tolist() == [255, 255, 255] and read[0, 39].tolist() == [200, 0, 0]


def test_sixteen_bit_grey_keeps_its_levels(tmp_path: Path) -> None:
    levels = np.linspace(0, 65535, 64).astype(np.uint16)
    Image.fromarray(np.tile(levels, (40, 1))).save(tmp_path / "deep.png")
    expected = np.rint(levels / 257.0)
    assert np.abs(photos.read(tmp_path / "deep.png")[0, :, 1] - expected).max() == 0


def test_sixteen_bit_colour_keeps_its_levels(tmp_path: Path) -> None:
    deep = _smooth(40, 40).astype(np.uint16) * 257
    assert cv2.imwrite(str(tmp_path / "deep.png"), deep[:, :, ::-1])
    np.testing.assert_array_equal(photos.read(tmp_path / "deep.png"), (deep // 257).astype(np.uint8))


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    Image.new("CMYK", (40, 40), (0, 255, 255, 0)).save(tmp_path / "print.jpg", quality=95)
    red, green, blue = photos.read(tmp_path / "print.jpg")[20, 20]
    assert red > 240 and green < 15 and blue < 15


def test_embedded_profile_is_converted_to_srgb(tmp_path: Path) -> None:
    # sRGB with the primaries of red and blue exchanged, under another name.
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = profile.replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be"))
    profile = profile.replace(b"rXYZ", b"tmp!").replace(b"bXYZ", b"rXYZ").replace(b"tmp!", b"bXYZ")
    Image.new("RGB", (40, 40), (255, 0, 0)).save(tmp_path / "wide.png", icc_profile=profile)
    red, green, blue = photos.read(tmp_path / "wide.png")[20, 20]
    assert red < 5 and green < 5 and blue > 250


def test_damaged_profile_does_not_cost_the_picture(tmp_path: Path) -> None:
    Image.fromarray(_smooth(40, 40)).save(tmp_path / "odd.png", icc_profile=b"no profile")
    np.testing.assert_array_equal(photos.read(tmp_path / "odd.png"), _smooth(40, 40))


def test_floating_point_samples_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((40, 40), np.float32)).save(tmp_path / "depth.tiff")
    with pytest.raises(InputError, match=r"depth\.tiff: 32 bits a sample; export it with 8 or 16 bits"):
        photos.read(tmp_path / "depth.tiff")


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff", "bmp", "gif"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_truncated_file_is_refused(suffix: str, share: float, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (96, 96, 3)).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, {"jpg": "jpeg"}.get(suffix, suffix))
    path = tmp_path / f"cut.{suffix}"
    path.write_bytes(stream.getvalue()[: int(len(stream.getvalue()) * share)])
    with pytest.raises(InputError, match=r"cut\.\w+: (truncated or damaged|not an image)"):
        photos.read(path)


def test_truncated_progressive_jpeg_is_refused(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.fromarray(_smooth(96, 96)).save(stream, "jpeg", progressive=True)
    (tmp_path / "cut.jpg").write_bytes(stream.getvalue()[:-40])
    with pytest.raises(InputError, match=r"cut\.jpg: truncated or damaged JPEG .*; copy or export it again"):
        photos.read(tmp_path / "cut.jpg")


def test_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(InputError, match=r"empty\.jpg: empty \(0 bytes\); copy it again"):
        photos.read(tmp_path / "empty.jpg")


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.jpg: no such file; check the path"):
        photos.read(tmp_path / "absent.jpg")


def test_folder_in_place_of_a_photograph_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a folder; give the path of a photograph"):
        photos.read(tmp_path)


def test_text_is_refused_as_no_image(tmp_path: Path) -> None:
    (tmp_path / "note.jpg").write_text("dear all, the pictures follow")
    with pytest.raises(InputError, match=r"note\.jpg: not an image that can be read; give a JPEG"):
        photos.read(tmp_path / "note.jpg")


def test_photograph_below_32_px_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (100, 20)).save(tmp_path / "thin.png")
    with pytest.raises(InputError, match=r"thin\.png: 100 x 20 px is too small; .* at least 32 px"):
        photos.read(tmp_path / "thin.png")


def test_enormous_photograph_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (400, 400)).save(tmp_path / "wide.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(InputError, match=r"wide\.png: too large .*; scale it down"):
        photos.read(tmp_path / "wide.png")


def test_find_lists_pictures_in_order_and_nothing_else(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "deeper/c.webp", "notes.txt", ".hidden.png", ".cache/d.png", "manifest.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [path.relative_to(tmp_path).as_posix() for path in photos.find(tmp_path)]
    assert found == ["a.png", "b.JPG", "deeper/c.webp"]


def test_find_in_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        photos.find(tmp_path / "absent")


def test_find_without_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match=r"1 files, no picture among them; known endings: \.avif"):
        photos.find(tmp_path)


def test_nothing_is_detected_in_a_picture_without_a_face() -> None:
    assert photos.detect(_smooth(200, 300)) == []


def test_frame_follows_the_published_recipe() -> None:
    left, right, _, mouth_left, mouth_right = POINTS.astype(float)
    across, down = right - left, (mouth_left + mouth_right) / 2 - (left + right) / 2
    x = across - np.flipud(down) * [-1, 1]
    x = x / np.hypot(*x) * max(np.hypot(*across) * 2.0, np.hypot(*down) * 1.8)
    y = np.flipud(x) * [-1, 1]
    centre = (left + right) / 2 + down * 0.1
    quad = np.stack([centre - x - y, centre - x + y, centre + x + y, centre + x - y]).astype(np.float32)
    corners = alignment.transform(quad, alignment.frame(POINTS, 64))
    np.testing.assert_allclose(corners, [[0, 0], [0, 64], [64, 64], [64, 0]], atol=1e-3)
    assert alignment.natural_size(POINTS) == pytest.approx(2 * np.hypot(*x))


def test_points_without_extent_are_refused() -> None:
    with pytest.raises(ValueError, match="have no extent"):
        alignment.frame(np.full((5, 2), 7, np.float32), 64)


def test_aligning_again_changes_nothing() -> None:
    picture = _smooth(256, 256)
    aligned, matrix = photos.align(picture, POINTS, 200)
    again, identity = photos.align(aligned, photos.transform(POINTS, matrix), 200)
    np.testing.assert_allclose(identity, [[1, 0, 0], [0, 1, 0]], atol=1e-4)
    assert np.abs(again.astype(int) - aligned).max() <= 1


def test_inverse_leads_back() -> None:
    matrix = photos.frame(POINTS, 96)
    np.testing.assert_allclose(
        photos.transform(photos.transform(POINTS, matrix), photos.inverse(matrix)), POINTS, atol=1e-3
    )


@pytest.mark.parametrize("size", [32, 100, 240, 500])
def test_colours_stand_where_the_matrix_says(size: int) -> None:
    # Red is x and green is y of the photograph, so every aligned pixel says where it was taken from.
    x, y = np.meshgrid(np.arange(256), np.arange(256))
    ramp = np.stack([x, y, np.zeros_like(x)], 2).astype(np.uint8)
    points = POINTS / 2 + 60  # well inside, so that nothing is reflected
    aligned, matrix = photos.align(ramp, points, size)
    centres = np.stack(np.meshgrid(np.arange(size), np.arange(size)), 2).reshape(-1, 2).astype(np.float32) + 0.5
    expected = photos.transform(centres, photos.inverse(matrix)) - 0.5
    assert np.abs(aligned.reshape(-1, 3)[:, :2] - expected).max() <= 1.0


def test_shrinking_averages_instead_of_aliasing() -> None:
    board = np.repeat(((np.indices((600, 600)).sum(0) % 2) * 255).astype(np.uint8)[:, :, None], 3, 2)
    aligned, _ = photos.align(board, POINTS * 2 + 40, 32)
    assert np.abs(aligned.astype(int) - 127).max() < 30


def test_outside_of_the_photograph_is_reflected() -> None:
    picture = _smooth(120, 120)
    matrix = np.array([[1.0, 0, 30], [0, 1, 20]])
    sampled = alignment.resample(picture, matrix, 160)
    np.testing.assert_array_equal(sampled[20:140, 30:150], picture)
    np.testing.assert_array_equal(sampled[20:140, 29], picture[:, 1])
    np.testing.assert_array_equal(sampled[19, 30:150], picture[1])


def test_reflection_repeats_beyond_one_width() -> None:
    sampled = alignment.resample(_smooth(10, 10), np.array([[1.0, 0, 40], [0, 1, 40]]), 90)
    np.testing.assert_array_equal(sampled[40:50, 40:50], sampled[40:50, 58:68])
