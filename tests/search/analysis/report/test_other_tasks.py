"""Reports of studies that predict numbers or labels."""

import json
from dataclasses import replace

import numpy as np
import pytest

from search.analysis.report.figures import charts, figures
from search.analysis.report.importance import importances
from search.analysis.report.mistakes import most_wrong, worst
from search.analysis.report.report import Reported, report
from search.analysis.report.sections import against_baselines, number_scores
from search.analysis.report.subject import Subject
from search.analysis.report.verdict import sentences
from search.analysis.report.words import axes_of
from search.data import Reading, load
from search.data.splits import make_folds
from search.tasks.multi_label import LabelPredictions
from search.tasks.regression import NumberPredictions
from tests.search.analysis.report.made import PARAMETERS
from tests.studies import MultiLabelStudyBuilder, RegressionStudyBuilder, StudyBuilder
from tracking.home import Home
from tracking.objectives import OBJECTIVES
from tracking.records import TestSetOpened, TrialStarted


def searched(builder=RegressionStudyBuilder, trials=20, *, pruned=(), two=False):
    """Return a study whose trials are the better, the more `decides`, and the larger."""
    study = builder(folds=3)
    study.records[0].parameters[:] = PARAMETERS
    if two:
        known = [*study.records[0].objectives, OBJECTIVES["model_parameters"].to_json()]
        study.records[0] = replace(study.records[0], objectives=known)
    study.session(trials)
    for trial in range(trials):
        share = ((trial * 7) % trials) / trials
        params = {"decides": share, "idle": (trial * 3 % 10) / 10, "switch": False, "epochs": 3}
        origin = "sampled" if trial else "baseline:plain"
        study.add(TrialStarted, trial=trial, parameters=params, origin=origin)
        level = 0.6 + 0.3 * share
        if trial in pruned:
            study.fold(trial, 1, epochs=2, level=level)
            study.end_trial(trial, "pruned", epochs_trained=2)
            continue
        for fold in (1, 2, 3):
            study.fold(trial, fold, level=level)
        study.end_trial(trial, "complete", level, model_parameters=1000 + int(9000 * share))
    return study


def two_trials(builder, *levels):
    study = builder(folds=5)
    study.session()
    for trial, level in enumerate(levels):
        study.start_trial(trial, "sampled" if trial else "baseline:plain")
        for fold in range(1, 6):
            study.fold(trial, fold, level=level + 0.001 * ((trial + fold) % 3))
        study.end_trial(trial, "complete", level)
    return study


def test_the_verdict_on_numbers_is_in_their_unit_and_says_lower():
    text = " ".join(sentences(Subject(two_trials(RegressionStudyBuilder, 0.6, 0.7).history)))
    assert text.startswith("Trial 1 is the best: RMSE 29,700 ± ")
    assert "trial 0 (plain): its RMSE is 9,980 lower (95 % interval " in text
    assert "points" not in text


def test_the_verdict_on_labels_is_in_points_of_the_objective():
    text = " ".join(sentences(Subject(two_trials(MultiLabelStudyBuilder, 0.6, 0.7).history)))
    assert text.startswith("Trial 1 is the best: macro F1 0.7030 ± ")
    assert "by +9.98 points (95 % interval" in text


def test_an_opened_test_set_is_told_in_the_objective():
    study = two_trials(RegressionStudyBuilder, 0.6, 0.7)
    study.add(
        TestSetOpened, trial=1, by="export", model_sha256="", scores={"r2": 0.9, "rmse": 31_234.0}
    )
    assert "once, for trial 1: RMSE 31,234." in sentences(Subject(study.history))[-1]


def test_the_table_has_the_tasks_metrics_and_no_others():
    table = against_baselines(Subject(two_trials(RegressionStudyBuilder, 0.6, 0.7).history))
    for name in ("RMSE", "MAE", "R²", "loss"):
        assert f">{name}</th>" in table
    assert "macro F1" not in table
    assert "+9,980" in table
    assert ">29,700 ± " in table


@pytest.mark.slow
@pytest.mark.parametrize(
    ("builder", "names"),
    [
        (RegressionStudyBuilder, {"predicted_actual", "residuals", "errors_by_size"}),
        (MultiLabelStudyBuilder, {"label_confusion", "label_scores"}),
        (StudyBuilder, {"confusion", "class_scores"}),
    ],
)
def test_each_task_has_its_own_figures(builder, names):
    history = two_trials(builder, 0.6, 0.7).history
    own = {
        "predicted_actual",
        "residuals",
        "errors_by_size",
        "label_confusion",
        "label_scores",
        "confusion",
        "class_scores",
    }
    assert own & figures(history).keys() == names
    reasons = [chart.caption for chart in charts(Subject(history)).values() if not chart.figure]
    assert all(reasons)


