from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace

import pytest

from search.cli import output
from search.cli.live import LiveDisplay, PlainLines
from search.cli.status import Board
from tests.studies import StudyBuilder
from tracking.history import History
from tracking.records import AttemptFailed, FoldStarted, Record, TrialConfirmed


def board(study: StudyBuilder, *, trials: int = 20, **settings) -> Board:
    start = study.records[0]
    start = replace(
        start,
        parameters=[{"name": "filters", "searched": True}],
        settings={**start.settings, "pruner": "racing", **settings},
    )
    return Board(History(), start, trials=trials)


def shown(watched: Board, records: list[Record]) -> Iterator[Record]:
    """Yield records, each once the history has it, as the study does."""
    for record in records:
        yield watched.history.add(record)


@pytest.fixture
def printed(monkeypatch, capsys):
    """Return the lines that a study's records print where there is no terminal."""
    monkeypatch.setattr(output.errors, "_width", 200)

    def printed(study: StudyBuilder) -> list[str]:
        watched = board(study)
        lines = PlainLines(watched)
        for record in shown(watched, study.records):
            lines.observe(record)
        return [line.rstrip() for line in capsys.readouterr().err.splitlines()]

    return printed


def test_a_line_says_when_a_trial_starts_to_wait(printed):
    lines = printed(StudyBuilder(folds=5).race())
    waits = [line for line in lines if "waits" in line]
    assert waits[0] == "trial 1   0.8110  after 1 fold, waits for the others"
    at = lines.index(waits[0])
    assert lines[at - 1] == "trial 1  fold 1/5  accuracy 0.8110  (3.0s)"
    assert len(waits) == 4  # trials 1, 3, 4 and 5, each once


def test_a_trial_that_waited_again_after_two_folds_says_so(printed):
    study = StudyBuilder(folds=5)
    study.session()
    for trial in (0, 1):
        study.start_trial(trial)
        study.fold(trial, 1, level=0.8)
    study.fold(0, 2, level=0.8)
    study.fold(1, 2, level=0.8)
    [last] = [line for line in printed(study) if "2 folds" in line]
    assert last == "trial 0   0.8015  after 2 folds, waits for the others"


def test_a_pruned_line_says_where(printed):
    lines = printed(StudyBuilder(folds=5).race())
    pruned = [line for line in lines if " pruned " in line]
    assert pruned == [
        "trial 2   pruned  0.6980  in fold 1 after epoch 2  filters=34",
        "trial 3   pruned  0.8300  after 2/5 folds  filters=35",
    ]


def test_folds_that_confirm_are_called_so_and_the_outcome_shows_the_luck(printed):
    study = StudyBuilder(folds=5)
    study.session()
    study.complete_trial(0, level=0.85)
    study.confirm_trial(0, level=0.81)
    lines = printed(study)
    assert "trial 0  confirmation fold 6/15  accuracy 0.8160  (3.0s)" in lines
    assert lines[-1] == (
        "trial 0   confirmed on 10 confirmation folds: 0.8100 ± 0.0040 (chosen: 0.8500)"
    )


def test_a_confirmation_that_failed_says_why(printed):
    study = StudyBuilder()
    study.session()
    study.complete_trial(0)
    study.add(TrialConfirmed, trial=0, repeats=2, error="Traceback ...\nMemoryError: [no]")
    assert printed(study)[-1] == "trial 0   not confirmed  MemoryError: [no]"


def test_a_line_shows_the_first_objective_and_names_the_others(printed):
    study = StudyBuilder(objective="cv_loss,model_parameters")
    study.session()
    study.complete_trial(0, level=0.80, model_parameters=9000)
    study.complete_trial(1, level=0.70, model_parameters=9500)
    lines = printed(study)
    assert "trial 0  fold 1/2  loss 0.5000  (3.0s)" in lines
    assert "trial 0   0.5000 ± 0.0000  parameters 9,000  on the front  filters=32" in lines
    assert lines[-1] == "trial 1   0.6000 ± 0.0000  parameters 9,500  filters=33"


def test_one_fold_has_no_spread(printed):
    study = StudyBuilder(folds=1)
    study.session()
    study.complete_trial(0, scores={"cv_accuracy_std": 0.0})
    assert printed(study)[-1] == "trial 0   0.8000  best so far  filters=32"


