"""Tests of the difference of two models, corrections for many tests, and intervals of scores.

Functions take and return numbers only.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil, log10, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from search.analysis.comparison.selection import (
    NAMED,
    Choice,
    Numbers,
    critical_t,
    interaction,
    selected_p,
    typical_luck,
)

FEWEST_FOR_WILCOXON = 6  # with five differences, no two-sided p can be below 0.05
FEW_DISCORDANT = 25  # below this, McNemar's test is exact

_DIGITS = 12  # scores that differ in later digits only are equal
_ROUNDING = 10.0**-_DIGITS


@dataclass(frozen=True)
class Difference:
    """The difference of two models' mean scores, in the scores' unit.

    Attributes:
        mean: first minus second.
        low: lower end of the confidence interval; None if there are too few folds for a spread.
        high: upper end, likewise.
        p: two-sided p of no difference; None likewise.
        folds: number of folds; of two unpaired models the smaller number.
        luck: the lead that the choice of the one ahead gives in half of all cases where they are
            equally good on these samples; 0 where it was not chosen by these scores. As nothing is
            claimed of other samples, it is without the correction for overlapping training parts.
    """

    mean: float
    low: float | None
    high: float | None
    p: float | None
    folds: int
    luck: float = 0.0


@dataclass(frozen=True)
class McNemar:
    """The samples that only one of two models gets right.

    Attributes:
        first: number of samples that only the first gets right.
        second: number of samples that only the second gets right.
        p: two-sided p of both being equally likely to be right.
        exact: whether p is binomial, else chi-squared with continuity correction.
    """

    first: int
    second: int
    p: float
    exact: bool


@dataclass(frozen=True)
class ErrorTest:
    """The difference of two models' errors on the same samples.

    Attributes:
        name: of what: `squared errors` or `absolute errors` of numbers, `wrong labels` (the
            fraction of a sample's labels that are wrong).
        mean: mean over the samples, first minus second; below 0 the first errs less. Of one number
            in its unit or the square of that; of several numbers in units of their spread.
        p: two-sided p of equal means.
        samples: how many samples.
        groups: of how many groups they are that are independent of each other; as many as samples
            where none belong together.
    """

    name: str
    mean: float
    p: float
    samples: int
    groups: int


def mean_interval(
    scores: Sequence[float], *, test_share: float, limits: tuple[float, float]
) -> tuple[float, float] | None:
    """Return the 95 % interval of a mean over folds, with the variance of `corrected_difference`.

    Args:
        scores: one for each fold.
        test_share: validation samples per training sample.
        limits: that a score cannot be beyond.

    Returns:
        Its ends; None for fewer than two folds.
    """
    if len(scores) < 2:
        return None
    found = corrected_difference(scores, [0.0] * len(scores), test_share=test_share)
    if found.low is None or found.high is None:
        return None
    return max(limits[0], found.low), min(limits[1], found.high)


def corrected_difference(
    first: Sequence[float],
    second: Sequence[float],
    *,
    test_share: float,
    level: float = 0.95,
    choices: tuple[Choice, Choice] = (NAMED, NAMED),
    peers: Sequence[Sequence[float]] = (),
) -> Difference:
    """Return the paired difference with its interval and p: the corrected resampled t-test.

    The variance of the mean is `(1/J + test_share)` times the sample variance of J differences.
    Source: Nadeau & Bengio 2003, "Inference for the generalization error", Machine Learning 52.

    If a model was chosen by its scores, p and an end of the interval allow for that: the lower end
    and a lead of the first model for the choice of the first, the others for the choice of the
    second. The four degrees of freedom of five folds are too few so far out in the tail, so the
    scores of peers help to estimate the noise: its variance is the larger of the differences' own
    variance and the residual variance of all scores, with the degrees of freedom of the latter.
    Allowing for a choice never makes a claim easier.

    Args:
        first: a score for each fold.
        second: scores on the same folds, in the same order.
        test_share: validation samples per training sample; `1 / (k - 1)` for k folds. With 0 this
            is the plain paired t-test.
        level: of the interval, between 0 and 1.
        choices: how the first and the second model were chosen.
        peers: scores of other models on the same folds, about as good; `(n_models, n_folds)`.

    Raises:
        ValueError: no scores, different numbers of them, one that is not finite, or a share or
            level out of its range.
    """
    _check(test_share, level)
    one, other = _scores(first), _scores(second)
    if len(one) != len(other):
        raise ValueError(f"both must have as many folds; got {len(one)} and {len(other)}")
    others = [_scores(scores) for scores in peers]
    if any(len(scores) != len(one) for scores in others):
        raise ValueError(f"peers must have as many folds, {len(one)}, each")
    differences, scale = one - other, scale_of(one, other)
    folds, mean = len(differences), _rounded(float(differences.mean()), scale)
    variance = _variance_of_mean(differences, test_share, scale)
    plain = _difference(mean, variance, freedom=folds - 1, folds=folds, level=level)
    if folds < 2 or all(choice.is_free for choice in choices):
        return plain
    freedom: float = folds - 1
    if others:
        noise, freedom = interaction(np.stack([one, other, *others]))
        variance = max(variance, (1 / folds + test_share) * 2 * noise)
    chosen = _difference(mean, variance, freedom=freedom, folds=folds, level=level, choices=choices)
    on_these = sqrt((1 / folds) / (1 / folds + test_share))
    return replace(_more_careful(plain, chosen, choices), luck=chosen.luck * on_these)


def unpaired_difference(
    first: Sequence[float],
    second: Sequence[float],
    *,
    first_share: float,
    second_share: float,
    level: float = 0.95,
    choices: tuple[Choice, Choice] = (NAMED, NAMED),
) -> Difference:
    """Return the difference of scores on different folds: Welch's t-test, variances corrected.

    Each mean's variance is `(1/J + share)` times the sample variance, as in
    `corrected_difference`; the degrees of freedom are Welch's with these. With shares of 0 this
    is Welch's test. Source: Welch 1947, "The generalization of 'Student's' problem when several
    different population variances are involved", Biometrika 34. `choices` as there.

    Raises:
        ValueError: as `corrected_difference`, but the numbers of folds may differ.
    """
    _check(min(first_share, second_share), level)
    one, other = _scores(first), _scores(second)
    folds, scale = min(len(one), len(other)), scale_of(one, other)
    mean = _rounded(float(one.mean() - other.mean()), scale)
    if folds < 2:
        return Difference(mean, None, None, None, folds)
    variances = [
        _variance_of_mean(one, first_share, scale),
        _variance_of_mean(other, second_share, scale),
    ]
    parts = [v**2 / (len(s) - 1) for v, s in zip(variances, (one, other), strict=True)]
    freedom = sum(variances) ** 2 / sum(parts) if sum(parts) else 1.0
    return _difference(
        mean,
        sum(variances),
        freedom=freedom,
        folds=folds,
        level=level,
        choices=choices,
        first_part=variances[0] / sum(variances) if sum(variances) else 0.5,
    )


def wilcoxon(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Return the two-sided p of Wilcoxon's signed-rank test; None with too few differences.

    Differences of zero are left out. Source: Wilcoxon 1945, "Individual comparisons by ranking
    methods", Biometrics Bulletin 1.

    Raises:
        ValueError: no scores, different numbers of them, or one that is not finite.
    """
    one, other = _scores(first), _scores(second)
    if len(one) != len(other):
        raise ValueError(f"both must have as many folds; got {len(one)} and {len(other)}")
    # Differences that are equal except for rounding must be tied.
    differences = np.round((one - other) / scale_of(one, other), _DIGITS)
    differences = differences[differences != 0]
    if len(differences) < FEWEST_FOR_WILCOXON:
        return None
    return float(stats.wilcoxon(differences).pvalue)


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> McNemar:
    """Compare which samples two models get right.

    Args:
        first: for each sample whether the first model is right, `(n,)`.
        second: the same for the second model and the same samples in the same order.

    Raises:
        ValueError: the numbers of samples differ.
    """
    if first.shape != second.shape:
        raise ValueError(f"both must have as many samples; got {len(first)} and {len(second)}")
    one, other = int((first & ~second).sum()), int((second & ~first).sum())
    exact = one + other < FEW_DISCORDANT
    return McNemar(one, other, mcnemar_p(one, other), exact)


def mcnemar_p(first: int, second: int) -> float:
    """Return McNemar's two-sided p for the numbers of samples that only one model gets right.

    Exact (binomial) for fewer than 25 samples, else chi-squared with continuity correction.
    Source: McNemar 1947, "Note on the sampling error of the difference between correlated
    proportions or percentages", Psychometrika 12; Edwards 1948, Psychometrika 13 (correction).
    """
    discordant = first + second
    if discordant < FEW_DISCORDANT:
        return min(1.0, 2 * float(special.bdtr(min(first, second), discordant, 0.5)))
    excess = max(abs(first - second) - 1, 0)
    return float(special.chdtrc(1, excess**2 / discordant))


def error_test(
    name: str, first: Numbers, second: Numbers, groups: NDArray[np.int64] | None = None
) -> ErrorTest | None:
    """Return the test of two models' mean errors on the same samples: Student's t over groups.

    Samples of a group may depend on each other; the sums of the groups are independent. With every
    sample by itself this is the paired t-test, with groups of one size that of the groups' means.
    Source: Liang & Zeger 1986, "Longitudinal data analysis using generalized linear models",
    Biometrika 73, for a mean, with the correction `G / (G - 1)` for G groups.

    Args:
        name: of the errors.
        first: the first model's error for each sample, `(n,)`.
        second: the second's, of the same samples in the same order.
        groups: (n,), samples with the same number belong together; None if all are alone.

    Returns:
        None with fewer than two groups, or where an error is not finite.
    """
    differences = first - second
    numbers = np.arange(len(differences)) if groups is None else groups
    places = np.unique(numbers, return_inverse=True)[1]
    count = int(places.max(initial=-1)) + 1
    if count < 2 or not np.isfinite(differences).all():
        return None
    mean = float(differences.mean())
    sums = np.bincount(places, weights=differences - mean)
    error = sqrt(count / (count - 1) * float((sums**2).sum())) / len(differences)
    if error <= _ROUNDING * float(np.abs(differences).max()):
        p = 0.0 if mean else 1.0
    else:
        p = 2 * float(special.stdtr(count - 1, -abs(mean) / error))
    return ErrorTest(name, mean, p, len(differences), count)


def scale_of(*scores: Numbers) -> float:
    """Return the power of ten at or above the largest score; 1 where all are zero.

    Differences are rounded in relation to it, so that no claim depends on a metric's unit.
    """
    largest = max(float(np.abs(values).max(initial=0.0)) for values in scores)
    return 10.0 ** ceil(log10(largest)) if largest else 1.0


def holm(values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number, in the same order; none gets smaller.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure", Scandinavian
    Journal of Statistics 6.
    """
    corrected, least = [0.0] * len(values), 0.0
    for rank, number in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        least = max(least, min(1.0, (len(values) - rank) * values[number]))
        corrected[number] = least
    return corrected


def _check(share: float, level: float) -> None:
    if not 0 <= share < float("inf"):
        raise ValueError(f"a share of validation samples must not be below 0; got {share}")
    if not 0 < level < 1:
        raise ValueError(f"an interval's level must be between 0 and 1; got {level}")


def _scores(values: Sequence[float]) -> Numbers:
    scores = np.asarray(values, dtype=np.float64)
    if scores.ndim != 1 or not len(scores) or not np.isfinite(scores).all():
        raise ValueError(f"scores must be one finite number a fold, at least one; got {values}")
    return scores


def _rounded(mean: float, scale: float) -> float:
    return 0.0 if abs(mean) <= _ROUNDING * scale else mean


def _variance_of_mean(values: Numbers, share: float, scale: float) -> float:
    """Return the corrected variance; exactly 0 if all values are equal except for rounding."""
    if len(values) < 2 or float(np.ptp(values)) <= _ROUNDING * scale:
        return 0.0
    return (1 / len(values) + share) * float(values.var(ddof=1))


def _difference(
    mean: float,
    variance: float,
    *,
    freedom: float,
    folds: int,
    level: float,
    choices: tuple[Choice, Choice] = (NAMED, NAMED),
    first_part: float = 0.5,
) -> Difference:
    """Return the difference.

    Args:
        mean: first minus second.
        variance: of the mean.
        freedom: degrees of freedom of the variance.
        folds: number of folds.
        level: confidence level of the interval.
        choices: how the two were chosen.
        first_part: the first model's share of the variance, 0 to 1.
    """
    if folds < 2:
        return Difference(mean, None, None, None, folds)
    if variance == 0:
        return Difference(mean, mean, mean, 0.0 if mean else 1.0, folds)
    error, parts = sqrt(variance), (first_part, 1 - first_part)
    below, above = (
        error * critical_t(level, freedom=freedom, choice=choice, winners_share=part)
        for choice, part in zip(choices, parts, strict=True)
    )
    ahead = _ahead(mean)
    p = selected_p(
        abs(mean) / error, freedom=freedom, choice=choices[ahead], winners_share=parts[ahead]
    )
    luck = error * typical_luck(freedom, choices[ahead], parts[ahead])
    return Difference(mean, mean - below, mean + above, p, folds, luck)


def _ahead(mean: float) -> int:
    """Return which of the two leads, 0 or 1."""
    return 0 if mean >= 0 else 1


def _more_careful(
    plain: Difference, chosen: Difference, choices: tuple[Choice, Choice]
) -> Difference:
    """Return a difference whose interval and p are at least as cautious as the plain ones."""

    def of(end: Callable[..., float], name: str, choice: Choice) -> float:
        sure = getattr(plain, name)
        return sure if choice.is_free else end(sure, getattr(chosen, name))

    return Difference(
        plain.mean,
        of(min, "low", choices[0]),
        of(max, "high", choices[1]),
        of(max, "p", choices[_ahead(plain.mean)]),
        plain.folds,
    )


_NORMAL = 1.959963984540054  # 97.5 % of the normal distribution are below


def wilson(share: float, samples: int) -> tuple[float, float]:
    """Return the 95 % interval of a fraction of independent samples.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference",
    Journal of the American Statistical Association 22.

    Args:
        share: such as the fraction of samples classified correctly.
        samples: number of samples; with none, the interval is 0 to 1.
    """
    if samples < 1:
        return 0.0, 1.0
    squared = _NORMAL**2 / samples
    centre = (share + squared / 2) / (1 + squared)
    reach = _NORMAL / (1 + squared) * sqrt(share * (1 - share) / samples + squared / 4 / samples)
    return max(0.0, centre - reach), min(1.0, centre + reach)


def over_folds(
    scores: Sequence[float], *, test_share: float, least: float = 0.0, most: float = 1.0
) -> tuple[float, float] | None:
    """Return the 95 % interval of a mean over folds; None with one fold.

    This is `corrected_difference` from 0, limited to what the metric can be: the variance is
    corrected for the overlap of the training parts.

    Args:
        scores: one for each fold.
        test_share: validation samples per training sample.
        least: that the metric can be.
        most: likewise.
    """
    if not scores:
        return None
    found = corrected_difference(scores, [0.0] * len(scores), test_share=test_share)
    if found.low is None or found.high is None:
        return None
    return max(least, found.low), min(most, found.high)
