"""What a reader of a comparison must know of it, in sentences."""

from collections.abc import Sequence

from search.analysis.comparison.contenders import Contender
from search.analysis.comparison.evidence import is_afresh
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
