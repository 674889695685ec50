import json
import sys
from contextlib import suppress
from dataclasses import replace

import pytest

from search.cli import output
from search.cli.app import run
from tests.studies import MultiLabelStudyBuilder, RegressionStudyBuilder, StudyBuilder
from tracking.home import Home
from tracking.mlflow.mapping import experiment_tags, trial_tags
from tracking.records import Notice, TrialConfirmed


@pytest.fixture
def show(tmp_path, monkeypatch, capsys):
    """Show a study, at a width; return what was printed."""
    monkeypatch.chdir(tmp_path)

    def show(study: StudyBuilder, *arguments: str, width: int = 120) -> str:
        name = study.history.study.study
        study.write(Home(tmp_path / "mlruns").study(name).journal)
        monkeypatch.setattr(output.console, "_width", width)
        monkeypatch.setattr(sys, "argv", ["search", "show", name, *arguments])
        with suppress(SystemExit):
            run()
        return capsys.readouterr().out

    return show


def rows(text: str, heading: str = "trial  ") -> dict[str, list[str]]:
    """Return the cells of the last table by their first, the headings under `trial`."""
    lines = text.splitlines()
    start = max(n for n, line in enumerate(lines) if line.lstrip().startswith(heading))
    return {
        cells[0]: cells
        for cells in ([c.strip() for c in line.split("  ") if c.strip()] for line in lines[start:])
        if cells
    }


def two_objectives() -> StudyBuilder:
    study = StudyBuilder(objective="cv_accuracy,model_parameters")
    study.session()
    study.complete_trial(0, level=0.80, model_parameters=9000)
    study.complete_trial(1, level=0.85, model_parameters=8000)
    study.complete_trial(2, level=0.70, model_parameters=1200)
    return study


def test_a_study_of_one_objective_looks_as_it_always_did(show):
    study = StudyBuilder().every_kind_of_trial()
    table = rows(show(study))
    assert table["trial"] == ["trial", "state", "accuracy", "± folds", "stopped", "time", "params"]
    assert table["1"][:4] == ["1", "complete", "0.8500", "0.0100"]
    assert list(table)[1:3] == ["1", "0"]  # best first


def test_a_study_with_trials_that_are_not_over_says_that_nobody_runs_it_and_how_it_goes_on(show):
    study = StudyBuilder().every_kind_of_trial()
    assert any(trial.ended is None for trial in study.history.trials.values())
    name = study.history.study.study
    shown = show(study)
    assert f"\n{name} is not running: " in shown
    assert f"\nContinue  foldwise run --study {name} --trials " in shown
    over = StudyBuilder("over")
    over.session()
    over.complete_trial(0)
    assert "is not running" not in show(over)


def test_a_pruned_trial_tells_where_it_stopped_and_what_it_had_there(show):
    table = rows(show(StudyBuilder(folds=5).race()))
    assert table["2"][:5] == ["2", "pruned", "0.6980", "-", "fold 1, epoch 2"]
    assert table["3"][:5] == ["3", "pruned", "0.8300", "-", "fold 2"]
    assert table["4"][1] == "waiting"
    assert table["5"][1] == "running"


def test_reasons_take_a_line_each_and_only_the_last_are_shown(show):
    study = StudyBuilder()
    study.session()
    for trial in range(30):
        study.start_trial(trial)
        study.fold(trial, 1, epochs=1)
        study.end_trial(trial, "pruned", reason=f"it was weak {trial}")
    lines = show(study).splitlines()
    reasons = [line for line in lines if "pruned: it was weak" in line]
    assert reasons[0] == "trial 10 pruned: it was weak 10"
    assert len(reasons) == 20
    assert lines[-1].startswith("and 10 more: ")


def test_a_loss_is_headed_as_one_and_the_smallest_comes_first(show):
    study = StudyBuilder(objective="cv_loss,latency_ms")
    study.session()
    study.complete_trial(0, level=0.80, scores={"latency_ms": 3.126})
    study.complete_trial(1, level=0.85)
    table = rows(show(study))
    assert table["trial"][2:5] == ["loss", "± folds", "latency ms"]
    assert list(table) == ["trial", "1", "0"]
    assert table["0"][2:5] == ["0.5000", "0.0000", "3.13"]


def test_two_objectives_show_the_front_by_itself(show):
    text = show(two_objectives())
    front, everything = text.split("All trials")
    assert "no other trial equals or beats in both accuracy and parameters" in front
    assert list(rows(front)) == ["trial", "1", "2"]
    assert list(rows(everything)) == ["trial", "1", "0", "2"]
    assert rows(everything)["0"][4] == "9,000"


