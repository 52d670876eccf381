"""Intervals hold what they say, by person; against values computed by hand or by scipy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from compress.judging.metrics import intervals, resampling
from compress.judging.metrics.estimate import Estimate

REPEATS = 150
# 150 repeats at 95 %: fewer than 89 % or all of them are about 3 standard errors away.
LOW, HIGH = 0.89, 1.0


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def held(make: Callable[[np.random.Generator], Estimate], truth: float) -> float:
    estimates = [make(np.random.default_rng(seed)) for seed in range(REPEATS)]
    return float(np.mean([e.lower <= truth <= e.upper for e in estimates]))


def test_mean_of_skewed_numbers_is_held_as_often_as_it_says() -> None:
    share = held(lambda g: intervals.mean(g.exponential(size=100), 0), 1.0)
    assert LOW < share < HIGH


def test_images_of_one_person_count_as_one() -> None:
    def draw(g: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        person = np.repeat(np.arange(30), 5)
        return g.normal(size=30)[person] + 0.2 * g.normal(size=150), person

    assert LOW < held(lambda g: intervals.mean(draw(g)[0], 0, draw(np.random.default_rng(1))[1]), 0.0) < HIGH
    assert held(lambda g: intervals.mean(draw(g)[0], 0), 0.0) < 0.8  # the check can fail: people ignored


def test_interval_tells_images_people_and_method(generator: np.random.Generator) -> None:
    estimate = intervals.mean(generator.normal(size=60), 0, np.repeat([f"p{i}" for i in range(20)], 3))
    assert (estimate.n, estimate.clusters, estimate.method) == (60, 20, "bootstrap-t")


def test_mean_of_few_clusters_is_students() -> None:
    values, person = np.array([1.0, 3, 2, 6, 5, 7]), np.array([0, 0, 1, 1, 2, 2])
    expected = stats.t.interval(0.95, 2, values.mean(), stats.sem([2, 4, 6]))
    estimate = intervals.mean(values, 0, person)
    assert estimate.method == "Student"
    assert (estimate.lower, estimate.upper) == pytest.approx(expected)


def test_mean_of_one_person_has_no_finite_interval() -> None:
    assert not intervals.mean(np.arange(5.0), 0, np.zeros(5)).finite


def test_equal_numbers_have_no_width() -> None:
    estimate = intervals.mean(np.full(40, 0.1), 0)
    assert (estimate.lower, estimate.upper) == (estimate.value, estimate.value)


def test_share_of_160_of_160_has_a_width() -> None:
    estimate = intervals.share(np.ones(160))
    expected = stats.binomtest(160, 160).proportion_ci(method="wilson")
    assert (estimate.lower, estimate.upper) == pytest.approx((expected.low, expected.high))
    assert estimate.value == 1 and estimate.lower < 0.98


def test_share_of_few_people_is_wider() -> None:
    few = intervals.share(np.ones(160), np.repeat(np.arange(20), 8))
    assert few.lower == pytest.approx(stats.binomtest(20, 20).proportion_ci(method="wilson").low)


def test_ratio_of_paired_shares_is_held() -> None:
    def draw(g: np.random.Generator) -> Estimate:
        luck = g.random(150)
        under = np.where(g.random(150) < 0.8, luck, g.random(150)) < 0.98
        return intervals.share_ratio((luck < 0.9).astype(float), under.astype(float))

    assert LOW < held(draw, 0.9 / 0.98) <= HIGH


def test_ratio_of_shares_that_are_all_hits_has_a_width() -> None:
    estimate = intervals.share_ratio(np.ones(160), np.ones(160))
    assert estimate.value == 1 and 0.96 < estimate.lower < 0.99 and 1.01 < estimate.upper < 1.04


def test_rare_misses_that_were_not_seen_are_allowed_for() -> None:
    # One in 400 images is hopeless for the teacher: two of three samples of 160 do not show it.
    def under(g: np.random.Generator) -> np.ndarray:
        return np.where(g.random(160) < 1 / 400, 0.2, 1 - 1e-5 * g.random(160))

    truth = 1 / (1 - 0.8 / 400)
    assert held(lambda g: intervals.share_ratio(np.ones(160), under(g)), truth) > LOW
    assert held(lambda g: intervals.ratio(np.ones(160), under(g), 0), truth) < 0.8  # as sums they are not


def test_ratio_of_sums_is_held() -> None:
    def draw(g: np.random.Generator) -> Estimate:
        under = g.exponential(size=120)
        return intervals.ratio(under * g.uniform(0.5, 1.1, 120), under, 0)

    assert LOW < held(draw, 0.8) < HIGH


def test_ratio_to_nothing_is_not_a_number() -> None:
    estimate = intervals.ratio(np.full(5, 0.5), np.zeros(5), 0)
    assert not estimate.finite
    assert estimate.as_dict() == {
        "value": None, "lower": None, "upper": None, "n": 5, "clusters": 5, "method": "bootstrap", "confidence": 0.95,
    }  # fmt: skip


def test_share_of_no_hits_is_not_a_number() -> None:
    assert not intervals.share_ratio(np.ones(5), np.zeros(5)).finite


def test_gap_is_the_others_less_the_group_and_is_held() -> None:
    inside = np.arange(150) < 25
    share = held(lambda g: intervals.gap(g.exponential(size=150) - 2 * inside, inside, 0), 2.0)
    assert LOW < share < HIGH


def test_gap_counts_the_group(generator: np.random.Generator) -> None:
    estimate = intervals.gap(generator.normal(size=80), np.arange(80) < 30, 0, np.arange(80) // 2)
    assert (estimate.n, estimate.clusters) == (30, 15)


def test_gap_of_a_group_that_is_missing_in_resamples_is_finite(generator: np.random.Generator) -> None:
    assert intervals.gap(generator.normal(size=40), np.arange(40) < 2, 0).finite


def test_gap_without_others_is_refused() -> None:
    with pytest.raises(ValueError, match="gap between 0 and 3 images"):
        intervals.gap(np.zeros(3), np.ones(3, bool), 0)


def test_percentile_lies_between_its_order_statistics() -> None:
    estimate = intervals.percentile(np.arange(200.0), 5, 0)
    assert estimate.value == pytest.approx(9.95)
    assert (estimate.lower, estimate.upper) == pytest.approx((4.0, 16.5), abs=1.0)


def test_fifth_percentile_is_held_at_the_fewest_images() -> None:
    share = held(lambda g: intervals.percentile(g.normal(size=72), 5, 0), stats.norm.ppf(0.05))
    assert LOW < share < HIGH


def test_percentile_of_people_is_wider(generator: np.random.Generator) -> None:
    person = np.repeat(np.arange(40), 4)
    values = generator.normal(size=40)[person] + 0.1 * generator.normal(size=160)
    alone, clustered = (intervals.percentile(values, 50, 0, who) for who in (None, person))
    assert clustered.upper - clustered.lower > 1.5 * (alone.upper - alone.lower)


def test_mean_over_pairs_is_held() -> None:
    def draw(g: np.random.Generator) -> Estimate:
        x = g.exponential(size=80)
        return intervals.pair_ratio(np.square(x[:, None] - x), np.ones((80, 80)), 0)

    assert LOW - 0.02 < held(draw, 2.0) < HIGH  # twice the variance; heavy tails cost a little


def test_pairs_of_one_person_do_not_count() -> None:
    over = np.ones((6, 6))
    over[:2, :2] = over[2:4, 2:4] = over[4:, 4:] = 100
    assert intervals.pair_ratio(over, np.ones((6, 6)), 0, np.array([0, 0, 1, 1, 2, 2])).value == pytest.approx(1)


def test_pairs_of_one_person_alone_are_refused() -> None:
    with pytest.raises(ValueError, match="pair_ratio of 1 people"):
        intervals.pair_ratio(np.ones((3, 3)), np.ones((3, 3)), 0, np.zeros(3))


def test_resampled_statistic_agrees_with_scipy(generator: np.random.Generator) -> None:
    values = generator.exponential(size=60)
    ours = intervals.resampled(lambda copies: copies @ values / copies.sum(axis=1), 60, 0)
    theirs = stats.bootstrap((values,), np.mean, method="BCa", n_resamples=4000, random_state=1).confidence_interval
    assert (ours.lower, ours.upper) == pytest.approx((theirs.low, theirs.high), rel=0.05)


def test_resampled_people_are_copied_whole() -> None:
    person = np.array([0, 0, 1, 2, 2, 2, *range(3, 20)])

    def statistic(copies: np.ndarray) -> np.ndarray:
        assert (copies[:, 0] == copies[:, 1]).all() and (copies[:, 3] == copies[:, 5]).all()
        return np.asarray(copies @ np.arange(len(person)) / copies.sum(axis=1))

    assert intervals.resampled(statistic, len(person), 0, person).clusters == 20


def test_resampled_few_clusters_are_jackknifed() -> None:
    values = np.array([1.0, 2, 4, 7])
    estimate = intervals.resampled(lambda copies: copies @ values / copies.sum(axis=1), 4, 0)
    assert (estimate.lower, estimate.upper) == pytest.approx(stats.t.interval(0.95, 3, 3.5, stats.sem(values)))


def test_split_halves_keep_people_whole_and_find_the_noise(generator: np.random.Generator) -> None:
    values, person = generator.normal(size=100), np.repeat(np.arange(50), 2)

    def distance(first: np.ndarray, second: np.ndarray) -> float:
        assert not set(person[first]) & set(person[second])
        return float(values[first].mean() - values[second].mean())

    floor = intervals.split_halves(distance, 100, 0, person)
    spread = 2 * np.std(values.reshape(50, 2).mean(axis=1)) / np.sqrt(50)
    assert abs(floor.value) < 0.5 * spread
    assert floor.upper - floor.lower == pytest.approx(4 * spread, rel=0.3)


def test_split_of_three_people_is_refused() -> None:
    with pytest.raises(ValueError, match="split_halves of 3 people"):
        intervals.split_halves(lambda first, second: 0.0, 3, 0)


def test_interval_is_the_same_for_the_same_seed(generator: np.random.Generator) -> None:
    values = generator.normal(size=50)
    assert intervals.mean(values, 3) == intervals.mean(values, 3) != intervals.mean(values, 4)


def test_large_sample_is_resampled_in_parts(monkeypatch: pytest.MonkeyPatch, generator: np.random.Generator) -> None:
    values = generator.normal(size=50)
    whole = intervals.mean(values, 3)
    monkeypatch.setattr(resampling, "_HELD", 7000)
    parts = intervals.mean(values, 3)
    assert (parts.lower, parts.upper) == pytest.approx((whole.lower, whole.upper))


def test_interval_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="empty sample"):
        intervals.mean(np.zeros(0), 0)


def test_clusters_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="4 clusters of 5 images"):
        intervals.mean(np.arange(5.0), 0, np.zeros(4))


def test_effective_number_is_that_of_kish() -> None:
    assert resampling.effective(np.repeat(np.arange(7), 3)) == 7
    assert resampling.effective(np.array([0, 0, 0, 1])) == pytest.approx(16 / 10)


@pytest.mark.parametrize("statistic", ["mean", "gap", "share", "share_ratio", "percentile", "pair_ratio", "resampled"])
def test_every_interval_tells_the_effective_number(statistic: str, generator: np.random.Generator) -> None:
    person = np.r_[np.zeros(40), np.arange(1, 41)]
    values, ones, pairs = generator.uniform(0.5, 1, 80), np.ones(80), np.ones((80, 80))
    made = {
        "mean": lambda: intervals.mean(values, 0, person),
        "gap": lambda: intervals.gap(values, np.arange(80) >= 70, 0, person),
        "share": lambda: intervals.share(values, person),
        "share_ratio": lambda: intervals.share_ratio(values, ones, person),
        "percentile": lambda: intervals.percentile(values, 5, 0, person),
        "pair_ratio": lambda: intervals.pair_ratio(values + values[:, None], pairs, 0, person),
        "resampled": lambda: intervals.resampled(lambda copies: copies @ values / copies.sum(1), 80, 0, person),
    }[statistic]()
    expected = 70**2 / (40**2 + 30) if statistic == "gap" else 80**2 / (40**2 + 40)
    assert made.effective == pytest.approx(expected)


def test_mean_of_one_large_person_among_small_ones_is_held() -> None:
    person = np.r_[np.zeros(100, int), np.arange(1, 40)]
    assert held(lambda g: intervals.mean(g.normal(size=40)[person], 0, person), 0.0) > LOW


def test_hits_of_one_person_count_as_one_where_shares_are_uneven() -> None:
    uneven = intervals.share(np.ones(139), np.r_[np.zeros(100), np.arange(1, 40)])
    assert uneven.lower < intervals.share(np.ones(3)).lower
