import copy
import pickle

import numpy as np
import pandas as pd
import pytest

from search import load_study, run_study
from tests.tracking.test_html import check

pytestmark = pytest.mark.slow

SMALL = {"folds": 2, "epochs": 2, "executor": "inline", "set": {"batch_size": 32}}


@pytest.fixture(scope="module")
def frame():
    source = np.random.default_rng(0)
    cities = source.choice(["oslo", "bergen", "voss"], 120)
    rows = pd.DataFrame({"city": cities, "height": source.normal(1000, 5, 120)})
    rows["warm"] = np.where((cities == "oslo") ^ (rows["height"] > 1000), "yes <b>", "no")
    rows.loc[3, "height"] = np.nan
    return rows


@pytest.fixture(scope="module")
def result(frame, tmp_path_factory):
    home = tmp_path_factory.mktemp("user") / "mlruns"
    told = []
    return run_study(
        "mlp", data=frame, target="warm", trials=1, home=home, notify=told.append, **SMALL
    )


def test_the_best_model_takes_rows_as_they_are_and_is_the_exported_one_once_there_is_one(
    result, frame, tmp_path
):
    import keras

    told = []
    model = result.best_model(notify=told.append)
    training, calibrated = told
    assert training.startswith("training the model of trial 0 on all")
    assert calibrated.startswith("its probabilities are calibrated by a temperature of")
    assert isinstance(model, keras.Model)
    assert model.target_names == ["no", "yes <b>"]
    found = model.predict(frame)
    assert found.shape == (120, 2)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(model.predict(frame[["height", "city"]][:7]), found[:7])
    model.save(tmp_path / "plain.keras")
    plain = keras.saving.load_model(tmp_path / "plain.keras")
    given = np.asarray(plain(model.encode(frame)))  # Keras's `predict` rounds float64
    np.testing.assert_allclose(given, found[:, 1:] if given.shape[1] == 1 else found, atol=1e-6)
    assert not load_study(result.name, home=result.home.root).history.test_openings
    larger = keras.Sequential([model])
    larger(model.encode(frame))
    for name, whole in {"by_function": model, "within": larger}.items():
        keras.saving.save_model(whole, tmp_path / f"{name}.keras")
        loaded = keras.saving.load_model(tmp_path / f"{name}.keras")
        encoded = model.encode(frame)
        np.testing.assert_allclose(np.asarray(loaded(encoded)), np.asarray(whole(encoded)), 1e-6)
    for copied in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):  # noqa: S301 # its own
        np.testing.assert_allclose(copied.predict(frame), found, atol=1e-6)

    exported = result.export(tmp_path / "model", formats=["keras"], notify=told.append)
    assert repr(exported).startswith("<model of trial 0 of 'mlp-table', test accuracy ")
    page = check(exported._repr_html_())
    assert "yes <b>" in page.text  # a class in the confusion matrix
    assert "svg" in page.tags
    told.clear()
    again = load_study(result.name, home=result.home.root)
    np.testing.assert_allclose(
        again.best_model(notify=told.append).predict(frame), found, atol=1e-6
    )
    assert told == []  # it is loaded

    (tmp_path / "model" / "model.keras").write_bytes(b"other")
    np.testing.assert_allclose(
        again.best_model(notify=told.append).predict(frame), found, atol=1e-6
    )
    assert "is not the file that `export` wrote" in told[0]
    assert told[1].startswith("training the model of trial 0")


def test_the_best_model_of_numbers_and_of_pictures_with_values_of_their_own(tmp_path):
    source = np.random.default_rng(0)
    pictures = source.integers(0, 17, (80, 6, 6)) / 16
    prices = 1e6 + 1000 * pictures.mean(axis=(1, 2))

    def build(hp):
        import keras

        layers = [keras.layers.Input((6, 6, 1)), keras.layers.Flatten()]
        return keras.Sequential(
            [*layers, keras.layers.Dense(hp.Int("units", 4, 8)), keras.layers.Dense(1)]
        )

    settings = {**SMALL, "task": "regression", "kind": "image"}
    told = []
    result = run_study(
        build, data=(pictures, prices), trials=1, home=tmp_path, notify=told.append, **settings
    )
    model = result.best_model(notify=told.append)
    found = model.predict(pictures, batch_size=10)
    assert found.shape == (80, 1)
    assert np.abs(found - 1e6).max() < 10_000  # in their own unit
    np.testing.assert_allclose(model.predict(list(pictures[:3])), found[:3], rtol=1e-6)


def test_times_close_together_are_predicted_without_rounding_as_the_command_line_does(tmp_path):
    import keras

    from search.export.predict import predict_samples

    def build(hp):
        layers = [keras.layers.Input((2,)), keras.layers.Dense(hp.Int("units", 4, 8), "relu")]
        return keras.Sequential([*layers, keras.layers.Dense(1)])

    source = np.random.default_rng(0)
    seconds = 1_700_000_000 + source.integers(0, 3600, 120)  # within an hour
    frame = pd.DataFrame({"at": pd.to_datetime(seconds, unit="s"), "a": source.normal(size=120)})
    costs = (seconds - seconds.min()) / 360.0
    result = run_study(
        build, data=(frame, costs), trials=1, home=tmp_path, notify=lambda _: None, **SMALL
    )
    result.export(tmp_path / "model", formats=["keras"], notify=lambda _: None)
    model = result.best_model()
    encoded = model.encode(frame)
    assert encoded.dtype == np.float64
    found = model.predict(frame, batch_size=16, verbose=0)
    np.testing.assert_allclose(found, np.asarray(model(encoded)), rtol=1e-6)
    frame.to_csv(tmp_path / "new.csv", index=False)
    printed = predict_samples(tmp_path / "model", [str(tmp_path / "new.csv")])
    np.testing.assert_allclose(found[:, 0], [one.values[0][1] for one in printed], rtol=1e-6)


def test_a_registered_class_of_the_users_own_is_written_under_its_name(tmp_path):
    import keras

    from search.export.best_model import for_samples

    @keras.saving.register_keras_serializable("own")
    class Net(keras.Model):
        def __init__(self, **options):
            super().__init__(**options)
            self.dense = keras.layers.Dense(2)

        def call(self, inputs):
            return self.dense(inputs)

    given = np.ones((1, 3), np.float32)
    model = Net()
    found = model(given)
    keras.saving.save_model(for_samples(model, None), tmp_path / "net.keras")
    loaded = keras.saving.load_model(tmp_path / "net.keras")
    assert type(loaded) is Net
    np.testing.assert_array_equal(loaded(given), found)
