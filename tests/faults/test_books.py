import shutil
import subprocess
import sys
from dataclasses import replace

import pytest

from tests.faults.books import BooksDiffer, check_books
from tests.studies import StudyBuilder
from tracking.journal import encode
from tracking.journal_lines import crc_of
from tracking.mlflow.mapping import RunKey
from tracking.mlflow.publisher import publish_all
from tracking.mlflow.sink import MlflowSink, open_store
from tracking.records import EpochEnded, FoldEnded, SessionEnded, TrialEnded

pytestmark = pytest.mark.slow  # shows a whole study to a real store


class Books:
    """A journal and a store that agree, to be doctored."""

    def __init__(self, folder):
        self.journal, self.uri = folder / "journal.jsonl", f"sqlite:///{folder}/mlflow.db"
        self.study = StudyBuilder().every_kind_of_trial()
        self.study.end_trial(4, "pruned", reason="weak")
        self.study.add(SessionEnded, reason="interrupted")

    def write(self):
        self.study.write(self.journal)

    def drop(self, kind, **values):
        def is_meant(record):
            return isinstance(record, kind) and values.items() <= vars(record).items()

        kept = [record for record in self.study.records if not is_meant(record)]
        assert len(kept) < len(self.study.records)
        self.journal.write_bytes(b"".join(encode(record) for record in kept))

    def add(self, record):
        content = self.journal.read_bytes()
        last = crc_of(content.splitlines()[-1])
        self.journal.write_bytes(content + encode(record, last))

    def last(self, kind):
        return [record for record in self.study.records if isinstance(record, kind)][-1]

    def store(self):
        store = open_store(self.uri, artifacts=None)
        store.open("lenet-digits", self.study.records[0].id, {})
        return store

    def run(self, kind, trial=None, fold=None):
        return self.store().find(RunKey(kind, trial, fold)).id

    def faults(self, **options):
        with pytest.raises(BooksDiffer) as found:
            check_books(self.journal, self.uri, **options)
        return str(found.value).splitlines()[1:]


@pytest.fixture(scope="module")
def balanced(migrated, tmp_path_factory):
    folder = tmp_path_factory.mktemp("balanced")
    shutil.copy(migrated, folder / "mlflow.db")
    books = Books(folder)
    books.write()
    publish_all(
        books.journal,
        folder / "shipped.json",
        lambda: MlflowSink(books.uri, artifacts=folder / "artifacts", folder=folder),
        key="key",
        notify=print,
    )
    return folder


@pytest.fixture
def books(balanced, tmp_path):
    shutil.copy(balanced / "mlflow.db", tmp_path)
    books = Books(tmp_path)
    books.write()
    return books


def test_books_that_agree_pass(books):
    check_books(books.journal, books.uri)


def test_a_fold_lost_from_the_journal_is_found(books):
    books.drop(FoldEnded, trial=1, fold=2)
    assert "trial 1 is complete without fold 2" in books.faults()


def test_a_trial_lost_from_the_journal_is_found(books):
    kept = [r for r in books.study.records if getattr(r, "trial", None) != 1]
    books.journal.write_bytes(b"".join(encode(record) for record in kept))
    faults = books.faults()
    assert "numbers of trials with gaps: [0, 2, 3, 4]" in faults
    assert "run without record: trial 1" in faults


@pytest.mark.parametrize(
    ("kind", "fault"), [(FoldEnded, "fold ended twice"), (TrialEnded, "trial ended twice")]
)
def test_what_ends_twice_in_the_journal_is_found(books, kind, fault):
    books.add(books.last(kind))
    assert any(line.startswith(fault) for line in books.faults())


def test_a_study_that_is_complete_with_an_open_trial_is_found(books):
    kept = [r for r in books.study.records if not (isinstance(r, TrialEnded) and r.trial == 4)]
    kept[-1] = replace(kept[-1], reason="complete")
    books.journal.write_bytes(b"".join(encode(record) for record in kept))
    faults = books.faults()
    assert "unfinished: trial 4" in faults
    assert "4 of 6 trials in a complete study" in faults


def test_a_doubled_run_is_found(books):
    store = books.store()
    tags = store.client.get_run(books.run("fold", 0, 1)).data.tags
    store.client.create_run(store.experiment_id, tags=tags)
    assert {"2 runs: fold 0 1", "RUNNING: fold 0 1"} <= set(books.faults())


def test_a_run_that_is_missing_is_found(books):
    books.store().client.delete_run(books.run("fold", 0, 2))
    assert "no run: fold 0 2" in books.faults()


def test_a_run_that_is_stuck_is_found(books):
    books.store().client.update_run(books.run("trial", 0), status="RUNNING")
    assert books.faults() == ["RUNNING: trial 0"]


def test_a_run_in_a_wrong_state_is_found(books):
    books.store().client.set_tag(books.run("trial", 2), "search.state", "complete")
    assert books.faults() == ["trial 2 is ('KILLED', 'complete'), should be ('KILLED', 'pruned')"]


def test_an_epoch_that_mlflow_lacks_is_found(books):
    epoch = books.last(EpochEnded)
    books.add(replace(epoch, epoch=epoch.epoch + 1))
    assert any(line.startswith("fold 4 1: val_accuracy is [(1, ") for line in books.faults())


def test_a_value_that_differs_is_found(books):
    books.store().client.log_metric(books.run("fold", 0, 1), "val_loss", 7.0, step=2)
    assert [line.partition(" is ")[0] for line in books.faults()] == ["fold 0 1: val_loss"]


def test_a_score_of_a_trial_without_one_is_found(books):
    books.store().client.log_metric(books.run("trial", 2), "cv_accuracy", 0.9)
    assert books.faults() == ["trial 2: cv_accuracy is [(0, 0.9)], should be []"]


def test_a_second_experiment_of_the_study_is_found(books):
    tags = {"search.study_id": books.study.records[0].id}
    books.store().client.create_experiment("another", tags=tags)
    with pytest.raises(BooksDiffer, match="2 experiments"):
        check_books(books.journal, books.uri)


def test_a_process_that_is_left_is_found(books):
    left = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True
    )
    try:
        assert books.faults(session=left.pid)[0].startswith(f"process left: {left.pid}")
    finally:
        left.kill()
        left.wait()
    check_books(books.journal, books.uri, session=left.pid)
