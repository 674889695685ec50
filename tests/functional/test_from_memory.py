"""Studies of data and functions that were passed from Python, and what commands make of them."""

import warnings

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold

from search import SettingsError, load_study, run_study
from search.executors.ray.bundles import study_parcel
from search.study.autotune import work_of
from search.study.opening import open_study
from spaces import reference_to
from tracking.home import Home

pytestmark = pytest.mark.slow

UNITS = 16
LOSS = "sparse_categorical_crossentropy"


def dense(units):
    import keras

    return keras.layers.Dense(units, "relu")


def build(hp):
    import keras

    layers = [keras.layers.Input((64,)), dense(hp.Int("units", 8, UNITS))]
    return keras.Sequential([*layers, keras.layers.Dense(10, "softmax")])


SMALL = {"folds": 2, "epochs": 2, "executor": "inline", "set": {"batch_size": 64}, "pruner": "none"}


@pytest.fixture(scope="module")
def digits():
    return load_digits(return_X_y=True)


@pytest.fixture(scope="module")
def begun(digits, tmp_path_factory):
    """A home with a study of arrays and a function, and what was told."""
    home, told = tmp_path_factory.mktemp("user") / "mlruns", []
    run_study(build, data=digits, trials=1, home=home, notify=told.append, **SMALL)
    return home, told


def test_the_same_call_continues_the_study(begun, digits):
    home, told = begun
    assert any(text.startswith("Getting memory:table-") for text in told)
    second = []
    result = run_study(build, data=digits, trials=2, home=home, notify=second.append, **SMALL)
    assert result.name == "build-table"
    assert list(result.trials["state"]) == ["complete", "complete"]
    assert second == []


def test_a_changed_function_is_refused_and_other_data_are_another_study(begun, digits, monkeypatch):
    home, _ = begun
    monkeypatch.setitem(globals(), "UNITS", 24)
    with pytest.raises(SettingsError, match="UNITS was changed"):
        run_study(build, data=digits, trials=3, home=home, notify=print, **SMALL)
    monkeypatch.undo()
    rows, labels = digits
    told = []
    other = run_study(
        build, data=(rows + 1, labels), trials=1, home=home, notify=told.append, **SMALL
    )
    assert other.name == "build-table-2"
    assert any("That is another study" in text for text in told)


def test_a_function_whose_models_do_not_fit_is_named_once(digits, tmp_path):
    def build(hp):
        import keras

        return keras.Sequential([keras.layers.Input((64,)), keras.layers.Dense(7, "softmax")])

    with pytest.raises(SettingsError, match="they have 7 for 10 classes") as caught:
        run_study(build, data=digits, trials=1, home=tmp_path, notify=print, **SMALL)
    assert str(caught.value).count("passed from Python") == 1
    assert str(caught.value).startswith("`space`: ")


def test_a_study_with_a_name_refuses_other_data(begun, digits):
    home, _ = begun
    rows, labels = digits
    with pytest.raises(SettingsError, match="`--dataset`: study 'build-table' began with memory:"):
        run_study(
            build, data=(rows + 2, labels), study="build-table", home=home, notify=print, **SMALL
        )


def test_what_is_scored_is_what_plain_keras_scores(begun, digits):
    """Fold 1's score is that of the same model and splits with Keras alone, within noise."""
    import keras

    home, _ = begun
    result = load_study("build-table", home=home)
    folds = np.load(result.folder.folds)
    from search.data import load

    dataset = load(result.history.known_study().dataset["name"], home=home)
    rows, labels = np.asarray(dataset.train_samples), np.asarray(dataset.train_labels)
    train, validation = folds["train_1"], folds["validation_1"]
    mean, spread = rows[train].mean(axis=0), rows[train].std(axis=0)
    rows = (rows - mean) / np.where(spread == 0, 1, spread)
    scores = []
    for seed in range(3):
        keras.utils.set_random_seed(seed)
        layers = [keras.layers.Input((64,)), keras.layers.Dense(8, "relu")]
        model = keras.Sequential([*layers, keras.layers.Dense(10, "softmax")])
        model.compile(keras.optimizers.Adam(1e-3), LOSS, metrics=["accuracy"])
        model.fit(rows[train], labels[train], batch_size=64, epochs=2, verbose=0)
        scores.append(model.evaluate(rows[validation], labels[validation], verbose=0)[1])
    first = result.history.trials[0].finished_folds()[1].accuracy
    assert min(scores) - 0.2 < first < max(scores) + 0.2


