"""Studies of hypermodels with a `fit` of their own, and of callbacks, from end to end."""

from contextlib import contextmanager

import numpy as np
import pytest

from search import SettingsError, run_study
from tracking.records import FoldEnded

pytestmark = pytest.mark.slow

CODE = """
import keras
import keras_tuner


class Mine(keras_tuner.HyperModel):
    def __init__(self, num_classes, input_shape):
        super().__init__()
        self.num_classes, self.input_shape = num_classes, input_shape

    def build(self, hp):
        self.built_with = hp
        model = keras.Sequential(
            [
                keras.layers.Input(self.input_shape),
                keras.layers.Flatten(),
                keras.layers.Dense(hp.Int("units", 4, 16, step=4), "relu"),
                keras.layers.Dense(self.num_classes, "softmax"),
            ]
        )
        rate = hp.Float("rate", 1e-3, 1e-1, sampling="log")
        model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
        return model

    def fit(self, hp, model, *args, **kwargs):
        assert hp is self.built_with
        if hp.Boolean("early"):
            kwargs["callbacks"] = [
                *kwargs["callbacks"],
                keras.callbacks.EarlyStopping(
                    patience=hp.Int("patience", 1, 2), restore_best_weights=True
                ),
            ]
        return model.fit(*args, epochs=hp.Int("epochs", 2, 3), **kwargs)
"""
TINY = {"dataset": "digits", "folds": 2, "trials": 3, "limit_samples": 160, "pruner": "none"}


@pytest.fixture
def space(tmp_path):
    (tmp_path / "mine.py").write_text(CODE)
    return f"{tmp_path / 'mine.py'}:Mine"


def unheard(text):
    pass


def scores(result):
    return {
        (number, fold): (ended.loss, ended.epochs, ended.scored_epoch)
        for number, trial in result.history.trials.items()
        for fold, ended in trial.finished_folds().items()
    }


@contextmanager
def interrupted_after(folds, opened):
    seen = []

    def observe(record):
        seen.append(record)
        is_fold = isinstance(record, FoldEnded)
        if is_fold and sum(isinstance(one, FoldEnded) for one in seen) == folds:
            raise KeyboardInterrupt

    yield observe


@pytest.mark.parametrize("driver", ["optuna", "keras-tuner"])
def test_what_an_own_fit_tunes_is_searched_and_an_interruption_changes_nothing(
    space, tmp_path, driver
):
    told = []
    whole = run_study(
        space, **TINY, driver=driver, study="whole", home=tmp_path / "home", notify=told.append
    )
    assert whole.reason == "complete"
    names = {entry["name"] for entry in whole.history.study.parameters}
    assert names == {"units", "rate", "early", "model.patience", "epochs", "batch_size"}
    assert {ended[1] for ended in scores(whole).values()} <= {2, 3}
    assert sum("gets as `validation_data`" in text for text in told) == 1

    again = {"study": "again", "home": tmp_path / "home", "notify": unheard}
    first = run_study(
        space,
        **TINY,
        driver=driver,
        **again,
        display=lambda opened: interrupted_after(3, opened),
    )
    assert first.reason == "interrupted"
    assert len(scores(first)) < 6
    second = run_study(space, **again)
    assert scores(second) == scores(whole)


def test_the_best_trial_s_final_model_is_trained_by_the_same_fit(space, tmp_path):
    result = run_study(space, **TINY, home=tmp_path / "home", notify=unheard)
    exported = result.export(tmp_path / "model", formats=["keras"], notify=unheard)
    epochs = result.best.params["epochs"]
    assert len(exported.export.curves) in range(1, epochs + 1)
    assert np.isfinite(exported.test.loss)


def test_epochs_that_fit_sets_itself_are_no_setting(tmp_path):
    code = CODE.replace('epochs=hp.Int("epochs", 2, 3)', "epochs=2")
    (tmp_path / "mine.py").write_text(code)
    space = f"{tmp_path / 'mine.py'}:Mine"
    given = {**TINY, "home": tmp_path / "home", "notify": unheard}
    with pytest.raises(SettingsError, match="sets the number of epochs itself; got 4"):
        run_study(space, **given, epochs=4)
    for pruner in ("median", "racing"):
        result = run_study(space, **{**given, "trials": 2, "pruner": pruner}, study=pruner)
        assert result.reason == "complete"
        assert "epochs" not in result.best.params


def test_callbacks_are_copied_for_every_fold_and_belong_to_the_study(tmp_path):
    import keras

    class Stop(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.epochs = 0

        def on_epoch_end(self, epoch, logs=None):
            self.epochs += 1  # over all folds, if it were not copied
            if self.epochs == 2:
                self.model.stop_training = True

    given = {
        **TINY,
        "trials": 1,
        "epochs": 4,
        "study": "stopped",
        "home": tmp_path / "home",
        "notify": unheard,
    }
    callbacks = [Stop(), keras.callbacks.CSVLogger(str(tmp_path / "{trial}-{fold}.csv"))]
    result = run_study("mlp", **given, callbacks=callbacks)
    assert [ended[1] for ended in scores(result).values()] == [2, 2]
    assert {path.name for path in tmp_path.glob("*.csv")} == {"0-1.csv", "0-2.csv"}
    with pytest.raises(SettingsError, match=r"callbacks: Stop .* was removed"):
        run_study("mlp", **{**given, "trials": 2})
    more = run_study("mlp", **{**given, "trials": 2}, callbacks=callbacks)
    assert len(scores(more)) == 4
    exported = more.export(tmp_path / "model", formats=["keras"], notify=unheard)
    assert len(exported.export.curves) == 2
    assert (tmp_path / f"{exported.export.trial}-final.csv").exists()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda callbacks: "early", "must be a list of keras.callbacks.Callback"),
        (lambda callbacks: [callbacks.EarlyStopping], "one is of type type"),
        (lambda callbacks: [callbacks.ModelCheckpoint("best.keras")], "best-{trial}-{fold}.keras"),
    ],
)
def test_callbacks_that_cannot_be_used_are_refused_before_the_search(tmp_path, make, words):
    import keras

    with pytest.raises(SettingsError) as caught:
        run_study("mlp", **TINY, home=tmp_path, callbacks=make(keras.callbacks))
    assert words in str(caught.value)


def test_regression_by_an_own_fit_gets_numbers_as_they_are(tmp_path):
    code = """
import keras
import keras_tuner


class Mine(keras_tuner.HyperModel):
    def build(self, hp):
        model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])
        model.compile(keras.optimizers.Adam(hp.Choice("rate", [0.5, 1.0])), "mse")
        return model

    def fit(self, hp, model, x, y, **kwargs):
        assert y.mean() > 50 or len(x) < 40  # on made samples it is 0
        return model.fit(x, y, **kwargs)
"""
    (tmp_path / "mine.py").write_text(code)
    random = np.random.default_rng(0)
    x = random.normal(size=(200, 3)).astype(np.float32)
    y = 100 + 20 * x[:, 0] + random.normal(size=200)
    result = run_study(
        f"{tmp_path / 'mine.py'}:Mine",
        data=(x, y),
        test=False,
        folds=2,
        trials=2,
        epochs=20,
        home=tmp_path / "home",
        notify=unheard,
    )
    assert result.reason == "complete"
    [fold, *_] = result.best.finished_folds().values()
    assert fold.metric("rmse") < 60
