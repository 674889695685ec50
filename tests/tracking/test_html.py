from html.parser import HTMLParser

import pytest

from tests.studies import (
    GivenValues,
    MultiLabelStudyBuilder,
    RegressionStudyBuilder,
    StudyBuilder,
)
from tracking import html

EVIL = "<script>alert('x')</script>&\"<img src=x onerror=1>"
TAGS = {
    *("div", "table", "thead", "tbody", "tr", "th", "td"),
    *("span", "svg", "path", "text"),
}


class Page(HTMLParser):
    """Reads what an object shows: its tags, its text, and what it would load or run."""

    def __init__(self, shown):
        super().__init__()
        self.tags, self.text, self.active, self.open = set(), "", [], []
        self.feed(shown)
        self.close()
        assert self.open == []  # every tag is closed

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.open += [tag]
        self.active += [f"{n}={v}" for n, v in attrs if n.startswith("on") or n in ("src", "href")]

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def check(shown):
    """Check that an object's HTML is well formed, small and harmless, and return its page."""
    page = Page(shown)
    assert page.tags <= TAGS
    assert page.active == []
    assert len(shown) < 20_000
    return page


class EvilBuilder(StudyBuilder):
    space, data, names = EVIL, EVIL, (EVIL, "b", "c")

    def start_trial(self, trial, origin="sampled"):
        super().start_trial(trial, EVIL)
        self.records[-1].parameters["filters"] = EVIL


def evil_history():
    study = EvilBuilder(EVIL)
    study.session()
    study.complete_trial(0)
    study.start_trial(1)
    study.fold(1, 1, epochs=2)
    study.end_trial(1, "failed", reason=EVIL)
    return study.history


def test_whatever_a_user_named_is_shown_as_text():
    history = evil_history()
    page = check(history._repr_html_())
    assert page.text.count(EVIL) >= 4  # study, space, dataset, origin
    for trial in history.trials.values():
        assert EVIL in check(trial._repr_html_()).text
    matrix = check(html.matrix([[1, 2], [3, 4]], [EVIL[:20], "b"]))
    assert EVIL[:20] in matrix.text
    strips = check(html.strips([(EVIL[:20], (0.1, 0.2), 0.15)], EVIL))
    assert EVIL[:20] in strips.text


@pytest.mark.parametrize("builder", [StudyBuilder, RegressionStudyBuilder, MultiLabelStudyBuilder])
def test_a_study_of_any_task_shows_its_best_trials_and_a_picture(builder):
    study = builder().every_kind_of_trial()
    first = study.history.objectives[0]
    page = check(study.history._repr_html_())
    assert "svg" in page.tags
    assert f"best {first.name}" in page.text
    assert "2 complete, 1 pruned, 1 failed, 1 running" in page.text
    assert "extra=on" in page.text
    trial = check(study.history.trials[1]._repr_html_())
    assert "svg" in trial.tags
    assert "Trial 1: complete" in trial.text


def test_a_study_that_was_confirmed_tells_the_score_that_was_not_chosen_by():
    study = StudyBuilder()
    study.session()
    study.complete_trial(0, level=0.85)
    study.confirm_trial(0, level=0.81)
    assert "0.8100 on confirmation folds" in check(study.history._repr_html_()).text
    assert "cv_accuracy 0.8100" in check(study.history.trials[0]._repr_html_()).text


def test_scores_that_are_no_numbers_are_left_out_of_pictures():
    made = GivenValues(folds=1)
    made.trial(0, [float("nan")], state="complete", score=float("nan"))
    made.trial(1, [float("inf")], state="complete", score=float("inf"))
    made.trial(2, [0.5], state="complete", score=0.5)
    page = check(made.history._repr_html_())
    assert "svg" not in page.tags  # one place is no picture
    made.trial(3, [0.7], state="complete", score=0.7)
    shown = made.history._repr_html_()
    assert "svg" in check(shown).tags
    assert not {"nan", "inf"} & set(shown[shown.index("<svg") : shown.index("</svg")].split())


@pytest.mark.slow
def test_what_is_printed_stays_short_however_large_the_study():
    study = StudyBuilder(folds=5, epochs=30)
    study.session(trials=300)
    for trial in range(300):
        study.complete_trial(trial, level=0.5 + trial / 1000)
    history = study.history
    trial = history.trials[7]
    for known in (history, trial, trial.folds[1], trial.ended, trial.started, history.study):
        assert len(repr(known)) < 1200, type(known)
    assert len(repr(trial)) < 200
    assert len(history._repr_html_()) < 20_000


def test_the_repr_of_a_record_has_what_is_not_the_default():
    study = StudyBuilder()
    study.complete_trial(0)
    shown = repr(study.history.trials[0].ended)
    assert shown.startswith("TrialEnded(trial=0, state='complete', value=0.8, ")
    assert "reason" not in shown
