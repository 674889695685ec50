"""Which trials' models are averaged, chosen by their out-of-fold predictions, and whether it helps.

Source: Caruana et al. 2004, "Ensemble selection from libraries of models", ICML: greedy forward
selection with replacement, which is a choice of weights. It starts with the best single trial, and
the number of different trials is limited, as each costs a training and time at prediction; so there
is no bagging of candidates, which is a way of using many.

Trials are chosen by log loss, or by the squared error of numbers, whatever the study's objective:
it uses all that predictions say, where the accuracy on a few hundred samples makes many ensembles
equal.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import sqrt
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from search.analysis.calibration import TEMPERATURE, Calibration, fitted, log_losses
from search.analysis.comparison.selection import critical_t
from search.analysis.comparison.statistics import Difference, corrected_difference
from search.analysis.library import Floats, Library, losses
from search.data.folds import Indices
from search.errors import DataError, SettingsError
from search.tasks import CLASSIFICATION, MULTI_LABEL
from tracking.history import TrialHistory

AUTO: Literal["auto"] = "auto"
MOST_MEMBERS = 8  # of `auto`
STEPS = 40  # models that are added, repeats counted, so that weights are multiples of 1/40
PATIENCE = 5  # steps that may bring nothing
_LEAST_GAIN = 1e-5  # of the loss, that a step must bring
_CHUNK = 2**22  # numbers that are computed at once

Weights = dict[int, float]  # by place in the library; they sum to 1


@dataclass(frozen=True)
class Member:
    """A trial in an ensemble.

    Attributes:
        trial: the trial.
        weight: by which its predictions count; those of all members sum to 1.
    """

    trial: TrialHistory
    weight: float


@dataclass(frozen=True)
class Cost:
    """What an ensemble costs beside its first member, whose setting would be exported anyway.

    Attributes:
        train_seconds: of training all members once on as many samples as a fold had.
        single_seconds: likewise of the single trial.
        parameters: of all members.
        single_parameters: of the single trial.
        latency_ms: of predicting one sample, the sum of the members'; None where not measured.
    """

    train_seconds: float
    single_seconds: float
    parameters: int
    single_parameters: int
    latency_ms: float | None = None


@dataclass(frozen=True)
class Selection:
    """An ensemble, and what nested cross-validation says of it.

    Attributes:
        members: by weight, the largest first; a single one where no ensemble is taken.
        ensemble: the best one found, taken or not.
        loss: its nested loss: for each part it was chosen on the others. Log loss in nats, or the
            squared error in units of the targets' spread. Of probabilities those of a temperature
            fitted on the other parts: what that can mend is no reason for an ensemble.
        single_loss: that of the best single trial.
        difference: single less ensemble, with its corrected 95 % interval: above 0 the ensemble
            is better.
        score: the study's own objective, ensemble less single, such that above 0 the ensemble is
            better; None where predictions do not tell it.
        by_size: nested loss by number of members, from 1, without a temperature.
        is_taken: whether `members` are the ensemble.
        reason: a sentence.
        cost: of the ensemble.
    """

    members: tuple[Member, ...]
    ensemble: tuple[Member, ...]
    loss: float
    single_loss: float
    difference: Difference
    score: Difference | None
    by_size: dict[int, float]
    is_taken: bool
    reason: str
    cost: Cost

    @property
    def gain(self) -> float:
        """By which fraction the ensemble's nested loss is below that of the single trial."""
        return 1 - self.loss / self.single_loss if self.single_loss else 0.0


def select(library: Library, *, most: int | Literal["auto"] = AUTO) -> Selection:
    """Choose the trials whose models are averaged.

    Args:
        library: of the study's complete trials.
        most: `auto` takes an ensemble only if it is better beyond doubt, and the smallest that is
            within one standard error of the best (Breiman et al. 1984, "Classification and
            regression trees", for the rule); a number takes one of at most so many trials.

    Raises:
        SettingsError: the number is below 2, there are too few trials for one, or the samples are
            one group, so that it could not be judged.
    """
    _check(library, most)
    if not any(library.splits()):
        return _alone(library)
    sizes = min(MOST_MEMBERS if most == AUTO else int(most), len(library))
    paths = [_path(library, others, sizes) for others, _ in library.splits()]
    nested = _nested(library, paths)
    means = nested.mean(axis=0)
    size = max(min(2, sizes), _smallest(nested) if most == AUTO else sizes)
    found = _members(library, _path(library, slice(None), size)[-1])
    judged = _judged(library, nested[:, [0, size - 1]], [path[size - 1] for path in paths])
    difference, score = judged.difference, judged.score
    is_better = _is_above(difference) and not _is_below(score) and len(found) > 1
    is_taken = len(found) > 1 if most != AUTO else is_better
    return Selection(
        found if is_taken else (Member(library.trials[0], 1.0),),
        found,
        float(judged.losses[:, 1].mean()),
        float(judged.losses[:, 0].mean()),
        difference,
        score,
        {number: float(mean) for number, mean in enumerate(means, start=1)},
        is_taken,
        _reason(difference, score, len(found)),
        _cost(found, library.trials[0]),
    )


