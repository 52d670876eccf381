"""95 % intervals of statistics of a sample of images, of which one person or video may have several: its clusters.

    mean, ratio, gap    functions of sums: studentised bootstrap
    share, share_ratio  of hits and misses: score intervals
    percentile          order statistics: binomial
    pair_ratio          means over pairs of images (KID, diversity): studentised bootstrap
    resampled           any other statistic: bias-corrected and accelerated bootstrap
    split_halves        what a distance between two sets is of two halves of one set

Clusters are resampled whole. Where they weigh like fewer than 12 of equal size, a resample repeats the largest too
often, and Student's t takes over. The methods were chosen by how often they hold the truth at 100 to 300 images
(`benchmarks/intervals.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from compress.judging.metrics import resampling
from compress.judging.metrics.estimate import CONFIDENCE, Estimate
from compress.judging.metrics.resampling import ROUNDS, Clusters, Floats, Indices

__all__ = [
    "CONFIDENCE", "ROUNDS", "Clusters", "Indices", "gap", "mean", "pair_ratio", "percentile", "ratio",
    "resampled", "share", "share_ratio", "split_halves",
]  # fmt: skip

FEWEST_RESAMPLED = 12  # effective clusters
_TAIL = (1 - CONFIDENCE) / 2
_Z = float(special.ndtri(1 - _TAIL))


def mean(values: Floats, seed: int, clusters: Clusters | None = None) -> Estimate:
    """Mean of `values` [n]. Raises ValueError for an empty sample."""
    return ratio(values, np.ones(len(values)), seed, clusters)


def ratio(over: Floats, under: Floats, seed: int, clusters: Clusters | None = None) -> Estimate:
    """sum(over) / sum(under), both [n]; NaN where `under` has nothing. Raises ValueError for an empty sample."""
    code, count = resampling.codes(len(over), clusters)
    if not np.sum(under) > 0:
        return Estimate(np.nan, np.nan, np.nan, len(over), count)
    value = float(np.sum(over) / np.sum(under))
    # Residuals, not values, are summed: what is constant must come out without a width, not with a rounding's.
    sums = resampling.sums(code, count, over - value * under, under)
    return _studentised(sums, len(over), seed, _quotient, value, resampling.effective(code))


def gap(values: Floats, inside: NDArray[np.bool_], seed: int, clusters: Clusters | None = None) -> Estimate:
    """Mean of `values` [n] outside a group less the mean `inside` it; n is that of the group.

    `effective` is that of the side with fewer.

    Raises ValueError if one of the two sides is empty.
    """
    code, count = resampling.codes(len(values), clusters)
    if not 0 < inside.sum() < len(inside):
        raise ValueError(f"gap between {len(inside) - inside.sum()} and {inside.sum()} images")
    outside = ~inside
    value = float(values[outside].mean() - values[inside].mean())
    residuals = [(values - values[side].mean()) * side for side in (outside, inside)]
    sums = resampling.sums(code, count, residuals[0], outside, residuals[1], inside)
    effective = min(resampling.effective(code[side]) for side in (outside, inside))
    found = _studentised(sums, int(inside.sum()), seed, _difference, value, effective)
    return replace(found, clusters=len(np.unique(code[inside])))


def share(hits: Floats, clusters: Clusters | None = None) -> Estimate:
    """Mean of `hits` [n]: 1 or 0, or the probability of a hit.

    For what is nearly always a hit: the few misses of a sample, perhaps none, do not show how many there are, so the
    interval of 160 hits of 160 has a width. Probabilities are counted as if each were drawn, which errs on the safe
    side. n is first divided by the design effect of the clusters. Raises ValueError for an empty sample.
    Source: Wilson, JASA 22, 1927.
    """
    code, count = resampling.codes(len(hits), clusters)
    value = float(np.mean(hits))
    lower, upper = _wilson(value, len(hits) / resampling.design_effect(code, count, hits - value), _Z)
    found = Estimate(value, float(lower), float(upper), len(hits), count, "Wilson")
    return replace(found, effective=resampling.effective(code))


def share_ratio(over: Floats, under: Floats, clusters: Clusters | None = None) -> Estimate:
    """Ratio of two shares of the same images, sum(over) / sum(under), as `share`; NaN where `under` has no hit.

    Wilson intervals of both, narrowed for their being paired. Raises ValueError for an empty sample.
    Source: Bonett and Price, Statist. Med. 25, 2006; Fagerland et al., Statist. Med. 33, 2014, section 5.
    """
    code, count = resampling.codes(len(over), clusters)
    over, under = np.asarray(over, np.float64), np.asarray(under, np.float64)
    if not under.sum() > 0:
        return Estimate(np.nan, np.nan, np.nan, len(over), count)
    value = float(over.sum() / under.sum())
    effect = resampling.design_effect(code, count, over - value * under)
    both, first, second = (x.sum() / effect for x in (over * under, over * (1 - under), (1 - over) * under))
    n, hits = both + first + second, np.array([both + first, both + second])
    spread = np.sqrt((first + second + 2) / ((hits[0] + 1) * (hits[1] + 1)))
    each = np.sqrt((1 - (hits + 1) / (n + 2)) / (hits + 1))
    lower, upper = _wilson(hits / n, n, _Z * spread / each.sum())
    ends = float(lower[0] / upper[1]), float(upper[0] / lower[1])
    return Estimate(value, *ends, len(over), count, "Wilson, paired", effective=resampling.effective(code))


def percentile(values: Floats, percent: float, seed: int, clusters: Clusters | None = None) -> Estimate:
    """`percent`-th percentile of `values` [n], linear between ranks; `seed` is not used.

    The interval is between the order statistics, interpolated, whose ranks leave 2.5 % of a binomial on either side; n
    is first divided by the design effect of the clusters. Source: Hettmansperger and Sheather, Stat. Probab. Lett. 4,
    1986; Korn and Graubard, Survey Methodology 24, 1998.
    """
    code, count = resampling.codes(len(values), clusters)
    n, share = len(values), percent / 100
    value = np.percentile(values, percent)
    # In a tail few images tell how alike those of one person are; the effect there is seldom above that at the median.
    levels = ((value, share), (np.median(values), 0.5))
    size = n / max(resampling.design_effect(code, count, (values <= level) - part) for level, part in levels)
    effective = resampling.effective(code)
    if count < n:  # how far the effect itself is known: by the people, not the images
        size *= (_Z / _student(effective)) ** 2
    ranks = np.array([_rank(share, size, level) for level in (1 - _TAIL, _TAIL)]) * (n + 1) / (size + 1)
    lower, upper = np.interp(ranks, np.arange(1, n + 1), np.sort(values))
    ends = float(min(lower, value)), float(max(upper, value))
    return Estimate(float(value), *ends, n, count, "order statistics", effective=effective)


def pair_ratio(over: Floats, under: Floats, seed: int, clusters: Clusters | None = None) -> Estimate:
    """Mean of `over` [n, n] over all pairs of images of two people, divided by the mean of `under` [n, n].

    Both are symmetric; their diagonals and what lies between images of one person do not count, nor do pairs of copies
    of one person in a resample. With `under` all 1 this is a U-statistic of degree 2. The interval is a studentised
    bootstrap. Raises ValueError below two people. Source: Arcones and Gine, Ann. Statist. 20, 1992.
    """
    code, count = resampling.codes(len(over), clusters)
    if count < 2:
        raise ValueError(f"pair_ratio of {count} people needs at least 2")
    upper_sums, lower_sums = resampling.blocks(code, count, over), resampling.blocks(code, count, under)
    value = upper_sums.sum() / lower_sums.sum()
    residuals = upper_sums - value * lower_sums
    shifts, errors = [], []
    for copies in resampling.resamples(count, seed, whole=np.ones((1, count))):
        rows, below = copies @ residuals, copies @ lower_sums
        total = (copies * below).sum(axis=1)
        total[total <= 0] = np.nan  # a resample of one person alone has no pairs
        shift = (copies * rows).sum(axis=1) / total
        slopes = 2 * (rows - shift[:, None] * below) / total[:, None]
        shifts.append(shift)
        errors.append(np.sqrt((copies * np.square(slopes)).sum(axis=1) * count / (count - 1)))
    effective = resampling.effective(code)
    return _studentise(value, np.concatenate(shifts), np.concatenate(errors), len(over), count, effective)


def resampled(statistic: Callable[[Floats], Floats], n: int, seed: int, clusters: Clusters | None = None) -> Estimate:
    """Any `statistic` of `n` images, which maps copies of each image [R, n] (whole numbers, as floats) to [R] values.

    The bootstrap is corrected for median bias and acceleration, by leaving out one person at a time.
    Raises ValueError for an empty sample. Source: Efron, JASA 82, 1987.
    """
    code, count = resampling.codes(n, clusters)
    value = float(statistic(np.ones((1, n)))[0])
    if count < 2:
        return Estimate(value, np.nan, np.nan, n, count)
    left_out = np.concatenate([statistic(rows[:, code]) for rows in resampling.left_out(count, n)])
    spread, effective = left_out.mean() - left_out, resampling.effective(code)
    if effective < FEWEST_RESAMPLED:
        half = _student(effective) * float(np.sqrt((count - 1) / count * np.square(spread).sum()))
        return Estimate(value, value - half, value + half, n, count, "jackknife", effective=effective)
    repeats = np.concatenate([statistic(rows[:, code]) for rows in resampling.resamples(count, seed, width=n)])
    below = (np.mean(repeats < value) + np.mean(repeats <= value)) / 2
    bias = special.ndtri(np.clip(below, 1 / len(repeats), 1 - 1 / len(repeats)))
    acceleration = np.sum(spread**3) / max(6 * np.sum(spread**2) ** 1.5, 1e-300)
    wanted = bias + special.ndtri([_TAIL, 1 - _TAIL])
    levels = special.ndtr(bias + wanted / np.maximum(1 - acceleration * wanted, 1e-3))
    lower, upper = np.quantile(repeats, levels)
    ends = float(min(lower, value)), float(max(upper, value))
    return Estimate(value, *ends, n, count, "bootstrap, BCa", effective=effective)


def split_halves(
    distance: Callable[[Indices, Indices], float],
    n: int,
    seed: int,
    clusters: Clusters | None = None,
    splits: int = 100,
) -> Estimate:
    """`distance` between two halves of one set of `n` images, whose rows it is given: what a distance is of nothing.

    People are split, not images. The value is the mean over random splits, the interval holds 95 % of them: a distance
    within it cannot be told from none by sets of half the size. Raises ValueError below four people.
    """
    code, count = resampling.codes(n, clusters)
    if count < 4:
        raise ValueError(f"split_halves of {count} people needs at least 4")
    generator = np.random.default_rng(seed)
    repeats = []
    for _ in range(splits):
        first = np.zeros(count, bool)
        first[generator.permutation(count)[: count // 2]] = True
        repeats.append(distance(np.flatnonzero(first[code]), np.flatnonzero(~first[code])))
    lower, upper = np.quantile(repeats, [_TAIL, 1 - _TAIL])
    found = Estimate(float(np.mean(repeats)), float(lower), float(upper), n, count, "split halves")
    return replace(found, effective=resampling.effective(code))


def _quotient(totals: Floats) -> tuple[Floats, Floats]:
    """a / b of totals [R, 2], and its slope in both."""
    value = totals[:, 0] / totals[:, 1]
    return value, np.stack([np.ones_like(value), -value], axis=1) / totals[:, 1:]


def _difference(totals: Floats) -> tuple[Floats, Floats]:
    """a / b - c / d of totals [R, 4], and its slope in the four."""
    first, second = _quotient(totals[:, :2]), _quotient(totals[:, 2:])
    return first[0] - second[0], np.concatenate([first[1], -second[1]], axis=1)


def _studentised(
    sums: Floats,
    n: int,
    seed: int,
    statistic: Callable[[Floats], tuple[Floats, Floats]],
    value: float,
    effective: float,
) -> Estimate:
    """`value` plus `statistic` of the totals of `sums` [clusters, k], which is 0 for the whole sample.

    `statistic` must not change when all totals are multiplied by one number, so that its linear part sums to zero.
    Source: Hall, The Bootstrap and Edgeworth Expansion (1992), section 3.5.
    """
    count, k = sums.shape
    products = np.concatenate([sums, (sums[:, :, None] * sums[:, None, :]).reshape(count, k * k)], axis=1)
    shifts, errors = [], []
    for copies in resampling.resamples(count, seed, whole=np.ones((1, count))):
        totals = copies @ products
        with np.errstate(divide="ignore", invalid="ignore"):  # a resample without one person of the group
            shift, slopes = statistic(totals[:, :k])
        squares = np.einsum("ri,rij,rj->r", slopes, totals[:, k:].reshape(-1, k, k), slopes)
        shifts.append(shift)
        errors.append(np.sqrt(np.maximum(squares, 0) * count / max(count - 1, 1)))
    return _studentise(value, np.concatenate(shifts), np.concatenate(errors), n, count, effective)


def _studentise(value: float, shifts: Floats, errors: Floats, n: int, count: int, effective: float) -> Estimate:
    """Interval of `value` from `shifts` and standard `errors`, of the whole sample first and then of its resamples."""
    error = float(errors[0])
    if count < 2:
        return Estimate(float(value), np.nan, np.nan, n, count)
    if effective < FEWEST_RESAMPLED:
        half = _student(effective) * error
        ends = float(value - half), float(value + half)
        return Estimate(float(value), *ends, n, count, "Student", effective=effective)
    # Without spread but for rounding: a resample of equal numbers says nothing.
    usable = np.isfinite(shifts[1:]) & (errors[1:] > 1e-6 * error)
    if error == 0 or not usable.any():
        return Estimate(float(value), float(value), float(value), n, count, "bootstrap-t", effective=effective)
    low, high = np.quantile(shifts[1:][usable] / errors[1:][usable], [_TAIL, 1 - _TAIL])
    lower, upper = value - max(high, 0) * error, value - min(low, 0) * error
    return Estimate(float(value), float(lower), float(upper), n, count, "bootstrap-t", effective=effective)


def _student(effective: float) -> float:
    """Half a width of Student's t, in standard errors."""
    return float(stats.t.ppf(1 - _TAIL, max(effective - 1, 1)))


def _rank(share: float, n: float, level: float) -> float:
    """The rank r of n, a fraction, whose r-th smallest is below the `share` quantile with probability `level`."""
    low, high = 0.0, n + 1
    for _ in range(60):
        middle = (low + high) / 2
        above = special.betainc(middle, n + 1 - middle, share) > level
        low, high = (middle, high) if above else (low, middle)
    return low


def _wilson(share: float | Floats, n: float, z: float | Floats) -> tuple[Floats, Floats]:
    square = np.square(z) / n
    centre, half = share + square / 2, np.sqrt(square * (share * (1 - np.asarray(share)) + square / 4))
    return (centre - half) / (1 + square), (centre + half) / (1 + square)
