"""Models in the manner of public examples run as they are, under one driver or the other."""

import math
from itertools import cycle

import numpy as np
import pytest
from PIL import Image

from search import FoldwiseError, run_study
from search.data import load
from search.export.folder import ModelFolder
from search.export.predict import predict_samples
from search.export.raw import raw_samples
from tests.models import data
from tests.models.catalog import DRIVERS, SMALL, TABLE, asked_here, named
from tests.tracked import give_database

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home for all studies, so that parameters are looked for once a model."""
    folder = tmp_path_factory.mktemp("table") / "mlruns"
    give_database(folder / "mlflow.db")
    with asked_here():
        yield folder


# `python -m tests.models` runs each under both.
@pytest.mark.parametrize(
    ("entry", "driver"),
    [
        pytest.param(*pair, id=f"{pair[0].name}-{pair[1]}")
        for pair in zip(TABLE, cycle(DRIVERS), strict=False)
    ],
)
def test_a_model_is_searched(entry, driver, home, tmp_path):
    told = []
    found = entry.run(driver, home, told)
    start, trials = found.history.known_study(), found.history.completed()
    assert (start.task, found.history.objectives[0].name) == (entry.task, entry.objective)
    reasons = [trial.ended.reason for trial in found.history.finished()]
    assert len(trials) == SMALL["trials"], (reasons, told)
    for trial in trials:
        assert len(trial.finished_folds()) == SMALL["folds"]
        assert all(math.isfinite(value) for value in trial.ended.scores.values())
        assert entry.objective in trial.ended.scores
        assert entry.wanted <= trial.ended.scores.keys()
    assert entry.told in "\n".join(told)
    if entry.exports:
        _exports_what_keras_computes(found, tmp_path / "model")


def _exports_what_keras_computes(found, folder):
    """`predict` gives, for samples of the test part, what the exported model gives with Keras."""
    import keras

    quiet = {"notify": lambda text: None}
    found.export(folder, formats=("keras",), **quiet)
    samples = _held_out(found)[:5]
    labels = ModelFolder(folder).labels()
    values = keras.saving.load_model(folder / "model.keras").predict(
        raw_samples(samples, labels), verbose=0
    )
    made = predict_samples(
        folder, _written(samples, labels, folder), top=_all_of(labels), home=found.home.root
    )
    for row, prediction in zip(values, made, strict=True):
        expected = dict(zip(labels.task.names, row.tolist(), strict=True))
        assert dict(prediction.values) == pytest.approx(expected, rel=1e-5, abs=1e-6)


def _all_of(labels):
    return len(labels.task.names) if labels.task.name == "classification" else None


def _held_out(found):
    name = found.history.known_study().dataset["name"]
    dataset = load(name, home=found.home.root)
    return dataset.open_test()[0]


def _written(samples, labels, folder):
    """Write samples as files that `predict` reads, and return their names."""
    if labels.kind == "text":
        return list(samples)
    if labels.kind == "image":
        for number, picture in enumerate(samples):
            Image.fromarray(np.asarray(picture)[..., 0]).save(folder / f"{number}.png")
        return [str(folder / f"{number}.png") for number in range(len(samples))]
    if labels.kind == "sequence":
        np.save(folder / "new.npy", np.asarray(samples))
        return [str(folder / "new.npy")]
    lines = [",".join(column.name for column in labels.columns)]
    lines += [",".join(map(repr, row)) for row in np.asarray(samples).tolist()]
    (folder / "new.csv").write_text("\n".join(lines))
    return [str(folder / "new.csv")]


def _pairs():
    rows, kinds = data.classes()
    yield from zip(rows, kinds, strict=True)


def _without_end():
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices(data.classes()).batch(16).repeat()


@pytest.mark.parametrize(
    ("model", "given", "why"),
    [
        ("pictures:autoencoder", data.repeated_pictures, "the samples' own shape, as an autoenc"),
        ("tables:getting_started", _without_end, "the dataset repeats for ever"),
        ("tables:getting_started", _pairs, "must be"),
        ("own:no_tensors", data.classes, "must return tensors"),
    ],
)
def test_what_cannot_be_searched_is_refused_before_the_search(model, given, why, home):
    with pytest.raises(FoldwiseError, match=why):
        run_study(named(model), data=given(), home=home, study="no", notify=print, **SMALL)
    assert not (home / "studies" / "no" / "journal.jsonl").exists()