def _check(library: Library, most: int | str) -> None:
    if most == AUTO:
        return
    if int(most) < 2:
        raise SettingsError(f"an ensemble must have at least 2 trials; got {most}")
    if len(library) < 2:
        raise SettingsError(
            "an ensemble must have at least 2 trials; the study has"
            f" {len(library)} complete one with usable predictions. Continue it, or leave the"
            " ensemble out"
        )
    if not any(library.splits()):
        raise SettingsError(
            "an ensemble must be judged by other samples than it is chosen on; all that the study's"
            " folds validate belong to one group. Search with more folds, or leave the ensemble out"
        )


def _alone(library: Library) -> Selection:
    """Return the best single trial, where the samples are one group."""
    single = (Member(library.trials[0], 1.0),)
    loss = _loss(library, {0: 1.0}, None)
    return Selection(
        members=single,
        ensemble=single,
        loss=loss,
        single_loss=loss,
        difference=Difference(0.0, None, None, None, 1),
        score=None,
        by_size={1: loss},
        is_taken=False,
        reason="Whether an average is better cannot be told from one group of samples.",
        cost=_cost(single, library.trials[0]),
    )


def _is_above(difference: Difference) -> bool:
    return difference.low is not None and difference.low > 0


def _is_below(score: Difference | None) -> bool:
    return score is not None and score.high is not None and score.high < 0


def _reason(difference: Difference, score: Difference | None, members: int) -> str:
    if members < 2:
        return "No average of trials was better than the best single one."
    average = f"The average of {members} trials"
    if _is_below(score):
        return f"{average} is worse by the study's objective than the best single one."
    if _is_above(difference):
        return f"{average} is better than the best single one beyond doubt."
    if difference.low is None:
        return f"Whether {average.lower()} is better cannot be told from one part of the samples."
    return f"{average} is not better than the best single one beyond doubt."


def _nested(library: Library, paths: Sequence[Sequence[Weights]]) -> NDArray[np.float64]:
    """Return the loss on each part of the ensembles chosen on the others, `(parts, sizes)`."""
    parts = [own for _, own in library.splits()]
    rows = [[_loss(library, w, own) for w in path] for own, path in zip(parts, paths, strict=True)]
    return np.array(rows)


def _smallest(nested: NDArray[np.float64]) -> int:
    """Return the smallest size whose loss is within a standard error of the best size's."""
    means = nested.mean(axis=0)
    best = int(means.argmin())
    if len(nested) < 2:
        return best + 1
    behind = nested - nested[:, [best]]
    errors = behind.std(axis=0, ddof=1) / np.sqrt(len(nested))
    fits = behind.mean(axis=0) <= errors
    fits[best] = True
    return int(np.flatnonzero(fits)[0]) + 1


