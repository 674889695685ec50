"""The verdict of a comparison and notes on it, as sentences."""

from collections.abc import Sequence

from search.analysis.comparison.contenders import Contender
from search.analysis.comparison.evidence import Entry, Pair, is_afresh
from search.analysis.measure import (
    interval_texts,
    objective_name,
    score_text,
    unit_of,
)
from search.tasks import CLASSIFICATION
from tracking.objectives import Objective, objectives_of
from tracking.text import joined


def on_samples(pairs: Sequence[Pair]) -> str:
    """Return what a small p of a test of samples means where the folds show no difference."""
    name = next((joined([t.name for t in p.errors], "or") for p in pairs if p.errors), "")
    whose = f"the p of {name}" if name else "McNemar's p"
    return (
        f"Where only {whose} is small, these particular models differ, but models trained on other"
        " samples or with another seed may not; the verdict does not use it."
    )


def of(measure: Objective, contenders: Sequence[Contender], *, are_confirmed: bool) -> list[str]:
    """Return the notes that apply to these contenders.

    Args:
        measure: the metric that is compared.
        contenders: the compared trials.
        are_confirmed: whether their confirmation folds are compared.
    """
    return [
        note
        for note in (
            _on_folds(contenders),
            _on_samples(contenders),
            _on_choice(contenders, are_confirmed),
            _on_confirmation(contenders, are_confirmed),
            _on_objectives(measure, contenders),
        )
        if note
    ]


def _on_folds(contenders: Sequence[Contender]) -> str:
    if len({contender.digests for contender in contenders}) == 1:
        return ""
    return (
        "Studies with different folds are compared unpaired: the difficulty of a fold does not"
        " cancel out, so only larger differences can be claimed."
    )


def _on_samples(contenders: Sequence[Contender]) -> str:
    samples = {c.label: int(c.start.dataset["samples"]) for c in contenders}
    if len(set(samples.values())) == 1:
        return ""
    numbers = ", ".join(f"{label} {count:,}" for label, count in samples.items())
    return f"The studies use different numbers of training samples: {numbers}."


def _on_choice(contenders: Sequence[Contender], are_confirmed: bool) -> str:
    if contenders[0].is_named:
        return (
            "Trials named by number count as chosen before their scores were seen. For a study's"
            " best trial, name only the study: that takes into account from how many it was chosen."
        )
    chosen = [c for c in contenders if c.evidence.rivals > 1]
    if not chosen or are_confirmed:
        return ""
    were = "; ".join(f"{c.label} was chosen from {c.evidence.rivals} trials" for c in chosen)
    return (
        f"By these scores {were}; intervals and p allow for that. `run --confirm 1` trains a"
        " study's best trial and its best baseline on folds that did not choose it."
    )


def _on_confirmation(contenders: Sequence[Contender], are_confirmed: bool) -> str:
    confirmed = [c for c in contenders if c.evidence.confirmed]
    if are_confirmed:
        return (
            f"Scores are those of {len(contenders[0].evidence.confirmed)} confirmation folds,"
            f" {_on_whose_samples(contenders)}. {_own_folds(contenders)} use the study's"
            f" own folds.{_on_left_out(contenders)}"
        )
    return "Confirmation folds that not all of them have are left out." if confirmed else ""


def _own_folds(contenders: Sequence[Contender]) -> str:
    is_classes = contenders[0].task.name == CLASSIFICATION
    return "McNemar's test and the classes" if is_classes else "Tests of the samples' errors"


def _on_whose_samples(contenders: Sequence[Contender]) -> str:
    history = contenders[0].evidence.history
    if is_afresh(history):
        return "cut from samples that the search did not use"
    return (
        "cut again from the samples of the search, so that part of a trial's luck remains in them;"
        " intervals and p allow for that"
    )


def _on_left_out(contenders: Sequence[Contender]) -> str:
    """Return a sentence on a single study's unconfirmed baselines."""
    first = contenders[0]
    if len({contender.start.study for contender in contenders}) > 1 or first.is_named:
        return ""
    shown = {contender.trial.number for contender in contenders}
    absent = [
        trial
        for trial in first.evidence.history.completed()
        if trial.started.is_baseline and trial.number not in shown
    ]
    if not absent:
        return ""
    names = " and ".join(trial.started.origin.removeprefix("baseline:") for trial in absent)
    was, is_ = ("were", "are") if len(absent) > 1 else ("was", "is")
    return f" {names} {was} not confirmed and {is_} left out."


