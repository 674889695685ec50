import threading
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from search.cli import output
from search.cli.live import Line, PlainLines, Screen
from search.cli.status import Board, Left
from tests.studies import StudyBuilder
from tracking.history import History
from tracking.records import AttemptFailed, FoldStarted, Record, SessionStarted, TrialConfirmed

OF_BOARD = ("limit", "is_new", "now")


def board(study: StudyBuilder, *, trials: int = 20, **settings) -> Board:
    start = study.records[0]
    given = {name: settings.pop(name) for name in OF_BOARD if name in settings}
    start = replace(
        start,
        parameters=[{"name": "filters", "searched": True}],
        settings={**start.settings, "pruner": "racing", **settings},
    )
    return Board(History(), start, trials=trials, **given)


def shown(watched: Board, records: list[Record]) -> Iterator[Record]:
    """Yield records, each once the history has it, as the study does."""
    for record in records:
        yield watched.history.add(record)


def followed(study: StudyBuilder, **settings) -> tuple[Board, list[Left | None]]:
    """Return a board that has taken a study's records as they came, and the times left then."""
    at = [study.records[0].at]
    watched, left = board(study, now=lambda: at[0], **settings), []
    for record in shown(watched, study.records):
        at[0] = record.at
        watched.take(record)
        left.append(watched.left())
    return watched, left


@pytest.fixture
def printed(monkeypatch, capsys):
    """Return the lines that a study's records print where there is no terminal."""
    monkeypatch.setattr(output.errors, "_width", 200)

    def printed(study: StudyBuilder, stages=(), **settings) -> list[str]:
        latest = [study.records[0].at]
        watched = board(study, **{"now": lambda: latest[0]} | settings)
        lines = PlainLines(watched)
        for stage in stages:
            lines.stage(stage)
        for record in shown(watched, study.records):
            latest[0] = record.at
            lines(record)
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


def screen(study: StudyBuilder, *, width: int = 100, height: int = 40, **settings) -> list[str]:
    """Return the lines of the live display after a study's records."""
    watched, _ = followed(study, **settings)
    console = Console(width=width, height=height, file=StringIO())
    console.print(Screen(watched))
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_the_screen_counts_trials_and_shows_a_row_for_each_fold_in_training():
    study = StudyBuilder(folds=5).race()
    study.start_trial(6)
    study.fold(6, 1, epochs=2, level=0.7)
    study.start_trial(7)
    lines = screen(study, trials=9)
    assert lines[0].endswith("4 of 9 trials  2 pruned  1 waiting")
    assert lines[1].startswith("elapsed 1m 31s  left ")
    assert lines[2].split() == ["trial", "fold", "epoch", "accuracy"]
    assert lines[3].split() == ["5", "2/5", "1/3", "0.5960"]
    assert lines[4].split() == ["6", "1/5", "2/3", "0.5980", "▁█"]
    assert lines[5].split() == ["7", "-", "-", "-", "starting"]
    assert lines[6] == "best so far  trial 1  0.8100 ± 0.0100"
    assert lines[7] == "  filters=33"


@pytest.mark.slow
@pytest.mark.parametrize("width", [60, 80, 100])
def test_nothing_on_the_screen_is_torn_at_any_width(width):
    study = StudyBuilder(folds=5, epochs=100)
    study.session()
    study.complete_trial(0, level=0.85, origin="baseline:a-long-name-of-a-baseline")
    for trial in range(1000, 1012):
        study.start_trial(trial)
        study.fold(trial, 1)
    study.start_trial(1012)
    study.fold(1012, 1, epochs=99)
    study.add(FoldStarted, trial=0, fold=15)
    lines = screen(study, width=width, trials=1500)
    assert max(map(len, lines)) <= width
    rows = [line.split() for line in lines]
    assert ["1012", "1/5", "99/100", "0.7960"] in [row[:4] for row in rows]
    assert ["0", "confirm", "10/10", "0/100", "-"] in rows
    assert any("1 of 1,500 trials  0 pruned  12 waiting" in line for line in lines)
    assert "  [a-long-name-of-a-baseline]  filters=32" in lines


def test_many_workers_leave_room_on_a_low_terminal():
    study = StudyBuilder(folds=5)
    study.session()
    for trial in range(12):
        study.start_trial(trial)
    for trial in range(12):
        study.add(FoldStarted, trial=trial, fold=1)
    lines = screen(study, height=12)
    assert [line.split()[0] for line in lines[3:7]] == ["0", "1", "2", "3"]
    assert lines[7] == "and 8 more"
    assert len(screen(study)) == 3 + 8 + 1


