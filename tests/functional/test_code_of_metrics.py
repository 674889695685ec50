"""Functions of a user's own as metrics: their code is part of a study's, as a space's is."""

import numpy as np
import pytest

from search import run_study
from search.errors import SettingsError
from tests.tracked import give_database

pytestmark = pytest.mark.slow

GAIN = """
import helper

def gain(y_true, y_pred):
    return helper.FACTOR * float((y_pred.argmax(axis=1) == y_true).mean())
"""
SMALL = {"folds": 2, "epochs": 1, "executor": "inline", "set": {"batch_size": 32}, "pruner": "none"}


@pytest.fixture
def go_on(tmp_path):
    """A function that runs a study of a metric in a file up to some trials."""
    (tmp_path / "gain.py").write_text(GAIN)
    (tmp_path / "helper.py").write_text("FACTOR = 3.0\n")
    give_database(tmp_path / "mlruns" / "mlflow.db")
    rows = np.random.default_rng(0).normal(size=(120, 3))

    def go_on(trials, **more):
        return run_study(
            "mlp",
            data=(rows, (rows[:, 0] > 0).astype(int)),
            study="gain",
            home=tmp_path / "mlruns",
            objective=f"{tmp_path / 'gain.py'}:gain",
            trials=trials,
            notify=lambda text: None,
            **SMALL,
            **more,
        )

    return go_on


def gains(result):
    folds = (trial.finished_folds().values() for trial in result.history.completed())
    return [fold.metric("gain") / fold.accuracy for each in folds for fold in each]


def test_a_changed_metric_is_refused_like_a_changed_space_or_accepted_and_marked(go_on, tmp_path):
    assert gains(go_on(1)) == pytest.approx([3.0] * 2)
    (tmp_path / "gain.py").write_text(f"# The same, with a comment.{GAIN}")
    assert gains(go_on(2)) == pytest.approx([3.0] * 4)

    (tmp_path / "helper.py").write_text("FACTOR = 5.0\n")
    said = r"the code of metrics has changed since .*: metrics: helper.py was changed\. Scores"
    with pytest.raises(SettingsError, match=said):
        go_on(3)

    result = go_on(3, accept_changed_code=True)
    assert sorted(gains(result)) == pytest.approx([3.0] * 4 + [5.0] * 2)
    [*_, last] = result.history.sessions
    assert any("metrics: helper.py" in text for text in last.accepted)


def test_a_changed_metric_is_refused_at_the_export_too(go_on, tmp_path):
    result = go_on(1)
    (tmp_path / "helper.py").write_text("FACTOR = 5.0\n")
    with pytest.raises(SettingsError, match=r"metrics: helper\.py was changed"):
        result.export(tmp_path / "model", notify=lambda text: None)
    exported = result.export(tmp_path / "model", accept_changed_code=True, notify=lambda text: None)
    assert exported.test.scores["gain"] == pytest.approx(5 * exported.test.accuracy)
