"""Contenders compared: what each scores, and how each two differ."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean, stdev
from typing import TypeAlias

from search.comparison import notes
from search.comparison.cells import Cell, differing_cells
from search.comparison.contenders import Contender
from search.comparison.entries import LEVEL, Entry, Pair
from search.comparison.predictions import readable_answers
from search.comparison.ranks import FEWEST_MODELS, Ranking, rank
from search.comparison.statistics import (
    Difference,
    McNemar,
    corrected_difference,
    holm,
    mcnemar,
    unpaired_difference,
    wilcoxon,
)
from search.comparison.verdict import verdict
from search.evaluation import Predictions
from tracking.records import FoldEnded

_Scores: TypeAlias = dict[int, float]  # accuracy by the fold's number


@dataclass(frozen=True)
class Comparison:
    """Several trials compared.

    Attributes:
        dataset: its name.
        entries: two or more, the highest mean accuracy first.
        pairs: each two of them, in order: (0, 1), (0, 2), ..., (1, 2), ...
        ranking: of three or more that share two or more folds, else None.
        classes: the classes' names.
        differing_classes: whose share of right predictions differs most between the first two.
        differing_pairs: likewise the pairs of classes that are confused.
        notes: sentences on what the comparison rests on, or lacks.
        level: of the intervals.
    """

    dataset: str
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
        """One or two sentences: which is better and by how much, or that none can be told."""
        return verdict(self.entries, self.pairs, self.level)


def compare(
    contenders: Sequence[Contender], *, level: float = LEVEL, latencies: Sequence[float] = ()
) -> Comparison:
    """Compare the accuracy of two or more trials of one dataset.

    Args:
        contenders: as `chosen_contenders` returns them.
        level: of the intervals, and 1 minus the chance to claim a difference that is none.
        latencies: of each contender's model, ms; empty for those that the searches measured.

    Raises:
        ValueError: fewer than two contenders.
    """
    if len(contenders) < 2:
        raise ValueError(f"a comparison needs two contenders; got {len(contenders)}")
    are_confirmed = _are_confirmed(contenders)
    measured: Sequence[float | None] = latencies or [
        each.trial.score("latency_ms") for each in contenders
    ]
    made = [
        (contender, _entry(contender, latency, further=are_confirmed))
        for contender, latency in zip(contenders, measured, strict=True)
    ]
    made.sort(key=lambda both: -both[1].accuracy)
    ordered, entries = [c for c, _ in made], tuple(entry for _, entry in made)
    scores = [_accuracies(contender, further=are_confirmed) for contender in ordered]
    answers, unreadable = readable_answers(ordered)
    one, other = entries[0].confusion, entries[1].confusion
    pairs = _pairs(ordered, scores, answers, level)
    disputed = any(_is_disputed(pair, level) for pair in pairs)
    return Comparison(
        dataset=str(contenders[0].start.dataset["name"]),
        entries=entries,
        pairs=pairs,
        ranking=_ranking(ordered, scores, level),
        classes=_classes(ordered, entries),
        differing_classes=differing_cells(one, other, diagonal=True),
        differing_pairs=differing_cells(one, other, diagonal=False),
        notes=(
            *notes.of(ordered, are_confirmed=are_confirmed),
            *unreadable,
            *([notes.ON_MCNEMAR] if disputed else []),
        ),
        level=level,
    )


def _are_confirmed(contenders: Sequence[Contender]) -> bool:
    """Say whether all have scores on the same further folds: cut alike from the same seed."""
    first = contenders[0]
    numbers = set(first.trial.finished_more_folds())
    return bool(numbers) and all(
        contender.digests == first.digests
        and contender.start.settings.get("seed") == first.start.settings.get("seed")
        and set(contender.trial.finished_more_folds()) == numbers
        for contender in contenders
    )


def _entry(contender: Contender, latency_ms: float | None, *, further: bool) -> Entry:
    trial, ended = contender.trial, contender.trial.ended
    if ended is None:
        raise ValueError(f"only trials that are over are compared; {contender.label} is not")
    folds = _folds(contender, further=further).values()
    accuracies = tuple(fold.accuracy for fold in folds)
    return Entry(
        label=contender.label,
        study=contender.start.study,
        trial=trial.number,
        origin=trial.started.origin,
        folds=accuracies,
        accuracy=fmean(accuracies),
        spread=stdev(accuracies) if len(accuracies) > 1 else None,
        macro_f1=trial.score("macro_f1") or fmean(fold.macro_f1 for fold in folds),
        loss=fmean(fold.loss for fold in folds),
        train_seconds=ended.train_seconds,
        model_parameters=ended.model_parameters,
        latency_ms=latency_ms,
        confusion=ended.confusion,
    )


def _folds(contender: Contender, *, further: bool) -> dict[int, FoldEnded]:
    trial = contender.trial
    return trial.finished_folds() | (trial.finished_more_folds() if further else {})


def _accuracies(contender: Contender, *, further: bool) -> _Scores:
    return {n: fold.accuracy for n, fold in _folds(contender, further=further).items()}


def _on_shared(several: Sequence[_Scores]) -> list[list[float]]:
    """Return the scores on the folds that all have, in the order of their numbers."""
    shared = sorted(set.intersection(*map(set, several)))
    return [[scores[number] for number in shared] for scores in several]


def _pairs(
    contenders: Sequence[Contender],
    scores: Sequence[_Scores],
    answers: Sequence[Predictions | None],
    level: float,
) -> tuple[Pair, ...]:
    numbers = list(combinations(range(len(contenders)), 2))
    paired = [contenders[a].digests == contenders[b].digests for a, b in numbers]
    differences = [
        _difference(contenders[a], contenders[b], scores[a], scores[b], level) for a, b in numbers
    ]
    corrected = iter(holm([d.p for d in differences if d.p is not None]))
    return tuple(
        Pair(
            first=a,
            second=b,
            paired=is_paired,
            difference=difference,
            holm_p=None if difference.p is None else next(corrected),
            mcnemar=_mcnemar(answers[a], answers[b]) if is_paired else None,
            wilcoxon_p=wilcoxon(*_on_shared((scores[a], scores[b]))) if is_paired else None,
        )
        for (a, b), is_paired, difference in zip(numbers, paired, differences, strict=True)
    )


def _difference(
    one: Contender, other: Contender, first: _Scores, second: _Scores, level: float
) -> Difference:
    if one.digests == other.digests:
        return corrected_difference(
            *_on_shared((first, second)), test_share=one.test_share, level=level
        )
    return unpaired_difference(
        list(first.values()),
        list(second.values()),
        first_share=one.test_share,
        second_share=other.test_share,
        level=level,
    )


def _mcnemar(one: Predictions | None, other: Predictions | None) -> McNemar | None:
    return None if one is None or other is None else mcnemar(one.right, other.right)


def _is_disputed(pair: Pair, level: float) -> bool:
    p = pair.mcnemar.p if pair.mcnemar else 1.0
    return p < 1 - level and not pair.is_claimed(level)


def _ranking(
    contenders: Sequence[Contender], scores: Sequence[_Scores], level: float
) -> Ranking | None:
    share_folds = len({contender.digests for contender in contenders}) == 1
    table = _on_shared(scores) if share_folds else [[]]
    if len(table) < FEWEST_MODELS or len(table[0]) < 2:
        return None
    return rank(table, level=level)


def _classes(contenders: Sequence[Contender], entries: Sequence[Entry]) -> tuple[str, ...]:
    names, count = contenders[0].start.classes, len(entries[0].confusion)
    return tuple([*names, *(f"class {n}" for n in range(len(names), count))][:count])