@pytest.mark.slow
@pytest.mark.parametrize("builder", [RegressionStudyBuilder, MultiLabelStudyBuilder])
def test_the_page_has_every_section_of_the_task(builder, tmp_path):
    study = searched(builder, pruned=(4, 9))
    name = study.records[0].study
    page = report([Reported(study.history, Home(tmp_path).study(name))], home=tmp_path)
    is_numbers = builder is RegressionStudyBuilder
    for heading in (
        "Predicted against actual" if is_numbers else "Confusion matrix of each label",
        "Errors by size" if is_numbers else "Scores by label",
        "Largest errors" if is_numbers else "Most confident wrong labels",
        "Curves of all folds",
    ):
        assert f"<h3>{heading}</h3>" in page
    assert "<h3>Confusion matrix</h3>" not in page
    assert ("RMSE and loss by epoch" if is_numbers else "Macro F1 and loss by epoch") in page


@pytest.mark.slow
def test_predictions_against_actual_values_count_every_sample():
    subject = Subject(two_trials(RegressionStudyBuilder, 0.6, 0.7).history)
    figure = figures(subject.history)["predicted_actual"]
    heat = figure.data[0]
    found = subject.best.ended.report["numbers"]["price"]
    drawn = {
        (row, place): 1
        for place, line in enumerate(heat.z)
        for row, value in enumerate(line)
        if value
    }
    assert set(drawn) == {(row, place) for row, place, _ in found["density"]}
    assert figure.layout.xaxis.title.text == "actual price"
    assert len(figure.layout.updatemenus[0].buttons) == 2  # the best and the baseline
    assert sum(figures(subject.history)["residuals"].data[0].y) == found["samples"] == 600


@pytest.mark.slow
def test_errors_by_size_are_in_the_order_of_the_actual_values():
    figure = figures(two_trials(RegressionStudyBuilder, 0.6, 0.7).history)["errors_by_size"]
    box, means = figure.data[:2]
    ends = [float(text.replace(",", "").replace("\u200b", "")) for text in box.x]
    assert len(ends) == 10
    assert ends == sorted(ends)
    assert means.y[0] > 0 > means.y[-1]  # the builder's dear flats are found too cheap


@pytest.mark.slow
def test_the_test_set_can_be_chosen_once_it_was_opened():
    study = two_trials(RegressionStudyBuilder, 0.6, 0.7)
    seen = study.described(0.7)["report"]
    study.add(TestSetOpened, trial=1, by="export", model_sha256="", report=seen)
    buttons = figures(study.history)["residuals"].layout.updatemenus[0].buttons
    assert [button.label for button in buttons][-1] == "trial 1, on the test set"


@pytest.mark.slow
def test_labels_have_a_matrix_each_the_worst_first():
    history = two_trials(MultiLabelStudyBuilder, 0.6, 0.7).history
    figure = figures(history)["label_confusion"]
    report_ = Subject(history).best.ended.report
    f1 = {name: report_["report"][name]["f1-score"] for name in report_["confusion"]}
    titles = [figure.layout[f"xaxis{n or ''}"].title.text for n in ("", 2, 3, 4)]
    assert titles == [f"<b>{name}</b> predicted" for name in sorted(f1, key=f1.get)]
    scores = figures(history)["label_scores"]
    shown = dict(zip(scores.data[2].customdata, scores.data[2].x, strict=True))
    assert shown == pytest.approx(f1, abs=1e-4)


@pytest.mark.slow
def test_pruned_trials_stand_at_the_worse_end_of_a_slice():
    subject = Subject(searched(pruned=(4, 9)).history)
    figure = figures(subject.history)["slices"]
    pruned = next(trace for trace in figure.data if trace.name == "pruned")
    assert min(pruned.y) > max(subject.compared.values.values())
    assert "Ticks at the top" in charts(subject)["slices"].caption
    assert "stops falling" in charts(subject)["optimisation_history"].caption
    assert figures(subject.history)["optimisation_history"].layout.yaxis.title.text == (
        "RMSE (lower is better)"
    )


@pytest.mark.slow
def test_the_best_by_error_decides_what_is_important():
    history = searched(trials=40).history
    found = importances(history, axes_of(history))
    assert found[0].name == "decides"
    assert found[0].share > found[0].chance


@pytest.mark.slow
def test_with_two_objectives_each_has_its_importance_and_the_front_is_drawn():
    history = searched(trials=40, two=True).history
    found = figures(history)
    buttons = found["importance"].layout.updatemenus[0].buttons
    assert [button.label for button in buttons] == ["for RMSE", "for parameters"]
    assert found["front"].layout.yaxis.title.text == "RMSE (lower is better)"
    assert len(found["front"].data[1].x) == 40  # the larger, the better


@pytest.mark.slow
def test_no_figure_of_small_numbers_is_rounded_away():
    class Tiny(RegressionStudyBuilder):
        def metrics(self, level):
            return {name: value * 1e-12 for name, value in super().metrics(level).items()}

    found = figures(searched(Tiny).history)
    means = [t for t in found["curves"].data if t.name.startswith("validation") and t.visible]
    assert len(set(means[0].y)) == 3
    assert 0 < min(means[0].y) < 1e-6
    json.loads(json.dumps(found["contours"].to_plotly_json(), default=str))


