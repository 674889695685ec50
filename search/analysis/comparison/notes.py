"""The verdict of a comparison and notes on it, as sentences."""

from collections.abc import Sequence

from search.analysis.comparison.contenders import Contender
from search.analysis.comparison.evidence import Entry, Pair, is_afresh
from tracking.objectives import DEFAULT, objectives_of
from tracking.text import joined

ON_MCNEMAR = (
    "Where only McNemar's p is small, these particular models differ, but models trained on other"
    " samples or with another seed may not; the verdict does not use it."
)


def of(contenders: Sequence[Contender], *, are_confirmed: bool) -> list[str]:
    """Return the notes that apply to these contenders.

    Args:
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
            _on_objectives(contenders),
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
            f" {_on_whose_samples(contenders)}. McNemar's test and the classes use the study's"
            f" own folds.{_on_left_out(contenders)}"
        )
    return "Confirmation folds that not all of them have are left out." if confirmed else ""


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


def _on_objectives(contenders: Sequence[Contender]) -> str:
    first = {c.start.study: objectives_of(c.start)[0].name for c in contenders}
    others = {study: name for study, name in first.items() if name != DEFAULT}
    if not others:
        return ""
    names = ", ".join(f"{study} by {name}" for study, name in others.items())
    return f"Accuracy is compared; the best trial of a study is chosen by its objective: {names}."


def verdict(entries: Sequence[Entry], pairs: Sequence[Pair], level: float) -> str:
    """Return one or two sentences: which is better, by how much, or that no claim is possible."""
    if len(entries) == 2:
        return _of_two(entries, pairs[0], level)
    return _of_many(entries, pairs, level)


def points(fraction: float) -> str:
    """Return a difference of fractions in percentage points: `0.62`, `-1.04`."""
    text = f"{100 * fraction:.2f}"
    return "0.00" if text == "-0.00" else text


def interval_text(pair: Pair) -> str:
    """Return the interval in percentage points, `0.20 to 1.04`; a dash without one."""
    low, high = pair.difference.low, pair.difference.high
    return "-" if low is None or high is None else f"{points(low)} to {points(high)}"


def _of_two(entries: Sequence[Entry], pair: Pair, level: float) -> str:
    first, second = (entries[n].label for n in (pair.first, pair.second))
    by = f"{points(pair.difference.mean)} points"
    interval = f"{100 * level:g} % interval {interval_text(pair)}"
    if pair.is_claimed(level):
        return f"{first} is better than {second} by {by} of accuracy ({interval})."
    if pair.holm_p is None:
        return (
            f"No difference between {first} and {second} can be claimed: one fold has no"
            f" spread to judge {by} of accuracy by. Search with `--folds 5`."
        )
    if pair.difference.mean == 0:
        return f"No difference between {first} and {second} can be claimed: 0 points ({interval})."
    return (
        f"No difference between {first} and {second} can be claimed: {first} is {by} of accuracy"
        f" ahead ({interval})."
    )


def _of_many(entries: Sequence[Entry], pairs: Sequence[Pair], level: float) -> str:
    best = entries[0]
    of_best = [pair for pair in pairs if pair.first == 0]
    names = {pair: entries[pair.second].label for pair in of_best}
    worse = [names[pair] for pair in of_best if pair.is_claimed(level)]
    open_ = [names[pair] for pair in of_best if not pair.is_claimed(level)]
    score = f"{best.label} has the highest mean accuracy, {best.accuracy:.4f}"
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
