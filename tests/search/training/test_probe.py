"""What a real worker tells of its speed."""

import time

import pytest

from search.data import load
from search.data.splits import make_folds
from search.executors import LocalExecutor
from search.executors.local import WorkerFailed
from search.executors.protocol import GO_ON, FoldTask, Probe, Work
from spaces import get_space
from tracking.home import StudyFolder
from tracking.records import EpochEnded, FoldEnded

pytestmark = pytest.mark.slow

SETTING = get_space("lenet").complete({"epochs": 1, "batch_size": 16})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("home")
    dataset = load("digits", home=root)
    folder = StudyFolder(root / "studies" / "probing")
    folder.root.mkdir(parents=True)
    make_folds(dataset.train_labels, folds=2, seed=0, limit_samples=200).save(folder.folds)
    return folder, dataset


@pytest.fixture(scope="module")
def executor(folder):
    study, dataset = folder
    work = Work(
        space="lenet",
        dataset=str(dataset.folder),
        folder=str(study.root),
        declarations=str(study.root),
        seed=0,
        precision="float32",
        objectives=("cv_accuracy",),
    )
    made = LocalExecutor(work, study.worker_log, workers=2)
    made.load()
    yield made
    made.close()


def test_all_workers_train_for_the_time_asked_for(executor):
    found = executor.probe([Probe(SETTING, "float32", seconds=0.3)] * 2)
    assert len(found) == 2
    for one in found:
        assert one.seconds >= 0.3
        assert one.rate == pytest.approx(one.samples / one.seconds)
        assert 14 * one.steps < one.samples <= 16 * one.steps  # the last batch has 4
        assert one.checked == 100


def test_a_number_of_steps_trains_the_same_whatever_else_was_trained(executor):
    first, _ = executor.probe([Probe(SETTING, "float32", steps=32)] * 2)
    other, _ = executor.probe([Probe(SETTING, "mixed_bfloat16", steps=32)] * 2)
    again, _ = executor.probe([Probe(SETTING, "float32", steps=32)] * 2)
    assert first.steps == other.steps == again.steps == 32
    assert first.score == again.score > 0.3


def test_a_setting_that_cannot_be_built_is_told_of(executor):
    with pytest.raises(WorkerFailed, match="a worker could not be measured: KeyError"):
        executor.probe([Probe({"batch_size": 16}, "float32", steps=1)] * 2)


def test_the_workers_train_folds_afterwards_in_the_precision_they_adopted(executor):
    def losses(precision):
        records = []

        def keep(record):
            records.append(record)
            return GO_ON

        executor.adopt(precision)
        for fold in (1, 2):
            executor.submit(FoldTask(trial=0, params=SETTING, fold=fold))
            executor.wait(keep)
            assert isinstance(records[-1], FoldEnded)
        return [record.metrics["loss"] for record in records if isinstance(record, EpochEnded)]

    coarse = losses("mixed_bfloat16")
    fine = losses("float32")
    assert len(fine) == len(coarse) == 2
    assert all(one != other for one, other in zip(fine, coarse, strict=True))  # in every fold
    assert fine == pytest.approx(coarse, rel=0.05)


def test_a_worker_that_takes_too_long_is_not_waited_for(executor):  # nor of any use afterwards
    began = time.monotonic()
    with pytest.raises(WorkerFailed, match=r"could not be measured: it said nothing for 0\.5 s"):
        executor.probe([Probe(SETTING, "float32", seconds=5.0)] * 2, longest=0.5)
    assert time.monotonic() - began < 3.0
