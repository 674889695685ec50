"""The comparison of contenders: the scores of each, and the difference of each pair."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import isfinite, nan, prod
from statistics import fmean, stdev
from typing import Any

from search.analysis.comparison import notes
from search.analysis.comparison.confusion import Cell, differing_cells
from search.analysis.comparison.contenders import Contender, chosen_measure, other_measures
from search.analysis.comparison.evidence import (
    LEVEL,
    Entry,
    Pair,
    are_confirmed_alike,
    paired_difference,
    scores_by_fold,
)
from search.analysis.comparison.notes import difference_texts, verdict
from search.analysis.comparison.ranks import FEWEST_MODELS, Ranking, rank
from search.analysis.comparison.samples import (
    Answers,
    error_tests,
    mcnemar_of,
    readable_answers,
)
from search.analysis.comparison.selection import LEAST_SHARE
from search.analysis.comparison.statistics import Difference, holm, unpaired_difference, wilcoxon
from search.analysis.measure import (
    fold_value,
    objective_name,
    p_text,
    score_and_spread,
    unit_of,
)
from tracking import html
from tracking.objectives import Objective
from tracking.records import FoldEnded


@dataclass(frozen=True, repr=False)
class Comparison:
    """A comparison of several trials.

    Attributes:
        dataset: name of the dataset.
        measure: the metric that is compared.
        others: metrics that are told beside it.
        entries: two or more, the best mean first.
        pairs: all pairs of entries, in order: (0, 1), (0, 2), ..., (1, 2), ...
        ranking: of three or more entries that share at least two folds, else None.
        classes: names of the classes; empty for other tasks.
        differing_classes: classes whose recall differs most between the first two entries.
        differing_pairs: confusions whose share differs most between the first two entries.
        notes: sentences on what the comparison is based on, or lacks.
        level: confidence level of the intervals.
    """

    dataset: str
    measure: Objective
    others: tuple[Objective, ...]
    entries: tuple[Entry, ...]
    pairs: tuple[Pair, ...]
    ranking: Ranking | None
    classes: tuple[str, ...]
    differing_classes: tuple[Cell, ...]
    differing_pairs: tuple[Cell, ...]
    notes: tuple[str, ...]
    level: float = LEVEL

    @property
    def verdict(self) -> str:
        """One or two sentences: which is better and by how much, or that neither claim holds."""
        return verdict(self.measure, self.entries, self.pairs, self.level)

    def __repr__(self) -> str:
        return f"<comparison of {len(self.entries)} trials on {self.dataset}: {self.verdict}>"

    def _repr_html_(self) -> str:
        name = objective_name(self.measure)
        picture = html.strips(
            [(e.label, e.folds, e.score) for e in self.entries], self.measure.name
        )
        return html.block(
            f"Comparison of {len(self.entries)} trials on {self.dataset} by {name}",
            self.verdict,
            html.table(
                ("", name, "±", "folds", "origin", "parameters", "training, s"),
                [self._row(entry) for entry in self.entries],
            ),
            picture,
            html.muted(f"{name} of each fold, and the mean as a line") if picture else "",
            html.table(
                ("difference of", "", "", f"{self.level:.0%} interval", "p", ""),
                [self._pair_row(pair) for pair in self.pairs],
            ),
            *(html.muted(note) for note in self.notes),
        )

    def _row(self, entry: Entry) -> tuple[object, ...]:
        score, deviation = score_and_spread(self.measure, entry.score, entry.spread)
        return (
            entry.label,
            score,
            deviation,
            len(entry.folds),
            entry.origin,
            f"{entry.model_parameters:,}",
            f"{entry.train_seconds:,.1f}",
        )

    def _pair_row(self, pair: Pair) -> tuple[object, ...]:
        difference, interval = difference_texts(self.measure, pair)
        return (
            f"{self.entries[pair.first].label} and {self.entries[pair.second].label}",
            difference,
            unit_of(self.measure),
            interval,
            p_text(pair.holm_p),
            "can be claimed" if pair.is_claimed(self.level) else "cannot be claimed",
        )


def compare(
    contenders: Sequence[Contender],
    *,
    objective: str = "",
    level: float = LEVEL,
    latencies: Sequence[float] = (),
) -> Comparison:
    """Compare two or more trials of one dataset by a metric.

    Args:
        contenders: as `chosen_contenders` returns them.
        objective: the metric, as `--objective` of `run` takes it; empty: see `chosen_measure`.
        level: confidence level of the intervals; 1 minus the significance level.
        latencies: of each contender's model, ms; empty: as measured by the searches.

    Raises:
        ValueError: fewer than two contenders.
        SettingsError: not all of them recorded the metric.
    """
    if len(contenders) < 2:
        raise ValueError(f"a comparison needs two contenders; got {len(contenders)}")
    measure = chosen_measure(contenders, objective)
    others = other_measures(contenders, measure)
    are_confirmed = are_confirmed_alike([contender.evidence for contender in contenders])
    measured: Sequence[float | None] = latencies or [
        each.trial.score("latency_ms") for each in contenders
    ]
    made = [
        (contender, _entry(contender, (measure, *others), latency, confirmed=are_confirmed))
        for contender, latency in zip(contenders, measured, strict=True)
    ]
    made.sort(key=lambda both: -measure.oriented(both[1].score))
    ordered, entries = [c for c, _ in made], tuple(entry for _, entry in made)
    answers, unreadable = readable_answers(ordered)
    one, other = entries[0].confusion, entries[1].confusion
    pairs = _pairs(measure, ordered, entries, answers, level, confirmed=are_confirmed)
    disputed = any(_is_disputed(pair, level) for pair in pairs)
    return Comparison(
        dataset=str(contenders[0].start.dataset["name"]),
        measure=measure,
        others=others,
        entries=entries,
        pairs=pairs,
        ranking=_ranking(measure, ordered, level, confirmed=are_confirmed),
        classes=_classes(ordered, entries),
        differing_classes=differing_cells(one, other, diagonal=True),
        differing_pairs=differing_cells(one, other, diagonal=False),
        notes=(
            *notes.of(measure, ordered, are_confirmed=are_confirmed),
            *unreadable,
            *([notes.on_samples(pairs)] if disputed else []),
        ),
        level=level,
    )


def _entry(
    contender: Contender,
    measures: Sequence[Objective],
    latency_ms: float | None,
    *,
    confirmed: bool,
) -> Entry:
    trial, ended = contender.trial, contender.trial.ended
    if ended is None:
        raise ValueError(f"only finished trials can be compared; {contender.label} is not finished")
    folds = list(_folds(contender, confirmed=confirmed).values())
    values = {m.fold: [fold_value(fold, m) or 0.0 for fold in folds] for m in measures}
    scores = {name: fmean(several) for name, several in values.items()}
    spreads = {name: _spread(several) for name, several in values.items()}
    compared = tuple(values[measures[0].fold])
    return Entry(
        label=contender.label,
        study=contender.start.study,
        trial=trial.number,
        origin=trial.started.origin,
        rivals=contender.evidence.rivals,
        folds=compared,
        score=scores[measures[0].fold],
        spread=spreads[measures[0].fold],
        scores=scores,
        spreads=spreads,
        train_seconds=ended.train_seconds,
        model_parameters=ended.model_parameters,
        latency_ms=latency_ms,
        confusion=ended.confusion,
    )


def _spread(values: Sequence[float]) -> float | None:
    if not all(map(isfinite, values)):
        return nan
    return stdev(values) if len(values) > 1 else None


def _folds(contender: Contender, *, confirmed: bool) -> dict[int, FoldEnded]:
    return contender.evidence.confirmed if confirmed else contender.trial.finished_folds()


def _on_shared_folds(
    measure: Objective, contenders: Sequence[Contender], *, confirmed: bool
) -> list[list[float]]:
    """Return each contender's values, larger is better, on the folds that all have, in order."""
    several = [scores_by_fold(c.evidence, measure, confirmed=confirmed) for c in contenders]
    shared = sorted(set.intersection(*map(set, several)))
    return [[folds[number] for number in shared] for folds in several]


