import shutil

import pytest

from search.executors import make_executor
from tests.search.executors.contract import (
    Recorder,
    TestExecutorContract,  # noqa: F401 # runs here on `executor`
    make_study,
    train,
)
from tracking.records import EpochEnded

pytestmark = pytest.mark.slow

BESIDE = ("local", "inline")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("home"))


@pytest.fixture(autouse=True)
def _no_predictions_left(study):
    yield
    _, folder = study
    predictions = folder.root / "predictions"
    if predictions.is_symlink():
        predictions.unlink()
    shutil.rmtree(predictions, ignore_errors=True)


@pytest.fixture(scope="module", params=BESIDE)
def executor(request, study):
    """An executor that stays: importing TensorFlow takes longer than most tests."""
    work, folder = study
    made = make_executor(request.param, work, folder.worker_log)
    yield made
    made.close()


def test_both_executors_give_the_same_scores(study):
    work, folder = study
    scores = []
    for name in BESIDE:
        recorder = Recorder()
        made = make_executor(name, work, folder.worker_log)
        train(made, recorder)
        made.close()
        scores.append([record.metrics for record in recorder.of(EpochEnded)])
    assert scores[0] == scores[1]


def test_tensorflow_speaks_to_the_log_and_not_to_the_terminal(study, capfd):
    work, folder = study
    executor = make_executor("local", work, folder.worker_log)
    train(executor, Recorder())
    executor.close()
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")
    assert folder.worker_log().exists()