def live(monkeypatch, study, **settings) -> str:
    watched = board(study, **settings)
    display = LiveDisplay(watched)
    for record in shown(watched, study.records):
        display.observe(record)
    monkeypatch.setattr(output.console, "_width", 160)
    with output.console.capture() as capture:
        output.console.print(display._render())
    return capture.get()


def test_the_board_counts_who_waits(monkeypatch):
    shown = live(monkeypatch, StudyBuilder(folds=5).race(), trials=8)
    assert "4/8  pruned 2  waiting 1" in shown
    assert "trial 5  fold 2/5  epoch 1/3" in shown


def test_the_board_shows_a_confirmation_as_one(monkeypatch):
    study = StudyBuilder(folds=5)
    study.session()
    study.complete_trial(0, level=0.85)
    study.add(FoldStarted, trial=0, fold=6)
    shown = live(monkeypatch, study, trials=1)
    assert "confirming trial 0  fold 6 of 6..15  epoch 0/3" in shown


def test_a_confirmation_tried_again_is_seen_as_one(monkeypatch):
    study = StudyBuilder(folds=5)
    study.session()
    study.complete_trial(0, level=0.85)
    study.fold(0, 6, epochs=1)
    study.add(TrialConfirmed, trial=0, repeats=2, error="no memory")
    assert "choosing the next trial" in live(monkeypatch, study)
    study.session()
    study.add(FoldStarted, trial=0, fold=6)
    assert "confirming trial 0" in live(monkeypatch, study)


def test_between_two_trials_nothing_is_evaluated(monkeypatch):
    study = StudyBuilder()
    assert "starting TensorFlow" in live(monkeypatch, study)
    study.session()
    study.complete_trial(0)
    assert "choosing the next trial" in live(monkeypatch, study)


def test_the_time_left_is_reckoned_from_the_epochs_of_this_session(monkeypatch):
    study = StudyBuilder(folds=5, epochs=3)
    study.session()
    watched = board(study, trials=1, pruner="none")
    study.start_trial(0)
    study.fold(0, 1)
    now = [100.0]
    monkeypatch.setattr("search.cli.status.time", SimpleNamespace(monotonic=lambda: now[0]))
    for record in shown(watched, study.records[:-1]):
        watched.take(record)
        assert watched.seconds_left() is None
    now[0] = 106.0  # three epochs in six seconds
    watched.take(watched.history.add(study.records[-1]))
    assert watched.seconds_left() == 12 * 2.0


def test_all_trials_that_are_evaluated_now_are_shown(monkeypatch):
    study = StudyBuilder(folds=5)
    study.session()
    for trial in range(6):
        study.start_trial(trial)
    for trial in range(6):
        study.add(FoldStarted, trial=trial, fold=1)
    shown = live(monkeypatch, study, trials=8, pruner="none")
    assert all(f"trial {trial}  fold 1/5" in shown for trial in range(4))
    assert "and 2 more" in shown


def test_a_trial_that_broke_off_says_so_and_is_not_evaluated_now(tmp_path, monkeypatch, printed):
    study = StudyBuilder(folds=5)
    study.session()
    study.start_trial(0)
    study.add(FoldStarted, trial=0, fold=1)
    study.add(AttemptFailed, trial=0, cause="lost", reason="the worker process ended")
    assert printed(study)[-1] == "trial 0   broke off  the worker process ended"
    assert "choosing the next trial" in live(monkeypatch, study)


def test_a_trial_stands_in_all_folds_that_are_trained_side_by_side():
    study = StudyBuilder(folds=3)
    study.session()
    study.start_trial(0)
    study.fold(0, 1, epochs=1)
    study.fold(0, 2, epochs=2)
    watched = board(study)
    seen = []
    ended = StudyBuilder(folds=3)
    ended.start_trial(0)
    ended.fold(0, 2)
    for record in shown(watched, [*study.records, ended.records[-1]]):
        watched.take(record)
        seen.append([(place.fold, place.epoch) for place in watched.places])
    assert seen[-2] == [(1, 1), (2, 2)]
    assert seen[-1] == [(1, 1)]