def _pairs(
    measure: Objective,
    contenders: Sequence[Contender],
    entries: Sequence[Entry],
    answers: Sequence[Answers | None],
    level: float,
    *,
    confirmed: bool,
) -> tuple[Pair, ...]:
    numbers = list(combinations(range(len(entries)), 2))
    paired = [contenders[a].digests == contenders[b].digests for a, b in numbers]
    differences = [
        _difference(
            measure,
            (contenders[a], contenders[b]),
            (entries[a], entries[b]),
            level,
            confirmed=confirmed,
        )
        for a, b in numbers
    ]
    corrected = iter(holm([d.p for d in differences if d.p is not None]))
    return tuple(
        Pair(
            first=a,
            second=b,
            paired=is_paired,
            difference=difference,
            holm_p=None if difference.p is None else next(corrected),
            wilcoxon_p=_wilcoxon(measure, contenders[a], contenders[b], confirmed=confirmed)
            if is_paired
            else None,
            **_on_samples(
                (contenders[a], contenders[b]), answers[a], answers[b], is_paired=is_paired
            ),
        )
        for (a, b), is_paired, difference in zip(numbers, paired, differences, strict=True)
    )


def _difference(
    measure: Objective,
    contenders: tuple[Contender, Contender],
    entries: tuple[Entry, Entry],
    level: float,
    *,
    confirmed: bool,
) -> Difference:
    one, other = contenders
    if one.digests == other.digests:
        found = paired_difference(
            one.evidence, other.evidence, measure, confirmed=confirmed, level=level
        )
        lead = measure.oriented(entries[0].score) - measure.oriented(entries[1].score)
        return found or Difference(lead, None, None, None, 0)
    choices = one.evidence.choice(confirmed=False), other.evidence.choice(confirmed=False)
    least = 0.0 if all(choice.is_free for choice in choices) else LEAST_SHARE
    return unpaired_difference(
        [measure.oriented(value) for value in entries[0].folds],
        [measure.oriented(value) for value in entries[1].folds],
        first_share=max(least, one.test_share),
        second_share=max(least, other.test_share),
        level=level,
        choices=choices,
    )