def _on_objectives(measure: Objective, contenders: Sequence[Contender]) -> str:
    first = {c.start.study: objectives_of(c.start)[0].name for c in contenders}
    others = {study: name for study, name in first.items() if name != measure.name}
    if not others:
        return ""
    names = ", ".join(f"{study} by {name}" for study, name in others.items())
    compared = objective_name(measure)
    return (
        f"{compared[:1].upper()}{compared[1:]} is compared, which all of them recorded; the best"
        f" trial of a study is chosen by its objective: {names}."
    )


def verdict(
    measure: Objective, entries: Sequence[Entry], pairs: Sequence[Pair], level: float
) -> str:
    """Return one or two sentences: which is better, by how much, or that no claim is possible."""
    if len(entries) == 2:
        return _of_two(measure, entries, pairs[0], level)
    return _of_many(measure, entries, pairs, level)


def points(fraction: float) -> str:
    """Return a difference of fractions in percentage points: `0.62`, `-1.04`."""
    text = f"{100 * fraction:.2f}"
    return "0.00" if text == "-0.00" else text


def difference_texts(measure: Objective, pair: Pair) -> tuple[str, str]:
    """Return a difference, and its interval, `0.20 to 1.04`, or a dash without one.

    Above 0 the first of the pair is better. Fractions are in percentage points.
    """
    mean, low, high = pair.difference.mean, pair.difference.low, pair.difference.high
    if low is None or high is None:
        return interval_texts(measure, mean)[0], "-"
    text, *ends = interval_texts(measure, mean, low, high)
    return text, " to ".join(ends)


def _of_two(measure: Objective, entries: Sequence[Entry], pair: Pair, level: float) -> str:
    first, second = (entries[n].label for n in (pair.first, pair.second))
    amount, between = difference_texts(measure, pair)
    interval = f"{100 * level:g} % interval {between}"
    by = _amount(measure, amount)
    if pair.is_claimed(level):
        return f"{first} is better than {second} by {by} ({interval})."
    if pair.holm_p is None:
        return (
            f"No difference between {first} and {second} can be claimed: one fold has no"
            f" spread to judge {by} by. Search with `--folds 5`."
        )
    if pair.difference.mean == 0:
        zero = f"0{unit_of(measure)}"
        return f"No difference between {first} and {second} can be claimed: {zero} ({interval})."
    return (
        f"No difference between {first} and {second} can be claimed: {first} is {by}"
        f" ahead ({interval})."
    )


def _amount(measure: Objective, amount: str) -> str:
    """Return a difference with its unit: `6.00 points of accuracy`, `3.124 of RMSE`."""
    return f"{amount}{unit_of(measure)} of {objective_name(measure)}"


def _of_many(
    measure: Objective, entries: Sequence[Entry], pairs: Sequence[Pair], level: float
) -> str:
    best = entries[0]
    of_best = [pair for pair in pairs if pair.first == 0]
    names = {id(pair): entries[pair.second].label for pair in of_best}
    worse = [names[id(pair)] for pair in of_best if pair.is_claimed(level)]
    open_ = [names[id(pair)] for pair in of_best if not pair.is_claimed(level)]
    most = "highest" if measure.larger else "lowest"
    score = (
        f"{best.label} has the {most} mean {objective_name(measure)},"
        f" {score_text(measure, best.score)}"
    )
    if not open_:
        return f"{score}, and is better than {joined(worse, 'and')}."
    if all(pair.holm_p is None for pair in of_best):
        return (
            f"{score}, but no difference to {joined(open_, 'or')} can be claimed: one fold has"
            " no spread to judge it by. Search with `--folds 5`."
        )
    if not worse:
        return f"{score}, but no difference to {joined(open_, 'or')} can be claimed."
    return (
        f"{score}, and is better than {joined(worse, 'and')};"
        f" no difference to {joined(open_, 'or')} can be claimed."
    )
