"""Own code of a model is run where the user names it or the home made it, and nowhere else."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search.data.inputs import TableEncoder, TextEncoder
from search.data.reading import Column
from search.errors import DataError
from search.export.folder import ModelFolder, NeedsCode
from search.export.labels import Labels
from search.export.loading import (
    checked,
    code_of,
    load_model,
    made_up,
    open_model,
    predicted_values,
)
from search.export.predict import predict_samples
from search.tasks import Classification
from search.tasks.classification import LOGITS, Outputs
from tests.studies import StudyBuilder
from tracking.home import Home
from tracking.journal import encode
from tracking.records import ModelExported

COLUMNS = (Column("x"), Column("y"))
LABELS = Labels(
    Classification(("a", "b", "c")), TableEncoder((0.0, 1.0), (1.0, 2.0)), columns=COLUMNS
)
CODE = """
import pathlib
import keras

pathlib.Path(__file__).with_suffix(".ran").touch()


@keras.saving.register_keras_serializable("own")
class Twice(keras.layers.Layer):
    def call(self, x):
        return x * 2.0


def build(hp):
    parts = [keras.layers.Input((2,)), Twice(), keras.layers.Dense(3, "softmax")]
    model = keras.Sequential(parts)
    model.compile("adam", "sparse_categorical_crossentropy")
    return model
