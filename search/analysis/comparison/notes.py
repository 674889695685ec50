"""What a comparison comes to, and what a reader must know of it, in plain words."""

from collections.abc import Sequence

from search.analysis.comparison.contenders import Contender
from search.analysis.comparison.evidence import Entry, Pair, is_afresh
from search.text import joined
from tracking.objectives import DEFAULT, objectives_of

ON_MCNEMAR = (
    "Where only McNemar's p is small, these very models differ, but models trained on other samples"
    " or from another seed may not; the verdict does not go by it."
)


def of(contenders: Sequence[Contender], *, are_confirmed: bool) -> list[str]:
    """Return the sentences that hold for these contenders.

    Args:
        contenders: those that are compared.
        are_confirmed: whether the folds that confirmed them take part.
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
        "Studies whose folds differ are compared unpaired: what makes a fold hard does not cancel"
        " out, so only larger differences can be claimed."
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
            " best, name the study alone: that takes into account from how many it was chosen."
        )
    chosen = [c for c in contenders if c.evidence.rivals > 1]
    if not chosen or are_confirmed:
        return ""
    were = "; ".join(f"{c.label} was chosen from {c.evidence.rivals} trials" for c in chosen)
    return (
        f"By these scores {were}; intervals and p allow for that. `run --confirm 1` trains a"
        " study's best on folds that did not choose it, and its best baseline."
    )


def _on_confirmation(contenders: Sequence[Contender], are_confirmed: bool) -> str:
    confirmed = [c for c in contenders if c.evidence.confirmed]
    if are_confirmed:
        return (
            f"Scores are of the {len(contenders[0].evidence.confirmed)} folds that confirmed them,"
            f" {_on_whose_samples(contenders)}. McNemar's test and the classes rest on the study's"
            f" own folds.{_on_left_out(contenders)}"
        )
    return "Folds that not all of them were confirmed on are left out." if confirmed else ""


def _on_whose_samples(contenders: Sequence[Contender]) -> str:
    history = contenders[0].evidence.history
    if is_afresh(history):
        return "cut from samples that the search did not use"
    return (
        "cut anew from the samples of the search; what chose a trial goes in part into these, too,"
        " and intervals and p allow for that"
    )


def _on_left_out(contenders: Sequence[Contender]) -> str:
    """Return a sentence on the baselines of a single study that were not confirmed."""
    first = contenders[0]
    if len({contender.start.study for contender in contenders}) > 1 or first.is_named:
        return ""
    shown = {contender.trial.number for contender in contenders}
    absent = [
        trial
        for trial in first.evidence.history.completed()
        if trial.started.origin != "sampled" and trial.number not in shown
    ]
    if not absent:
        return ""
    names = " and ".join(trial.started.origin.removeprefix("baseline:") for trial in absent)
    return f" {names} had no part in that and {'are' if len(absent) > 1 else 'is'} left out."


def _on_objectives(contenders: Sequence[Contender]) -> str:
    first = {c.start.study: objectives_of(c.start.settings)[0].name for c in contenders}
    others = {study: name for study, name in first.items() if name != DEFAULT}
    if not others:
        return ""
    names = ", ".join(f"{study} by {name}" for study, name in others.items())
    return f"What is compared is accuracy; the best of a study is chosen by its objective: {names}."


def verdict(entries: Sequence[Entry], pairs: Sequence[Pair], level: float) -> str:
    """Return one or two sentences: which is better and by how much, or that none can be told."""
    if len(entries) == 2:
        return _of_two(entries, pairs[0], level)
    return _of_many(entries, pairs, level)


def points(fraction: float) -> str:
    """Return a difference of fractions as percent points: `0.62`, `-1.04`."""
    text = f"{100 * fraction:.2f}"
    return "0.00" if text == "-0.00" else text


def interval_text(pair: Pair) -> str:
    """Return the interval in points, `0.20 to 1.04`; a dash where there is none."""
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
            f"No difference between {first} and {second} can be claimed: one fold has no spread"
            f" to judge {by} of accuracy by. Search with `--folds 5`."
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