@dataclass(frozen=True, eq=False)
class _Judged:
    """Nested results of the best single trial and of the ensemble, each `(parts, 2)`.

    Attributes:
        losses: on each part, of what was chosen on the others.
        scores: the study's objective, such that larger is better; NaN without.
        share: samples of a part for each of its others.
        noise: squared standard error of the mean difference of the losses, by samples that are
            independent, as `error_test` has it; 0 where it is not known.
        freedom: their number less 1.
    """

    losses: NDArray[np.float64]
    scores: NDArray[np.float64]
    share: float
    noise: float = 0.0
    freedom: int = 0

    @property
    def difference(self) -> Difference:
        """Single less ensemble, with the interval of `corrected_difference`.

        Five parts alone leave four degrees of freedom. So the samples help to tell the noise, as
        peers do there: the variance of a part's difference is the larger of the parts' own and of
        what the samples' differences give, with the degrees of freedom of the latter.
        """
        single, ensemble = self.losses.T.tolist()
        found = corrected_difference(single, ensemble, test_share=self.share)
        parts = len(single)
        if not self.noise or parts < 2 or found.low is None:
            return found
        of_parts = float((self.losses[:, 0] - self.losses[:, 1]).var(ddof=1))
        variance = (1 / parts + self.share) * max(of_parts, parts * self.noise)
        reach = critical_t(0.95, freedom=self.freedom) * sqrt(variance)
        p = 2 * float(special.stdtr(self.freedom, -abs(found.mean) / sqrt(variance)))
        return replace(found, low=found.mean - reach, high=found.mean + reach, p=p)

    @property
    def score(self) -> Difference | None:
        if np.isnan(self.scores).any():
            return None
        single, ensemble = self.scores.T.tolist()
        return corrected_difference(ensemble, single, test_share=self.share)


def _judged(library: Library, nested: NDArray[np.float64], paths: Sequence[Weights]) -> _Judged:
    """Judge ensembles against single trials, with their probabilities calibrated.

    A temperature is fitted on the other parts, for an ensemble as for each single trial. The single
    trial is the one that is best over all parts, which flatters it, but never the ensemble. Where
    the files have not all probabilities, losses are those of the models as they are, and the single
    trial is chosen on the other parts, too.

    Args:
        library: of the trials.
        nested: the losses of the single trial and of the ensemble on each part, `(parts, 2)`.
        paths: for each part the ensemble chosen on the others.
    """
    splits = list(library.splits())
    share = float(np.mean([len(own) / len(others) for others, own in splits]))
    places = sorted({0, library.leader, *(place for path in paths for place in path)})
    try:
        known = {place: library.values(library.trials[place]) for place in places}
    except DataError:
        return _Judged(nested, np.full_like(nested, np.nan), share)
    singles = [_results(library, [known[place]] * len(splits)) for place in places]
    best = min(singles, key=lambda each: float(each[0][:, 0].mean()))
    means = [np.asarray(sum(w * known[place] for place, w in path.items())) for path in paths]
    ensemble = _results(library, means)
    losses_of, scores = np.moveaxis(np.stack([best[0], ensemble[0]], axis=1), 2, 0)
    rows = np.concatenate([own for _, own in splits])
    noise, groups = _noise(best[1] - ensemble[1], library.ids[rows], library.weights_of(rows))
    return _Judged(losses_of, scores, share, noise, groups - 1)