def test_confirmed_scores_have_a_column_and_a_sentence(show):
    study = StudyBuilder(folds=5)
    study.session()
    study.complete_trial(0, level=0.80)
    study.complete_trial(1, level=0.85)
    study.confirm_trial(1, level=0.78)
    text = show(study)
    assert rows(text)["1"][2:4] == ["0.8500", "0.7800"]
    assert rows(text)["0"][2:4] == ["0.8000", "-"]
    assert (
        "Best: trial 1 confirmed on 10 confirmation folds: 0.7800 ± 0.0040 (chosen: 0.8500)"
        in text.splitlines()
    )


def test_a_confirmation_that_failed_says_why(show):
    study = StudyBuilder()
    study.session()
    study.complete_trial(0)
    study.add(TrialConfirmed, trial=0, repeats=2, error="Traceback ...\nMemoryError: no")
    assert "trial 0 could not be confirmed: MemoryError: no" in show(study)


def long_settings() -> StudyBuilder:
    study = StudyBuilder(folds=5)
    names = ("a_learning_rate", "another_dropout", "the_third_decay", "weights", "units")
    values = (0.000719531, 0.45, 0.0620575, "imagenet", 4096)
    study.records[0].parameters[:] = [{"name": n, "searched": True, "range": "x"} for n in names]
    study.records[0].parameters.append({"name": "epochs", "searched": False, "range": "3"})
    study.race()
    for trial in study.history.trials.values():
        trial.started.parameters.update(zip(names, values, strict=True))
    return study


def table_lines(text: str) -> list[str]:
    lines = text.splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("trial  "))
    end = next(n for n, line in enumerate(lines) if line.startswith(("Best", "trial 2 ")))
    return lines[start:end]


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 200])
def test_no_number_and_no_setting_is_cut_at_any_width(show, width):
    study = long_settings()
    study.confirm_trial(1, level=0.79)
    lines = table_lines(show(study, width=width))
    assert all(len(line) <= width for line in lines)
    assert "…" not in "".join(lines)
    words = " ".join(lines).split()
    for word in ("a_learning_rate=0.000719531", "weights=imagenet", "units=4096"):
        assert words.count(word) == 6
    assert {"accuracy", "confirmed", "0.6980", "0.7900"} <= set(words)


def test_a_setting_stands_below_its_row_where_there_is_no_room_beside(show):
    heading, second, row, below, *_ = table_lines(show(long_settings(), width=80))
    assert heading.split()[-1] == "time"
    assert second == "       params"  # where the params stand
    assert row.split()[:3] == ["1", "complete", "0.8100"]
    assert below.startswith("       a_learning_rate=0.000719531  another_dropout=0.45")
    heading, row, *_ = table_lines(show(long_settings(), width=120))
    assert heading.split()[-1] == "params"
    assert "a_learning_rate=0.000719531" in row


def test_in_a_narrow_place_the_time_is_left_out_first(show):
    study = long_settings()
    study.confirm_trial(1, level=0.79)
    headings = [table_lines(show(study, width=width))[0].split() for width in (80, 65, 60)]
    assert [("time" in found, "±" in found, "stopped" in found) for found in headings] == [
        (True, True, True),
        (False, True, True),
        (False, False, True),
    ]


def test_a_value_longer_than_the_terminal_goes_on_in_the_next_line(show):
    study = StudyBuilder()
    study.session()
    study.complete_trial(0)
    path = "/data/" + "weights" * 20
    study.history.trials[0].started.parameters["filters"] = path
    lines = table_lines(show(study, width=60) + "Best")
    assert f"filters={path}" in "".join(line.strip() for line in lines)


def test_one_fold_has_no_spread(show):
    study = StudyBuilder(folds=1)
    study.session()
    study.complete_trial(0, scores={"cv_accuracy_std": 0.0})
    text = show(study)
    assert "1 fold, 3 epochs" in text
    assert rows(text)["0"][:4] == ["0", "complete", "0.8000", "-"]
    assert "cv_accuracy_std = -" in show(study, "--trial", "0")
    assert "macro_f1 = 0.7000  (of all predictions together)" in show(study, "--trial", "0")


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_confusion_matrix_keeps_all_its_columns(show, width):
    study = StudyBuilder()
    names = [f"clothes-{number}" for number in range(10)]
    study.records[0].dataset["classes"] = names
    study.session()
    confusion = [[100 + row if row == column else 0 for column in range(10)] for row in range(10)]
    study.complete_trial(0, confusion=confusion)
    lines = show(study, "--trial", "0", width=width).splitlines()
    matrix = lines[next(n for n, line in enumerate(lines) if "matrix" in line) + 2 :]
    assert [line.split()[-10:][n] for n, line in enumerate(matrix)] == [
        str(100 + n) for n in range(10)
    ]