def _on_samples(
    contenders: tuple[Contender, Contender],
    first: Answers | None,
    second: Answers | None,
    *,
    is_paired: bool,
) -> dict[str, Any]:
    """Return the tests of the samples, which are of the study's own folds, also after `--confirm`.

    Returns:
        Fields of `Pair`.
    """
    if not is_paired or first is None or second is None:
        return {"mcnemar": None, "errors": ()}
    choices = _choices(*contenders, confirmed=False)
    return {
        "mcnemar": mcnemar_of(first, second, choices=choices),
        "errors": error_tests(first, second, choices=choices),
    }


def _wilcoxon(
    measure: Objective, one: Contender, other: Contender, *, confirmed: bool
) -> float | None:
    p = wilcoxon(*_on_shared_folds(measure, [one, other], confirmed=confirmed))
    return None if p is None else min(1.0, p * _choices(one, other, confirmed=confirmed))


def _choices(*contenders: Contender, confirmed: bool) -> int:
    """Return from how many trials the tested scores may have chosen one of the two (Bonferroni)."""
    return max(_tried(contender, confirmed=confirmed) for contender in contenders)


def _tried(contender: Contender, *, confirmed: bool) -> int:
    choice = contender.evidence.choice(confirmed=confirmed)
    return choice.finalists * (choice.candidates if choice.carried else 1)


def _is_disputed(pair: Pair, level: float) -> bool:
    ps = [test.p for test in (pair.mcnemar, *pair.errors) if test is not None]
    return min(ps, default=1.0) < 1 - level and not pair.is_claimed(level)


def _ranking(
    measure: Objective, contenders: Sequence[Contender], level: float, *, confirmed: bool
) -> Ranking | None:
    share_folds = len({contender.digests for contender in contenders}) == 1
    if len(contenders) < FEWEST_MODELS or not share_folds:
        return None
    scores = _on_shared_folds(measure, contenders, confirmed=confirmed)
    if len(scores[0]) < 2:
        return None
    choices = prod(_tried(contender, confirmed=confirmed) for contender in contenders)
    return rank(scores, level=level, choices=choices)


def _classes(contenders: Sequence[Contender], entries: Sequence[Entry]) -> tuple[str, ...]:
    names, count = contenders[0].start.classes, len(entries[0].confusion)
    return tuple([*names, *(f"class {n}" for n in range(len(names), count))][:count])