def _results(
    library: Library, values: Sequence[NDArray[Any]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return loss and objective on each part, `(parts, 2)`, and the loss of each row, `(n,)`."""
    found, rows = [], []
    for (others, own), each in zip(library.splits(), values, strict=True):
        calibrated = _Calibrated(library, each, others)
        of_rows = calibrated.losses(own)
        loss = float(np.average(of_rows, weights=library.weights_of(own)))
        found.append([loss, calibrated.score(own)])
        rows.append(of_rows)
    return np.array(found), np.concatenate(rows)


def _noise(
    differences: NDArray[np.float64], ids: Indices, weights: NDArray[Any] | None
) -> tuple[float, int]:
    """Return the squared standard error of a mean over independent ids, and their number."""
    own = np.ones(len(differences)) if weights is None else np.asarray(weights, np.float64)
    apart = own * (differences - np.average(differences, weights=own))
    places = np.unique(ids, return_inverse=True)[1].reshape(-1)
    sums, count = np.bincount(places, apart), int(places.max()) + 1
    if count < 2:
        return 0.0, 1
    return float(count / (count - 1) * (sums**2).sum() / own.sum() ** 2), count


class _Calibrated:
    """What was predicted, with a temperature fitted on some rows."""

    def __init__(self, library: Library, values: NDArray[Any], rows: Indices) -> None:
        self._library, self._values, task = library, values, library.task
        self._calibration = Calibration()
        if task.name in (CLASSIFICATION, MULTI_LABEL):
            given = values[rows], library.targets[rows], task, library.weights_of(rows)
            self._calibration = fitted(TEMPERATURE, *given)

    def losses(self, rows: Indices) -> NDArray[np.float64]:
        """Return the loss of each row, `(n,)`."""
        library, task = self._library, self._library.task
        if task.name not in (CLASSIFICATION, MULTI_LABEL):
            return library.losses_of(self._values, rows)
        values = self._calibration.applied(self._values[rows], task)
        return log_losses(values, library.targets[rows], task)

    def score(self, rows: Indices) -> float:
        return self._library.objective_of(self._values, rows)


def _path(library: Library, rows: Indices | slice, most: int) -> list[Weights]:
    """Return the ensembles of at most 1, 2, ... trials, chosen on some rows."""
    columns, counts = _flat(library, rows)
    shares = np.broadcast_to(library.are_shares, library.columns[0, rows].shape).ravel()
    order = _greedy(columns, counts, shares, most=most)
    members = list(dict.fromkeys(order))
    found: list[Weights] = [{members[0]: 1.0}]
    for size in range(2, most + 1):
        if size > len(members):
            found.append(found[-1])
            continue
        first = members[:size]
        again = [first[place] for place in _greedy(columns[first], counts, shares, most=size)]
        found.append({one: again.count(one) / len(again) for one in dict.fromkeys(again)})
    return found


def _flat(library: Library, rows: Indices | slice) -> tuple[Floats, Floats]:
    """Return columns of rows, `(trials, rows * columns)`, and how much each counts."""
    columns = library.columns[:, rows]
    own = np.ones(columns.shape[1]) if library.weights is None else library.weights[rows]
    counts = np.outer(own / own.sum(), library.importance).ravel()
    return columns.reshape(len(columns), -1), counts.astype(np.float32)


def _greedy(columns: Floats, counts: Floats, shares: NDArray[np.bool_], *, most: int) -> list[int]:
    """Return places in the order in which they are added to the sum that is averaged.

    Where no step makes it better, some more are taken: with copies of what is there, the next one
    gets a smaller weight.

    Args:
        columns: `(trials, m)`.
        counts: how much each counts in the loss, `(m,)`.
        shares: which are probabilities, `(m,)`.
        most: different places.
    """
    first = int(_means(columns, np.zeros_like(counts), 1, counts, shares).argmin())
    order, total = [first], columns[first].copy()
    loss, length = float(losses(total, shares).astype(np.float64) @ counts), 1
    while len(order) < min(STEPS, length + PATIENCE):
        known = sorted(set(order))
        free = np.array(known) if len(known) == most else np.arange(len(columns))
        found = _means(columns[free], total, len(order) + 1, counts, shares)
        best = int(found.argmin())
        order.append(int(free[best]))
        total += columns[free[best]]
        if found[best] <= loss * (1 - _LEAST_GAIN):
            loss, length = float(found[best]), len(order)
    return order[:length]


def _means(
    columns: Floats, total: Floats, count: int, counts: Floats, shares: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the loss with each trial added to a sum, `(trials,)`."""
    step = max(1, _CHUNK // max(1, columns.shape[1]))
    found = []
    for start in range(0, len(columns), step):
        mean = (columns[start : start + step] + total) / np.float32(count)
        found.append(losses(mean, shares) @ counts)
    return np.concatenate(found).astype(np.float64)


def _loss(library: Library, weights: Weights, rows: Indices | None) -> float:
    own = slice(None) if rows is None else rows
    columns, counts = _flat(library, own)
    shares = np.broadcast_to(library.are_shares, library.columns[0, own].shape).ravel()
    mean = sum(weight * columns[place] for place, weight in weights.items())
    return float(losses(np.asarray(mean, np.float32), shares).astype(np.float64) @ counts)


def _members(library: Library, weights: Weights) -> tuple[Member, ...]:
    ordered = sorted(weights.items(), key=lambda each: (-each[1], each[0]))
    return tuple(Member(library.trials[place], weight) for place, weight in ordered)


def _cost(members: Sequence[Member], single: TrialHistory) -> Cost:
    trials = [member.trial for member in members]
    latencies = [trial.score("latency_ms") for trial in trials]
    known = [latency for latency in latencies if latency is not None]
    return Cost(
        sum(map(_fold_seconds, trials)),
        _fold_seconds(single),
        sum(_parameters(trial) for trial in trials),
        _parameters(single),
        sum(known) if len(known) == len(latencies) else None,
    )


def _fold_seconds(trial: TrialHistory) -> float:
    folds = trial.finished_folds()
    return sum(fold.seconds for fold in folds.values()) / max(1, len(folds))


def _parameters(trial: TrialHistory) -> int:
    return int(trial.ended.model_parameters) if trial.ended else 0
