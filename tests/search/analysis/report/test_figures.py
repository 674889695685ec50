import json
from functools import cache

import pytest
from sklearn.metrics import precision_recall_fscore_support

from search.analysis.report.classes import commonest_mistakes
from search.analysis.report.figures import charts, figures
from search.analysis.report.pruning import saving
from search.analysis.report.subject import Subject
from tests.search.analysis.report.made import made_study
from tests.studies import StudyBuilder
from tracking.history import History
from tracking.stages import score_so_far

ALL = {
    "optimisation_history",
    "importance",
    "parallel_coordinates",
    "slices",
    "contours",
    "curves",
    "trial_curves",
    "pruning",
    "confusion",
    "class_scores",
    "time",
}


@pytest.fixture(scope="module")
def race():
    return StudyBuilder(folds=3).race().history


@pytest.fixture(scope="module")
def of_race(race):
    """The figures of the race, drawn once."""
    return figures(race)


@cache
def drawn(trials=40, **made):
    """Draw a study that is made, once for all tests that look at its figures."""
    return figures(made_study(trials, **made).history)


def trace(figure, name):
    [found] = [trace for trace in figure.data if trace.name == name]
    return found


def why_not(history, name):
    chart = charts(Subject(history))[name]
    assert chart.figure is None
    return chart.caption


@pytest.mark.slow
def test_a_study_with_stopped_trials_has_every_figure():
    assert set(drawn(stopped=range(5, 15))) == ALL


@pytest.mark.slow
def test_both_drivers_studies_look_the_same():
    first, second = (
        {name: figure.to_json() for name, figure in drawn(**driver).items()}
        for driver in ({}, {"driver": "keras-tuner"})
    )
    assert first == second


def test_an_empty_history_is_refused():
    with pytest.raises(ValueError, match="StudyStarted"):
        figures(History())


def test_a_study_that_has_just_begun_has_no_figures():
    study = StudyBuilder()
    study.session()
    study.start_trial(0)
    assert figures(study.history) == {}


@pytest.mark.slow
def test_one_parameter_has_no_contour_and_no_rank():
    study = made_study(12)
    study.records[0].parameters[:] = study.records[0].parameters[:1]
    assert "one parameter" in why_not(study.history, "contours")
    assert "nothing to rank" in why_not(study.history, "importance")


@pytest.mark.slow
def test_where_nothing_was_stopped_there_is_nothing_to_draw_of_it():
    assert why_not(made_study(5).history, "pruning") == "No trial was pruned."


def test_settings_that_never_differ_are_not_compared():
    study = StudyBuilder()
    study.session()
    study.complete_trial(0)
    assert "not differ in any searched parameter" in why_not(study.history, "importance")


@pytest.mark.slow
def test_the_line_of_the_best_so_far_never_falls():
    figure = drawn()["optimisation_history"]
    values = list(trace(figure, "best so far").y)
    assert values == sorted(values)
    assert values[-1] == max(trace(figure, "complete").y)


@pytest.mark.slow
def test_the_line_of_the_smallest_loss_so_far_never_rises():
    figure = drawn(objective="cv_loss")["optimisation_history"]
    values = list(trace(figure, "best so far").y)
    assert values == sorted(values, reverse=True)
    assert values[-1] == min(trace(figure, "complete").y)


@pytest.mark.slow
def test_a_stopped_trial_is_shown_at_the_score_it_had(of_race):
    stopped = trace(of_race["optimisation_history"], "pruned (score then)")
    assert dict(zip(stopped.x, stopped.y, strict=True)) == {2: pytest.approx(0.698), 3: 0.83}


def test_baselines_stand_out(of_race):
    figure = of_race["optimisation_history"]
    assert list(trace(figure, "baselines").x) == [0]
    assert figure.layout.annotations[0].text == "best baseline: trial 0 (lenet5)"


def test_confirmed_scores_are_marked():
    study = StudyBuilder()
    study.session()
    study.complete_trial(0)
    study.complete_trial(1, level=0.9)
    study.confirm_trial(1, level=0.88)
    figure = figures(study.history)["optimisation_history"]
    assert list(trace(figure, "on confirmation folds").y) == [0.88]


@pytest.mark.slow
def test_two_objectives_have_a_front_and_one_has_none():
    study = StudyBuilder(objective="cv_accuracy,latency_ms")
    study.session()
    for trial, (level, latency) in enumerate([(0.8, 1.0), (0.9, 3.0), (0.7, 2.0)]):
        study.complete_trial(trial, level, scores={"latency_ms": latency})
    front = trace(figures(study.history)["front"], "Pareto front")
    assert list(zip(front.x, front.y, strict=True)) == [(1.0, 0.8), (3.0, 0.9)]
    assert "one objective" in why_not(made_study(5).history, "front")


