"""One writer: time, disk, history, observers, in this order."""

import pytest

from tests.studies import StudyBuilder
from tracking.event_log import EventLog
from tracking.history import History
from tracking.home import Home
from tracking.journal import JournalError, read_journal
from tracking.lock import StudyLocked
from tracking.records import FoldEnded, FoldStarted, Notice, TrialEnded, TrialStarted


@pytest.fixture
def folder(tmp_path):
    return Home(tmp_path).study("toy")


@pytest.fixture
def begun():
    """The records of a study whose only trial has begun its first fold."""
    study = StudyBuilder(name="toy")
    study.start_trial(0)
    study.add(FoldStarted, trial=0, fold=1)
    return study.records


def fold_ended(at, trial=0, fold=1):
    scores = {"accuracy": 0.5, "loss": 1.0, "macro_f1": 0.5}
    return FoldEnded(at=at, trial=trial, fold=fold, seconds=1.0, predictions="", **scores)


def test_an_observer_finds_a_record_in_the_journal_and_in_the_history(folder, begun):
    seen = []

    def observe(record):
        on_disk = read_journal(folder.journal)
        seen.append((record, on_disk[-1] == record, log.history.tally.records == len(on_disk)))

    with EventLog.open(folder, History) as log:
        log.observe(observe)
        for record in begun:
            log.append(record)
    assert seen == [(record, True, True) for record in begun]


def test_observers_are_called_in_their_order(begun):
    seen = []
    log = EventLog(History(), None, lambda _: seen.append(1), lambda _: seen.append(2))
    log.observe(lambda _: seen.append(3))
    log.append(begun[0])
    assert seen == [1, 2, 3]


def test_records_are_later_than_those_before_them_in_the_journal_too(folder, begun):
    with EventLog.open(folder, History) as log:
        for record in begun:
            log.append(record)
        log.append(Notice(at=1.0, text="the clock was set back", trial=0))
        kept = log.history.notices[0]
    assert kept.at > begun[-1].at
    assert read_journal(folder.journal)[-1] == kept


@pytest.mark.parametrize(
    "record",
    [
        fold_ended(3e9, trial=7),
        fold_ended(3e9, fold=2),
        FoldStarted(at=3e9, trial=7, fold=1),
        TrialEnded(at=3e9, trial=7, state="failed", value=None),
    ],
)
def test_a_record_that_makes_no_sense_is_written_nowhere(folder, begun, record):
    seen = []
    with EventLog.open(folder, History) as log:
        for good in begun:
            log.append(good)
        log.observe(seen.append)
        with pytest.raises(KeyError):
            log.append(record)
        assert log.history.tally.records == len(begun)
    assert read_journal(folder.journal) == begun
    assert seen == []


def test_what_could_not_be_written_is_not_in_the_history(folder, begun, monkeypatch):
    seen = []
    with EventLog.open(folder, History) as log:
        log.append(begun[0])
        log.observe(seen.append)
        with monkeypatch.context() as patch:
            patch.setattr("tracking.journal.LONGEST", 10)
            with pytest.raises(JournalError):
                log.append(begun[1])
        assert log.history.trials == {}
        assert seen == []
        log.append(begun[1])
    assert isinstance(read_journal(folder.journal)[-1], TrialStarted)


@pytest.mark.slow
def test_a_log_is_open_once_and_read_with_the_lock_held(folder, begun):
    def read():
        with pytest.raises(StudyLocked), EventLog.open(folder, History):
            pass
        return History.of(begun)

    with EventLog.open(folder, read) as log:
        assert log.history.trials.keys() == {0}
        with pytest.raises(StudyLocked), EventLog.open(folder, History):
            pass
    with EventLog.open(folder, History):
        pass


def test_what_is_checked_first_leaves_nothing_behind(folder):
    def refuse():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"), EventLog.open(folder, refuse):
        pass
    assert not folder.journal.exists()
    with EventLog.open(folder, History):
        pass  # the lock is free