def test_one_trial_shows_the_folds_that_confirmed_it_apart(show):
    study = StudyBuilder()
    study.session()
    study.complete_trial(0)
    study.confirm_trial(0, level=0.7)
    text = show(study, "--trial", "0")
    first, second = text.split("confirmed on 4 confirmation folds")
    assert list(rows(first, "fold  "))[:3] == ["fold", "1", "2"]
    assert list(rows(second, "fold  "))[:5] == ["fold", "3", "4", "5", "6"]
    assert "latency_ms = 2.50" in text
    assert "model_parameters = 504,342" in text


def test_a_confirmation_that_failed_gives_its_reason_not_the_end_of_a_log(show):
    study = StudyBuilder()
    study.session()
    for trial in (0, 1):
        study.complete_trial(trial)
    error = "the worker ended with exit code -9\n\nworker.log:\nI tensorflow/core/chatter"
    reason = "the worker process ended"
    study.add(TrialConfirmed, trial=0, repeats=2, reason=reason, error=error)
    study.add(TrialConfirmed, trial=1, repeats=2, error=error)
    lines = show(study).splitlines()
    assert "trial 0 could not be confirmed: the worker process ended" in lines
    assert "trial 1 could not be confirmed: the worker ended with exit code -9" in lines
    assert f"could not be confirmed: {reason}" in show(study, "--trial", "0").splitlines()


def test_the_best_one_is_named_only_where_it_is_confirmed(show):
    study = StudyBuilder()
    study.session()
    study.complete_trial(0, level=0.80)
    study.confirm_trial(0, level=0.79)
    assert "Best: trial 0 confirmed" in show(study)
    study.complete_trial(1, level=0.85)
    assert "Best:" not in show(study)


def test_a_fold_that_only_a_session_ended_in_is_not_where_a_trial_stopped(show):
    study = StudyBuilder(folds=5)
    study.session()
    study.start_trial(0)
    study.fold(0, 1)
    study.fold(0, 2, epochs=1)
    study.session()
    study.end_trial(0, "pruned", reason="after 1 fold", epochs_trained=3)
    assert rows(show(study))["0"][4] == "fold 1"
    [trial] = json.loads(show(study, "--json"))["trials"]
    assert trial["stopped_at"] == {"fold": 1, "epoch": 3}


def test_the_json_of_a_study_has_objectives_front_and_where_trials_stopped(show):
    found = json.loads(show(two_objectives(), "--json"))
    assert found["objectives"] == [
        {"name": "cv_accuracy", "direction": "maximize"},
        {"name": "model_parameters", "direction": "minimize"},
    ]
    assert (found["best_trial"], found["front"]) == (1, [1, 2])
    assert [t["value"] for t in found["trials"]] == [0.80, 0.85, 0.70]
    raced = json.loads(show(StudyBuilder("other", folds=5).race(), "--json"))
    stops = {t["trial"]: t["stopped_at"] for t in raced["trials"]}
    assert stops[2] == {"fold": 1, "epoch": 2}
    assert stops[3] == {"fold": 2, "epoch": 3}
    assert stops[0] is stops[4] is None
    assert {t["trial"]: t["state"] for t in raced["trials"]}[4] == "waiting"
    assert raced["front"] == []


def test_the_json_of_a_trial_tells_how_it_was_confirmed(show):
    study = StudyBuilder()
    study.session()
    study.complete_trial(0)
    assert json.loads(show(study, "--trial", "0", "--json"))["confirmed"] is None
    study.confirm_trial(0, level=0.7)
    found = json.loads(show(study, "--trial", "0", "--json"))["confirmed"]
    assert found["scores"]["cv_accuracy"] == 0.7
    assert (found["repeats"], len(found["folds"]), found["error"]) == (2, 4, "")


def test_what_was_found_out_about_the_numbers_is_shown(show):
    study = StudyBuilder()
    study.add(Notice, trial=0, text="outputs are scores, see [docs]")
    assert "Note: outputs are scores, see [docs]" in show(study)
    assert json.loads(show(study, "--json"))["notices"] == ["outputs are scores, see [docs]"]


def test_a_regression_is_shown_in_the_targets_unit_with_its_errors_by_size(show):
    study = RegressionStudyBuilder().every_kind_of_trial()
    table = rows(show(study))
    assert table["1"][:4] == ["1", "complete", "14,850", "70.71"]
    shown = show(study, "--trial", "1")
    told = study.history.trials[1].ended.report["numbers"]["price"]
    [row] = [line.split() for line in shown.splitlines() if line.startswith("price ")]
    assert row[1:3] == [f"{told['rmse']:,.0f}", f"{told['mae']:,.0f}"]
    assert "Errors of price by its actual value" in shown
    assert f"{told['by_size'][-1]['to']:,.0f}" in shown
    assert "confusion" not in shown