def test_commands_find_the_data_and_say_what_they_lack(begun, user):
    home, _ = begun
    shown = user.here("show", "build-table", "--home", str(home))
    assert "a function passed from Python: build (test_from_memory.py)" in shown.out
    listed = user.here("datasets", "--home", str(home))
    assert "memory:table-" in listed.out
    name = load_study("build-table", home=home).history.known_study().dataset["name"]
    described = user.here("datasets", name, "--home", str(home))
    assert "1,437 training and 360 test rows" in described.out
    report = user.here("report", "build-table", "--home", str(home), "--out", "r.html")
    assert report.code == 0, report.err
    assert "a function passed from Python: build" in (user.folder / "r.html").read_text()
    started = user("run", "--study", "build-table", "--home", str(home), "--trials", "9")
    assert started.code == 2
    assert "it exists only in the Python process it was passed in; pass it again" in started.err


def test_a_data_set_that_was_deleted_is_asked_for_again(digits, user, tmp_path):
    home = tmp_path / "home"
    result = run_study(
        "mlp", data=digits, trials=1, home=home, notify=print, folds=2, epochs=1, executor="inline"
    )
    folder = next((home / "datasets").glob("memory-*"))
    for file in folder.iterdir():
        file.unlink()
    started = user.here("run", "--study", result.name, "--home", str(home), "--trials", "2")
    assert started.code == 3
    assert "pass the same data again" in started.err


def test_a_splitter_and_a_test_part_of_ones_own_are_used(digits, tmp_path):
    rows, labels = digits
    cut = StratifiedKFold(3, shuffle=True, random_state=5)
    result = run_study(
        build,
        data=(rows[:600], labels[:600]),
        test=(rows[600:], labels[600:]),
        cv=cut,
        trials=1,
        home=tmp_path,
        notify=print,
        epochs=1,
        executor="inline",
        allow_duplicates=True,
    )
    folds = np.load(result.folder.folds)
    expected = list(cut.split(rows[:600], labels[:600]))
    assert len(result.folds) == 3
    for number, (train, validation) in enumerate(expected, start=1):
        assert np.array_equal(folds[f"train_{number}"], train)
        assert np.array_equal(folds[f"validation_{number}"], validation)
    exported = result.export(tmp_path / "model", formats=["keras"], notify=print)
    right = exported.test.accuracy * (len(rows) - 600)
    assert right == pytest.approx(round(right), abs=1e-6)


def test_without_a_test_part_nothing_is_exported(digits, tmp_path):
    result = run_study(
        "mlp",
        data=digits,
        test=False,
        trials=1,
        home=tmp_path,
        notify=print,
        folds=2,
        epochs=1,
        executor="inline",
    )
    with pytest.raises(SettingsError, match="has no test part to score its model on"):
        result.export(tmp_path / "model", notify=print)


def test_workers_on_a_cluster_are_sent_the_function_with_their_work(tmp_path):
    def flat(hp):
        import keras

        return keras.Sequential(
            [keras.layers.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)]
        )

    asked = {"space": reference_to(flat, print), "dataset": "digits", "folds": 2}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        opened = open_study(asked, home=Home(tmp_path), data_dir=None, notify=print)
    opened.folder.root.mkdir(parents=True)
    opened.folds.save(opened.folder.folds)
    work = work_of(opened, "float32")
    assert work.passed.load()(None).output_shape == (None, 10)
    assert [name for name, _ in study_parcel(work).bundle.sizes] == ["folds.npz"]