"""
WITHIN = CODE.replace("def build(hp):", "def build(hp):\n    register()").replace(
    '@keras.saving.register_keras_serializable("own")\nclass Twice(keras.layers.Layer):\n'
    "    def call(self, x):\n        return x * 2.0\n",
    "Twice = None\n\n\ndef register():\n    global Twice\n\n"
    '    @keras.saving.register_keras_serializable("own")\n'
    "    class Twice(keras.layers.Layer):\n"
    "        def call(self, x):\n            return x * 2.0\n",
)


class Exported:
    """A folder with a model that has a layer of its own, whose code is not known any more."""

    def __init__(self, place: Path, code: str = CODE) -> None:
        self.code = place / "own.py"
        self.code.write_text(code)
        self.space = f"{self.code}:build"
        self.folder = ModelFolder(place / "model")
        self.folder.path.mkdir()
        from search.export.formats.keras_archive import write_archive
        from spaces.declaring.importing import find

        model = find(self.space)(None)
        self.rows = np.array([[0.5, -1.0], [2.0, 0.25]], np.float32)
        self.expected = np.asarray(model(self.rows))
        write_archive(model, self.folder.model)
        self.labels = checked(model, LABELS)
        self.folder.write("labels.json", json.dumps(self.labels.to_json()))
        self.folder.write("metrics.json", json.dumps({"study": "own", "space": self.space}))
        self.forget()

    def forget(self) -> None:
        import keras

        keras.saving.get_custom_objects().pop("own>Twice", None)
        self.code.with_suffix(".ran").unlink(missing_ok=True)

    def has_run(self) -> bool:
        return self.code.with_suffix(".ran").exists()

    def home(self, place: Path, digest: str) -> Path:
        """Return a home whose study `own` tells of an archive with this digest."""
        study = StudyBuilder("own")
        study.records[0] = replace(study.records[0], space=self.space)
        study.session()
        study.complete_trial(0)
        study.add(
            ModelExported,
            trial=0,
            folder="elsewhere",
            model_sha256=digest,
            curves=[],
            train_seconds=1.0,
            model_parameters=1,
            requirements=[],
        )
        folder = Home(place).study("own")
        folder.root.mkdir(parents=True)
        folder.journal.write_bytes(b"".join(map(encode, study.records)))
        return place


@pytest.fixture
def exported(tmp_path):
    made = Exported(tmp_path)
    yield made
    made.forget()


@pytest.mark.slow
def test_code_that_the_user_names_opens_the_model(exported):
    model = load_model(exported.folder, exported.labels, space=exported.space, home=None)
    found = predicted_values(model, exported.rows, exported.labels)
    np.testing.assert_allclose(found, exported.expected, atol=1e-6)


@pytest.mark.slow
def test_the_home_that_exported_the_model_knows_its_code(exported, tmp_path):
    home = exported.home(tmp_path / "home", exported.folder.model_sha256())
    model = load_model(exported.folder, exported.labels, space=None, home=home)
    assert exported.has_run()
    found = predicted_values(model, exported.rows, exported.labels)
    np.testing.assert_allclose(found, exported.expected, atol=1e-6)


@pytest.mark.slow
def test_a_folder_of_somebody_else_makes_no_code_run(exported, tmp_path):
    home = exported.home(tmp_path / "home", "ab" * 32)  # its study is of the same name
    for place in (None, tmp_path / "absent", home):
        with pytest.raises(NeedsCode) as caught:
            load_model(exported.folder, exported.labels, space=None, home=place)
        assert "without the code of 'own>Twice'" in str(caught.value)
        assert f"foldwise predict {exported.folder.path} INPUT --space" in str(caught.value)
        assert not exported.has_run()


@pytest.mark.slow
def test_a_model_of_keras_own_parts_runs_no_code_though_it_is_named(exported):
    import keras

    from search.export.formats.keras_archive import write_archive

    plain = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(3, "softmax")])
    write_archive(plain, exported.folder.model)
    load_model(exported.folder, LABELS, space=exported.space, home=None)
    assert not exported.has_run()


@pytest.mark.slow
def test_code_that_cannot_be_had_is_told_as_that(exported):
    exported.code.unlink()
    with pytest.raises(NeedsCode, match=r"no file .*own\.py"):
        load_model(exported.folder, exported.labels, space=exported.space, home=None)


@pytest.mark.slow
def test_code_that_was_changed_since_is_noticed(exported):
    exported.code.write_text(CODE.replace("2.0", "2.5"))
    with pytest.raises(DataError, match=r"must give the same outputs .* restore the code"):
        load_model(exported.folder, exported.labels, space=exported.space, home=None)


@pytest.mark.slow
def test_what_is_registered_only_while_a_model_is_built_is_found(tmp_path):
    made = Exported(tmp_path, WITHIN)
    try:
        model = open_model(made.folder, made.labels, code_of(made.space, made.labels))
        found = predicted_values(model, made.rows, made.labels)
        np.testing.assert_allclose(found, made.expected, atol=1e-6)
    finally:
        made.forget()


@pytest.mark.slow
def test_predict_takes_the_code_by_name(exported, tmp_path):
    (tmp_path / "rows.csv").write_text("x,y\n0.5,-1\n4.25,1.5\n")
    given = [str(tmp_path / "rows.csv")]
    with pytest.raises(NeedsCode):
        predict_samples(exported.folder.path, given)
    found = predict_samples(exported.folder.path, given, top=3, space=exported.space)
    encoded = exported.labels.encoder.encode(np.array([[0.5, -1.0], [4.25, 1.5]]))
    model = load_model(exported.folder, exported.labels, space=exported.space, home=None)
    for prediction, row in zip(found, np.asarray(model(encoded)), strict=True):
        for name, probability in prediction.values:
            assert probability == pytest.approx(row["abc".index(name)], abs=1e-6)


def test_made_up_samples_are_what_a_model_receives():
    for encoder, low, high in (
        (TextEncoder(("good",), length=7, size=9), 0, 8),
        (TableEncoder((1.0, 2.0), (3.0, 4.0)), -9, 9),
    ):
        labels = Labels(Classification(("a", "b")), encoder)
        found = made_up(labels)
        assert found.shape == (4, *encoder.input_shape)
        assert found.dtype == encoder.encode(["good"] if labels.kind == "text" else found).dtype
        assert low <= found.min() < found.max() <= high
        np.testing.assert_array_equal(found, made_up(labels))


def test_a_check_that_is_none_is_refused(tmp_path):
    folder = ModelFolder(tmp_path)
    for check in ([[0.1, 0.9]], [[0.1, 0.2, 0.7]] * 5, "none", [[0.1, 0.2, None]]):
        folder.write("labels.json", json.dumps(LABELS.to_json() | {"check": check}))
        with pytest.raises(DataError, match=r"labels\.json is damaged"):
            folder.labels()
    folder.write("labels.json", json.dumps(LABELS.to_json() | {"check": [[0.1, 0.2, 0.7]]}))
    assert folder.labels().check == ((0.1, 0.2, 0.7),)


@pytest.mark.slow
def test_models_that_the_search_takes_are_taken_by_predict():
    """Eager ones, of classes of their own, of open length, of another last axis."""
    import keras
    from keras import layers

    class Eager(layers.Layer):
        def call(self, x: Any) -> Any:
            return keras.ops.convert_to_tensor(np.asarray(x) * 2)  # works on numbers alone

    class Subclass(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.out = layers.Dense(3, "softmax")

        def call(self, x: Any) -> Any:
            return self.out(x)

    rows = np.array([[0.5, -1.0], [2.0, 0.25]], np.float32)
    eager = keras.Sequential([Eager(), layers.Dense(3, "softmax")])
    eager.run_eagerly = True
    for model in (eager, Subclass()):
        expected = np.asarray(model(rows))
        model.run_eagerly = False  # which an archive does not keep
        np.testing.assert_allclose(predicted_values(model, rows, LABELS), expected, atol=1e-6)

    texts = Labels(
        Classification(("no", "yes")),
        TextEncoder(("good",), length=6, size=9),
        outputs=Outputs(LOGITS, 2),
    )
    parts = [layers.Input((None,)), layers.Embedding(9, 4), layers.GlobalMaxPooling1D()]
    model = keras.Sequential([*parts, layers.Dense(1)])
    tokens = made_up(texts)
    second = 1 / (1 + np.exp(-np.asarray(model(tokens), np.float64)))
    found = predicted_values(model, tokens, texts)
    np.testing.assert_allclose(found, np.hstack([1 - second, second]), atol=1e-6)

    with pytest.raises(ValueError, match=r"it gives \(2, 2\) for 2 samples"):
        predicted_values(keras.Sequential([layers.Dense(2, "softmax")]), rows, LABELS)
