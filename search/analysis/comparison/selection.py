"""Tests that allow for the choice of a model by its scores.

The best of many equal models leads a baseline by luck alone, the more so the more there were.
`selected_p` computes how often such a large lead occurs by luck.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import log, pi, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

Numbers = NDArray[np.float64]

# Correlation of two folds' scores that a claim about a chosen model must withstand: Nadeau and
# Bengio's 1/5 for five folds. For more folds they assume less, which no data can show (Bengio &
# Grandvalet 2004); in the far tail, a slightly larger correlation causes many false claims.
LEAST_SHARE = 1 / 4

_NODES = 100  # nodes of each quadrature
_UNLIKELY = 1e-14  # probability that is cut off at each end of a distribution


@dataclass(frozen=True)
class Choice:
    """How a model was chosen before its scores are tested.

    Attributes:
        candidates: from how many models it was the best; 1 if no score chose it.
        carried: correlation, 0 to 1, between the scores that chose it and those tested: 1 if they
            are the same, 0 if other samples chose it.
        finalists: from how many already chosen models it is the best by the tested scores.
    """

    candidates: int = 1
    carried: float = 1.0
    finalists: int = 1

    def __post_init__(self) -> None:
        if self.candidates < 1 or self.finalists < 1 or not 0 <= self.carried <= 1:
            raise ValueError(f"a choice must be among one or more, carried within 0..1; got {self}")

    @property
    def is_free(self) -> bool:
        """Whether the tested scores had no part in the choice."""
        return self.finalists == 1 and (self.candidates == 1 or self.carried == 0)


NAMED = Choice()


def carried_over(share: float, chosen_by: int, tested_on: int) -> float:
    """Return the correlation of mean scores on some folds with those on others of the same samples.

    Single folds of any cut have the correlation `share / (1 + share)`, as in
    `corrected_difference`; means of folds have a higher one.

    Args:
        share: validation samples per training sample.
        chosen_by: number of folds that chose.
        tested_on: number of other folds.
    """
    return share / sqrt((share + 1 / chosen_by) * (share + 1 / tested_on))


def selected_p(
    t: float, *, freedom: float, choice: Choice = NAMED, winners_share: float = 0.5
) -> float:
    """Return the two-sided p of the lead of a chosen model; Student's p if it was not chosen.

    The lead is `T = (c A + sqrt(1 - c^2) Z) / S`: A is the largest of as many
    standard normals as there were candidates, Z a standard normal for the rest of the noise, S the
    spread with its degrees of freedom. If the tested scores chose (`carried` 1) and both models are
    equally noisy, this is the distribution of Dunnett's many-to-one test. All candidates count as
    equally good, so p is too large if some could not have won. Finalists, chosen once more by the
    tested scores, multiply p (Bonferroni).

    Source: Dunnett 1955, "A multiple comparison procedure for comparing several treatments with a
    control", Journal of the American Statistical Association 50.

    Args:
        t: lead divided by its standard error.
        freedom: degrees of freedom of that error.
        choice: how the model that leads was chosen.
        winners_share: the leader's share of the squared error, 0 to 1.
    """
    link = choice.carried * sqrt(winners_share)
    one_sided = _tail(t, freedom, choice.candidates, link)
    return min(1.0, 2 * choice.finalists * one_sided)


@lru_cache(maxsize=512)
def critical_t(
    level: float, *, freedom: float, choice: Choice = NAMED, winners_share: float = 0.5
) -> float:
    """Return the lead, in standard errors, of which `selected_p` is 1 - level."""
    if choice.is_free:
        return float(special.stdtrit(freedom, (1 + level) / 2))

    def excess(t: float) -> float:
        p = selected_p(t, freedom=freedom, choice=choice, winners_share=winners_share)
        return p - (1 - level)

    most = 4.0
    while excess(most) > 0:
        most *= 2
    return float(optimize.brentq(excess, 0.0, most, xtol=1e-9))


@lru_cache(maxsize=512)
def typical_luck(freedom: float, choice: Choice, winners_share: float = 0.5) -> float:
    """Return the lead, in standard errors, that the choice alone gives in half of all cases.

    That is the median lead of a chosen model that is no better; 0 if no score chose it.

    Args:
        freedom: degrees of freedom of the standard error.
        choice: how the model that leads was chosen.
        winners_share: the leader's share of the squared error, 0 to 1.
    """
    if choice.is_free:
        return 0.0
    link = choice.carried * sqrt(winners_share)

    def excess(t: float) -> float:
        return choice.finalists * _tail(t, freedom, choice.candidates, link) - 0.5

    most = 4.0
    while excess(most) > 0:
        most *= 2
    return float(optimize.brentq(excess, 0.0, most, xtol=1e-9))


def interaction(table: Numbers) -> tuple[float, int]:
    """Return the variance of a score that neither its model nor its fold explains.

    Args:
        table: scores, `(n_models, n_folds)`.

    Returns:
        The mean square of the residuals of a two-way layout, and its degrees of freedom.
    """
    by_model, by_fold = table.mean(axis=1, keepdims=True), table.mean(axis=0)
    freedom = (table.shape[0] - 1) * (table.shape[1] - 1)
    return float(((table - by_model - by_fold + table.mean()) ** 2).sum()) / freedom, freedom


def _tail(t: float, freedom: float, candidates: int, link: float) -> float:
    """Return the chance that `(link A + sqrt(1 - link^2) Z) / S` is above t.

    The one of A and Z with the larger weight is integrated exactly, the other by quadrature.
    """
    if candidates == 1 or link == 0:
        return float(special.stdtr(freedom, -t))
    spread, densities = _spread(freedom)
    bars, rest = t * spread[:, None], sqrt(max(0.0, 1 - link**2))
    if link > rest:
        nodes, weights = _best_of(1)
        log_below = special.log_ndtr((bars - rest * nodes) / link)
        above = -np.expm1(candidates * log_below)
    else:
        nodes, weights = _best_of(candidates)
        above = special.ndtr((link * nodes - bars) / rest)
    return float(densities @ above @ weights)


@lru_cache(maxsize=64)
def _best_of(candidates: int) -> tuple[Numbers, Numbers]:
    """Return nodes and weights for the largest of some standard normals."""
    lowest = float(special.ndtri_exp(log(_UNLIKELY) / candidates))
    highest = -float(special.ndtri_exp(log(_UNLIKELY / candidates)))
    nodes, weights = _quadrature(lowest, highest)
    log_density = (candidates - 1) * special.log_ndtr(nodes) - nodes**2 / 2
    return nodes, weights * candidates / sqrt(2 * pi) * np.exp(log_density)


@lru_cache(maxsize=64)
def _spread(freedom: float) -> tuple[Numbers, Numbers]:
    """Return nodes and weights for an estimated spread whose true value is 1."""
    law = stats.chi(freedom, scale=1 / sqrt(freedom))
    nodes, weights = _quadrature(float(law.ppf(_UNLIKELY)), float(law.isf(_UNLIKELY)))
    return nodes, weights * law.pdf(nodes)


def _quadrature(low: float, high: float) -> tuple[Numbers, Numbers]:
    nodes, weights = special.roots_legendre(_NODES)
    return (low + high) / 2 + (high - low) / 2 * nodes, (high - low) / 2 * weights
