"""Several studies side by side: a table of their bests and one picture of their histories."""

from collections.abc import Sequence

from search.analysis.report.figures import Chart
from search.analysis.report.markup import Markup, joined, table, tag
from search.analysis.report.progress import histories
from search.analysis.report.subject import Subject
from search.analysis.report.verdict import interval_text, paired
from search.analysis.report.words import objective_name, time_text, trial_name, trial_score_text
from tracking.history import History
from tracking.records import StudyStarted


def bests_table(several: Sequence[Subject]) -> Markup:
    """Return the studies with their best trials, the best one first where they can be ranked."""
    ranked = _ranked(several)
    leader = ranked[0]
    is_one_goal = _have_one_goal(several)
    rows = []
    for subject in ranked:
        study, best = subject.history.known_study(), subject.best
        ended = best.ended
        rows.append(
            [
                tag("b", study.study),
                study.space,
                f"{study.driver}/{study.settings.get('sampler', '')}".strip("/"),
                trial_name(best),
                trial_score_text(subject.first, best)
                + ("" if is_one_goal else f" ({objective_name(subject.first)})"),
                _difference(leader, subject) if is_one_goal else "-",
                f"{ended.model_parameters:,}" if ended else "-",
                time_text(ended.train_seconds) if ended else "-",
            ]
        )
    name = several[0].name if is_one_goal else "score"
    head = ("study", "space", "search", "best trial", name, "first is better by", "parameters")
    words = (tag("p", sentence) for sentence in _wording(several))
    return joined([*words, table((*head, "time"), rows, numbers=range(4, 8))])


def overlaid(several: Sequence[Subject]) -> Chart:
    """Return the chart of all studies' best values so far."""
    title = "Optimisation histories"
    if not _have_one_goal(several):
        told = "The studies search for different things, so one picture of them would say nothing."
        return Chart("histories", title, told, None)
    told = (
        "The best score so far of each study by number of trials. Look for the study that is ahead"
        " early, and for the one that ends highest."
    )
    return Chart("histories", title, told, histories([subject.history for subject in several]))


def share_folds(one: History, other: History) -> bool:
    """Say whether two studies are about the same folds of the same data."""

    def mark(study: StudyStarted) -> tuple[object, ...]:
        return study.dataset.get("digest"), study.folds_digest, study.folds

    return mark(one.known_study()) == mark(other.known_study())


def _have_one_goal(several: Sequence[Subject]) -> bool:
    return len({subject.first.name for subject in several}) == 1


def _ranked(several: Sequence[Subject]) -> list[Subject]:
    if not _have_one_goal(several):
        return list(several)
    first = several[0].first
    return sorted(several, key=lambda subject: -first.oriented(subject.value(subject.best)))


def _difference(leader: Subject, subject: Subject) -> str:
    if subject is leader:
        return "-"
    if not share_folds(leader.history, subject.history):
        return "other folds"
    found = paired(leader, leader.best, subject.best)
    return "-" if found is None else interval_text(leader.first, found)


def _wording(several: Sequence[Subject]) -> list[str]:
    if not _have_one_goal(several):
        return ["The studies search for different things; their scores cannot be ranked."]
    leader, *others = _ranked(several)
    name = leader.history.known_study().study
    best = f"{'Highest' if leader.first.larger else 'Lowest'} is {name}."
    if all(share_folds(leader.history, other.history) for other in others):
        return [
            best,
            "All studies have the same folds of the same data, so their bests are compared fold by"
            " fold; an interval that includes 0 claims nothing. Each stands by itself: `compare`"
            " corrects for their number, and says what can be claimed. Of many trials the best is a"
            " little lucky, more so the more there were.",
        ]
    digests = {subject.history.known_study().dataset.get("digest") for subject in several}
    if len(digests) > 1:
        return [best, "But the studies are on different data: their scores do not compare."]
    return [
        best,
        "Studies marked \u201cother folds\u201d were cut differently: their means stand beside each"
        " other, and no paired difference can be told.",
    ]