@pytest.mark.slow
def test_scores_of_every_number_are_listed():
    class Two(RegressionStudyBuilder):
        names = ("price", "rent")

        def predictions(self, level):
            one = super().predictions(level)
            both = [np.hstack([values, values / 300]) for values in (one.actual, one.predicted)]
            return NumberPredictions(*both)

    subject = Subject(two_trials(Two, 0.6, 0.7).history)
    table = number_scores(subject)
    found = subject.best.ended.report["numbers"]
    assert f"{found['price']['r2']:.4f}" in table
    assert table.count("<td>rent</td>") == 2
    labels = [b.label for b in figures(subject.history)["residuals"].layout.updatemenus[0].buttons]
    assert labels[:2] == ["price: trial 1, out of fold", "rent: trial 1, out of fold"]


def test_the_largest_errors_come_first_in_words():
    actual = np.array([[10.0], [20.0], [30.0]])
    found = worst(NumberPredictions(actual, actual + np.array([[0.0], [-5.5], [2.0]])), ["price"])
    assert found.rows.tolist() == [1, 2]  # a right one is no mistake
    words = found.told(1)
    assert (words.true, words.predicted, words.beside) == ("20.00", "14.50", "5.500 too low")


def test_of_several_numbers_errors_count_in_units_of_their_spread():
    actual = np.array([[0.0, 1000.0], [10.0, 3000.0], [20.0, 5000.0]])
    off = np.array([[9.0, 0.0], [0.0, 100.0], [0.0, 0.0]])
    found = worst(NumberPredictions(actual, actual + off), ["age", "pay"])
    assert found.rows.tolist() == [0, 1]
    assert found.told(0).beside == "farthest off: age"
    assert found.told(0).predicted == "age 9.000, pay 1,000"


def test_the_surest_wrong_labels_come_first_in_words():
    labels = np.array([[1, 0], [0, 1], [1, 1]], np.uint8)
    given = np.array([[0.9, 0.8], [0.1, 0.02], [0.9, 0.9]], np.float32)
    found = worst(LabelPredictions(labels, given), ["red", "round"])
    assert found.rows.tolist() == [1, 0]
    words = found.told(1)
    assert (words.true, words.predicted) == ("round", "not round, 98.0%")
    assert found.told(0).predicted == "round, 80.0%"
    assert found.told(0).beside == "labels: red"


def test_the_largest_errors_are_shown_with_their_rows(tmp_path):
    file = tmp_path / "flats.csv"
    rows = [f"{n / 4},{n % 7},{1000.5 + 10 * n}" for n in range(60)]
    file.write_text("\n".join(["size,floor,price", *rows]) + "\n")
    reading = Reading(target="price")
    data = load(f"csv:{file}", home=tmp_path, reading=reading)
    assert data.task.name == "regression"
    targets = np.asarray(data.train_labels)
    folds = make_folds(data.task.strata(targets, 2), folds=2, seed=0)
    study = RegressionStudyBuilder("study", folds=2)
    study.records[0].dataset.update(
        name=data.name, digest=data.digest, classes=["price"], kind="table", samples=folds.samples
    )
    study.records[0].settings.update(target="price")
    study.session(1)
    study.complete_trial(0)
    folder = Home(tmp_path).study("study")
    study.write(folder.journal)
    folds.save(folder.folds)
    for fold, part in enumerate(folds.validation, start=1):
        predicted = targets[part].copy()
        predicted[3] += 100 * fold
        NumberPredictions(targets[part], predicted).save(folder.predictions(0, fold))
    found = most_wrong(Subject(study.history), folder, home=tmp_path, data_dir=None)
    assert [entry.index for entry in found] == [part[3] for part in reversed(folds.validation)]
    assert found[0].words.beside == "200.0 too high"
    assert [name for name, _ in found[0].sample] == ["size", "floor"]
    size = 4 * float(dict(found[0].sample)["size"])
    assert f"{1000.5 + 10 * size:,.1f}".startswith(found[0].words.true[:5])


@pytest.mark.slow
def test_cells_of_labels_tell_their_counts():
    history = two_trials(MultiLabelStudyBuilder, 0.6, 0.7).history
    figure = figures(history)["label_confusion"]
    name = figure.layout.xaxis.title.text.removeprefix("<b>").split("</b>")[0]
    missed, hits = Subject(history).best.ended.report["confusion"][name][1]
    first = figure.data[0]
    assert list(first.text[1]) == [f"{missed:,}", f"{hits:,}"]
    share = missed / (missed + hits)
    assert first.hovertext[1][0] == (
        f"{name}: true yes, predicted no:<br>{missed:,} ({share:.1%} of the row)"
    )