@pytest.mark.slow
def test_a_parameter_that_is_not_in_use_has_a_place_of_its_own():
    figure = drawn(12)["parallel_coordinates"]
    inner = next(d for d in figure.data[0].dimensions if d.label == "inner")
    assert inner.ticktext[0] == "not in use"
    assert min(inner.values) == inner.tickvals[0] < 0


@pytest.mark.slow
def test_stopped_trials_have_no_score_in_parallel_coordinates():
    figure = drawn(12, stopped=range(3))["parallel_coordinates"]
    score = next(d for d in figure.data[0].dimensions if "accuracy" in d.label)
    assert score.ticktext[0] == "pruned"
    assert [value < 0 for value in score.values] == [True] * 3 + [False] * 9


@pytest.mark.slow
def test_slices_show_the_most_important_parameter_first():
    figure = drawn(60)["slices"]
    assert figure.layout.xaxis.title.text == "decides"


@pytest.mark.slow
def test_few_complete_trials_are_compared_on_fold_1_with_all_that_finished_it():
    study = made_study(16, stopped=range(4), one_fold=range(4, 13))
    found = charts(Subject(study.history))
    for name in ("slices", "contours"):
        assert "the accuracy on fold 1 of all trials that finished it" in found[name].caption
    points = [trace for trace in found["slices"].figure.data if trace.xaxis == "x"]
    shown = {trace.name: list(trace.y) for trace in points}
    assert {name: len(values) for name, values in shown.items()} == {
        "pruned": 4,
        "after fold 1": 11,
        "the best": 1,
    }
    folds = [trial.finished_folds()[1].accuracy for trial in study.history.completed()]
    assert shown["the best"] == [folds[0]]
    assert set(folds[1:]) <= set(shown["after fold 1"])
    assert found["contours"].figure.data[0].colorbar.title.text == "accuracy on fold 1"


@pytest.mark.slow
def test_enough_complete_trials_are_compared_on_all_folds():
    found = charts(Subject(made_study(20, one_fold=range(12)).history))
    assert "fold 1" not in found["slices"].caption + found["contours"].caption
    assert found["contours"].figure.data[0].colorbar.title.text == "accuracy"


@pytest.mark.slow
def test_every_pair_of_contours_can_be_chosen():
    figure = drawn(60)["contours"]
    [menu] = figure.layout.updatemenus
    visible = [button.args[0]["visible"] for button in menu.buttons]
    assert len(menu.buttons) == 6  # of four parameters
    assert [sum(row) for row in visible] == [3] * 6
    assert [any(column) for column in zip(*visible, strict=True)] == [True] * len(figure.data)


def test_curves_show_each_fold_and_their_spread(race, of_race):
    figure = of_race["curves"]
    shown = [trace for trace in figure.data if trace.visible and trace.yaxis == "y"]
    names = [trace.name for trace in shown]
    assert names.count("single folds") == 3
    assert "± standard deviation" in names
    mean = next(trace for trace in shown if trace.name.startswith("validation"))
    assert list(mean.y) == pytest.approx(
        [row["val_accuracy"] for row in race.best().mean_curves()], abs=1e-5
    )


def test_curves_of_other_trials_can_be_chosen(of_race):
    figure = of_race["curves"]
    first, second = figure.layout.updatemenus[0].buttons
    assert first.label.startswith("trial 1: 0.8100")
    assert second.label.startswith("trial 0 (lenet5)")
    assert not any(
        a and b for a, b in zip(first.args[0]["visible"], second.args[0]["visible"], strict=True)
    )


def test_one_fold_has_curves_without_a_spread():
    study = StudyBuilder(folds=1)
    study.session()
    study.complete_trial(0)
    names = [trace.name for trace in figures(study.history)["curves"].data]
    assert set(names) == {"training", "validation"}


def test_a_loss_that_is_no_number_leaves_a_gap():
    study = made_study(3, folds=1)
    epochs = study.history.trials[0].folds[1].epochs
    assert epochs  # else nothing is tested
    for record in study.records:
        if getattr(record, "epoch", 0) == 2:
            record.metrics["val_loss"] = float("nan")
    figure = figures(study.history)["curves"]
    assert "NaN" not in json.dumps(figure.to_plotly_json(), default=list)


def test_what_stopping_saved_counts_the_epochs_left_out():
    saved = saving(made_study(10, stopped=(1, 2, 3)).history)
    assert (saved.stopped, saved.epochs, saved.of) == (3, 3 * 5, 60)  # 2 folds of 3 epochs
    assert saved.seconds == pytest.approx(15.0)  # a second an epoch


