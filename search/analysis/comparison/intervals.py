"""Intervals around single scores: what a reader may expect a score to be the next time."""

from collections.abc import Sequence
from math import sqrt

_NORMAL = 1.959963984540054  # 97.5 % of the normal distribution lie below


def wilson(share: float, samples: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of independent samples.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference",
    Journal of the American Statistical Association 22.

    Args:
        share: such as the fraction of samples classified correctly.
        samples: how many there were; without any the share may be anything.
    """
    if samples < 1:
        return 0.0, 1.0
    squared = _NORMAL**2 / samples
    centre = (share + squared / 2) / (1 + squared)
    reach = _NORMAL / (1 + squared) * sqrt(share * (1 - share) / samples + squared / 4 / samples)
    return max(0.0, centre - reach), min(1.0, centre + reach)


def over_folds(scores: Sequence[float], *, test_share: float) -> tuple[float, float] | None:
    """Return the 95 % interval of a mean of fractions over folds, None where there is one fold.

    The variance is corrected for the overlap of the training parts, as in
    `corrected_difference`, of which this is the difference from 0.
    It is cut at 0 and 1.

    Args:
        scores: one a fold, within 0..1.
        test_share: validation samples for each training sample.
    """
    from search.analysis.comparison.statistics import corrected_difference

    if not scores:
        return None
    found = corrected_difference(scores, [0.0] * len(scores), test_share=test_share)
    if found.low is None or found.high is None:
        return None
    return max(0.0, found.low), min(1.0, found.high)
