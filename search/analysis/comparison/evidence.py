"""Which scores of two trials are compared, and the parts of a comparison."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite

from search.analysis.comparison.confusion import Confusion
from search.analysis.comparison.selection import LEAST_SHARE, NAMED, Choice, carried_over
from search.analysis.comparison.statistics import (
    Difference,
    ErrorTest,
    McNemar,
    corrected_difference,
)
from search.analysis.measure import fold_value
from search.data.folds import share_of
from tracking.history import History, TrialHistory
from tracking.objectives import Objective
from tracking.records import FoldEnded

PEERS = 6  # best trials that help to estimate the noise, besides the two compared


@dataclass(frozen=True, eq=False)
class Evidence:
    """A trial in a comparison: its scores, and how it was chosen.

    Attributes:
        history: of its study.
        trial: the trial.
        rivals: from how many trials it was chosen by its scores; 1 if it was not.
    """

    history: History
    trial: TrialHistory
    rivals: int = 1

    @property
    def confirmed(self) -> dict[int, FoldEnded]:
        """Its confirmation folds by number; empty until they are complete."""
        is_over = self.trial.confirmed is not None and self.trial.confirmed.scores
        return self.trial.finished_confirmation_folds() if is_over else {}

    def choice(self, *, confirmed: bool) -> Choice:
        """Return how it was chosen, in relation to the tested scores.

        Args:
            confirmed: whether the tested scores are those of its confirmation folds, else of the
                study's own folds.
        """
        if self.rivals == 1:
            return NAMED
        if not confirmed:
            return Choice(self.rivals)
        study = self.history.known_study()
        share = max(LEAST_SHARE, share_of(study))
        carried = carried_over(share, study.folds, len(self.confirmed))
        finalists = [t for t in self.history.confirmed() if not t.started.is_baseline]
        return Choice(
            self.rivals,
            carried=0.0 if is_afresh(self.history) else carried,
            finalists=max(1, len(finalists)),
        )


def is_afresh(history: History) -> bool:
    """Return whether the confirmation folds contain no samples that the search used."""
    known = history.confirmation
    return bool(known) and known.get("unused") == known.get("samples")


def rivals_of(history: History, trial: TrialHistory, *, baselines: bool = False) -> int:
    """Return from how many trials one was chosen: all that were tried, pruned ones included.

    Args:
        history: of its study.
        trial: the trial; a baseline was named before there was a score.
        baselines: whether it represents its study, so that a baseline was chosen, too.
    """
    tried = [t for t in history.trials.values() if t.state != "failed"]
    if baselines:
        return max(1, len(tried))
    if trial.started.is_baseline:
        return 1
    return max(1, sum(not t.started.is_baseline for t in tried))


def are_confirmed_alike(several: Sequence[Evidence]) -> bool:
    """Return whether all were confirmed on the same folds.

    If a journal does not say which folds these were, they were cut from all samples in use, by the
    study's seed.
    """
    keys = {
        (
            str(start.dataset.get("digest")),
            start.folds_digest,
            start.settings.get("seed"),
            one.history.confirmation.get("digest"),
            tuple(one.confirmed),
        )
        for one in several
        for start in [one.history.known_study()]
    }
    return len(keys) == 1 and all(one.confirmed for one in several)


def paired_difference(
    first: Evidence,
    second: Evidence,
    objective: Objective,
    *,
    confirmed: bool,
    level: float = 0.95,
) -> Difference | None:
    """Compare two trials fold by fold; None if they share no fold that has a finite value.

    Args:
        first: a trial.
        second: a trial of a study with the same folds.
        objective: what is compared; its sign is changed if lower is better. Folds without it are
            left out.
        confirmed: use the confirmation folds of both, else the study's own folds.
        level: confidence level of the interval.
    """
    one, other = (scores_by_fold(each, objective, confirmed=confirmed) for each in (first, second))
    shared = sorted(one.keys() & other.keys())
    if not shared:
        return None
    choices = first.choice(confirmed=confirmed), second.choice(confirmed=confirmed)
    is_free = all(choice.is_free for choice in choices)
    share = share_of(first.history.known_study())
    return corrected_difference(
        [one[number] for number in shared],
        [other[number] for number in shared],
        test_share=share if is_free else max(LEAST_SHARE, share),
        level=level,
        choices=choices,
        peers=[] if is_free or confirmed else _peers(first, second, shared, objective),
    )


def scores_by_fold(one: Evidence, objective: Objective, *, confirmed: bool) -> dict[int, float]:
    """Return the finite values of an objective by fold, such that larger is better."""
    return _oriented(one.confirmed if confirmed else one.trial.finished_folds(), objective)


def _oriented(folds: Mapping[int, FoldEnded], objective: Objective) -> dict[int, float]:
    values = {number: fold_value(fold, objective) for number, fold in folds.items()}
    return {n: objective.oriented(v) for n, v in values.items() if v is not None and isfinite(v)}


def _peers(
    first: Evidence, second: Evidence, shared: Sequence[int], objective: Objective
) -> list[list[float]]:
    """Return the scores of both studies' best other trials that have all these folds."""
    histories = {id(one.history): one.history for one in (first, second)}
    found = [
        [values[number] for number in shared]
        for history in histories.values()
        for trial in history.completed()
        if trial is not first.trial and trial is not second.trial
        for values in [_oriented(trial.finished_folds(), objective)]
        if values.keys() >= set(shared)
    ]
    return sorted(found, key=sum, reverse=True)[:PEERS]


LEVEL = 0.95


@dataclass(frozen=True)
class Entry:
    """The scores of one contender, as means over its folds.

    Attributes:
        label: its name in the output.
        study: name of its study.
        trial: its number.
        origin: `sampled` or `baseline:NAME`.
        rivals: from how many trials it was chosen by its scores; 1 if it was not.
        folds: the compared metric on each compared fold.
        score: their mean.
        spread: their sample standard deviation; None for one fold.
        scores: the compared metric and others by name, means over the same folds. What a trial does
            not have is left out.
        spreads: their sample standard deviations over these folds; None for one fold.
        train_seconds: of all the study's folds.
        model_parameters: number of weights.
        latency_ms: of one prediction; None if it was not measured.
        confusion: confusion matrix of the out-of-fold predictions.
    """

    label: str
    study: str
    trial: int
    origin: str
    rivals: int
    folds: tuple[float, ...]
    score: float
    spread: float | None
    scores: dict[str, float]
    spreads: dict[str, float | None]
    train_seconds: float
    model_parameters: int
    latency_ms: float | None
    confusion: Confusion = field(repr=False)


@dataclass(frozen=True)
class Pair:
    """The difference of two entries.

    Attributes:
        first: index of the entry with the better mean.
        second: index of the other entry.
        paired: whether they share folds and were compared fold by fold.
        difference: of the means, with interval and p; above 0 the first is better, also where a
            smaller value is.
        holm_p: p corrected for the number of pairs; None without p.
        mcnemar: McNemar's test of the out-of-fold predictions; None if they are not available or
            have other folds.
        wilcoxon_p: None if unpaired, or if too few folds differ.
        errors: tests of the samples' errors, out of fold, of other tasks than classification; empty
            likewise.

    All p-values allow for how the two were chosen; see `search.analysis.comparison.evidence`.
    """

    first: int
    second: int
    paired: bool
    difference: Difference
    holm_p: float | None
    mcnemar: McNemar | None
    wilcoxon_p: float | None
    errors: tuple[ErrorTest, ...] = ()

    def is_claimed(self, level: float) -> bool:
        """Return whether a difference can be claimed, after the correction for many pairs."""
        return self.holm_p is not None and self.holm_p < 1 - level