@pytest.mark.slow
def test_the_pruning_figure_ends_at_what_was_trained():
    figure = drawn(10, stopped=(1, 2, 3))["pruning"]
    trained, without = trace(figure, "trained"), trace(figure, "without pruning")
    assert list(zip(trained.x, trained.y, strict=True)) == [(0, 10), (1, 7), (6, 0)]
    assert list(zip(without.x, without.y, strict=True)) == [(0, 10), (6, 0)]


def test_confusion_has_counts_and_the_best_baselines_matrix_too(of_race):
    figure = of_race["confusion"]
    assert figure.data[0].text[0][1] == "2"
    assert figure.data[0].text[0][2] == ""
    assert len(figure.data) == 2
    assert [trace.visible for trace in figure.data] == [True, False]


def test_scores_by_class_are_those_of_scikit_learn(race, of_race):
    figure = of_race["class_scores"]
    confusion = race.best().ended.confusion
    pairs = [(t, p) for t, row in enumerate(confusion) for p, n in enumerate(row) for _ in range(n)]
    expected = precision_recall_fscore_support(*zip(*pairs, strict=True))
    names = race.study.classes
    for name, values in zip(("precision", "recall", "F1"), expected[:3], strict=True):
        shown = trace(figure, name)
        told = dict(zip(shown.customdata, shown.x, strict=True))
        assert told == pytest.approx(dict(zip(names, values, strict=True)), abs=1e-4)


def test_the_weakest_class_is_on_top(of_race):
    f1 = trace(of_race["class_scores"], "F1")
    assert f1.x[-1] == min(f1.x)


def test_the_commonest_mistake_comes_first(race):
    first = commonest_mistakes(Subject(race))[0]
    assert (first.true, first.predicted, first.count) == (2, 1, 5)
    assert first.share == pytest.approx(5 / 30)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["<b>bold</b>", "</script><script>alert(1)</script>", "&lt;", "$x$"]
)
def test_names_of_classes_and_parameters_are_no_markup(name):
    study = made_study(12)
    study.records[0].dataset["classes"] = [name, "Trouser", "Bag"]
    study.records[0].parameters[0] = {**study.records[0].parameters[0], "when": name}
    found = figures(study.history)
    shown = found["confusion"].layout.yaxis.ticktext[0]
    assert "<" not in shown
    assert "&lt;" not in shown.replace("&amp;lt;", "") or name.startswith("<")


@pytest.mark.slow
def test_a_hundred_classes_leave_counts_out_and_keep_names():
    study = made_study(4)
    names = [f"class {n}" for n in range(100)]
    study.records[0].dataset["classes"] = names
    matrix = [[int(r == c) * 5 for c in range(100)] for r in range(100)]
    for record in study.records:
        if hasattr(record, "confusion"):
            object.__setattr__(record, "confusion", matrix)
    figure = figures(study.history)["confusion"]
    assert figure.data[0].texttemplate is None
    assert len(figure.layout.yaxis.ticktext) == 100


def bars(figure):
    """Return the lengths of both parts of the bars of importance by parameter."""
    names = figure.layout.yaxis.ticktext
    pale, loud = (trace(figure, name).x for name in ("explained by chance", "beyond chance"))
    return {name: both for name, *both in zip(names, pale, loud, strict=True)}


@pytest.mark.slow
def test_the_loud_part_of_a_bar_is_what_chance_does_not_explain():
    study = made_study(60)
    found = {one.name: one for one in Subject(study.history).importances}
    shown = bars(figures(study.history)["importance"])
    assert shown == {
        name: [pytest.approx(min(one.share, one.chance)), pytest.approx(max(0, one.beyond))]
        for name, one in found.items()
    }
    figure = figures(study.history)["importance"]
    words = next(one for one in figure.data if getattr(one, "mode", "") == "text")
    told = dict(zip(shown, words.text, strict=True))
    assert {name for name, text in told.items() if "may be chance" in text} == {
        name for name, one in found.items() if one.beyond <= 0
    }
    assert told["decides"] == ""


def far_off(*levels, objective=None, pruned=(), failed=0):
    """Return a study of complete trials of such levels, with pruned and failed ones besides."""
    study = StudyBuilder(objective=objective)
    study.session()
    for trial, level in enumerate(levels):
        study.complete_trial(trial, level)
    for trial, level in enumerate(pruned, start=len(levels)):
        study.start_trial(trial)
        study.fold(trial, 1, level=level)
        study.end_trial(trial, "pruned", value=level)
    for trial in range(len(levels) + len(pruned), len(levels) + len(pruned) + failed):
        study.start_trial(trial)
        study.end_trial(trial, "failed", reason="it broke")
    return study.history


