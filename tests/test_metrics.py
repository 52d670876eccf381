"""Metrics against values computed by hand or by independent code (scipy, scikit-learn)."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from sklearn.metrics.pairwise import polynomial_kernel

from compress.judging.metrics import distribution, fidelity, identity, latency

EXACT = 1e-9  # double precision on both sides


@pytest.fixture
def pictures() -> np.ndarray:
    noise = np.random.default_rng(0).normal(size=(3, 40, 48, 3))
    smooth = gaussian_filter(noise, (0, 3, 3, 0))
    return np.clip(128 + 400 * smooth + 8 * noise, 0, 255).astype(np.uint8)


def test_psnr_of_constant_error_is_the_formula() -> None:
    images = np.full((2, 8, 8, 3), 100, np.uint8)
    targets = images + np.array([5, 1], np.uint8)[:, None, None, None]
    expected = [20 * np.log10(255 / 5), 20 * np.log10(255)]
    assert fidelity.psnr(images, targets) == pytest.approx(expected, abs=EXACT)


def test_psnr_of_identical_images_is_finite() -> None:
    images = np.zeros((1, 4, 4, 3), np.uint8)
    assert fidelity.psnr(images, images) == pytest.approx([fidelity.BEST_PSNR_DB])


def reference(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """SSIM of [N, H, W, 3] by scipy, and its contrast and structure alone: [N, 3] each."""

    def blur(z: np.ndarray) -> np.ndarray:
        return gaussian_filter(z, (0, 1.5, 1.5, 0), truncate=3.5)[:, 5:-5, 5:-5]

    mx, my = blur(x), blur(y)
    contrast = (2 * (blur(x * y) - mx * my) + 58.5225) / (blur(x * x) - mx**2 + blur(y * y) - my**2 + 58.5225)
    return ((2 * mx * my + 6.5025) / (mx**2 + my**2 + 6.5025) * contrast).mean((1, 2)), contrast.mean((1, 2))


def altered(pictures: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(1).normal(0, 6, pictures.shape)
    return np.clip(0.8 * pictures.astype(float) + 10 + noise, 0, 255).astype(np.uint8)


def test_ssim_agrees_with_scipy_reference(pictures: np.ndarray) -> None:
    other = altered(pictures)
    expected = reference(pictures.astype(float), other.astype(float))[0].mean(axis=1)
    assert fidelity.ssim(pictures, other) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("side", "scales"), [(176, 5), (128, 4), (33, 2)])
def test_ms_ssim_agrees_with_scipy_reference_on_the_scales_that_fit(side: int, scales: int) -> None:
    smooth = gaussian_filter(np.random.default_rng(0).normal(size=(2, side, side, 3)), (0, 2, 2, 0))
    images = np.clip(128 + 300 * smooth, 0, 255).astype(np.uint8)
    x, y = images.astype(float), altered(images).astype(float)
    weights = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])[:scales]
    expected = np.ones((2, 3))
    for scale, weight in enumerate(weights / weights.sum()):
        full, contrast = reference(x, y)
        expected *= (full if scale == scales - 1 else contrast) ** weight
        half = x.shape[1] // 2
        x, y = (z[:, : 2 * half, : 2 * half].reshape(2, half, 2, half, 2, 3).mean((2, 4)) for z in (x, y))
    assert fidelity.ms_ssim(images, altered(images)) == pytest.approx(expected.mean(axis=1), abs=1e-5)


def test_ms_ssim_of_opposite_structure_is_zero_not_a_complex_number() -> None:
    image = np.random.default_rng(3).integers(0, 256, (1, 24, 24, 3), dtype=np.uint8)
    assert fidelity.ms_ssim(image, 255 - image) == pytest.approx([0])


def test_ssim_of_tiny_image_is_refused() -> None:
    tiny = np.zeros((1, 10, 16, 3), np.uint8)
    with pytest.raises(ValueError, match="10 x 16 px needs at least 11"):
        fidelity.ssim(tiny, tiny)


def test_haar_energy_of_checkerboard_is_all_in_the_finest_level() -> None:
    board = np.indices((8, 8)).sum(0) % 2 * 200
    image = np.repeat(board[None, :, :, None], 3, axis=3).astype(np.uint8)
    # Each of 16 blocks has diagonal coefficient (0 - 200 - 200 + 0) / 2 = -200.
    assert fidelity.haar_energy(image)[0] == pytest.approx([3 * 16 * 200**2, 0, 0])


def test_haar_energy_and_mean_keep_all_energy() -> None:
    image = np.random.default_rng(2).integers(0, 256, (1, 8, 8, 3), dtype=np.uint8)
    # An orthonormal transform: high bands plus the remaining 1 x 1 low band, 8 * mean.
    low = np.square(8 * image.astype(float).mean((1, 2))).sum()
    assert fidelity.haar_energy(image).sum() + low == pytest.approx(np.square(image.astype(float)).sum())


def test_haar_energy_of_tiny_image_is_refused() -> None:
    with pytest.raises(ValueError, match="4 x 64 px needs at least 8"):
        fidelity.haar_energy(np.zeros((1, 4, 64, 3), np.uint8))


def test_feature_distance_of_known_angles() -> None:
    s = np.array([3.0, 0.0]).reshape(1, 2, 1, 1)
    t = np.array([0.0, 7.0]).reshape(1, 2, 1, 1)
    # Right angle: squared chord 2; equal direction: 0; the mean over the two layers is 1.
    assert fidelity.feature_distance([s, s], [t, 5 * s]) == pytest.approx([1.0])


def test_kid_agrees_with_loops_and_sklearn() -> None:
    generator = np.random.default_rng(3)
    s, t = generator.normal(size=(7, 5)), generator.normal(0.5, 1, size=(7, 5))
    kss, ktt, kst = (polynomial_kernel(a, b, degree=3, coef0=1) for a, b in ((s, s), (t, t), (s, t)))
    pairs = [(i, j) for i in range(7) for j in range(7) if i != j]
    expected = np.mean([kss[i, j] + ktt[i, j] - kst[i, j] - kst[j, i] for i, j in pairs])
    assert distribution.kid(s, t, seed=0).value == pytest.approx(expected, abs=EXACT)


def test_kid_of_equal_features_is_zero() -> None:
    features = np.random.default_rng(4).normal(size=(20, 6))
    kid = distribution.kid(features, features.copy(), seed=0)
    assert (kid.lower, kid.value, kid.upper) == pytest.approx((0, 0, 0), abs=EXACT)


def test_kid_interval_grows_with_the_shift_and_excludes_zero() -> None:
    generator = np.random.default_rng(5)
    features = generator.normal(size=(150, 8))
    near, far = (distribution.kid(features + step, features, seed=0) for step in (0.2, 0.8))
    assert 0 < near.lower < near.upper < far.lower


def test_kid_of_too_few_images_is_refused() -> None:
    with pytest.raises(ValueError, match="3 images needs at least 4"):
        distribution.kid(np.zeros((3, 2)), np.zeros((3, 2)), seed=0)


def test_kid_of_one_persons_photos_leaves_their_own_pairs_out() -> None:
    generator = np.random.default_rng(9)
    s, t = generator.normal(size=(18, 5)), generator.normal(0.5, 1, size=(18, 5))
    person = np.array([*range(15), 0, 0, 7]).astype("S4")
    kss, ktt, kst = (polynomial_kernel(a, b, degree=3, coef0=1) for a, b in ((s, s), (t, t), (s, t)))
    h = kss + ktt - kst - kst.T
    kid = distribution.kid(s, t, 0, person)
    assert kid.value == pytest.approx(h[person[:, None] != person].mean(), abs=EXACT)
    assert (kid.n, kid.clusters) == (18, 15)


def test_noise_floor_is_centred_on_zero() -> None:
    floor = distribution.noise_floor(np.random.default_rng(6).normal(size=(120, 8)), seed=0)
    assert floor.lower < 0 < floor.upper
    assert abs(floor.value) < 0.2 * (floor.upper - floor.lower)


def test_diversity_ratio_is_the_scale_of_the_features_and_of_nothing_else() -> None:
    teacher = np.random.default_rng(10).normal(size=(60, 9))
    ratio = distribution.diversity_ratio(0.5 * teacher + 3, teacher, seed=0)
    assert (ratio.lower, ratio.value, ratio.upper) == pytest.approx((0.5, 0.5, 0.5))


def test_diversity_ratio_of_one_picture_for_everybody_is_zero() -> None:
    teacher = np.random.default_rng(11).normal(size=(40, 9))
    ratio = distribution.diversity_ratio(np.repeat(teacher[:1], 40, axis=0), teacher, seed=0)
    assert ratio.upper == pytest.approx(0, abs=1e-6)


def test_identity_delta_is_the_difference_of_cosines() -> None:
    photo, student, teacher = np.array([[2.0, 0]]), np.array([[1.0, 1]]), np.array([[0.0, 3]])
    assert identity.delta(photo, student, teacher) == pytest.approx([np.sqrt(0.5)])


def test_rank1_is_the_share_of_galleries_that_the_own_photo_wins() -> None:
    generator = np.random.default_rng(12)
    photo, picture = generator.normal(size=(7, 3)), generator.normal(size=(7, 3))
    scores = picture @ (photo / np.linalg.norm(photo, axis=1, keepdims=True)).T
    expected = []
    for own in range(7):
        galleries = list(itertools.combinations([i for i in range(7) if i != own], 3))
        expected.append(np.mean([scores[own, own] > max(scores[own, i] for i in others) for others in galleries]))
    assert 0 < np.mean(expected) < 1
    assert identity.rank1(photo, picture, gallery=4) == pytest.approx(expected, abs=EXACT)


def test_rank1_of_fewer_photos_than_the_gallery_is_a_hit_or_a_miss() -> None:
    photo = np.eye(4)
    # The third picture shows the first person.
    assert identity.rank1(photo, np.eye(4)[[0, 1, 0, 3]]).tolist() == [1, 1, 0, 1]


def test_rank1_of_a_picture_without_an_identity_is_a_miss() -> None:
    picture = np.eye(4)
    picture[1] = np.nan
    assert identity.rank1(np.eye(4), picture).tolist() == [1, 0, 1, 1]


def test_rank1_does_not_fall_with_the_number_of_photos() -> None:
    generator = np.random.default_rng(13)
    photo = generator.normal(size=(1500, 6))
    picture = photo + generator.normal(0, 0.8, photo.shape)
    few = np.mean([identity.rank1(photo[i : i + 50], picture[i : i + 50]).mean() for i in range(0, 1500, 50)])
    assert 0.5 < few < 0.95
    assert identity.rank1(photo, picture).mean() == pytest.approx(few, abs=0.02)


def test_rank1_in_blocks_is_that_of_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(14)
    photo, person = generator.normal(size=(37, 6)), np.arange(37) // 3
    picture = photo + generator.normal(0, 0.8, photo.shape)
    whole = identity.rank1(photo, picture, person)
    monkeypatch.setattr(identity, "BLOCK", 8)
    assert identity.rank1(photo, picture, person).tolist() == whole.tolist()


def test_rank1_counts_another_photo_of_the_same_person_neither_way() -> None:
    photo = np.array([[1.0, 0], [1, 0.1], [0, 1]])
    picture = np.array([[1.0, 0.2], [1, 0.2], [0, 1]])  # both of the first person are nearer to the second photo
    person = np.array([b"a", b"a", b"b"])
    assert identity.rank1(photo, picture).tolist() == [0, 1, 1]
    assert identity.rank1(photo, picture, person).tolist() == [1, 1, 1]


def test_rank1_of_a_constant_picture_is_lost() -> None:
    photo = np.ones((5, 3))
    assert not identity.rank1(photo, photo).any()


def test_rank1_among_photos_of_one_person_is_refused() -> None:
    with pytest.raises(ValueError, match="all photos are of one person"):
        identity.rank1(np.eye(3), np.eye(3), np.zeros(3))


def test_rank1_relative_to_a_lost_teacher_is_refused() -> None:
    with pytest.raises(ValueError, match="no picture of the teacher finds its photo"):
        identity.rank1_relative(np.ones(3), np.zeros(3))


def test_latency_takes_turns_and_drops_the_warm_up() -> None:
    order: list[str] = []
    measured = latency.measure({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, rounds=4, warm_up=2)
    assert order == ["a", "b"] * 6
    assert len(measured["a"].wall_ms) == len(measured["b"].thread_ms) == 4