def test_before_a_trial_is_complete_the_one_that_leads_is_shown():
    study = StudyBuilder(folds=5)
    study.session()
    for trial in range(3):
        study.start_trial(trial)
        study.fold(trial, 1, level=0.7 + trial % 2 / 10)
    assert "leading  trial 1  0.8010 after 1 fold" in screen(study)


def test_the_screen_says_what_is_done_while_nothing_is_trained():
    study = StudyBuilder()
    study.session()
    assert screen(study)[-1] == "now    starting"
    study.start_trial(0)
    assert screen(study)[-1].split()[-2:] == ["loading", "TensorFlow"]
    watched = board(study)
    watched.doing = "measuring 2 workers"
    assert watched.idle == "measuring 2 workers"
    for record in shown(watched, study.records):
        watched.take(record)
    assert watched.doing == ""
    done = StudyBuilder()
    done.session()
    done.complete_trial(0)
    assert screen(done, trials=2)[2] == "now    choosing the next trial"


def test_a_confirmation_tried_again_is_seen_as_one():
    study = StudyBuilder(folds=5)
    study.session()
    study.complete_trial(0, level=0.85)
    study.fold(0, 6, epochs=1)
    study.add(TrialConfirmed, trial=0, repeats=2, error="no memory")
    assert screen(study)[2] == "now    choosing the next trial"
    study.session()
    study.add(FoldStarted, trial=0, fold=6)
    assert ["0", "confirm", "1/10", "0/3", "-"] in [line.split() for line in screen(study)]


def test_on_a_terminal_params_go_on_below_their_line():
    line = Line("trial 7   [dim]pruned[/]  0.7000", ("a=1", "b=22222222222222222222", "c=3"))
    console = Console(width=40, file=StringIO())
    console.print(line)
    assert console.file.getvalue().splitlines() == [
        "trial 7   pruned  0.7000  a=1",
        "          b=22222222222222222222  c=3",
    ]


# The time.


def test_the_time_left_is_a_range_from_the_first_epoch_on():
    study = StudyBuilder(folds=2, epochs=3)
    study.session()
    study.start_trial(0)
    study.fold(0, 1)
    _, seen = followed(study, trials=1, pruner="none")
    # Every record comes a second after the one before; epochs ahead: five, four, three.
    assert seen[:4] == [None] * 4
    assert seen[4:7] == [Left(0.0, 5.0), Left(4.0, 4.0), Left(3.0, 3.0)]


def test_the_least_time_passes_while_nothing_is_heard_and_a_limit_cuts_both():
    study = StudyBuilder(folds=2, epochs=3)
    study.session()
    study.start_trial(0)
    study.fold(0, 1)
    now = [study.records[0].at]
    watched = board(study, trials=3, pruner="none", limit=20.0, now=lambda: now[0])
    for record in shown(watched, study.records):
        now[0] = record.at
        watched.take(record)
    ahead = watched.left()
    assert (ahead.least, ahead.most) == (pytest.approx(20 - 7), pytest.approx(20 - 7))
    now[0] += 5
    assert watched.left() == Left(8.0, 8.0)
    now[0] += 100
    assert watched.left() == Left(0.0, 0.0)


def test_who_joins_a_session_knows_when_it_ends_in_any_case():
    study = StudyBuilder(folds=2, epochs=3)
    study.session()
    study.start_trial(0)
    study.fold(0, 1)
    at = [study.records[-1].at + 1]
    [session] = (record for record in study.records if isinstance(record, SessionStarted))
    for ahead, most in ((10.0, 10.0), (-5.0, 0.0)):
        limited = replace(session, deadline=at[0] + ahead)
        records = [limited if record is session else record for record in study.records]
        watched = board(study, trials=300, pruner="none", now=lambda: at[0])
        watched.history = History.of(records)
        watched.join(limited)
        assert watched.left() == Left(most, most)


def planned(study: StudyBuilder, rate: float = 9.0) -> StudyBuilder:
    """Begin a session whose plan was measured: samples a second."""
    plan = {"way": {"workers": 1, "rate": rate}, "told": "1 worker, float32: measured"}
    study.add(SessionStarted, trials=4, environment={"plan": plan})
    return study


def test_a_measured_rate_foretells_the_time_before_the_first_trial(printed):
    study = planned(StudyBuilder(folds=3, epochs=3))  # 60 of 90 samples, 9 a second
    lines = printed(study, trials=4, pruner="none")
    assert lines == [
        "plan      1 worker, float32: measured",
        "time      about 4m, at 9 samples/s",
    ]


