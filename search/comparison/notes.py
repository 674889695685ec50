"""What a reader of a comparison must know of it, in sentences."""

from collections.abc import Sequence

from search.comparison.contenders import Contender
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


def _on_confirmation(contenders: Sequence[Contender], are_confirmed: bool) -> str:
    if are_confirmed:
        count = len(contenders[0].trial.finished_more_folds())
        return (
            f"The {count} folds they were confirmed on take part. McNemar's test and the classes"
            " rest on the study's own folds."
        )
    if any(contender.trial.finished_more_folds() for contender in contenders):
        return "Folds that not all of them were confirmed on are left out."
    return ""


def _on_objectives(contenders: Sequence[Contender]) -> str:
    first = {c.start.study: objectives_of(c.start.settings)[0].name for c in contenders}
    others = {study: name for study, name in first.items() if name != DEFAULT}
    if not others:
        return ""
    names = ", ".join(f"{study} by {name}" for study, name in others.items())
    return f"What is compared is accuracy; the best of a study is chosen by its objective: {names}."