def test_labels_are_shown_with_how_often_each_was_found_missed_and_wrongly_given(show):
    study = MultiLabelStudyBuilder().every_kind_of_trial()
    assert rows(show(study))["1"][:4] == ["1", "complete", "0.8515", "0.0007"]
    shown = show(study, "--trial", "1")
    (_, wrong), (missed, found) = study.history.trials[1].ended.report["confusion"]["western"]
    [row] = [line.split() for line in shown.splitlines() if line.startswith("western")]
    assert row[4:] == [str(found + missed), str(found), str(missed), str(wrong)]


def test_the_json_of_a_regression_has_each_folds_part_of_the_objective(show):
    study = RegressionStudyBuilder().every_kind_of_trial()
    found = json.loads(show(study, "--trial", "1", "--json"))
    folds = study.history.trials[1].finished_folds()
    assert found["folds"] == [fold.metrics["rmse"] for fold in folds.values()]
    assert found["report"]["numbers"]["price"]["samples"] == 600


def test_trials_are_sorted_by_comparable_evidence_and_each_group_says_of_what_it_is(show):
    study = StudyBuilder(folds=5).race()
    study.start_trial(6)
    study.fold(6, 1, epochs=2, level=0.99)  # better than all, after little
    study.end_trial(6, "failed", reason="out of memory")
    text = show(study)
    table = [line for line in text.splitlines() if line.startswith(("    ", "after", "without"))]
    firsts = [line if line[0] != " " else line.split()[0] for line in table]
    assert firsts == [
        *("1", "0"),
        *("after 2 folds", "3"),
        *("after 1 fold", "5", "4"),
        *("after 2 epochs of fold 1", "2"),
        *("without a score", "6"),
    ]
    assert "Full scores first, then those after as many folds" in text


def test_the_smallest_loss_comes_first_among_trials_of_as_many_folds(show):
    study = StudyBuilder(folds=3, objective="cv_loss")
    study.session()
    for trial, level in ((0, 0.5), (1, 0.9), (2, 0.7)):
        study.start_trial(trial)
        study.fold(trial, 1, level=level)
    lines = show(study).splitlines()
    begin = lines.index("after 1 fold")
    assert [line.split()[0] for line in lines[begin + 1 : begin + 4]] == ["1", "2", "0"]


def test_trials_that_all_have_full_scores_need_no_captions(show):
    study = StudyBuilder()
    study.session()
    study.complete_trial(0)
    text = show(study)
    assert "after" not in text
    assert "Full scores" not in text


def test_classes_that_begin_alike_have_numbers_for_headings(show):
    study = StudyBuilder().every_kind_of_trial()
    study.records[0].dataset["classes"] = ["negative one", "negative two", "good"]
    lines = show(study, "--trial", "1").splitlines()
    assert [line.split() for line in lines[-4:-1]] == [
        ["true", "0", "1", "2"],
        ["0", "negative", "one", "28", "2", "·"],
        ["1", "negative", "two", "1", "29", "·"],
    ]


def test_a_trial_that_follows_an_earlier_study_says_so(show):
    study = StudyBuilder()
    found = {"digest": "", "shipped": False}
    found["studies"] = [{"study": "old", "id": "1", "dataset": "digits", "settings": 6}]
    study.records[0] = replace(study.records[0], learned=found)
    study.session()
    for trial, words in enumerate(("", "portfolio:old", "prior:old")):
        study.complete_trial(trial)
        at = next(n for n, r in enumerate(study.records) if getattr(r, "trial", -1) == trial)
        study.records[at] = replace(study.records[at], proposed_by=words)
    shown = show(study)
    assert "learned from 1 study of lenet: old (6 settings)" in shown
    assert [len(shown.split(mark)) for mark in ("[portfolio]", "[prior]")] == [2, 2]
    assert "proposed by what was learned: a setting of old" in show(study, "--trial", "1")
    assert "proposed by what was learned: scores of old" in show(study, "--trial", "2")
    assert "proposed by" not in show(study, "--trial", "0")
    document = json.loads(show(study, "--json"))
    assert document["learned"] == found
    assert [one["proposed_by"] for one in document["trials"]] == [
        None,
        "portfolio:old",
        "prior:old",
    ]
    assert trial_tags(study.history.trials[1])["search.proposed_by"] == "portfolio:old"
    assert "search.proposed_by" not in trial_tags(study.history.trials[0])
    assert experiment_tags(study.history.known_study())["search.learned_from"] == "old"