def test_the_first_epochs_foretell_the_time_of_which_nothing_was_measured_once(printed):
    study = StudyBuilder(folds=3, epochs=3)
    study.session()
    study.start_trial(0)
    study.fold(0, 1)
    said = [line for line in printed(study, trials=4, pruner="none") if line.startswith("time")]
    assert said == ["time      about 35s, by its first epochs"]


def test_a_session_that_takes_far_longer_than_its_estimate_says_so_once(printed):
    study = planned(StudyBuilder(folds=3, epochs=3), rate=900.0)
    study.complete_trial(0)
    study.complete_trial(1)
    said = [line for line in printed(study, trials=40, pruner="none") if line.startswith("time")]
    assert said == [
        "time      about 25s, at 900 samples/s",
        "time      about 6m more, longer than estimated, by its epochs so far",
    ]


@pytest.mark.parametrize(
    ("settings", "hint"),
    [
        ({"is_new": True}, "`--timeout 1h`"),
        ({"is_new": True, "samples": 60_000}, "`--limit-samples 6000` or `--timeout 1h`"),
        ({"is_new": False, "samples": 60_000}, "Shorter with `--timeout 1h`"),
        ({"limit": 3600.0}, "--timeout ends it after 1h 00m"),
    ],
)
def test_where_it_takes_hours_the_estimate_says_what_makes_it_shorter(printed, settings, hint):
    study = StudyBuilder(folds=3, epochs=3)
    study.records[0].dataset["samples"] = settings.pop("samples", 900)
    planned(study, rate=0.9 * study.records[0].dataset["samples"] / 900)
    [line] = [line for line in printed(study, pruner="none", **settings) if "time " in line]
    assert hint in line
    assert ("limit-samples" in line) == ("limit-samples" in hint)


def test_whoever_watches_later_sees_the_same_places_and_time():
    study = StudyBuilder(folds=5).race()
    start = study.records[1]
    first, _ = followed(study, trials=9)
    joined = board(study, trials=9, now=lambda: study.records[-1].at)
    for record in study.records:
        joined.history.add(record)
    joined.join(start)
    assert joined.places == first.places
    assert joined.left() == first.left()
    assert joined.elapsed == study.records[-1].at - start.at
    assert joined.newly_waiting == []


# Without a terminal.


def test_stages_are_lines_and_training_is_one(printed):
    study = StudyBuilder(folds=2)
    study.session()
    study.start_trial(0)
    study.add(FoldStarted, trial=0, fold=1)
    study.add(FoldStarted, trial=0, fold=2)
    assert printed(study, stages=["loading TensorFlow"]) == ["loading TensorFlow", "training"]


def test_where_nothing_else_is_said_a_line_says_how_far_the_trials_are(capsys, monkeypatch):
    monkeypatch.setattr(output.errors, "_width", 200)
    study = StudyBuilder(folds=5)
    study.session()
    study.complete_trial(0)
    study.start_trial(1)
    study.fold(1, 1, epochs=2)
    study.start_trial(2)
    now = [0.0]
    watched, _ = followed(study, trials=4, pruner="none")
    lines = PlainLines(watched, now=lambda: now[0])
    now[0] = 29.0
    lines.beat()
    assert capsys.readouterr().err == ""
    now[0] = 30.0
    lines.beat()
    lines.beat()
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(
        "now       trial 1  fold 1/5  epoch 2/3  accuracy 0.6980, trial 2  starting;"
        " 1 of 4 trials  0 pruned; best so far  trial 0  0.8000 ± 0.0100; elapsed 33s  left "
    )


def test_the_heart_beats_by_itself(monkeypatch):
    study = StudyBuilder()
    said = threading.Event()
    monkeypatch.setattr(output.errors, "print", lambda *_, **__: said.set())
    with PlainLines(board(study), every=0.001):
        assert said.wait(60)


def test_a_trial_that_broke_off_says_so_and_is_not_evaluated_now(printed):
    study = StudyBuilder(folds=5)
    study.session()
    study.start_trial(0)
    study.add(FoldStarted, trial=0, fold=1)
    study.add(AttemptFailed, trial=0, cause="lost", reason="the worker process ended")
    assert printed(study)[-1] == "trial 0   broke off  the worker process ended"
    assert screen(study)[2] == "now    choosing the next trial"


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