def marked(figure, word):
    return next(t for t in figure.data if t.name.endswith(f"{word} the axis"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("history", "where", "count", "farthest"),
    [
        (far_off(0.80, 0.82, 0.84, pruned=[0.1, 0.2, 0.83]), "below", 2, "0.1000"),
        (far_off(0.80, 0.82, 0.84, 0.85, 0.05), "below", 1, "0.0500"),  # a diverged one
    ],
)
def test_trials_beyond_the_axis_are_counted_and_marked_at_its_end(history, where, count, farthest):
    chart = charts(Subject(history))["optimisation_history"]
    low, high = chart.figure.layout.yaxis.range
    mark = marked(chart.figure, where)
    assert mark.name == f"{count} trial{'s' * (count > 1)} {where} the axis"
    assert len(mark.x) == count
    assert all(low < y < low + 0.1 * (high - low) for y in mark.y)
    assert farthest in " ".join(mark.hovertext)
    noun = "1 trial is" if count == 1 else f"{count} trials are"
    assert f"{noun} beyond the axis, the farthest at {farthest}" in chart.caption


@pytest.mark.slow
def test_where_lower_is_better_trials_beyond_the_axis_are_above_it():
    history = far_off(0.80, 0.82, 0.84, 0.85, -90.0, objective="cv_loss")
    chart = charts(Subject(history))["optimisation_history"]
    assert max(chart.figure.layout.yaxis.range) < 2
    assert list(marked(chart.figure, "above").x) == [4]
    assert "triangles at its upper end" in chart.caption
    assert list(marked(charts(Subject(history))["time"].figure, "above").xaxis) == list("x2")


@pytest.mark.slow
def test_every_trial_is_drawn_or_told_to_be_left_out():
    history = far_off(0.80, 0.82, pruned=[0.81, float("nan")], failed=2)
    chart = charts(Subject(history))["optimisation_history"]
    drawn = {x for t in chart.figure.data if t.mode == "markers" for x in t.x}
    assert drawn == {0, 1, 2}
    assert "Not drawn, for want of a score: 2 failed, 1 pruned." in chart.caption
    assert "beyond" not in chart.caption


@pytest.mark.parametrize("epochs", [1, 2, 3, 10, 300])
def test_epochs_and_trials_have_whole_numbers_on_their_axes(epochs):
    study = StudyBuilder(epochs=epochs)
    study.session()
    study.complete_trial(0)
    study.complete_trial(1)
    found = figures(study.history)
    for axis in (
        found["curves"].layout.xaxis,
        found["curves"].layout.xaxis2,
        found["trial_curves"].layout.xaxis,
        found["optimisation_history"].layout.xaxis,
        found["time"].layout.xaxis,
    ):
        assert axis.dtick == int(axis.dtick) >= 1
    assert epochs / found["curves"].layout.xaxis.dtick <= 10


def test_curves_of_all_trials_are_of_the_fold_that_all_saw(race, of_race):
    figure = of_race["trial_curves"]
    lines = {t.legendgroup: t for t in figure.data if t.yaxis == "y"}
    assert set(lines) == {"0", "1", "2", "3", "4", "5"}
    first = [row.metrics["val_accuracy"] for row in race.trials[3].folds[1].epochs.values()]
    assert list(lines["3"].y) == pytest.approx(first, abs=1e-4)
    assert "on fold 1, which all trials saw" in charts(Subject(race))["trial_curves"].caption
    shown = [number for number, line in lines.items() if line.visible is True]
    assert shown == [str(n) for n in figure.layout.meta["ticked"]] == list("012345")


def test_curves_of_trials_with_the_same_folds_are_means_over_them():
    study = made_study(3)
    figure = figures(study.history)["trial_curves"]
    means = [row["val_accuracy"] for row in study.history.trials[2].mean_curves()]
    line = next(t for t in figure.data if t.legendgroup == "2" and t.yaxis == "y")
    assert list(line.y) == pytest.approx(means, abs=1e-4)


@pytest.mark.slow
def test_no_two_trials_near_each_other_have_the_same_line():
    lines = [
        (t.line.color, t.line.dash)
        for t in drawn(40)["trial_curves"].data
        if t.yaxis == "y" and int(t.legendgroup) < 40
    ]
    assert len(set(lines)) == 40


@pytest.mark.slow
def test_the_best_and_then_those_with_the_best_scores_so_far_are_ticked_at_first():
    study = made_study(40, stopped=range(30))
    history = study.history
    complete = [trial.number for trial in history.completed()]
    ticked = figures(history)["trial_curves"].layout.meta["ticked"]
    assert set(ticked) == set(complete)
    few = made_study(40, stopped=range(35)).history
    pruned = sorted(range(35), key=lambda n: -score_so_far(few.trials[n], few.objectives[0]))
    assert set(figures(few)["trial_curves"].layout.meta["ticked"]) == {*range(35, 40), *pruned[:5]}
