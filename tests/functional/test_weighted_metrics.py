"""What samples' weights count in: losses, and metrics of studies that began with them."""

from dataclasses import replace

import numpy as np
import pytest

from search import run_study
from search.study import opening
from search.tasks.classification import ClassPredictions
from tests.tracked import give_database

pytestmark = pytest.mark.slow

SMALL = {"folds": 2, "epochs": 2, "executor": "inline", "set": {"batch_size": 32}, "pruner": "none"}
CHANCE = np.random.default_rng(0)
X = CHANCE.normal(size=(160, 3))
Y = (X[:, 0] + CHANCE.normal(size=160) > 0).astype(int)
WEIGHTS = CHANCE.uniform(0.1, 3, 160)


def run(home, trials):
    give_database(home / "mlflow.db")
    result = run_study(
        "mlp",
        data=(X, Y),
        sample_weight=WEIGHTS,
        test=False,
        study="weighted",
        home=home,
        trials=trials,
        metrics=["balanced_accuracy"],
        notify=lambda text: None,
        **SMALL,
    )
    return result, [
        (fold, ClassPredictions.load(result.folder.root / fold.predictions))
        for trial in result.history.completed()
        for fold in trial.finished_folds().values()
    ]


def test_a_study_from_before_metrics_were_weighted_goes_on_without_weights(tmp_path, monkeypatch):
    made = opening.first_record

    def as_before(*args, **more):
        start = made(*args, **more)
        return replace(start, dataset={n: v for n, v in start.dataset.items() if n != "weighted"})

    with monkeypatch.context() as earlier:
        earlier.setattr(opening, "first_record", as_before)
        run(tmp_path / "old", 1)
    result, old = run(tmp_path / "old", 2)
    assert len(old) == 4
    for fold, predictions in old:
        right = predictions.right
        assert fold.accuracy == pytest.approx(right.mean())
        by_class = [right[predictions.labels == label].mean() for label in (0, 1)]
        assert fold.metric("balanced_accuracy") == pytest.approx(np.mean(by_class))
    for trial in result.history.completed():
        assert sum(map(sum, trial.ended.confusion)) == 160

    _, new = run(tmp_path / "new", 1)
    for (fold, predictions), (before, _) in zip(new, old, strict=False):
        assert fold.loss == before.loss  # which was weighted before, too
        assert fold.accuracy != pytest.approx(predictions.right.mean())
